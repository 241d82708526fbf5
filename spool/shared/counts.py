"""Counts that scans add up, each stretch of what they scan exactly once, and counts that came from elsewhere."""

from collections.abc import Sequence
from typing import Final

from spool import values
from spool.entry import Tally
from spool.shared.backend import Store, Transaction
from spool.times import to_number

_TALLIES: Final = "SELECT name, subject, origin, key, n, first_at, last_at FROM tally WHERE name = ?"
"""Rows of `values.tally`."""
_ORDER: Final = "ORDER BY name, subject, origin, key"
_BEGIN: Final = (
    "INSERT INTO mark (name, reached) VALUES (?, ?) ON CONFLICT (name) DO NOTHING RETURNING reached"
)
"""Set a mark that nobody has set; a row if so."""
_MOVE: Final = "UPDATE mark SET reached = ? WHERE name = ? AND reached = ? RETURNING reached"
"""Move a mark on from where it was; a row if it was there."""
_ADVANCE: Final = (
    "INSERT INTO mark (name, reached) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET reached = excluded.reached"
    " WHERE mark.reached < excluded.reached RETURNING reached"
)
"""Move a mark forward; a row if it moved."""
_ADD: Final = (
    "INSERT INTO tally (name, subject, origin, key, n, first_at, last_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (name, subject, origin, key) DO UPDATE SET n = tally.n + excluded.n,"
    " first_at = CASE WHEN excluded.first_at < tally.first_at THEN excluded.first_at ELSE tally.first_at END,"
    " last_at = CASE WHEN excluded.last_at > tally.last_at THEN excluded.last_at ELSE tally.last_at END"
)
_FORGET: Final = "DELETE FROM tally WHERE origin = ?"


class SharedCounts:
    """The part of a spool that counts: `spool.store.SpoolCounts`."""

    def __init__(self, db: Store) -> None:
        self._db = db

    def add_tallies(self, scan: str, tallies: Sequence[Tally], *, after: int | None, reached: int) -> bool:
        """Add to counts, and move the mark of the scan from `after` to `reached`; False: it was not there.

        Of two processes that count the same stretch, one waits at the mark, and then finds it moved.
        """

        def work(transaction: Transaction) -> bool:
            moved = (
                transaction.all(_BEGIN, scan, reached)
                if after is None
                else transaction.all(_MOVE, reached, scan, after)
            )
            if moved:
                _add(transaction, tallies)
            return bool(moved)

        return self._db.transact(work)

    def replace_tallies(self, origin: str, tallies: Sequence[Tally], *, scan: str, reached: int) -> bool:
        """Replace all counts of an origin, if the mark of `scan` is below `reached`; returns whether it was."""

        def work(transaction: Transaction) -> bool:
            if not transaction.all(_ADVANCE, scan, reached):
                return False
            transaction.run(_FORGET, origin)
            _add(transaction, tallies)
            return True

        return self._db.transact(work)

    def tallies(self, name: str, *, subject: str | None = None) -> list[Tally]:
        """Return the counts of this name, all or of one subject, by subject, origin and key."""
        if subject is None:
            rows = self._db.rows(f"{_TALLIES} {_ORDER}", name)
        else:
            rows = self._db.rows(f"{_TALLIES} AND subject = ? {_ORDER}", name, subject)
        return [values.tally(row) for row in rows]


def _add(transaction: Transaction, tallies: Sequence[Tally]) -> None:
    """Add counts in one order for all, so that two transactions never wait for each other."""
    for one in sorted(tallies, key=lambda one: (one.name, one.subject, one.origin, one.key)):
        transaction.run(
            _ADD,
            *(
                one.name,
                one.subject,
                one.origin,
                one.key,
                one.n,
                to_number(one.first_at),
                to_number(one.last_at),
            ),
        )
