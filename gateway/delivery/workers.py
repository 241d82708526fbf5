"""The worker pool for deliveries: a few threads, never all of them used by slow channels.

A channel counts as slow until one delivery was fast, and again when a delivery failed or took long. However many
slow channels hang, half of the threads stay free for the others.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class WorkerPool(Generic[T]):
    """A bounded thread pool; the thread that starts work also takes the results."""

    def __init__(self, size: int) -> None:
        """`size`: at least 2."""
        self._size = size
        self._pool = ThreadPoolExecutor(size, "deliver")
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._done: SimpleQueue[tuple[bool, Future[T]]] = SimpleQueue()
        self._busy = 0
        self._slow = 0

    @property
    def idle(self) -> bool:
        """Whether no work is in progress and no result waits to be taken."""
        return self._busy == 0

    def fileno(self) -> int:
        """Return a descriptor that is readable when `take` has results."""
        return self._wakeup

    def has_room(self, *, slow: bool) -> bool:
        """Say whether more work may start for a channel of this speed."""
        return self._busy < self._size and not (slow and self._slow >= self._size // 2)

    def start(self, work: Callable[[], T], *, slow: bool) -> None:
        """Start work; only when there is room."""
        self._busy += 1
        self._slow += slow
        self._pool.submit(work).add_done_callback(lambda done: self._finished(done, slow))

    def take(self) -> list[T]:
        """Return the results so far."""
        try:
            os.eventfd_read(self._wakeup)
        except BlockingIOError:
            return []
        found: list[T] = []
        while not self._done.empty():
            slow, done = self._done.get()
            self._busy -= 1
            self._slow -= slow
            found.append(done.result())
        return found

    def close(self) -> None:
        """Wait for the work in progress."""
        self._pool.shutdown()

    def _finished(self, done: Future[T], slow: bool) -> None:
        self._done.put((slow, done))
        os.eventfd_write(self._wakeup, 1)
