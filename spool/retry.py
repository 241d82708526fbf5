"""Compute the time of the next attempt: exponential back-off with full jitter and a ceiling; pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_DOUBLINGS: Final = 60
"""After so many doublings the wait is at its ceiling, whatever the first one was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Limits of the back-off, in seconds, and when to give up: by number of attempts, or by an age they explain."""

    first_s: float = 2.0
    ceiling_s: float = 600.0
    attempts: int = 200
    max_age_s: float = 259_200.0
    """Applies only if the attempts can have taken that long, see `exhausted`."""

    def exhausted(self, attempts: int, age: timedelta) -> bool:
        """Whether an entry of this age with so many failed attempts (≥ 1) gets no further one.

        An age is the difference of two clock readings, and either may be wrong by days. So it counts only as far as
        the waits between the attempts can explain it: any other age comes from a wrong clock, or from an outage in
        which nothing was tried, and ends nothing. The first failed attempt is never the last by age.
        """
        if attempts >= self.attempts:
            return True
        return min(age.total_seconds(), self.longest_s(attempts)) >= self.max_age_s

    def after(self, attempts: int, accepted_at: datetime, now: datetime, chance: float) -> datetime | None:
        """Return when to try again after `attempts` (≥ 1) failures; None: there is no further attempt."""
        return None if self.exhausted(attempts, now - accepted_at) else self.next_time(attempts, now, chance)

    def longest_s(self, attempts: int) -> float:
        """Return the most seconds that can lie between the first and the last of so many failed attempts."""
        waits = attempts - 1
        growing = min(waits, _DOUBLINGS)
        return sum(map(self._bound_s, range(1, growing + 1))) + (waits - growing) * self.ceiling_s

    def next_time(self, attempts: int, now: datetime, chance: float) -> datetime:
        """Return when to try again after `attempts` (≥ 1) failures; `chance` in [0, 1) is the jitter.

        The wait is between zero and min(ceiling, first · 2^(attempts-1)): full jitter spreads a
        thousand entries that failed together over the whole interval.
        """
        return now + timedelta(seconds=self._bound_s(attempts) * chance)

    def _bound_s(self, attempts: int) -> float:
        return backoff_s(attempts, first_s=self.first_s, ceiling_s=self.ceiling_s)


def backoff_s(failures: int, *, first_s: float, ceiling_s: float) -> float:
    """Return the seconds to wait after so many failures in a row (≥ 1), without jitter: doubled each time, up to a ceiling."""
    return min(ceiling_s, first_s * 2.0 ** min(failures - 1, _DOUBLINGS))
