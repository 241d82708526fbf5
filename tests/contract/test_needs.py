"""Entries that need something stand in a line of their own: no claim takes more than there is room for."""

from datetime import timedelta

from spool.entry import Fate
from spool.lifecycle import Event, State
from spool.store import Spool
from tests.spool_samples import START, Clock, new_message, settled, uids


def claim(spool: Spool, limit: int = 100, **room: int) -> list[str]:
    return uids(spool.claim("one", "port", limit=limit, lease_s=60, room=room))


def test_no_more_is_claimed_than_there_is_room_for_and_the_rest_stays(spool: Spool) -> None:
    spool.put(
        [new_message(f"S{number}", resource="slow") for number in range(5)]
        + [new_message("N"), new_message("O", resource="other")]
    )
    assert sorted(claim(spool, slow=2)) == ["N", "O", "S0", "S1"]
    assert claim(spool, slow=0) == []
    assert claim(spool, slow=1) == ["S2"]
    assert claim(spool) == ["S3", "S4"], "what is not named has no bound"


def test_entries_without_room_hold_up_none_that_need_something_else(spool: Spool) -> None:
    spool.put([new_message(f"S{number}", resource="slow") for number in range(200)])
    spool.put([new_message("N"), new_message("M", owner="bob"), new_message("F", resource="fast")])
    assert sorted(claim(spool, limit=4, slow=0)) == ["F", "M", "N"]


def test_owners_take_turns_before_what_they_both_need(spool: Spool) -> None:
    spool.put([new_message(f"A{number}", resource="slow") for number in range(50)])
    spool.put(
        [new_message("B", owner="bob", resource="slow"), new_message("N"), new_message("M", owner="bob")]
    )
    taken = [uid for _ in range(3) for uid in claim(spool, slow=1)]
    taken = [uid for uid in taken if uid not in "NM"]
    assert "B" in taken[:2]
    assert [uid for uid in taken if uid != "B"] == ["A0", "A1"]


def test_priority_goes_first_within_a_turn(spool: Spool) -> None:
    spool.put([new_message("later", resource="slow"), new_message("first", resource="slow", priority=0)])
    assert claim(spool, slow=1) == ["first"]


def test_next_due_leaves_out_what_has_no_room(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("S", resource="slow"), new_message("N")])
    later = START + timedelta(seconds=90)
    taken = spool.claim("one", "port", limit=9, lease_s=60, room={"slow": 0})
    spool.settle(settled(taken, Fate.DEFERRED, next_at=later))
    assert spool.next_due("port") == START
    assert spool.next_due("port", full={"slow"}) == later
    clock.move(100)
    assert claim(spool, slow=0) == ["N"]
    assert spool.next_due("port", full={"slow"}) is None


def test_postponed_is_no_attempt(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("S", resource="slow")])
    taken = spool.claim("one", "port", limit=9, lease_s=60)
    later = START + timedelta(seconds=5)
    assert spool.settle(settled(taken, Fate.POSTPONED, error="the key is dark", next_at=later)) == 1
    view = spool.message("S")
    assert view is not None
    assert (view.state, view.attempts, view.due_at, view.error) == (State.READY, 0, later, "the key is dark")
    assert [one.event for one in spool.history("S")] == ["message.accepted", "entry.postponed"]
    assert claim(spool, slow=1) == []
    clock.move(5)
    assert claim(spool, slow=1) == ["S"]


def test_what_waits_is_counted_by_what_it_needs(spool: Spool) -> None:
    spool.put([new_message(f"S{number}", resource="slow") for number in range(5)])
    spool.put(
        [
            new_message("B", owner="bob", resource="slow", destination="lake"),
            new_message("O", resource="other"),
            new_message("N"),
        ]
    )
    assert dict(spool.needed(at_most=100)) == {"slow": 6, "other": 1}
    assert dict(spool.needed(at_most=3)) == {"slow": 4, "other": 1}
    claim(spool)
    assert dict(spool.needed(at_most=100)) == {"slow": 1}


def test_what_an_owner_has_waiting_is_counted_whatever_it_needs_and_wherever_it_goes(spool: Spool) -> None:
    spool.put([new_message(f"A{number}") for number in range(5)] + [new_message("L", destination="lake")])
    spool.put(
        [
            new_message("S", resource="slow"),
            new_message("O", resource="other"),
            new_message("B", owner="bob", resource="slow"),
        ]
    )
    assert (spool.waiting("ann", at_most=100), spool.waiting("bob", at_most=100)) == (8, 1)
    assert spool.waiting("nobody", at_most=100) == 0
    assert [spool.waiting("ann", at_most=most) for most in (0, 3, 6, 7)] == [0, 3, 6, 7]


def test_what_waits_for_another_is_held_or_on_its_way_does_not_count_as_waiting(spool: Spool) -> None:
    spool.put([new_message("first", "D1")])
    spool.put([new_message("second", "D1"), new_message("kept"), new_message("taken", priority=0)])
    assert spool.waiting("ann", at_most=100) == 3
    spool.act(Event.HELD, ["kept"])
    assert claim(spool, limit=1) == ["taken"]
    assert spool.waiting("ann", at_most=100) == 1
