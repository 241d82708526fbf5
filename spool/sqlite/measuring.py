"""Figures about the spool that are cheap enough to be asked for all the time."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from spool.entry import Backlog, Outstanding
from spool.fairness import NEEDY_BELOW, behind, fair_key_of, resource_of
from spool.sqlite.database import Database, to_time
from spool.sqlite.schema import unfinished

_DESTINATIONS: Final = (
    f"WITH RECURSIVE one (destination) AS (SELECT min(destination) FROM entry WHERE {unfinished()} UNION ALL"
    f" SELECT (SELECT min(e.destination) FROM entry e WHERE {unfinished('e.')} AND e.destination > one.destination)"
    " FROM one WHERE one.destination IS NOT NULL) SELECT destination FROM one WHERE destination IS NOT NULL"
)
"""One step in the index for each destination, however many entries it has."""
_FIRST: Final = (
    "SELECT e.destination, e.state, m.accepted_at FROM entry e INDEXED BY entry_open CROSS JOIN message m"
    f" ON m.id = e.message WHERE {unfinished('e.')} AND (e.destination, e.state, e.message) > (?, ?, 0)"
    " ORDER BY e.destination, e.state, e.message LIMIT 1"
)
"""The first in the index at or behind a destination and state, be it of another one. With `state = ?` SQLite would walk
through the states before it that the condition of the index names, entry by entry."""
_OWNERS: Final = (
    "WITH RECURSIVE one (owner) AS (SELECT min(owner) FROM notice UNION ALL"
    " SELECT (SELECT min(n.owner) FROM notice n WHERE n.owner > one.owner) FROM one WHERE one.owner IS NOT NULL)"
    " SELECT owner, (SELECT count(*) FROM notice n WHERE n.owner = one.owner AND n.cursor >"
    " coalesce((SELECT k.cursor FROM acknowledged k WHERE k.owner = one.owner), 0)) FROM one"
    " WHERE owner IS NOT NULL"
)


_NEEDY: Final = "SELECT min(turn) FROM entry WHERE state = 'ready' AND blockers = 0 AND destination = ? AND turn > ? AND turn < ?"
_OF_TURN: Final = (
    "SELECT count(*) FROM (SELECT 1 FROM entry WHERE state = 'ready' AND blockers = 0 AND destination = ?"
    " AND turn = ? LIMIT ?)"
)


class Measuring:
    """The measuring part of the spool."""

    db: Database

    def backlog(self, *, at_most: int) -> list[Backlog]:
        """Return what waits for each destination; no more than `at_most` entries of each are counted."""
        with self.db.read() as connection:
            run = connection.execute
            found = []
            for (destination,) in run(_DESTINATIONS).fetchall():
                (entries,) = run(
                    f"SELECT count(*) FROM (SELECT 1 FROM entry WHERE {unfinished()} AND destination = ?"
                    " AND state IN ('ready', 'sending', 'held') LIMIT ?)",
                    (destination, at_most),
                ).fetchone()
                oldest = [
                    row[2]
                    for state in ("ready", "sending")
                    for row in run(_FIRST, (destination, state))
                    if row[:2] == (destination, state)
                ]
                found.append(
                    Backlog(
                        destination=destination,
                        entries=entries,
                        oldest=to_time(min(oldest)) if oldest else None,
                    )
                )
        return found

    def needed(self, *, at_most: int) -> Mapping[str, int]:
        """Return how many entries could go but for what they need, by that; of each turn no more are counted."""
        found: Counter[str] = Counter()
        with self.db.read() as connection:
            run = connection.execute
            for (destination,) in run(_DESTINATIONS).fetchall():
                above = ""
                while turn := run(_NEEDY, (destination, above, NEEDY_BELOW)).fetchone()[0]:
                    (count,) = run(_OF_TURN, (destination, turn, at_most)).fetchone()
                    found[resource_of(turn)] += count
                    above = turn
        return found

    def waiting(self, owner: str, *, at_most: int) -> int:
        """Return how many entries of an owner could go now; no more than `at_most` are counted."""
        found = 0
        with self.db.read() as connection:
            run = connection.execute
            for (destination,) in run(_DESTINATIONS).fetchall():
                turns = [fair_key_of(owner, "")]
                above = ""
                while turn := run(_NEEDY, (destination, above, NEEDY_BELOW)).fetchone()[0]:
                    turns.append(fair_key_of(owner, resource_of(turn)))
                    above = behind(turn)
                for turn in turns:
                    (count,) = run(_OF_TURN, (destination, turn, at_most - found)).fetchone()
                    found += count
        return found

    def outstanding(self) -> Outstanding:
        """Return what waits for somebody outside: orphans, and notices by owner."""
        with self.db.read() as connection:
            (orphans,) = connection.execute("SELECT count(*) FROM orphan WHERE resolved = 0").fetchone()
            owners = dict(connection.execute(_OWNERS).fetchall())
            overdue = dict(
                connection.execute("SELECT layer, count(*) FROM overdue GROUP BY layer").fetchall()
            )
        return Outstanding(orphans=orphans, unacknowledged=owners, overdue=overdue)
