"""The state machine of an entry: states × events → state, as one table; no other file assigns a state."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from spool.errors import LifecycleError


class State(StrEnum):
    """The state of an entry."""

    READY = "ready"
    """Accepted and durable; waits for its turn, its due time or earlier entries."""
    SENDING = "sending"
    """Claimed by one process under a lease."""
    SENT = "sent"
    """The destination confirmed it; answers go to the timelines of its declarations, and one may reopen it."""
    HELD = "held"
    """Held by an operator."""
    DEAD = "dead"
    """Attempts used up, or it can never be sent as it is; waits for an operator."""
    DISCARDED = "discarded"
    """An operator gave it up, with a reason."""


class Event(StrEnum):
    """What can happen to an entry."""

    CLAIMED = "claimed"
    DELIVERED = "delivered"
    DEFERRED = "deferred"
    """Failed for now, or found unsettled after a crash: it will be tried again under the same id."""
    UNDELIVERABLE = "undeliverable"
    """Cannot be sent as it is, or all attempts are used up."""
    BOUNCED = "bounced"
    """The other side accepted it, then answered that it must be sent again, unchanged and under the same id."""
    HELD = "held"
    RELEASED = "released"
    RETRIED = "retried"
    DISCARDED = "discarded"


NEXT: Final[Mapping[State, Mapping[Event, State]]] = {
    State.READY: {
        Event.CLAIMED: State.SENDING,
        Event.HELD: State.HELD,
        Event.RETRIED: State.READY,
        Event.DISCARDED: State.DISCARDED,
    },
    State.SENDING: {
        Event.DELIVERED: State.SENT,
        Event.DEFERRED: State.READY,
        Event.UNDELIVERABLE: State.DEAD,
    },
    State.HELD: {Event.RELEASED: State.READY, Event.DISCARDED: State.DISCARDED},
    State.DEAD: {Event.RETRIED: State.READY, Event.DISCARDED: State.DISCARDED},
    State.SENT: {Event.BOUNCED: State.READY, Event.UNDELIVERABLE: State.DEAD},
    State.DISCARDED: {},
}

UNSETTLED: Final = frozenset({State.READY, State.SENDING, State.HELD})
"""States in which a later entry of the same declaration has to wait for this one."""
UNSETTLED_SQL: Final = ", ".join(f"'{state.value}'" for state in sorted(UNSETTLED))
"""The same as a list of SQL."""

OVER: Final = frozenset({State.SENT, State.DISCARDED})
"""States in which nothing more needs to happen; SENT can still be left again."""

OPERATORS: Final = frozenset({Event.HELD, Event.RELEASED, Event.RETRIED, Event.DISCARDED})
"""Events that an operator may cause; all others are caused by the holder of a claim or by an answer."""

ANSWERS: Final = frozenset({Event.BOUNCED, Event.UNDELIVERABLE})
"""Events that an answer may cause after the entry was sent (docs/adr/0014)."""


def after(state: State, event: Event) -> State:
    """Return the next state; raises LifecycleError when the table has no such step."""
    try:
        return NEXT[state][event]
    except KeyError:
        allowed = ", ".join(sorted(NEXT[state])) or "nothing: the state is final"
        raise LifecycleError(
            f"an entry that is {state.value} cannot be {event.value}", fix=f"allowed here: {allowed}"
        ) from None


def moves(event: Event, entries: Sequence[tuple[int, str]]) -> list[tuple[int, State, State]]:
    """Return the entries of a message that an event happens to: number, state before, state after.

    Raises LifecycleError when there are entries and none of them allows it.
    """
    able = [(entry, State(state), NEXT[State(state)].get(event)) for entry, state in entries]
    moved = [(entry, before, target) for entry, before, target in able if target is not None]
    if able and not moved:
        after(able[0][1], event)  # raises, and names what is allowed
    return moved


def diagram() -> str:
    """Return the table as a Mermaid state diagram, for ARCHITECTURE.md."""
    lines = ["stateDiagram-v2", "    [*] --> ready"]
    lines += [
        f"    {state.value} --> {target.value}: {event.value}"
        for state, steps in NEXT.items()
        for event, target in steps.items()
    ]
    lines += [f"    {state.value} --> [*]" for state in NEXT if state in OVER]
    return "\n".join(lines)
