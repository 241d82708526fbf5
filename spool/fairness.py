"""Fair keys ("turns"): one group of entries per owner and resource; claims take from the groups in rotation.

A resource that entries need (for example a slow signing key) is opaque here. A claim takes only as many
entries of a resource as there is room for; they never block entries that need another resource, or none.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

_MARK: Final = "\x1f"
NEEDY_BELOW: Final = "\x20"
"""Sorts above every turn with a resource and below every other: owners do not start with a control character."""


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
