"""Deletes sources that stopped coming, and imports that have been over for as long as messages are kept."""

from datetime import datetime, timedelta
from typing import Final

from gateway.observe.log import log
from spool.store import SpoolImports

_UNFINISHED: Final = timedelta(hours=1)
"""A source that has not grown for so long will not come any more: its sender begins anew."""
_AT_ONCE: Final = 4


class StaleImports:
    """Looks for them now and then."""

    def __init__(self, spool: SpoolImports, *, days: int) -> None:
        """`days`: how long an import is kept after its end, `[retention]`; 0: for ever."""
        self._spool = spool
        self._days = days

    def look(self, now: datetime) -> int:
        """Delete a few; returns how many. Raises SpoolError."""
        ended = now - timedelta(days=self._days) if self._days else None
        found = self._spool.stale_imports(unfinished=now - _UNFINISHED, ended=ended, limit=_AT_ONCE)
        for job in found:
            self._spool.drop_import(job)
        if found:
            log("import.purged", imports=len(found))
        return len(found)
