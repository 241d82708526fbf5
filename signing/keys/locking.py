"""A file lock between threads and processes, with a limit on the wait, because its holder may hang."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(file: Path, wait_s: float) -> Iterator[None]:
    """Hold an exclusive lock on a file, created with its folder; the system releases it when the process dies.

    Blocks for at most `wait_s`. Raises TimeoutError when another holds the lock for longer, and OSError.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    request = _Request(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    try:
        if not request.granted(wait_s):
            raise TimeoutError(None, f"another process has kept the lock for {wait_s:g} s", str(file))
        yield
    finally:
        request.end()


class _Request:
    """One attempt to lock; `flock` has no time-out, so a thread waits for it and releases a lock that comes late."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._news = threading.Condition()
        self._waiting = False
        self._ended = False
        self._failure: OSError | None = None

    def granted(self, wait_s: float) -> bool:
        """Wait for the lock at most `wait_s`; returns whether it was granted. Raises OSError."""
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 (only on Windows; a signer may run on the machine with the card)

            msvcrt.locking(self._descriptor, msvcrt.LK_LOCK, 1)  # tries ten times, a second apart
            return True
        import fcntl  # noqa: PLC0415 (not there on Windows)

        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._waiting = True
            threading.Thread(target=self._wait, name="flock", daemon=True).start()
        with self._news:
            there = self._news.wait_for(lambda: not self._waiting, wait_s)
        if self._failure is not None:
            raise self._failure
        return there

    def _wait(self) -> None:
        import fcntl  # noqa: PLC0415 (not there on Windows)

        failure = None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except OSError as error:
            failure = error
        with self._news:
            self._waiting, self._failure = False, failure
            self._news.notify()
            if self._ended:
                self._close()

    def end(self) -> None:
        """Release the lock, or stop waiting for it."""
        with self._news:
            self._ended = True
            if not self._waiting:
                self._close()

    def _close(self) -> None:
        os.close(self._descriptor)
