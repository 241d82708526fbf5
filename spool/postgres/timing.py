"""Bringing near what a clock that was ahead has put too far into the future."""

from typing import Final

from spool.ending import FARTHEST
from spool.postgres.arrays import int8s
from spool.postgres.database import Database, Transaction
from spool.postgres.signals import wake

AT_ONCE: Final = 1000
"""Entries that one commit brings near at most."""
SLACK: Final = 1_000_000
"""Microseconds by which clocks may differ without being wrong."""
_TOO_FAR: Final = tuple(
    f"SELECT e.id FROM entry e WHERE e.state = 'ready' AND e.{blocked} AND e.destination = %s"
    " AND e.due_at > %s AND (e.attempts = 0 AND e.abandoned = 0 AND e.error = ''"
    " OR e.abandoned = 0 AND e.due_at > %s"
    f" OR e.due_at > %s) LIMIT {AT_ONCE}"
    for blocked in ("blockers = 0", "blockers > 0")
)
"""First of those whose turn it would be, then of those behind them; by the indexes `entry_next` and `entry_blocked`."""
_LEASED_TOO_LONG: Final = (
    "SELECT e.id FROM entry e WHERE e.state = 'sending' AND e.lease_until > %s AND e.destination = %s"
    f" LIMIT {AT_ONCE}"
)


class Timing:
    """The part of the spool that does not trust the clock."""

    db: Database

    def repair_clock(self, destination: str, *, wait_s: float, lease_s: float) -> int:
        """Bring near what lies further ahead than it can have been put; see `spool.store.Spool`."""
        now = self.db.now()
        lease_ends = now + round(lease_s * 1_000_000)
        latest = now + SLACK + round(wait_s * 1_000_000)
        far = (destination, now + SLACK, latest, max(latest, now + SLACK + FARTHEST))
        long = (lease_ends + SLACK, destination)
        query = f"SELECT {' OR '.join(f'EXISTS ({query})' for query in (*_TOO_FAR, _LEASED_TOO_LONG))}"
        if not self.db.rows(query, *far, *far, *long)[0][0]:
            return 0

        def work(transaction: Transaction) -> int:
            due = [
                row for query in _TOO_FAR for row in transaction.all(f"{query} FOR UPDATE SKIP LOCKED", *far)
            ]
            leased = transaction.all(f"{_LEASED_TOO_LONG} FOR UPDATE SKIP LOCKED", *long)
            if due:
                transaction.run(
                    "UPDATE entry SET due_at = %s WHERE id = ANY(%s)", now, int8s(row[0] for row in due)
                )
                wake(transaction, "entries")
            if leased:
                transaction.run(
                    "UPDATE entry SET lease_until = %s WHERE id = ANY(%s)",
                    lease_ends,
                    int8s(row[0] for row in leased),
                )
            return len(due) + len(leased)

        return self.db.write(work)
