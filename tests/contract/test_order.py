"""Whatever a spool returns many of comes in one order, and no more than asked for, whichever database is below."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from spool.entry import (
    Accepted,
    Conflict,
    Fate,
    Filing,
    OrphanBody,
    Overdue,
    Subject,
    TimelineRow,
    Wanted,
    Way,
)
from spool.errors import SpoolError
from spool.lifecycle import Event, State
from spool.store import Spool
from tests.spool_samples import START, Clock, collected, new_message, settled, uids

DAY = 86_400
SILENCE = Overdue(layer="business", kinds=("CEB311Message",))
FAR = 10**6


def version(number: int, identity: str = "T no=7") -> Subject:
    """A later version sorts before an earlier one."""
    return Subject(identity=identity, version=f"{9 - number}", handles=(f"H{9 - number}", f"G{number}"))


def file(spool: Spool, body: bytes, *rows: tuple[int, str], lost: tuple[str, ...] = ()) -> int:
    """File an answer about declarations, each at a time, with bodies that nobody was found for."""
    spool.keep(collected(body))
    arrival = spool.unfiled(1)[0].id
    told = [
        TimelineRow(
            declaration=declaration,
            at=at,
            kind="k",
            status="",
            facts=b"",
            digest=f"{body!r}{index}",
            index=index,
        )
        for index, (declaration, at) in enumerate(rows)
    ]
    orphans = tuple(
        OrphanBody(index=90 + n, reason=reason, lookups=("T no=lost",)) for n, reason in enumerate(lost)
    )
    spool.file(
        [Filing(arrival=arrival, kind="k", cop_msg_id="ANSWER", rows=tuple(reversed(told)), orphans=orphans)]
    )
    return arrival


@pytest.fixture
def lived(spool: Spool, clock: Clock) -> Spool:
    """Messages in an order that is none of their names, with answers whose order is none of their times."""
    for number, uid in enumerate(("M3", "M1", "M2")):
        spool.put([new_message(uid, version(number), owner="ann")])
        spool.settle(settled(spool.claim("one", "port", limit=9, lease_s=60)))
        clock.move(1)
    for destination in ("b", "B", "a"):
        spool.put([new_message(f"to {destination}", destination=destination)])
        clock.move(1)
    (found,) = {one.declaration for one in spool.find(["T no=7"])}
    spool.put([new_message("other", "T no=8")])
    (other,) = {one.declaration for one in spool.find(["T no=8"])}
    file(spool, b"second", (found, "2"), (found, "9"), lost=("x", "y"))
    file(spool, b"first", (found, "1"), (other, "8"), lost=("z",))
    spool.keep(collected(b"c", b"a", b"b"))
    for feed in ("feed B", "feed a"):
        spool.keep(collected(b"c", feed=feed))
    return spool


def sealed(spool: Spool, *, limit: int = 3) -> Spool:
    while spool.seal(
        lambda _origin, size, _root: f"log\n{size}\n{'A' * 43}=\n\n\u2014 log AAAA\n", limit=limit
    ):
        pass
    return spool


def overdue(spool: Spool, *, after: int = 0, limit: int) -> list[str]:
    """All that is about two declarations, set down in the opposite order."""
    put = [new_message(uid, f"d={uid} 1", f"d={uid} 2", destination="late") for uid in ("S2", "S1")]
    spool.put(put)
    spool.settle(settled(spool.claim("one", "late", limit=9, lease_s=60)))
    found = spool.silent("scan", SILENCE, until=START + timedelta(days=1), start=START, limit=99).silent
    spool.set_overdue("scan", "0 0", tuple(reversed(found)))
    return [one.identity for one in spool.overdue(after=after, limit=limit)]


def recovered(spool: Spool) -> list[str]:
    spool.put([new_message(uid, destination="lost") for uid in ("L2", "L1", "L3")])
    spool.claim("dead", "lost", limit=9, lease_s=60)
    return [one.uid for one in spool.recover(claimant="dead")]


def exported(spool: Spool) -> Any:
    message = spool.export("M1")
    assert message is not None
    return message


CALLS: dict[str, tuple[Callable[[Spool], Any], Any]] = {
    "search: identity": (lambda s: s.search("T no=7"), ["M3", "M1", "M2"]),
    "search: handle": (lambda s: s.search("G1"), ["M3", "M1", "M2"]),
    "search: value": (lambda s: s.search("7"), ["M3", "M1", "M2"]),
    "search: answer": (lambda s: s.search("ANSWER"), ["M3", "M1", "M2", "other"]),
    "search: limit": (lambda s: s.search("T no=7", limit=2), ["M3", "M1"]),
    "about": (lambda s: [one.uid for one in s.about(None, "T no=7", limit=2)], ["M2", "M1"]),
    "entries": (lambda s: [one.uid for one in s.entries(limit=4)], ["M3", "M1", "M2", "to b"]),
    "entries: open": (
        lambda s: [one.uid for one in s.entries(Wanted(states=(State.READY,)), limit=3)],
        ["to b", "to B", "to a"],
    ),
    "timeline": (lambda s: [one.at for one in s.timeline("ann", "T no=7")], ["1", "2", "9"]),
    "timelines": (
        lambda s: [[one.at for one in of] for _, of in sorted(s.timelines([1, 2, 3, 10**9]).items())],
        [["1", "2", "9"], ["8"]],
    ),
    "answered besides": (
        lambda s: sorted(s.answered_besides("ann", after=0, up_to=1, passing=[])),
        ["T no=7"],
    ),
    "notices": (
        lambda s: [[row.at for row in one.rows] for one in s.notices("ann", after=0, limit=9)],
        [["2", "9"], ["1", "8"]],
    ),
    "notices: limit": (lambda s: len(s.notices("ann", after=0, limit=1)), 1),
    "filed for": (lambda s: [one.at for one in s.filed_for("ann", 1)], ["2", "9"]),
    "unfiled": (lambda s: [one.body for one in s.unfiled(2)], [b"c", b"a"]),
    "also": (lambda s: [one.also for one in s.unfiled(9) if one.also], [("feed B", "feed a")]),
    "orphans": (lambda s: [one.reason for one in s.orphans(limit=2)], ["y", "z"]),
    "orphans: named": (lambda s: [one.reason for one in s.orphans(texts=["T no=lost"])], ["x", "y", "z"]),
    "orphans after": (lambda s: [one.reason for one in s.orphans_after(0, limit=2)], ["x", "y"]),
    "depths": (lambda s: [one.destination for one in s.depths()], ["B", "a", "b", "port"]),
    "groups": (lambda s: [one.destination for one in s.groups(each=1)], ["B", "a", "b", "port"]),
    "backlog": (lambda s: [one.destination for one in s.backlog(at_most=9)], ["B", "a", "b", "port"]),
    "history": (
        lambda s: [one.event for one in s.history("M1")],
        ["message.accepted", "entry.sent"],
    ),
    "overdue": (lambda s: overdue(s, limit=9), ["d=S2 1", "d=S2 2", "d=S1 1", "d=S1 2"]),
    "overdue: limit": (lambda s: overdue(s, limit=1), ["d=S2 1", "d=S2 2"]),
    "recover": (recovered, ["L2", "L1", "L3"]),
    "claim": (lambda s: uids(s.claim("one", "port", limit=9, lease_s=60)), ["other"]),
    "old": (
        lambda s: s.old(START + timedelta(days=9), limit=2).uids if s.acknowledge("ann", FAR) else (),
        ("M3", "M1"),
    ),
    "export: handles": (
        lambda s: exported(s).declarations[0].handles,
        ("G0", "G1", "G2", "H7", "H8", "H9"),
    ),
    "export: answers": (lambda s: [one.at for one in exported(s).declarations[0].answers], ["1", "2", "9"]),
    "export: receipts": (lambda s: [one.body for one in exported(s).receipts], [b"second", b"first"]),
    "export: history": (
        lambda s: [one.event for one in exported(s).history],
        ["message.accepted", "entry.sent", "receipt.filed", "receipt.filed"],
    ),
    "checkpoints": (lambda s: [one.size for one in sealed(s).checkpoints(after=3, limit=2)], [6, 9]),
    "leaves": (lambda s: [one.first for one in sealed(s).leaves(after=0, limit=2)], [0, 3]),
    "lines": (lambda s: [one.number for one in s.lines(after=1, up_to=3)], [2, 3]),
}


@pytest.mark.parametrize("name", CALLS)
def test_results_come_in_their_order_and_within_their_limit(lived: Spool, name: str) -> None:
    call, expected = CALLS[name]
    assert call(lived) == expected


def test_scan_finds_what_is_silent_in_the_order_it_was_sent(spool: Spool, clock: Clock) -> None:
    spool.put([new_message(uid, f"d={uid}") for uid in ("A", "B", "C")])
    first, *others = spool.claim("one", "port", limit=9, lease_s=60)
    spool.settle(settled(others))
    clock.move(1)
    spool.settle(settled([first]))
    found = spool.silent("scan", SILENCE, until=clock.now, start=START - timedelta(1), limit=9)
    assert [one.uid for one in found.silent] == ["B", "C", "A"]


def test_message_that_travelled_names_its_declarations_and_entries_in_their_order(spool: Spool) -> None:
    more = tuple(Way(destination=to, cop_msg_id="X") for to in ("b", "a"))
    spool.put([new_message("A", "d=2", "d=1", cop_msg_id="X", more_ways=more)])
    found = spool.travelled("X")
    assert found is not None
    assert [one.identity for one in found.declarations] == ["d=2", "d=1"]
    assert [one.destination for one in found.entries] == ["port", "b", "a"]


def test_value_is_looked_for_in_identities_and_handles_alike(spool: Spool) -> None:
    spool.put([new_message("A", Subject(identity="d=1", handles=("guid=77",))), new_message("B", "d=77")])
    assert spool.search("77") == ["A", "B"]


def test_entry_that_is_tried_again_does_not_wait_for_others_of_its_message(spool: Spool) -> None:
    other = Way(destination="port", cop_msg_id="COP-A", part="2")
    spool.put([new_message("A", "d=1", more_ways=(other,))])
    first, second = spool.claim("one", "port", limit=9, lease_s=60)
    spool.settle(settled([first]))
    spool.settle(settled([second], Fate.UNDELIVERABLE))
    spool.put([new_message("B", "d=1", destination="elsewhere")])
    spool.act(Event.RETRIED, ["A"])
    again = spool.claim("one", "port", limit=9, lease_s=60)
    spool.settle(settled(again, Fate.UNDELIVERABLE))
    assert len(again) == 1

    spool.put([new_message("C", "d=2", more_ways=(Way(destination="port", cop_msg_id="COP-C", part="2"),))])
    spool.settle(settled(spool.claim("one", "port", limit=9, lease_s=60), Fate.UNDELIVERABLE))
    spool.act(Event.RETRIED, ["C"])
    assert uids(spool.claim("one", "port", limit=9, lease_s=60)) == ["C", "C"]


def test_cop_msg_id_whose_sender_is_not_named_clashes_within_one_commit_as_over_two(spool: Spool) -> None:
    assert spool.put([new_message("A", cop_msg_id="X"), new_message("B", cop_msg_id="X", sender="S")]) == [
        Accepted(uid="A"),
        Conflict(uid="A", reason="cop_msg_id"),
    ]


def test_answer_about_a_declaration_that_is_gone_is_to_be_filed_again(spool: Spool) -> None:
    with pytest.raises(SpoolError, match="purged") as raised:
        file(spool, b"late", (999, "1"))
    assert raised.value.temporary
    assert len(spool.unfiled(9)) == 1


def test_room_is_shared_among_the_owners_that_need_it(spool: Spool) -> None:
    spool.put(
        [
            new_message(f"{owner}{number}", owner=owner, resource="key")
            for owner in ("ann", "bob")
            for number in range(4)
        ]
    )
    taken = spool.claim("one", "port", limit=9, lease_s=60, room={"key": 4})
    assert sorted(uids(taken)) == ["ann0", "ann1", "bob0", "bob1"]


def test_scans_have_names_apart_from_marks(spool: Spool) -> None:
    spool.put((), marks={"home": 7})
    spool.set_overdue("home", "5 3", ())
    assert spool.mark("home") == 7
