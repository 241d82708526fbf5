"""Answers that do not come: scans of what was sent, and what they found overdue."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from spool import values
from spool.entry import Overdue, ScanStep, Silent
from spool.shared.backend import Store, Transaction
from spool.times import to_number

FIELDS: Final = "d.id, m.id, m.uid, m.owner, m.kind, {of}.destination, d.identity, {of}.sent_at"
"""Columns of `values.silent`, but for the layer."""
ANSWERED: Final = (
    "EXISTS (SELECT 1 FROM timeline t JOIN arrival a ON a.id = t.arrival WHERE t.declaration = d.id"
    " AND (a.received_at >= m.accepted_at"
    " OR NOT EXISTS (SELECT 1 FROM version o WHERE o.declaration = d.id AND o.message < m.id))"
    " AND t.kind || ' ' || t.status {but})"
)
"""Whether declaration `d` of message `m` has an answer, but for passing ones."""
_STRETCH: Final = (
    "SELECT sent_at, id FROM entry WHERE sent_at IS NOT NULL AND (sent_at, id) > (?, ?) AND sent_at <= ?"
    " ORDER BY sent_at, id LIMIT ?"
)
"""Sent entries on from a place, up to a time."""
_SCAN: Final = "scan "
"""Stands before the name of a scan, apart from the marks of `Intake.put`."""
_REACHED: Final = "SELECT reached, place FROM mark WHERE name = ?"
"""How far a scan has come: time sent, and number of the entry."""
_REACH: Final = (
    "INSERT INTO mark (name, reached, place) VALUES (?, ?, ?)"
    " ON CONFLICT (name) DO UPDATE SET reached = excluded.reached, place = excluded.place"
)
"""Set how far a scan has come."""
_LAST: Final = (
    "SELECT max(message) FROM (SELECT message FROM overdue WHERE message > ? ORDER BY message LIMIT ?) AS o"
)
"""The last message of a page of what is overdue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverduesSql:
    """What a backend says in its own SQL."""

    silent: str
    """`FIELDS` of these entries that have no answer, in the order they were sent; kinds, destinations left out, passing."""
    overdue: str
    """Rows of `values.silent` of what is overdue, of messages behind one number and up to another."""
    insert: str
    """Add to what is overdue: message, declaration, layer, destination, sent_at; a row if it was not there."""
    answered: str
    """Take out of a layer what is answered, of messages behind one number and up to another; passing answers."""


class SharedOverdues:
    """The part of a spool that watches for answers: `spool.store.SpoolOverdues`."""

    def __init__(self, db: Store, sql: OverduesSql) -> None:
        self._db = db
        self._sql = sql

    def silent(
        self, walk: str, silence: Overdue, *, until: datetime, start: datetime, limit: int
    ) -> ScanStep:
        """Look at up to `limit` sent entries on from where this scan was last left, but none sent after `until`."""
        left = self._db.rows(_REACHED, _SCAN + walk)
        first = left[0] if left else (to_number(start), 0)
        stretch = self._db.rows(_STRETCH, *first, to_number(until), limit)
        if not stretch:
            return ScanStep(silent=(), at=None, more=False)
        sent_at, number = stretch[-1]
        rows = self._db.rows(
            self._sql.silent,
            self._db.numbers(row[1] for row in stretch),
            *(self._db.texts(one) for one in (silence.kinds, silence.except_to, silence.passing)),
        )
        return ScanStep(
            silent=tuple(values.silent((*row, silence.layer)) for row in rows),
            at=f"{sent_at} {number}",
            more=len(stretch) == limit,
        )

    def set_overdue(self, walk: str, at: str, silent: Sequence[Silent]) -> list[Silent]:
        """Leave the scan at `ScanStep.at`, and add what is overdue; returns what was not there before.

        Of two nodes that look at the same stretch, one waits at the scan's row, and then finds all of it there.
        """

        def work(transaction: Transaction) -> list[Silent]:
            transaction.run(_REACH, _SCAN + walk, *map(int, at.split()))
            added = [
                transaction.run(
                    self._sql.insert,
                    *(one.message, one.declaration, one.layer, one.destination, to_number(one.sent_at)),
                )
                for one in silent
            ]
            return [one for one, answer in zip(silent, added, strict=True) if answer.fetchall()]

        return self._db.transact(work)

    def overdue(self, *, after: int = 0, limit: int) -> list[Silent]:
        """Return up to `limit` of what is overdue, of messages with a higher number than `after`, those in order."""
        return [
            values.silent(row) for row in self._db.rows(self._sql.overdue, after, self._last(after, limit))
        ]

    def end_overdue(self, silences: Sequence[Overdue], *, after: int, limit: int) -> int:
        """Take back what is answered by now; returns the last message's number, 0: there was none."""
        last = self._last(after, limit)

        def work(transaction: Transaction) -> None:
            for one in silences:
                transaction.run(self._sql.answered, one.layer, after, last, self._db.texts(one.passing))

        if last:
            self._db.transact(work)
        return last

    def _last(self, after: int, limit: int) -> int:
        return self._db.rows(_LAST, after, limit)[0][0] or 0
