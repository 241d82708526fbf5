"""Names of the holders of claims: a process and its generation.

A reload starts the next generation of a process while the previous one still finishes its work. `port/0` is the first,
`port/0#2` the second. Claims of generations before the present one are renamed to `port/0#0`: they remain valid until
they are settled or the lease ends, and such an end does not count against the entry.
"""

import re
from typing import Final

MARK: Final = "#"
LEFT: Final = f"{MARK}0"
"""Suffix of the name for claims of earlier generations."""
_NUMBERED: Final = re.compile(rf"{MARK}(\d+)\Z")


def generation(name: str, number: int) -> str:
    """Return the name of a generation of a claimant; `number` ≥ 1."""
    return name if number == 1 else f"{name}{MARK}{number}"


def first_of(claimant: str) -> str:
    """Return the name of the first generation of this claimant."""
    return _NUMBERED.sub("", claimant)


def counts(claimant: str) -> bool:
    """Whether a claim of this claimant that ends unsettled may mean that the entry kills its holders."""
    return not claimant.endswith(LEFT)
