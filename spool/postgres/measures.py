"""What counting needs of PostgreSQL's own SQL."""

from typing import Final

from spool import values
from spool.entry import Backlog
from spool.postgres.reading import OPEN
from spool.shared.measures import MeasuresSql, SharedMeasures

_DESTINATIONS: Final = (
    f"WITH RECURSIVE one (destination) AS (SELECT min(e.destination) FROM entry e WHERE {OPEN} UNION ALL"
    f" SELECT (SELECT min(e.destination) FROM entry e WHERE {OPEN} AND e.destination > one.destination)"
    " FROM one WHERE one.destination IS NOT NULL) SELECT one.destination{} FROM one WHERE one.destination IS NOT NULL"
)
MEASURES: Final = MeasuresSql(
    destinations=_DESTINATIONS.format(""),
    orphans="SELECT count(*) FROM orphan WHERE NOT resolved",
    unacknowledged=(
        "SELECT r.owner, (SELECT count(*) FROM notice n WHERE n.owner = r.owner AND n.cursor > r.acknowledged)"
        " FROM reader r WHERE r.newest > 0"
    ),
)
_BACKLOG: Final = _DESTINATIONS.format(
    ", (SELECT count(*) FROM (SELECT 1 FROM entry e"
    f" WHERE {OPEN} AND e.destination = one.destination AND e.state IN ('ready', 'sending', 'held') LIMIT %s) AS c),"
    " (SELECT min(m.accepted_at) FROM (VALUES ('ready'), ('sending')) AS s (state) CROSS JOIN LATERAL"
    f" (SELECT e.message FROM entry e WHERE {OPEN} AND e.destination = one.destination AND e.state = s.state"
    " ORDER BY e.message LIMIT 1) AS o JOIN message m ON m.id = o.message)"
)
"""Rows of `values.backlog`; of each destination no more entries are counted than the limit."""


class PostgresMeasures(SharedMeasures):
    """Counts what waits with one query."""

    def backlog(self, *, at_most: int) -> list[Backlog]:
        """Return what waits for each destination; no more than `at_most` entries of each are counted."""
        return [
            values.backlog(row) for row in sorted(self._db.rows(_BACKLOG, at_most), key=lambda row: row[0])
        ]
