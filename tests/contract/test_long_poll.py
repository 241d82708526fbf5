"""Long polls: news of the spool, of any backend, wakes those alone whom it is for."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.doors.http.long_poll import LongPoll
from spool.entry import Filing
from spool.store import Spool
from tests.spool_samples import collected


def deliver(spool: Spool, body: bytes, owner: str) -> None:
    """Put mail into somebody's stream."""
    spool.keep(collected(body))
    (arrival,) = (one.id for one in spool.unfiled(10))
    spool.file([Filing(arrival=arrival, kind="CEB311Message", cop_msg_id="COP", addressees=(owner,))])


def run(act: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(act(), 60))


def test_news_wakes_its_owner_alone(spool: Spool) -> None:
    async def act() -> None:
        long_poll = LongPoll(spool, polls_of_enterprise=2)
        async with long_poll.ringing():
            anns = [asyncio.ensure_future(long_poll.heard("ann", 0, 60)) for _ in range(2)]
            bobs = asyncio.ensure_future(long_poll.heard("bob", 0, 60))
            await asyncio.sleep(0)
            deliver(spool, b"for bob", "bob")
            await bobs
            assert not any(one.done() for one in anns)
            deliver(spool, b"for ann", "ann")
            await asyncio.gather(*anns)

    run(act)


def test_news_that_was_read_before_wakes_nobody(spool: Spool) -> None:
    async def act() -> None:
        long_poll = LongPoll(spool, polls_of_enterprise=2)
        async with long_poll.ringing():
            deliver(spool, b"first", "ann")
            (first,) = spool.notices("ann", after=0, limit=9)
            waiting = asyncio.ensure_future(long_poll.heard("ann", first.cursor, 60))
            other = asyncio.ensure_future(long_poll.heard("bob", 0, 60))
            await asyncio.sleep(0)
            deliver(spool, b"for bob", "bob")
            await other
            assert not waiting.done()
            deliver(spool, b"second", "ann")
            await waiting

    run(act)


def test_as_many_wait_for_an_enterprise_as_may_and_the_places_come_back(spool: Spool) -> None:
    async def act() -> None:
        long_poll = LongPoll(spool, polls_of_enterprise=2)
        async with long_poll.ringing():
            waiting = [asyncio.ensure_future(long_poll.heard("ann", 0, 60)) for _ in range(2)]
            await asyncio.sleep(0)
            assert long_poll.full("ann")
            assert not long_poll.full("bob")
            waiting[0].cancel()
            await asyncio.gather(waiting[0], return_exceptions=True)
            assert not long_poll.full("ann"), "who has gone counts no more"
            long_poll.dismiss()
            await waiting[1]
            await long_poll.heard("ann", 0, 0.01)
            assert not long_poll.full("ann")

    run(act)
