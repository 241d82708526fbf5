"""Files with the counters of all roles, by the multiprocess mode of prometheus-client (docs/adr/0039).

Each process writes to its own files, which are mapped into its memory; the collector adds up all files. The library
names the files after the process id. Here they are named after the role, with a number that no other living process of
that role has: a restarted role continues the files of a process that has ended, however it ended. So no counter
decreases, no files have to be merged, and there are only as many files as there were processes at the same time.

Only the metrics of `gateway.observe.role_metrics` are kept in files; all other metrics stay in memory.
"""

import fcntl
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any, Final

from prometheus_client import values
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import mmap_key
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from prometheus_client.values import MultiProcessValue, MutexValue

from gateway.observe.log import log
from gateway.observe.role_metrics import REGISTRY

FOLDER: Final = "metrics"
"""Folder in `state_dir`."""
_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The folder, for the library; unset: there are no shared files."""
_NODE_LOCK: Final = "lock"
_FIRST_BYTES: Final = 64 * 1024
_OVERHEAD_BYTES: Final = 32
"""Most bytes that the library writes for a value beside its key."""
_NAME_AT_MOST: Final = 100


@contextmanager
def metric_files(state_dir: Path) -> Iterator[None]:
    """Provide the folder for processes that are forked in this block and call `join`.

    Removes the files of earlier runs, unless another supervisor uses the folder. If the folder cannot be made, logs
    that, and each process counts in its memory.
    """
    folder = (state_dir / FOLDER).absolute()
    try:
        held = _begin(folder)
    except OSError as error:
        os.environ.pop(_VARIABLE, None)
        _count_in_memory(error)
        yield
        return
    os.environ[_VARIABLE] = str(folder)
    try:
        yield
    finally:
        del os.environ[_VARIABLE]
        os.close(held)


def join(role: str) -> None:
    """Keep the role metrics of this process in files; call once, before anything is counted.

    Does nothing outside of `metric_files`. A process that this one forks must not count.
    """
    folder = _folder()
    if folder is None:
        return
    try:
        name = _take_name(folder, role)
        mark_process_dead(name, str(folder))  # type: ignore[no-untyped-call]
    except OSError as error:
        _count_in_memory(error)
        return
    values.ValueClass = _Values(folder, name)


class RoleMetrics(Collector):
    """Collects the role metrics of all processes, or of this process alone if there are no shared files."""

    def describe(self) -> list[Metric]:
        """Return nothing: registering must not read files."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the sums; nothing while the files cannot be read."""
        folder = _folder()
        if folder is None:
            yield from REGISTRY.collect()
            return
        try:
            yield from MultiProcessCollector.merge(_readable(folder))  # type: ignore[no-untyped-call]
        except OSError as error:
            log("metrics.unavailable", error=str(error))


class _Values:
    """Makes the objects that hold values of metrics: in the files of this process, or in memory if the disk is full."""

    def __init__(self, folder: Path, name: str) -> None:
        """`name`: name of this process in file names."""
        self._folder, self._name = folder, name
        self._shared = MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]
        self._names = frozenset(family.name for family in REGISTRY.collect())
        self._lock = Lock()
        self._told = False

    def __call__(self, *args: Any, multiprocess_mode: str = "") -> Any:
        """Make one; `args` as the library passes them: metric type and name, sample name, labels, values, help."""
        kind, metric, sample, labels, label_values, help_text = args
        if metric not in self._names:
            return MutexValue(*args)  # type: ignore[no-untyped-call]
        prefix = f"{kind}_{multiprocess_mode}" if multiprocess_mode else kind
        key = mmap_key(metric, sample, labels, label_values, help_text)
        with self._lock:
            try:
                _make_room(self._folder / f"{prefix}_{self._name}.db", len(key.encode()) + _OVERHEAD_BYTES)
            except OSError as error:
                self._tell(error)
                return MutexValue(*args)  # type: ignore[no-untyped-call]
            return self._shared(*args, multiprocess_mode=multiprocess_mode)

    def _tell(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            log("metrics.unavailable", error=str(error))


def _folder() -> Path | None:
    """Return the folder with the shared files; None if there is none."""
    named = os.environ.get(_VARIABLE)
    return Path(named) if named else None


def _count_in_memory(error: OSError) -> None:
    """Keep the metrics of this process in memory, and log why."""
    values.ValueClass = MutexValue
    log("metrics.unavailable", error=str(error))


def _begin(folder: Path) -> int:
    """Make and lock the folder; empty it if no other supervisor has locked it. Returns the descriptor with the lock."""
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    held = os.open(folder / _NODE_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if _locks(held, fcntl.LOCK_EX):
            for file in folder.iterdir():
                if file.name != _NODE_LOCK:
                    file.unlink()
        fcntl.flock(held, fcntl.LOCK_SH)
    except OSError:
        os.close(held)
        raise
    return held


def _take_name(folder: Path, role: str) -> str:
    """Return a name for the files of this process, and lock it until the process ends."""
    base = re.sub(r"[^A-Za-z0-9-]", ".", role)[:_NAME_AT_MOST]  # the library cuts names at `_`
    for number in count():
        name = f"{base}.{number}"
        descriptor = os.open(_lock_file(folder, name), os.O_RDWR | os.O_CREAT, 0o600)
        if _locks(descriptor, fcntl.LOCK_EX):
            return name  # the descriptor stays open
        os.close(descriptor)
    raise AssertionError("unreachable")


def _lock_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.lock"


def _locks(descriptor: int, how: int) -> bool:
    """Take a lock if it is free."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make_room(file: Path, more: int) -> None:
    """Make a file, or extend it, so that `more` bytes fit in, with all its blocks allocated. Raises OSError.

    The library by itself makes sparse files: on a full disk the kernel kills a process that writes to one (SIGBUS). It also
    makes files that are empty at first, and the collector cannot read an empty file.
    """
    if not file.exists():
        draft = file.with_suffix(".draft")
        with draft.open("wb") as opened:
            os.posix_fallocate(opened.fileno(), 0, _FIRST_BYTES)
        draft.rename(file)
    with file.open("r+b", buffering=0) as opened:
        used = int.from_bytes(opened.read(4), sys.byteorder)
        size = length = os.fstat(opened.fileno()).st_size
        while used + more > length:
            length *= 2  # as the library does then
        if length > size:
            os.posix_fallocate(opened.fileno(), 0, length)


def _readable(folder: Path) -> list[str]:
    """Return the files to add up: of gauges, only those whose process is alive."""
    return [str(file) for file in folder.glob("*.db") if not _is_gauge_of_the_dead(file)]


def _is_gauge_of_the_dead(file: Path) -> bool:
    kind, _, name = file.stem.partition("_")
    if kind != "gauge":
        return False
    try:
        with _lock_file(file.parent, name.partition("_")[2]).open("rb") as lock:
            return _locks(lock.fileno(), fcntl.LOCK_SH)
    except FileNotFoundError:
        return True
