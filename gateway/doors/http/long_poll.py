"""Long poll: requests for receipts wait until the spool has new ones for their enterprise."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from spool.errors import SpoolError
from spool.store import Spool, Topic, Waiter


class LongPoll:
    """Lets many requests of one process wait for the spool's signal through one socket."""

    def __init__(self, spool: Spool, *, polls_of_enterprise: int) -> None:
        self._spool = spool
        self._most = polls_of_enterprise
        self._waiting: defaultdict[str, dict[asyncio.Future[None], int]] = defaultdict(dict)
        """Enterprise → waiting requests, each with its cursor."""
        self.silent = False
        """No more waiting: the process is about to end."""

    @asynccontextmanager
    async def ringing(self) -> AsyncIterator[None]:
        """Listen to the spool's signal while the block lasts."""
        loop = asyncio.get_running_loop()
        with self._spool.listen(Topic.NOTICES) as waiter:
            loop.add_reader(waiter.fileno(), self._ring, waiter)
            try:
                yield
            finally:
                loop.remove_reader(waiter.fileno())

    def dismiss(self) -> None:
        """Wake all waiting requests, and let none wait from now on."""
        self.silent = True
        self._wake_all()

    def full(self, owner: str) -> bool:
        """Say whether this enterprise has as many waiting requests as allowed."""
        return owner in self._waiting and len(self._waiting[owner]) >= self._most

    async def heard(self, owner: str, after: int, seconds: float) -> None:
        """Return when there are notices for `owner` after this cursor, or after `seconds`."""
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[owner][news] = after
        try:
            async with asyncio.timeout(seconds):
                await news
        except TimeoutError:
            return
        finally:
            del self._waiting[owner][news]
            if not self._waiting[owner]:
                del self._waiting[owner]

    def _ring(self, waiter: Waiter) -> None:
        """Wake the requests that have new notices: one query for all that wait."""
        waiter.wait(0.0)
        if not self._waiting:
            return
        try:
            newest = self._spool.newest_notices(tuple(self._waiting))
        except SpoolError:
            self._wake_all()  # each request then finds the error and reports it to its caller
            return
        for owner, cursor in newest.items():
            for news, after in self._waiting[owner].items():
                if after < cursor and not news.done():
                    news.set_result(None)

    def _wake_all(self) -> None:
        for waiting in self._waiting.values():
            for news in waiting:
                if not news.done():
                    news.set_result(None)
