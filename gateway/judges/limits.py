"""What one case may take of the machine, held by the kernel: whatever a judge is doing, it ends there.

Processor and clock are timers whose signal nobody handles, so that the process dies of it, also inside a library.
Memory is refused by the kernel at twice what a case may take. A block that grows is at most doubled, and none is as
much as half of what a case may take; so a judge that took no more than that was never refused any, and its verdict is
not one of a library that misread a want of memory.
"""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_MEGABYTE: Final = 1024 * 1024
_WALL: Final = 30
"""Times the processor's limit: a machine that is that busy has other troubles."""
_HARD: Final = 2
_STATUS: Final = Path("/proc/self/status")


class JudgeLimits:
    """Of this process."""

    def __init__(self, *, cpu_s: float, memory_mb: int) -> None:
        """Bound the memory from now on; `cpu_s` and `memory_mb` are of one case."""
        self._cpu_s = cpu_s
        self._base = _peak_bytes()
        self._room = memory_mb * _MEGABYTE
        most = self._base + _HARD * self._room
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a body has no business in a core file

    @contextmanager
    def held(self) -> Iterator[None]:
        """Bound the time of what is done inside."""
        signal.setitimer(signal.ITIMER_PROF, self._cpu_s)
        signal.setitimer(signal.ITIMER_REAL, _WALL * self._cpu_s)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)

    @property
    def exceeded(self) -> bool:
        """Say whether more memory was taken than a case may."""
        return self._taken() > self._room

    @property
    def swollen(self) -> bool:
        """Say whether so much was taken that a new process costs less than what this one keeps of it."""
        return self._taken() > self._room // 4

    def _taken(self) -> int:
        return _peak_bytes() - self._base


def _peak_bytes() -> int:
    """Return the most address space that this process has had."""
    for line in _STATUS.read_text("ascii", "replace").splitlines():
        if line.startswith("VmPeak:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no VmPeak in {_STATUS}")
