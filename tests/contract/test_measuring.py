"""Figures that every spool gives, cheaply."""

from spool.entry import Backlog, Fate, Filing, OrphanBody, Outstanding, TimelineRow, Way
from spool.lifecycle import Event
from spool.store import Spool
from tests.spool_samples import START, Clock, collected, new_message, settled


def test_empty_spool_has_no_backlog_and_nothing_outstanding(spool: Spool) -> None:
    assert spool.backlog(at_most=10) == []
    assert spool.outstanding() == Outstanding(orphans=0, unacknowledged={})


def test_backlog_is_told_for_each_destination_with_its_oldest(spool: Spool, clock: Clock) -> None:
    spool.put(
        [
            new_message("A"),
            new_message("B", destination="capital", more_ways=(Way(destination="port", cop_msg_id="X"),)),
        ]
    )
    clock.move(60)
    spool.put([new_message("C", destination="capital")])
    found = {one.destination: one for one in spool.backlog(at_most=10)}
    assert found == {
        "port": Backlog(destination="port", entries=2, oldest=START),
        "capital": Backlog(destination="capital", entries=2, oldest=START),
    }
    spool.settle(settled(spool.claim("one", "capital", limit=1, lease_s=60)))
    (capital,) = [one for one in spool.backlog(at_most=10) if one.destination == "capital"]
    assert (capital.entries, capital.oldest) == (1, clock.now)


def test_backlog_counts_no_further_than_asked(spool: Spool) -> None:
    spool.put([new_message(f"M{number}") for number in range(20)])
    assert [one.entries for one in spool.backlog(at_most=7)] == [7]
    assert [(one.entries, one.oldest) for one in spool.backlog(at_most=0)] == [(0, START)]


def test_held_entries_are_backlog_without_age_and_dead_ones_are_none(spool: Spool) -> None:
    spool.put([new_message("A"), new_message("B")])
    spool.act(Event.HELD, ["A"])
    spool.settle(settled(spool.claim("one", "port", limit=9, lease_s=60), Fate.UNDELIVERABLE))
    assert spool.backlog(at_most=10) == [Backlog(destination="port", entries=1, oldest=None)]


def test_outstanding_counts_open_orphans_and_what_each_owner_has_not_acknowledged(spool: Spool) -> None:
    spool.put([new_message("A", "d=A", owner="ann"), new_message("B", "d=B", owner="bob")])
    spool.keep(collected(b"one", b"two"))
    declarations = {one.owner: one.declaration for text in ("d=A", "d=B") for one in spool.find([text])}
    for arrival in spool.unfiled(9):
        rows = tuple(
            TimelineRow(
                declaration=number,
                at="1",
                kind="K",
                status="2",
                facts=b"",
                digest=f"{arrival.id}",
                index=place,
            )
            for place, number in enumerate(declarations.values())
        )
        orphan = OrphanBody(index=9, reason="unknown")
        spool.file([Filing(arrival=arrival.id, kind="K", cop_msg_id="", rows=rows, orphans=(orphan,))])
    assert spool.outstanding() == Outstanding(orphans=2, unacknowledged={"ann": 2, "bob": 2})
    (first, _) = spool.notices("ann", after=0, limit=9)
    spool.acknowledge("ann", first.cursor)
    spool.file([], resolves=[spool.orphans()[0].id])
    assert spool.outstanding() == Outstanding(orphans=1, unacknowledged={"ann": 1, "bob": 2})
