"""Lets long polls sleep until the spool has news."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from spool.store import Spool, Topic, Waiter


class Bell:
    """Lets many requests of one process wait for the spool's signal through one socket."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._rung = asyncio.Event()
        self.silent = False
        """No more waiting: the process is about to end."""

    @asynccontextmanager
    async def ringing(self) -> AsyncIterator[None]:
        """Listen while the application lives."""
        loop = asyncio.get_running_loop()
        with self._spool.listen(Topic.NOTICES) as waiter:
            loop.add_reader(waiter.fileno(), self._ring, waiter)
            try:
                yield
            finally:
                loop.remove_reader(waiter.fileno())

    def dismiss(self) -> None:
        """Send everybody home who waits, now and from now on."""
        self.silent = True
        self._wake()

    def _ring(self, waiter: Waiter) -> None:
        waiter.wait(0.0)
        self._wake()

    def _wake(self) -> None:
        self._rung.set()
        self._rung = asyncio.Event()

    async def heard(self, seconds: float) -> None:
        """Return at the next signal or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            return
