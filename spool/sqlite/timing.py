"""Bringing near what a clock that was ahead has put too far into the future."""

from typing import Final

from spool.ending import FARTHEST
from spool.signals import Signals
from spool.sqlite.database import Database

AT_ONCE: Final = 1000
"""Entries that one commit brings near at most."""
SLACK: Final = 1_000_000
"""Microseconds by which clocks may differ without being wrong."""
_TOO_FAR: Final = tuple(
    f"SELECT id FROM entry WHERE state = 'ready' AND {blocked} AND destination = :destination AND due_at > :soon"
    " AND (attempts = 0 AND abandoned = 0 AND error = ''"
    " OR abandoned = 0 AND due_at > :latest OR due_at > :farthest) LIMIT :at_once"
    for blocked in ("blockers = 0", "blockers > 0")
)
"""First of those whose turn it would be, then of those behind them: word for word the conditions of the indexes
`entry_next` and `entry_blocked`."""
_LEASED_TOO_LONG: Final = (
    "SELECT id FROM entry WHERE state = 'sending' AND lease_until > :lease_ends AND destination = :destination"
    " LIMIT :at_once"
)


class Timing:
    """The part of the spool that does not trust the clock."""

    db: Database
    signals: Signals

    def repair_clock(self, destination: str, *, wait_s: float, lease_s: float) -> int:
        """Bring near what lies further ahead than it can have been put; see `spool.store.Spool`."""
        now = self.db.now()
        lease_ends = now + round(lease_s * 1_000_000)
        latest = now + SLACK + round(wait_s * 1_000_000)
        limits = {
            "destination": destination,
            "soon": now + SLACK,
            "latest": latest,
            "farthest": max(latest, now + SLACK + FARTHEST),
            "lease_ends": lease_ends + SLACK,
            "at_once": AT_ONCE,
        }
        with self.db.read() as connection:
            (found,) = connection.execute(
                f"SELECT {' OR '.join(f'EXISTS ({query})' for query in (*_TOO_FAR, _LEASED_TOO_LONG))}",
                limits,
            ).fetchone()
        if not found:
            return 0
        with self.db.write() as connection:
            due = [row for query in _TOO_FAR for row in connection.execute(query, limits)]
            leased = connection.execute(_LEASED_TOO_LONG, limits).fetchall()
            connection.executemany("UPDATE entry SET due_at = ? WHERE id = ?", [(now, row[0]) for row in due])
            connection.executemany(
                "UPDATE entry SET lease_until = ? WHERE id = ?", [(lease_ends, row[0]) for row in leased]
            )
        if due:
            self.signals.wake("entries")
        return len(due) + len(leased)
