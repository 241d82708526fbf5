"""A lock of the kernel on a file, whose holder may be any process of this machine, and waits for it that end.

`flock` hands over at once and in turn, and dies with its holder, but cannot be given a time. So what cannot be had at
once is asked for by a thread, and whoever wants it waits for the thread. When that has waited for long enough, the
thread stays in the kernel's queue: what it gets when nobody wants it any more, it gives back.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from spool.errors import SpoolError

WAIT_S: Final = 10.0
"""How long one wait for another process's lock takes at most, where nobody says otherwise."""
OnWait = Callable[[SpoolError], None]
"""Hears that a wait was in vain: the same is waited for again when it returns, and given up when it raises."""
_LOCKS: Final = Path("/proc/locks")
_STOPPED: Final = {"T": ", stopped", "t": ", stopped by a debugger", "D": ", waits for a disk", "Z": ", dead"}


class FileLock:
    """Exclusive, between processes and between objects; one object is used by one thread at a time."""

    def __init__(
        self, file: Path, what: str, *, wait_s: float = WAIT_S, on_wait: OnWait | None = None
    ) -> None:
        """Open the file, made when it is not there. Raises OSError.

        `what` is locked, for messages. `wait_s`: for how long a wait may block; without `on_wait`, those who ask while
        an earlier one has been in vain do not block at all.
        """
        self._file = file
        self._what = what
        self._wait_s = wait_s
        self._on_wait = on_wait
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._news = threading.Condition()
        self._asking = False
        """A thread waits for the kernel; until it is done, nobody else may ask for this descriptor."""
        self._wanted = False
        self._closed = False
        self._failure: SpoolError | None = None
        self._since = 0.0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it while the block lasts. Raises a temporary SpoolError that names the holder."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def acquire(self) -> None:
        """Take it. Raises a temporary SpoolError that names the holder."""
        while not self._taken():
            error = self._in_vain()
            if self._on_wait is None:
                raise error
            self._on_wait(error)

    def release(self) -> None:
        """Give it back."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def holder(self) -> str:
        """Say who has kept it for longer than one may wait; empty: nobody. Does not block; not while it is held here."""
        with self._news:
            if self._ask():
                self.release()
                return ""
            long_ago = time.monotonic() - self._since >= self._wait_s
        return self._in_vain().what if long_ago else ""

    def close(self) -> None:
        """Let go of the file; again does nothing."""
        with self._news:
            if not self._closed:
                self._closed = True
                if not self._asking:
                    os.close(self._descriptor)

    def _taken(self) -> bool:
        with self._news:
            waits_long = self._asking
            if self._ask():
                return True
            self._wanted = True
            wait_s = 0.0 if waits_long and self._on_wait is None else self._wait_s
            try:
                granted = self._news.wait_for(lambda: not self._asking, wait_s)
            except BaseException:  # an operator's Ctrl-C
                if not self._asking and self._failure is None:
                    self.release()
                raise
            finally:
                self._wanted = False
                failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        return granted

    def _ask(self) -> bool:
        """Take it if it is free; let the thread ask if it is not."""
        if self._asking:
            return False
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._asking, self._since = True, time.monotonic()
            threading.Thread(target=self._wait, name="flock", daemon=True).start()
            return False
        except OSError as error:
            raise self._refused(error) from error
        return True

    def _wait(self) -> None:
        """In the thread: wait for as long as it takes, then hand over."""
        failure = None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except OSError as error:
            failure = self._refused(error)
        with self._news:
            self._asking = False
            if self._wanted:
                self._failure = failure
                self._news.notify()
            elif failure is None:
                self.release()  # a process that was forked meanwhile has the same lock: closing would not end it
            if self._closed:
                os.close(self._descriptor)

    def _refused(self, error: OSError) -> SpoolError:
        return SpoolError(
            f"{self._what} cannot be taken: {error.strerror}", where=str(self._file), temporary=True
        )

    def _in_vain(self) -> SpoolError:
        waited_s = time.monotonic() - self._since
        who = holder_of(self._file, "FLOCK") or "another process"
        return held_by(who, self._what, waited_s, where=str(self._file))


def held_by(who: str, what: str, waited_s: float, *, where: str) -> SpoolError:
    """Say that somebody keeps a lock for longer than one waits."""
    return SpoolError(
        f"{who} holds {what}; waited for {waited_s:.1f} s",
        where=where,
        fix="nothing, if it is a role of this node: one that hangs is started again; any other process has to be ended",
        temporary=True,
    )


def holder_of(file: Path, kind: str, byte: int | None = None) -> str:
    """Name the process that holds a lock on a file; empty when the kernel does not tell.

    `kind` is FLOCK or POSIX; `byte`: the lock that covers it, of several.
    """
    try:
        there = file.stat()
        lines = _LOCKS.read_text("ascii").splitlines()
    except OSError:
        return ""
    name = f"{os.major(there.st_dev):02x}:{os.minor(there.st_dev):02x}:{there.st_ino}"
    for line in lines:
        match line.split():  # 1: FLOCK ADVISORY WRITE 4711 08:01:131 0 EOF
            case [_, found, _, "WRITE", pid, where, first, last] if (
                found == kind and where == name and int(pid) > 0 and _covers(first, last, byte)
            ):
                return _process(int(pid))
            case _:
                continue
    return ""


def _covers(first: str, last: str, byte: int | None) -> bool:
    return byte is None or (int(first) <= byte and (last == "EOF" or byte <= int(last)))


def _process(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return f"process {pid}"
    name = "".join(one if one.isprintable() else "?" for one in stat[stat.index("(") + 1 : stat.rindex(")")])
    state = stat[stat.rindex(")") + 2 :][:1]
    return f"process {pid} ({name}{_STOPPED.get(state, '')})"
