"""Attempts → time of the next one: exponential back-off with full jitter and a ceiling; pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Bounds of the back-off, in seconds, and when to give up: after so many attempts, or at such an age."""

    first_s: float = 2.0
    ceiling_s: float = 600.0
    attempts: int = 200
    max_age_s: float = 259_200.0
    """Three days: longer than any outage that nobody looks at."""

    def exhausted(self, attempts: int, age: timedelta = timedelta(0)) -> bool:
        """Say whether an entry of this age with so many failed attempts gets no further one."""
        return attempts >= self.attempts or age.total_seconds() >= self.max_age_s

    def next_time(self, attempts: int, now: datetime, chance: float) -> datetime:
        """Return when to try again after `attempts` (≥ 1) failures; `chance` in [0, 1) is the jitter.

        The wait lies between zero and min(ceiling, first · 2^(attempts-1)): full jitter spreads a
        thousand entries that failed together over the whole interval.
        """
        exponent = min(attempts - 1, 60)
        bound = min(self.ceiling_s, self.first_s * 2.0**exponent)
        return now + timedelta(seconds=bound * chance)
