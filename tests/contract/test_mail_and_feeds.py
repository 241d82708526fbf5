"""What is remembered of arrivals: who else brought the same bytes, and how much of what others sent is unread."""

from collections.abc import Sequence

import pytest

from spool.archived import Archived
from spool.entry import Collected, Filing, OrphanBody, TimelineRow, Unread
from spool.store import Spool
from tests.spool_samples import Clock, collected, new_message, settled


def bring(spool: Spool, body: bytes, feed: str, *, name: str = "x") -> None:
    (one,) = collected(body, feed=feed)
    spool.keep([Collected(feed=feed, name=name, body=body, sha256=one.sha256)])


def file(spool: Spool, body: bytes, *addressees: str, orphans: Sequence[OrphanBody] = ()) -> int:
    spool.keep(collected(body))
    (raw,) = spool.unfiled(9)
    spool.file(
        [Filing(arrival=raw.id, kind="k", cop_msg_id="", addressees=addressees, orphans=tuple(orphans))]
    )
    return raw.id


def test_who_else_brings_the_same_bytes_is_remembered(spool: Spool) -> None:
    for feed in ("one", "two", "two", "three", "one"):
        bring(spool, b"same", feed)
    (raw,) = spool.unfiled(9)
    assert (raw.origins[0], sorted(raw.origins)) == ("one", ["one", "three", "two"])
    known = spool.arrival(raw.id)
    assert known is not None
    assert known.origins == raw.origins


def test_an_orphan_is_worth_another_try_when_somebody_else_brings_it(spool: Spool) -> None:
    file(spool, b"same", orphans=[OrphanBody(index=0, reason="not_carried")])
    (before,) = spool.orphans_after(0, limit=9)
    bring(spool, b"same", "elsewhere")
    (after,) = spool.orphans_after(0, limit=9)
    assert after.pointers == before.pointers + 1
    assert spool.unfiled(9) == []


def test_who_brought_it_leaves_the_spool_with_it(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A", "d=1")])
    spool.settle(settled(spool.claim("one", "port", limit=9, lease_s=60)))
    bring(spool, b"answer", "one")
    bring(spool, b"answer", "two")
    (raw,) = spool.unfiled(9)
    (found,) = spool.find(["d=1"])
    row = TimelineRow(
        declaration=found.declaration, at="1", kind="K", status="2", facts=b"", digest="x", index=0
    )
    spool.file([Filing(arrival=raw.id, kind="k", cop_msg_id="", rows=(row,))])
    spool.acknowledge("ann", 1)
    clock.move(60)
    archived = spool.export("A")
    assert isinstance(archived, Archived)
    assert spool.purge([archived], before=clock.now) == ["A"]
    assert spool.arrival(raw.id) is None
    bring(spool, b"answer", "three")
    (again,) = spool.unfiled(9)
    assert again.origins == ("three",)


def test_unread_mail_is_counted_until_it_is_acknowledged(spool: Spool) -> None:
    assert spool.unread("ann", at_most=9) == Unread(messages=0, size_bytes=0)
    file(spool, b"123", "ann", "bob")
    file(spool, b"12345", "ann")
    assert spool.unread("ann", at_most=9) == Unread(messages=2, size_bytes=8)
    assert spool.unread("bob", at_most=9) == Unread(messages=1, size_bytes=3)
    spool.acknowledge("ann", spool.notices("ann", after=0, limit=1)[0].cursor)
    assert spool.unread("ann", at_most=9) == Unread(messages=1, size_bytes=5)
    assert spool.unread("ann", at_most=0) == Unread(messages=0, size_bytes=0)


@pytest.mark.parametrize("ways", [("port",), ("port", "elsewhere")])
def test_where_the_messages_of_a_declaration_went_is_known(spool: Spool, ways: tuple[str, ...]) -> None:
    for number, destination in enumerate(ways):
        spool.put([new_message(f"A{number}", "d=1", "d=2", destination=destination)])
    spool.put([new_message("B", "d=3")])
    numbers = {one.identity: one.declaration for one in spool.find(["d=1", "d=2", "d=3"])}
    assert spool.carriers(list(numbers.values())) == {
        numbers["d=1"]: set(ways),
        numbers["d=2"]: set(ways),
        numbers["d=3"]: {"port"},
    }
    assert spool.carriers([]) == {}
