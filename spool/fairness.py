"""Whose turn it is: the entries of an owner that need nothing, and apart from them those that need something.

What entries need (a key that signs slowly, say) is opaque here. A claim takes of those that need it only as
many as there is room for; entries that need something else, or nothing, never stand behind them.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

_MARK: Final = "\x1f"
NEEDY_BELOW: Final = "\x20"
"""Every turn that needs something is below this, every owner's own above: owners begin with no control character."""


def fair_key_of(owner: str, needs: str) -> str:
    """Name the turn of an owner's entries that need this; empty: nothing."""
    return f"{_MARK}{needs}{_MARK}{owner}" if needs else owner


def resource_of(turn: str) -> str:
    """Return what the entries of a turn need; empty: nothing."""
    return turn.split(_MARK, 2)[1] if turn.startswith(_MARK) else ""


def behind(turn: str) -> str:
    """Return a text that all turns with the same need are below, and every other later turn is above."""
    return f"{_MARK}{resource_of(turn)}{NEEDY_BELOW}"


def in_turn(turns: Sequence[str], last: Mapping[str, str], needs: Collection[str]) -> list[str]:
    """Let those that share one of these needs change places, so that the first is the one after the last served.

    `last`: need → the turn that was served last. Claims that have room for few begin with another each time.
    """
    ordered = list(turns)
    for need in needs:
        places = [place for place, turn in enumerate(turns) if resource_of(turn) == need]
        before = last.get(need, "")
        rotated = sorted((turns[place] for place in places), key=lambda turn: (turn <= before, turn))
        for place, turn in zip(places, rotated, strict=True):
            ordered[place] = turn
    return ordered
