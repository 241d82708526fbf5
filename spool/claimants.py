"""Names of those who hold claims: a process, and which generation of it.

A reload starts the next generation of a process while the one before still finishes what it has in hand. `port/0` is the
first, `port/0#2` the second. What a generation before the present one holds is put under `port/0#0`: it stays theirs until
they have settled it or the lease ends, and an end of the lease says nothing about what they held.
"""

import re
from typing import Final

MARK: Final = "#"
LEFT: Final = f"{MARK}0"
"""Ends the names under which claims of earlier generations are."""
_NUMBERED: Final = re.compile(rf"{MARK}(\d+)\Z")


def generation(name: str, number: int) -> str:
    """Name a generation of a claimant; `number` ≥ 1."""
    return name if number == 1 else f"{name}{MARK}{number}"


def first_of(claimant: str) -> str:
    """Return the name of the first generation of this claimant."""
    return _NUMBERED.sub("", claimant)


def counts(claimant: str) -> bool:
    """Say whether a claim that ended without a word of this claimant may be a sign that the entry ends its holders."""
    return not claimant.endswith(LEFT)
