"""CPU time and memory of the gateway's processes, as the kernel counts them."""

import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gateway.simulator.world import WatchedProcess

_EVERY_S: Final = 0.5
_MAPPING: Final = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ ([0-9a-f]+) (\S+) ([1-9][0-9]*)")
"""First line of a file mapping in /proc/…/smaps: offset, device, inode."""


def pids(gateway: WatchedProcess | None) -> dict[str, int]:
    """Return role → process id, the supervisor included."""
    if gateway is None:
        return {}
    started: dict[str, int] = {
        line["role"]: line["pid"]
        for line in list(gateway.events)
        if line["event"] in ("role.started", "role.restarted")
    }
    return {**started, "supervisor": gateway.process.pid}


def cpu_ns(processes: Mapping[str, int]) -> dict[str, int]:
    """Return the nanoseconds that each process has run on a core, all its threads together."""
    return {role: sum(_thread_ns(pid)) for role, pid in processes.items()}


def _thread_ns(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield int((task / "schedstat").read_text().split()[0])


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that still run."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(one) for task in tasks for one in (task / "children").read_text().split()]


def resident_bytes(processes: Iterable[int]) -> int:
    """Return how much memory these processes use together: their own pages, and shared ones once.

    RSS would count pages that roles share by fork once for each role; PSS would count only a part of a library that
    the callers on this machine use too. So: of anonymous memory the kernel's PSS (only processes of one fork share
    it), and of each part of a mapped file the most that one process has of it. A process that has just ended counts
    nothing.
    """
    anonymous = 0
    files: dict[tuple[str, ...], int] = {}
    for pid in processes:
        try:
            anonymous += _anonymous_kb(Path(f"/proc/{pid}/smaps_rollup").read_text())
            for mapping, kilobytes in _files_kb(Path(f"/proc/{pid}/smaps").read_text()):
                files[mapping] = max(files.get(mapping, 0), kilobytes)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return (anonymous + sum(files.values())) * 1024


def _anonymous_kb(rollup: str) -> int:
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss_Anon:"))


def _files_kb(smaps: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield each file mapping and its resident kilobytes, without private copies of pages."""
    mapping: tuple[str, ...] | None = None
    resident = 0
    for line in smaps.splitlines():
        if line.startswith("Rss:"):
            resident = int(line.split()[1])
        elif line.startswith("Anonymous:"):
            if mapping is not None:
                yield mapping, resident - int(line.split()[1])
        elif not line[0].isupper():
            found = _MAPPING.match(line)
            mapping = found.groups() if found else None


def peak_bytes() -> int:
    """Return the most memory that this process has used so far; unlike `ru_maxrss`, nothing of who started it."""
    (line,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(line) * 1024


class MemoryWatch:
    """Samples the memory of a gateway twice a second: `with MemoryWatch(gateway) as watch: …; watch.peak_bytes`."""

    def __init__(self, gateway: WatchedProcess) -> None:
        self._gateway = gateway
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="memory-watch")
        self.peak_bytes = 0
        """The largest sample."""
        self.looks = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, resident_bytes(pids(self._gateway).values()))
            self.looks += 1
            if self._over.wait(_EVERY_S):
                return


def processors_ns() -> tuple[int, int]:
    """Return the idle time and the total time of all processors of the machine together, in nanoseconds."""
    ticks = [int(one) for one in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return (ticks[3] + ticks[4]) * tick_ns, sum(ticks) * tick_ns
