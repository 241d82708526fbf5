"""Attempts → time of the next one: exponential back-off with full jitter and a ceiling; pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Bounds of the back-off, in seconds, and the number of attempts after which an entry is dead."""

    first_s: float = 2.0
    ceiling_s: float = 600.0
    attempts: int = 200

    def exhausted(self, attempts: int) -> bool:
        """Say whether an entry with so many failed attempts gets no further one."""
        return attempts >= self.attempts

    def next_time(self, attempts: int, now: datetime, chance: float) -> datetime:
        """Return when to try again after `attempts` (≥ 1) failures; `chance` in [0, 1) is the jitter.

        The wait lies between zero and min(ceiling, first · 2^(attempts-1)): full jitter spreads a
        thousand entries that failed together over the whole interval.
        """
        exponent = min(attempts - 1, 60)
        bound = min(self.ceiling_s, self.first_s * 2.0**exponent)
        return now + timedelta(seconds=bound * chance)
