"""The lease of a claim as its holder can check it, even after the holder was suspended.

Started before the claim is written, so that it ends no later than the spool's own lease. Two clocks decide the end,
whichever is first: CLOCK_BOOTTIME, which runs while the process or the machine is suspended and cannot be set; and the
time of day, by which the spool gives claims to others: if it is set forward, others may have them at once.
"""

import time
from datetime import UTC, datetime
from math import inf
from typing import Final

from msgspec import Struct


class Lease(Struct, frozen=True, gc=False):
    """Valid in the process that started it, in all its threads."""

    begun: float
    """By CLOCK_BOOTTIME, in seconds."""
    ends: float
    """By CLOCK_BOOTTIME, in seconds."""
    ends_at: float
    """By the time of day, in seconds since 1970."""

    @classmethod
    def of(cls, seconds: float) -> "Lease":
        """Return a lease that starts now."""
        begun = time.clock_gettime(time.CLOCK_BOOTTIME)
        return cls(begun, begun + seconds, datetime.now(UTC).timestamp() + seconds)

    @property
    def left_s(self) -> float:
        """Seconds left; ≤ 0: it is over."""
        if self.ends == inf:
            return inf
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        return min(self.ends - now, self.ends_at - datetime.now(UTC).timestamp())

    @property
    def over(self) -> bool:
        """Whether another process may hold the claim by now."""
        return self.left_s <= 0

    @property
    def late(self) -> bool:
        """Whether half of it is over: an attempt started now might not be settled before the end."""
        return self.left_s < (self.ends - self.begun) / 2


ENDLESS: Final = Lease(0.0, inf, inf)


def earlier(one: Lease, other: Lease) -> Lease:
    """Return the lease that ends first."""
    return one if one.ends <= other.ends else other
