"""Figures about the spool that are cheap enough to be asked for all the time."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from spool.entry import Backlog, Outstanding
from spool.fairness import NEEDY_BELOW, behind, fair_key_of, resource_of
from spool.postgres.database import Database, to_time

_OPEN: Final = "e.state IN ('ready', 'sending', 'held', 'dead')"
"""Word for word the condition of the index `entry_open`."""
_BACKLOG: Final = (
    # one step in the index for each destination, however many entries it has
    f"WITH RECURSIVE one (destination) AS (SELECT min(e.destination) FROM entry e WHERE {_OPEN} UNION ALL"
    f" SELECT (SELECT min(e.destination) FROM entry e WHERE {_OPEN} AND e.destination > one.destination)"
    " FROM one WHERE one.destination IS NOT NULL)"
    " SELECT one.destination, (SELECT count(*) FROM (SELECT 1 FROM entry e"
    f" WHERE {_OPEN} AND e.destination = one.destination AND e.state IN ('ready', 'sending', 'held') LIMIT %s) AS c),"
    " (SELECT min(m.accepted_at) FROM (VALUES ('ready'), ('sending')) AS s (state) CROSS JOIN LATERAL"
    f" (SELECT e.message FROM entry e WHERE {_OPEN} AND e.destination = one.destination AND e.state = s.state"
    " ORDER BY e.message LIMIT 1) AS o JOIN message m ON m.id = o.message)"
    " FROM one WHERE one.destination IS NOT NULL"
)
_UNACKNOWLEDGED: Final = (
    "SELECT r.owner, (SELECT count(*) FROM notice n WHERE n.owner = r.owner AND n.cursor > r.acknowledged)"
    " FROM reader r WHERE r.newest > 0"
)


_READY: Final = "e.state = 'ready' AND e.blockers = 0 AND e.destination = %s"
_NEEDED: Final = (
    f"WITH RECURSIVE lane (turn) AS (SELECT min(e.turn) FROM entry e WHERE {_READY} AND e.turn < %s UNION ALL"
    f" SELECT (SELECT min(e.turn) FROM entry e WHERE {_READY} AND e.turn > lane.turn AND e.turn < %s)"
    " FROM lane WHERE lane.turn IS NOT NULL) SELECT lane.turn, (SELECT count(*) FROM"
    f" (SELECT 1 FROM entry e WHERE {_READY} AND e.turn = lane.turn LIMIT %s) AS c)"
    " FROM lane WHERE lane.turn IS NOT NULL"
)
_NEEDY: Final = f"SELECT min(e.turn) FROM entry e WHERE {_READY} AND e.turn > %s AND e.turn < %s"
_OF_TURN: Final = f"SELECT count(*) FROM (SELECT 1 FROM entry e WHERE {_READY} AND e.turn = %s LIMIT %s) AS c"


class Measuring:
    """The measuring part of the spool."""

    db: Database

    def backlog(self, *, at_most: int) -> list[Backlog]:
        """Return what waits for each destination; no more than `at_most` entries of each are counted."""
        return [
            Backlog(
                destination=destination, entries=entries, oldest=None if oldest is None else to_time(oldest)
            )
            for destination, entries, oldest in self.db.rows(_BACKLOG, at_most)
        ]

    def needed(self, *, at_most: int) -> Mapping[str, int]:
        """Return how many entries could go but for what they need, by that; of each turn no more are counted."""
        found: Counter[str] = Counter()
        for one in self.backlog(at_most=0):
            where, end = one.destination, NEEDY_BELOW
            for turn, count in self.db.rows(_NEEDED, where, end, where, end, where, at_most):
                found[resource_of(turn)] += count
        return found

    def waiting(self, owner: str, *, at_most: int) -> int:
        """Return how many entries of an owner could go now; no more than `at_most` are counted."""
        found = 0
        for one in self.backlog(at_most=0):
            turns, above = [fair_key_of(owner, "")], ""
            while turn := self.db.rows(_NEEDY, one.destination, above, NEEDY_BELOW)[0][0]:
                turns.append(fair_key_of(owner, resource_of(turn)))
                above = behind(turn)
            for turn in turns:
                found += self.db.rows(_OF_TURN, one.destination, turn, at_most - found)[0][0]
        return found

    def outstanding(self) -> Outstanding:
        """Return what waits for somebody outside: orphans, and notices by owner."""
        ((orphans,),) = self.db.rows("SELECT count(*) FROM orphan WHERE NOT resolved")
        return Outstanding(
            orphans=orphans,
            unacknowledged=dict(self.db.rows(_UNACKNOWLEDGED)),
            overdue=dict(self.db.rows("SELECT layer, count(*) FROM overdue GROUP BY layer")),
        )
