"""Until when a claim is its holder's, as the holder itself can tell, also when it was stopped meanwhile.

Taken before the claim is written, so that it ends no later than the spool's own time of it. Two clocks tell the end,
whichever is first: CLOCK_BOOTTIME, which goes on while the process or the machine is frozen and which nobody sets; and
the time of day, by which the spool gives claims to others: when that is set forward, they are others' at once.
"""

import time
from datetime import UTC, datetime
from math import inf
from typing import Final

from msgspec import Struct


class Lease(Struct, frozen=True, gc=False):
    """Good in the process that took it, and in its threads."""

    begun: float
    """By CLOCK_BOOTTIME, in seconds."""
    ends: float
    """By the same."""
    ends_at: float
    """By the time of day, in seconds since 1970."""

    @classmethod
    def of(cls, seconds: float) -> "Lease":
        """Return a lease that begins now."""
        begun = time.clock_gettime(time.CLOCK_BOOTTIME)
        return cls(begun, begun + seconds, datetime.now(UTC).timestamp() + seconds)

    @property
    def left_s(self) -> float:
        """How long it goes on; ≤ 0: it is over."""
        if self.ends == inf:
            return inf
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        return min(self.ends - now, self.ends_at - datetime.now(UTC).timestamp())

    @property
    def over(self) -> bool:
        """Whether what was claimed may be others' by now."""
        return self.left_s <= 0

    @property
    def late(self) -> bool:
        """Whether half of it is over: what begins now might not be confirmed and settled before the end."""
        return self.left_s < (self.ends - self.begun) / 2


ENDLESS: Final = Lease(0.0, inf, inf)


def earlier(one: Lease, other: Lease) -> Lease:
    """Return which of two ends first."""
    return one if one.ends <= other.ends else other
