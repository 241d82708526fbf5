"""Fair keys ("turns"): one group of entries per owner and resource; claims take from the groups in rotation.

A resource that entries need (for example a slow signing key) is opaque here. A claim takes only as many
entries of a resource as there is room for; they never block entries that need another resource, or none.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

_MARK: Final = "\x1f"
NEEDY_BELOW: Final = "\x20"
"""Sorts above every turn with a resource and below every other: owners do not start with a control character."""

TURNS_AT_MOST: Final = 512
"""Turns that one claim looks at; the next claim goes on after the last of them."""

Take = Callable[[Sequence[str], int, int], Mapping[str, Sequence[T]]]
"""(turns, entries of each at most, entries of all at most) → what was taken of each turn, and not before."""


def fair_key_of(owner: str, needs: str) -> str:
    """Return the turn of an owner's entries that need this resource; empty: none."""
    return f"{_MARK}{needs}{_MARK}{owner}" if needs else owner


def resource_of(turn: str) -> str:
    """Return the resource that the entries of a turn need; empty: none."""
    return turn.split(_MARK, 2)[1] if turn.startswith(_MARK) else ""


def behind(turn: str) -> str:
    """Return a text that sorts above all turns with the same resource, and below every later turn."""
    return f"{_MARK}{resource_of(turn)}{NEEDY_BELOW}"


def in_turn(turns: Sequence[str], last: Mapping[str, str], needs: Collection[str]) -> list[str]:
    """Rotate the turns of each of these resources among their places: first the one after the last served.

    `last`: resource → the turn that was served last. So claims with little room start with another turn each time.
    """
    ordered = list(turns)
    for need in needs:
        places = [place for place, turn in enumerate(turns) if resource_of(turn) == need]
        before = last.get(need, "")
        rotated = sorted((turns[place] for place in places), key=lambda turn: (turn <= before, turn))
        for place, turn in zip(places, rotated, strict=True):
            ordered[place] = turn
    return ordered


def shared_out(
    turns: Sequence[str], limit: int, *, room: dict[str, int], served: MutableMapping[str, str], take: Take[T]
) -> tuple[list[T], str]:
    """Take up to `limit` entries, an equal share of every turn; what some do not use goes to the others.

    `turns`: at least one, in the order of service. `room`: need → entries that there is room for, counted down.
    `served`: need → the turn that was served last, brought up to date. Returns the entries in the order of their
    turns, and the turn behind which the next claim begins.
    """
    share = max(1, limit // len(turns))
    ordered = in_turn(turns, served, room) if room else turns
    taken: dict[str, list[T]] = {}
    hungry: set[str] = set()
    left = limit
    for some, each in _parts(ordered, share, room, served):
        for turn, got in take(some, each, left).items():
            taken[turn] = list(got)
            left -= _used(room, turn, len(got))
            if len(got) == share:
                hungry.add(turn)
    rows = [row for turn in ordered for row in taken.get(turn, ())]
    last = ordered[-1] if left else next((turn for turn in reversed(ordered) if taken.get(turn)), ordered[-1])
    for turn in ordered:
        bound = min(left, room.get(resource_of(turn), limit))
        if bound > 0 and turn in hungry:
            more = take([turn], bound, bound).get(turn, ())
            rows += more
            left -= _used(room, turn, len(more))
    return rows, last


def _parts(
    turns: Sequence[str], share: int, room: Mapping[str, int], served: MutableMapping[str, str]
) -> Iterator[tuple[list[str], int]]:
    """Part the turns by what they need, each part with the share of its turns: no more than there is room for."""
    parts: dict[str, list[str]] = {}
    for turn in turns:
        need = resource_of(turn)
        parts.setdefault(need if need in room else "", []).append(turn)
    for need, some in parts.items():
        places = room.get(need)
        if places is None:
            yield some, share
        elif places > 0:
            served[need] = some[:places][-1]
            yield some[:places], max(1, min(share, places // len(some)))


def _used(room: dict[str, int], turn: str, count: int) -> int:
    """Count down the room for what a turn needs; returns the count."""
    need = resource_of(turn)
    if need in room:
        room[need] -= count
    return count
