"""A kernel lock on a file between all processes of this machine, with waits that time out.

`flock` passes the lock on at once and in order, and releases it when the holder dies, but has no time-out. So if the
lock is not free, a thread waits for it, and the caller waits for the thread. After the caller's time-out the thread
stays in the kernel's queue, and releases the lock if nobody wants it any more.
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
"""Default limit of one wait for another process's lock."""
HELD_S: Final = 5.0
"""No healthy process holds a lock for so long, however slow the disk and however long the queue."""
OnWait = Callable[[SpoolError], None]
"""Called after a wait that timed out: the wait is repeated when it returns, and given up when it raises."""
_LOCKS: Final = Path("/proc/locks")
_STOPPED: Final = {"T": ", stopped", "t": ", stopped by a debugger", "D": ", waits for a disk", "Z": ", dead"}


class FileLock:
    """An exclusive lock between processes and between objects; one thread at a time uses one object."""

    def __init__(
        self, file: Path, what: str, *, wait_s: float = WAIT_S, on_wait: OnWait | None = None
    ) -> None:
        """Open the file, and create it if it is missing. Raises OSError.

        `what`: name of what is locked, for messages. `wait_s`: how long one wait may block; without `on_wait`, how long
        all waits together may block until the lock is obtained, so that repeated attempts block no longer than one.
        """
        self._file = file
        self._what = what
        self._wait_s = wait_s
        self._on_wait = on_wait
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._news = threading.Condition()
        self._asking = False
        """A thread waits in the kernel; until it is done, no other attempt may use this descriptor."""
        self._wanted = False
        self._closed = False
        self._failure: SpoolError | None = None
        self._since = 0.0
        self._blocked_s = 0.0
        """How long waits have blocked since `_since`."""
        self._ahead = False
        """The lock was reserved: the next caller of `acquire` already has it."""
        self._told: Callable[[], None] | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock during the block. Blocks; raises a temporary SpoolError that names the holder."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def acquire(self) -> None:
        """Acquire the lock. Blocks; raises a temporary SpoolError that names the holder."""
        while not self._taken():
            error = self._in_vain()
            if self._on_wait is None:
                raise error
            self._on_wait(error)

    def release(self) -> None:
        """Release the lock."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def reserve(self, told: Callable[[], None]) -> bool:
        """Acquire the lock for the next caller of `acquire`, without blocking. Raises as `acquire`, except for waiting.

        False: it is not free; `told` is called once, by another thread, when it has been reserved.
        """
        with self._news:
            self._told = None
            if self._ahead:
                return True
            self._ahead = self._ask()
            if not self._ahead:
                self._told = told
            return self._ahead

    def pass_on(self) -> None:
        """Release a reserved lock, if no caller has acquired it since."""
        with self._news:
            if self._ahead:
                self._ahead = False
                self.release()

    def held_up(self) -> SpoolError | None:
        """Return an error that names a process holding it for `HELD_S` or more, else None.

        Does not block; must not be called while the lock is held here.
        """
        with self._news:
            if self._ahead:
                return None
            if self._ask():
                self.release()
                return None
            long_ago = time.monotonic() - self._since >= HELD_S
        return self._in_vain() if long_ago else None

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._news:
            if not self._closed:
                self._closed = True
                if self._ahead:
                    self.release()
                if not self._asking:
                    os.close(self._descriptor)

    def _taken(self) -> bool:
        with self._news:
            if self._ahead or self._ask():
                self._ahead = False
                return True
            self._wanted = True
            began = time.monotonic()
            wait_s = self._wait_s if self._on_wait is not None else max(0.0, self._wait_s - self._blocked_s)
            try:
                granted = self._news.wait_for(lambda: not self._asking, wait_s)
            except BaseException:  # an operator's Ctrl-C
                if not self._asking and self._failure is None:
                    self.release()
                raise
            finally:
                self._wanted = False
                self._blocked_s += time.monotonic() - began
                failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        return granted

    def _ask(self) -> bool:
        """Acquire the lock if it is free; otherwise start the thread that waits for it."""
        if self._asking:
            return False
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._asking, self._since, self._blocked_s = True, time.monotonic(), 0.0
            threading.Thread(target=self._wait, name="flock", daemon=True).start()
            return False
        except OSError as error:
            raise self._refused(error) from error
        return True

    def _wait(self) -> None:
        """In the thread: wait without limit, then pass the lock to the waiting caller or release it."""
        failure = None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except OSError as error:
            failure = self._refused(error)
        with self._news:
            self._asking = False
            told, self._told = self._told, None
            if self._wanted:
                self._failure = failure
                self._news.notify()
            elif failure is None and told is not None and not self._closed:
                self._ahead = True
            elif failure is None:
                self.release()  # a process forked meanwhile shares the lock: closing the file would not release it
            if self._closed:
                os.close(self._descriptor)
        if told is not None:
            told()

    def _refused(self, error: OSError) -> SpoolError:
        return SpoolError(
            f"{self._what} cannot be taken: {error.strerror}", where=str(self._file), temporary=True
        )

    def _in_vain(self) -> SpoolError:
        waited_s = time.monotonic() - self._since
        who = holder_of(self._file, "FLOCK") or "another process"
        return held_by(who, self._what, waited_s, where=str(self._file))


def held_by(who: str, what: str, waited_s: float, *, where: str) -> SpoolError:
    """Make the error for a lock that `who` held for the whole wait."""
    return SpoolError(
        f"{who} holds {what}; waited for {waited_s:.1f} s",
        where=where,
        fix="nothing, if it is a role of this node: one that hangs is started again; any other process has to be ended",
        temporary=True,
    )


def holder_of(file: Path, kind: str, byte: int | None = None) -> str:
    """Return the process that holds a lock on a file; empty when the kernel does not report it.

    `kind` is FLOCK or POSIX; `byte`: only a lock that covers this byte.
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
