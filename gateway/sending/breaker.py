"""Stops sending to a destination while it is down, and resumes slowly: one entry, then two, then four.

While the breaker is open nothing is claimed, so an outage of hours costs the waiting entries neither attempts nor
their order; only the entries claimed when it began are deferred.
"""

from collections.abc import Callable
from typing import Final

from gateway.ports import Clock
from spool.retry import backoff_s

_FIRST_S: Final = 0.5
_CEILING_S: Final = 30.0


class Breaker:
    """Breaker of one destination in one process."""

    def __init__(self, full: int, *, clock: Clock, chance: Callable[[], float]) -> None:
        """`full`: largest batch; `chance` in [0, 1) spreads the probes of many processes."""
        self._full = full
        self._clock = clock
        self._chance = chance
        self._size = 1
        self._failures = 0
        self._until = 0.0

    @property
    def down(self) -> bool:
        """Whether the last batch failed as a whole."""
        return self._failures > 0

    def allowance(self) -> int:
        """Return how many entries the next batch may have; 0 while the breaker is open."""
        return 0 if self.wait_s() > 0 else self._size

    def wait_s(self) -> float:
        """Return seconds until the next probe; 0 when the breaker is closed."""
        return max(0.0, self._until - self._clock())

    def report(self, *, delivered: int, failed: int, late: int = 0) -> None:
        """Learn from one batch; `failed` counts only temporary failures: a refused entry says nothing about the link.

        `late`: parcels that were not begun because the batch took longer than its lease allows. After a partial
        failure the next batch is no larger than the number delivered.
        """
        if failed and not delivered:
            self._failures += 1
            bound = backoff_s(self._failures, first_s=_FIRST_S, ceiling_s=_CEILING_S)
            self._until = self._clock() + bound * (0.5 + self._chance() / 2)
            self._size = 1
        elif delivered:
            self._failures = 0
            self._until = 0.0
            self._size = min(self._full, delivered if failed or late else self._size * 2)
        elif late:
            self._size = max(1, self._size // 2)
