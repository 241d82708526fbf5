"""Keeps what released inventories count towards the yearly limits of their buyers, a little in every round.

Walks along the answers in the order of their numbers. Numbers may become visible in another order than they were given, so a number
is passed only when it was the newest a minute ago. What is worked out is written in the commit that moves the walk.
"""

import time
from datetime import datetime, timedelta
from typing import Final

from gateway.parcels.person_allowance import ANSWERS, PersonAllowance, year_of
from gateway.processes.heartbeat import beat
from spool.store import Spool

_WALK: Final = "allowance"
_BEHIND: Final = timedelta(seconds=60)
_STRETCH: Final = 500
"""Most answers in one step."""
_ROUND_S: Final = 1.0
"""After so long no further step is begun in a round."""


class AllowanceScan:
    """Works out anew what answers may have changed."""

    def __init__(self, spool: Spool, allowances: PersonAllowance) -> None:
        self._spool = spool
        self._allowances = allowances
        self._newest: tuple[int, datetime] | None = None
        """The number that was the newest, and when that was looked up."""
        self._decided = 0
        """No answer up to this number can appear any more."""
        self._year = ""

    def look(self, now: datetime) -> int:
        """Continue; returns how many lists were worked out."""
        self._forget(now)
        if self._newest is not None and now - self._newest[1] >= _BEHIND:
            self._decided, self._newest = self._newest[0], None
        if self._newest is None:
            self._newest = (self._spool.newest_answer(), now)
        until = time.monotonic() + _ROUND_S
        done, more = 0, True
        while more and time.monotonic() < until:
            beat()
            step = self._spool.answered(_WALK, up_to=self._decided, kinds=ANSWERS, limit=_STRETCH)
            more = step.more
            if step.at == (step.before or (0, 0)):
                break
            found = self._allowances.worked_out(step.declarations) if step.declarations else []
            if not self._spool.set_allowances(_WALK, step, found):
                break  # another node has done it
            done += len(found)
        return done

    def _forget(self, now: datetime) -> None:
        """At each start, and when the year changes, delete what is older than last year, and what counts for no year."""
        year = year_of(now)
        if year != self._year:
            self._spool.forget_allowances(str(int(year) - 1))
            self._year = year
