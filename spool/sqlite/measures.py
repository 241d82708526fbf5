"""What counting needs of SQLite's own SQL."""

from typing import Final

from spool import values
from spool.entry import Backlog
from spool.shared.measures import MeasuresSql, SharedMeasures
from spool.sqlite.schema import unfinished

MEASURES: Final = MeasuresSql(
    destinations=(
        f"WITH RECURSIVE one (destination) AS (SELECT min(destination) FROM entry WHERE {unfinished()} UNION ALL"
        f" SELECT (SELECT min(e.destination) FROM entry e WHERE {unfinished('e.')} AND e.destination > one.destination)"
        " FROM one WHERE one.destination IS NOT NULL) SELECT destination FROM one WHERE destination IS NOT NULL"
    ),
    orphans="SELECT count(*) FROM orphan WHERE resolved = 0",
    unacknowledged=(
        "WITH RECURSIVE one (owner) AS (SELECT min(owner) FROM notice UNION ALL"
        " SELECT (SELECT min(n.owner) FROM notice n WHERE n.owner > one.owner) FROM one WHERE one.owner IS NOT NULL)"
        " SELECT owner, (SELECT count(*) FROM notice n WHERE n.owner = one.owner AND n.cursor >"
        " coalesce((SELECT k.cursor FROM acknowledged k WHERE k.owner = one.owner), 0)) FROM one"
        " WHERE owner IS NOT NULL"
    ),
)
_UNSETTLED: Final = (
    f"SELECT count(*) FROM (SELECT 1 FROM entry WHERE {unfinished()} AND destination = ?"
    " AND state IN ('ready', 'sending', 'held') LIMIT ?)"
)
"""How many unsettled entries a destination has, counted no further than a limit."""
_FIRST: Final = (
    "SELECT e.destination, e.state, m.accepted_at FROM entry e INDEXED BY entry_open CROSS JOIN message m"
    f" ON m.id = e.message WHERE {unfinished('e.')} AND (e.destination, e.state, e.message) > (?, ?, 0)"
    " ORDER BY e.destination, e.state, e.message LIMIT 1"
)
"""The first in the index at or behind a destination and state, be it of another one. With `state = ?` SQLite would walk
through the states before it that the condition of the index names, entry by entry."""


class SqliteMeasures(SharedMeasures):
    """Counts what waits with a few steps in the index for each destination."""

    def backlog(self, *, at_most: int) -> list[Backlog]:
        """Return what waits for each destination; no more than `at_most` entries of each are counted."""
        found = []
        for destination in self.destinations():
            ((entries,),) = self._db.rows(_UNSETTLED, destination, at_most)
            oldest = [
                row[2]
                for state in ("ready", "sending")
                for row in self._db.rows(_FIRST, destination, state)
                if row[:2] == (destination, state)
            ]
            found.append(values.backlog((destination, entries, min(oldest, default=None))))
        return found
