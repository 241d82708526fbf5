"""The threads that carry deliveries: few in all, and never all of them in the hands of channels that are slow.

A channel counts as slow until it has once been quick, and again when a delivery failed or took long. However many
of them hang, half of the threads are left to those that do not.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class WorkerPool(Generic[T]):
    """Bounded threads; what they made is taken by the one who started them."""

    def __init__(self, size: int) -> None:
        """`size`: at least 2."""
        self._size = size
        self._pool = ThreadPoolExecutor(size, "deliver")
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._done: SimpleQueue[tuple[bool, Future[T]]] = SimpleQueue()
        self._busy = 0
        self._slow = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is under way or waits to be taken."""
        return self._busy == 0

    def fileno(self) -> int:
        """Return a descriptor that is readable when `take` has something."""
        return self._bell

    def has_room(self, *, slow: bool) -> bool:
        """Say whether one more may begin for a channel like this."""
        return self._busy < self._size and not (slow and self._slow >= self._size // 2)

    def start(self, work: Callable[[], T], *, slow: bool) -> None:
        """Begin; only when there is room."""
        self._busy += 1
        self._slow += slow
        self._pool.submit(work).add_done_callback(lambda done: self._finished(done, slow))

    def take(self) -> list[T]:
        """Return what is done."""
        try:
            os.eventfd_read(self._bell)
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
        """Wait for what is under way."""
        self._pool.shutdown()

    def _finished(self, done: Future[T], slow: bool) -> None:
        self._done.put((slow, done))
        os.eventfd_write(self._bell, 1)
