"""Attempts → time of the next one: exponential back-off with full jitter and a ceiling; pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_DOUBLINGS: Final = 60
"""After so many the wait is at its ceiling, whatever the first one was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Bounds of the back-off, in seconds, and when to give up: after so many attempts, or at an age that they account for."""

    first_s: float = 2.0
    ceiling_s: float = 600.0
    attempts: int = 200
    max_age_s: float = 259_200.0
    """Counts as far as the attempts can have taken that long, see `exhausted`."""

    def exhausted(self, attempts: int, age: timedelta) -> bool:
        """Say whether an entry of this age with so many failed attempts (≥ 1) gets no further one.

        An age is a difference of two readings of a clock, and either may be wrong by days. So it counts only where
        the waits between the attempts can have made it: an age that they do not account for is the clock's, or that of
        an outage in which nothing was tried, and ends nothing. The first failed attempt is never the last by age.
        """
        if attempts >= self.attempts:
            return True
        return min(age.total_seconds(), self.longest_s(attempts)) >= self.max_age_s

    def longest_s(self, attempts: int) -> float:
        """Return the seconds that lie between the first and the last of so many failed attempts, at most."""
        waits = attempts - 1
        growing = min(waits, _DOUBLINGS)
        return sum(map(self._bound_s, range(1, growing + 1))) + (waits - growing) * self.ceiling_s

    def next_time(self, attempts: int, now: datetime, chance: float) -> datetime:
        """Return when to try again after `attempts` (≥ 1) failures; `chance` in [0, 1) is the jitter.

        The wait lies between zero and min(ceiling, first · 2^(attempts-1)): full jitter spreads a
        thousand entries that failed together over the whole interval.
        """
        return now + timedelta(seconds=self._bound_s(attempts) * chance)

    def _bound_s(self, attempts: int) -> float:
        return min(self.ceiling_s, self.first_s * 2.0 ** min(attempts - 1, _DOUBLINGS))
