"""Answers that do not come, and orphans that something points at: the same for every spool."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from spool.entry import Filing, OrphanBody, Overdue, ScanStep, Subject, TimelineRow
from spool.lifecycle import State
from spool.store import Spool
from tests.spool_samples import START, Clock, collected, new_message, settled

BUSINESS = Overdue(
    layer="business", kinds=("CEB311Message",), passing=("DxpRep 0000",), except_to=("@local",)
)


def send(spool: Spool, *uids: str, destination: str = "port") -> None:
    spool.put([new_message(uid, f"d={uid}", destination=destination) for uid in uids])
    spool.settle(settled(spool.claim("one", destination, limit=100, lease_s=60)))


def answer(spool: Spool, uid: str, kind: str = "CEB312Message", status: str = "120") -> None:
    text = f"{uid} {kind} {status}"
    spool.keep(collected(text.encode()))
    (arrival,) = spool.unfiled(9)
    (found,) = spool.find([f"d={uid}"])
    told = TimelineRow(
        declaration=found.declaration, at="1", kind=kind, status=status, facts=b"", digest=text, index=0
    )
    spool.file([Filing(arrival=arrival.id, kind=kind, cop_msg_id="", rows=(told,))])


def look(spool: Spool, clock: Clock, silence: Overdue = BUSINESS, *, limit: int = 100) -> ScanStep:
    return spool.silent("walk", silence, until=clock.now, start=START - timedelta(days=1), limit=limit)


def about(look: ScanStep) -> list[str]:
    return sorted(one.identity for one in look.silent)


def test_what_was_sent_and_has_no_answer_is_silent(spool: Spool, clock: Clock) -> None:
    send(spool, "A", "B", "C")
    clock.move(10)
    answer(spool, "A")
    answer(spool, "B", "DxpRep", "0000")
    spool.put([new_message("D", "d=D")])  # not sent

    found = look(spool, clock)

    assert about(found) == ["d=B", "d=C"]
    (one,) = [one for one in found.silent if one.identity == "d=C"]
    assert (one.uid, one.owner, one.kind, one.destination, one.layer) == (
        "C", "ann", "CEB311Message", "port", "business",
    )  # fmt: skip
    assert one.sent_at == START


def test_a_walk_looks_at_its_kinds_and_destinations_and_not_beyond_its_time(
    spool: Spool, clock: Clock
) -> None:
    send(spool, "A")
    send(spool, "B", destination="@local")
    clock.move(10)
    send(spool, "C")

    other = Overdue(layer="x", kinds=("CEB621Message",))
    assert about(look(spool, clock, other)) == []
    until = START + timedelta(seconds=9)
    assert about(spool.silent("walk", BUSINESS, until=until, start=START, limit=9)) == ["d=A"]
    assert about(spool.silent("walk", BUSINESS, until=clock.now, start=clock.now, limit=9)) == ["d=C"]


def test_an_answer_to_an_earlier_submission_is_none_to_a_later_one(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A", Subject(identity="d=A", version="1"))])
    spool.settle(settled(spool.claim("one", "port", limit=9, lease_s=60)))
    answer(spool, "A")
    clock.move(100)
    spool.put([new_message("A2", Subject(identity="d=A", version="2"))])
    spool.settle(settled(spool.claim("one", "port", limit=9, lease_s=60)))

    assert [one.uid for one in look(spool, clock).silent] == ["A2"]


def test_a_walk_goes_on_where_it_was_left_and_tells_each_once(spool: Spool, clock: Clock) -> None:
    send(spool, "A", "B", "C")

    told: list[str] = []
    for more in (True, False, False):
        found = look(spool, clock, limit=2)
        assert found.more == more
        if found.at is None:
            continue
        told += [one.uid for one in spool.set_overdue("walk", found.at, found.silent)]
    assert sorted(told) == ["A", "B", "C"]

    again = spool.silent("another", BUSINESS, until=clock.now, start=START - timedelta(days=1), limit=9)
    assert len(again.silent) == 3
    assert again.at is not None
    assert spool.set_overdue("another", again.at, again.silent) == []


def set_down(spool: Spool, clock: Clock) -> None:
    found = look(spool, clock)
    assert found.at is not None
    spool.set_overdue("walk", found.at, found.silent)


def overdue(spool: Spool) -> Sequence[str]:
    return [f"{one.uid} {one.layer}" for one in spool.overdue(limit=100)]


def test_what_is_overdue_is_listed_and_counted_until_it_is_answered(spool: Spool, clock: Clock) -> None:
    send(spool, "A", "B")
    set_down(spool, clock)
    assert overdue(spool) == ["A business", "B business"]
    assert dict(spool.outstanding().overdue) == {"business": 2}
    first = spool.overdue(limit=1)
    assert [one.uid for one in first] == ["A"]
    assert [one.uid for one in spool.overdue(after=first[-1].message, limit=1)] == ["B"]

    clock.move(1)
    answer(spool, "A", "DxpRep", "0000")
    answer(spool, "B")
    last = spool.end_overdue([BUSINESS], after=0, limit=100)

    assert overdue(spool) == ["A business"]
    assert last > 0
    assert spool.end_overdue([BUSINESS], after=last, limit=100) == 0
    assert dict(spool.outstanding().overdue) == {"business": 1}


def test_what_leaves_the_spool_is_not_overdue_any_more(spool: Spool, clock: Clock) -> None:
    send(spool, "A")
    set_down(spool, clock)
    clock.move(100)
    message = spool.export("A")
    assert message is not None

    assert spool.purge([message], before=clock.now) == ["A"]
    assert overdue(spool) == []
    assert dict(spool.outstanding().overdue) == {}


@pytest.mark.parametrize("text", ["d=A", "handle", "COP-A"])
def test_orphans_are_told_with_what_their_texts_point_at(spool: Spool, text: str) -> None:
    spool.keep(collected(b"one", b"two"))
    for arrival in spool.unfiled(9):
        orphan = OrphanBody(index=0, reason="unknown", lookups=(text,) if arrival.body == b"two" else ("x",))
        spool.file([Filing(arrival=arrival.id, kind="K", cop_msg_id="", orphans=(orphan,))])
    assert [one.pointers for one in spool.orphans_after(0, limit=9)] == [0, 0]

    spool.put([new_message("A", Subject(identity="d=A", handles=("handle",)))])

    first, second = spool.orphans_after(0, limit=9)
    assert (first.pointers, second.pointers) == (0, 1)
    assert spool.orphans_after(0, limit=1) == [first]
    assert spool.orphans_after(first.id, limit=9) == [second]
    spool.file([], resolves=[second.id])
    assert spool.orphans_after(first.id, limit=9) == []


def test_messages_about_a_declaration_are_the_owners_own_newest_first(spool: Spool) -> None:
    spool.put([new_message("A", Subject(identity="d=1", handles=("short",)))])
    spool.put([new_message("B", "d=1", owner="bob"), new_message("C", "d=1"), new_message("D", "d=2")])

    assert [one.uid for one in spool.about("ann", "d=1", limit=9)] == ["C", "A"]
    assert [one.uid for one in spool.about("ann", "short", limit=9)] == ["C", "A"]
    assert [one.uid for one in spool.about(None, "d=1", limit=9)] == ["C", "B", "A"]
    (newest,) = spool.about("ann", "d=1", limit=1)
    assert (newest.uid, newest.state, newest.waits_for) == ("C", State.READY, ("A",))


def test_an_answer_on_a_timeline_says_by_which_notice_its_owner_hears_of_it(spool: Spool) -> None:
    spool.put([new_message("A", "d=A"), new_message("B", "d=B")])
    answer(spool, "A")
    answer(spool, "B")

    notices = [one.cursor for one in spool.notices("ann", after=0, limit=9)]
    lines = [line for uid in "AB" for line in spool.timeline("ann", f"d={uid}")]
    assert [line.notice for line in lines] == notices
    assert [line for one in spool.notices("ann", after=0, limit=9) for line in one.rows] == lines
