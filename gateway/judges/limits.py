"""Limits one case's time and memory by the kernel: they end a judge whatever it is doing.

Processor time and clock time are timers with unhandled signals, which kill the process, also inside a library.
The kernel refuses memory beyond twice the limit of a case. A growing block at most doubles, and none reaches half
of the limit; so a judge within the limit was never refused memory, and its verdict does not come from a library
that mishandled such a refusal.
"""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_MEGABYTE: Final = 1024 * 1024
_WALL: Final = 30
"""Limit of clock time, in multiples of the processor time limit; reached only on an overloaded machine."""
_HARD: Final = 2
_STATUS: Final = Path("/proc/self/status")


class JudgeLimits:
    """The limits of this process."""

    def __init__(self, *, cpu_s: float, memory_mb: int) -> None:
        """Limit the memory from now on; `cpu_s` and `memory_mb` are for one case."""
        self._cpu_s = cpu_s
        self._base = _peak_bytes()
        self._room = memory_mb * _MEGABYTE
        most = self._base + _HARD * self._room
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no message bytes in a core file

    @contextmanager
    def held(self) -> Iterator[None]:
        """Limit the time spent inside this context."""
        signal.setitimer(signal.ITIMER_PROF, self._cpu_s)
        signal.setitimer(signal.ITIMER_REAL, _WALL * self._cpu_s)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)

    @property
    def exceeded(self) -> bool:
        """Return whether a case took more memory than allowed."""
        return self._taken() > self._room

    @property
    def swollen(self) -> bool:
        """Return whether so much memory was taken that a new process is cheaper than what this one keeps."""
        return self._taken() > self._room // 4

    def _taken(self) -> int:
        return _peak_bytes() - self._base


def _peak_bytes() -> int:
    """Return the peak address space of this process."""
    for line in _STATUS.read_text("ascii", "replace").splitlines():
        if line.startswith("VmPeak:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no VmPeak in {_STATUS}")
