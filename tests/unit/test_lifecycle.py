import pytest
from hypothesis import given
from hypothesis import strategies as st

from spool.errors import LifecycleError
from spool.lifecycle import ANSWERS, NEXT, OPERATORS, OVER, UNSETTLED, Event, State, after, diagram


def test_table_has_a_line_for_every_state_and_a_use_for_every_event() -> None:
    assert set(NEXT) == set(State)
    assert {event for steps in NEXT.values() for event in steps} == set(Event)


def test_every_state_is_reached_from_ready() -> None:
    reached, frontier = {State.READY}, [State.READY]
    while frontier:
        new = set(NEXT[frontier.pop()].values()) - reached
        reached |= new
        frontier += new

    assert reached == set(State)


@given(st.lists(st.sampled_from(Event)))
def test_any_sequence_of_events_leaves_exactly_one_state(events: list[Event]) -> None:
    state = State.READY
    for event in events:
        if event in NEXT[state]:
            state = after(state, event)
            assert state in set(State)
        else:
            with pytest.raises(LifecycleError):
                after(state, event)


def test_only_a_claimed_entry_can_end_an_attempt() -> None:
    for event in (Event.DELIVERED, Event.DEFERRED):
        assert [state for state in State if event in NEXT[state]] == [State.SENDING]


def test_operator_never_touches_an_entry_on_its_way() -> None:
    assert NEXT[State.SENDING].keys().isdisjoint(OPERATORS)


def test_only_a_sent_entry_is_moved_by_an_answer_and_by_nothing_else() -> None:
    assert NEXT[State.SENT].keys() == ANSWERS
    assert [state for state in State if Event.BOUNCED in NEXT[state]] == [State.SENT]


def test_other_settled_entries_move_only_by_an_operator() -> None:
    for state in set(State) - UNSETTLED - {State.SENT}:
        assert NEXT[state].keys() <= OPERATORS


def test_a_sent_entry_that_comes_back_is_unsettled_again() -> None:
    assert after(State.SENT, Event.BOUNCED) in UNSETTLED
    assert UNSETTLED.isdisjoint(OVER)


def test_impossible_step_is_told_with_the_possible_ones() -> None:
    with pytest.raises(LifecycleError, match=r"an entry that is dead cannot be held.*discarded, retried"):
        after(State.DEAD, Event.HELD)
    with pytest.raises(LifecycleError, match="the state is final"):
        after(State.DISCARDED, Event.RETRIED)


def test_diagram_mentions_every_state_and_every_step() -> None:
    lines = {line.strip() for line in diagram().splitlines()}

    for state, steps in NEXT.items():
        assert {
            f"{state.value} --> {target.value}: {event.value}" for event, target in steps.items()
        } <= lines
        assert any(state.value in line for line in lines)
    assert {"[*] --> ready", "sent --> [*]", "discarded --> [*]"} <= lines
