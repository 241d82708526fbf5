"""Seals the log: every minute, or after many journal lines, gives new lines their places and signs a checkpoint."""

import time
from typing import Final

from gateway.observe.log import log
from gateway.ports import Clock
from gateway.processes.stop import Stop
from spool.errors import SpoolError
from spool.note import Checkpoint, NodeKey
from spool.store import Spool

_BATCH: Final = 4096
"""Most journal lines sealed in one commit: some 30 ms of hashing, outside of the commit."""


class Sealer:
    """Seals the log of a spool, for one node; several nodes on one database may do so at any time."""

    def __init__(
        self, spool: Spool, key: NodeKey, *, every_s: float, events: int, clock: Clock = time.monotonic
    ) -> None:
        """`every_s`, `events`: whichever is reached first."""
        self._spool = spool
        self._key = key
        self._every_s = every_s
        self._events = events
        self._clock = clock
        self._next = clock()

    def look(self, stop: Stop | None = None) -> int:
        """Seal if it is time to; returns how many lines were sealed. A failure is logged and retried later."""
        try:
            if self._clock() < self._next and self._spool.unsealed() < self._events:
                return 0
            self._next = self._clock() + self._every_s
            return self.seal(stop)
        except SpoolError as error:
            log("journal.seal_failed", error=str(error))
            return 0

    def finish(self) -> None:
        """Seal everything before the process ends, so that a stopped node can prove all that it has done."""
        self._next = self._clock()
        self.look()

    def seal(self, stop: Stop | None = None) -> int:
        """Seal all unsealed lines, until stopped; returns how many were sealed. Raises SpoolError."""
        total, taken = 0, _BATCH
        while taken == _BATCH and not (stop is not None and stop()):
            taken = self._spool.seal(self.sign, limit=_BATCH)
            total += taken
        newest = self._spool.checkpoint() if total else None
        if newest is not None:
            log("journal.sealed", events=total, size=newest.size)
        return total

    def sign(self, origin: str, size: int, root: bytes) -> str:
        """Sign a checkpoint; a log keeps the origin that it began with."""
        return self._key.signed(Checkpoint(origin=origin or self._key.name, size=size, root=root))
