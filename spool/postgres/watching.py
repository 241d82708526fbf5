"""Answers that do not come: walks over what was sent, and what they found overdue."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from spool.entry import Overdue, ScanStep, Silent
from spool.postgres.arrays import int8s, texts
from spool.postgres.database import Database, Row, Transaction, to_number, to_time

_STRETCH: Final = (
    "SELECT sent_at, id FROM entry WHERE sent_at IS NOT NULL AND (sent_at, id) > (%s, %s) AND sent_at <= %s"
    " ORDER BY sent_at, id LIMIT %s"
)
_FIELDS: Final = "d.id, m.id, m.uid, m.owner, m.kind, {of}.destination, d.identity, {of}.sent_at"
_ANSWERED: Final = (
    "EXISTS (SELECT 1 FROM timeline t JOIN arrival a ON a.id = t.arrival WHERE t.declaration = d.id"
    " AND (a.received_at >= m.accepted_at"
    " OR NOT EXISTS (SELECT 1 FROM version o WHERE o.declaration = d.id AND o.message < m.id))"
    " AND t.kind || ' ' || t.status <> ALL(%s::text[]))"
)
_SILENT: Final = (
    "WITH e AS MATERIALIZED (SELECT message, destination, sent_at FROM entry WHERE sent_at IS NOT NULL"
    " AND (sent_at, id) > (%s, %s) AND (sent_at, id) <= (%s, %s) ORDER BY sent_at, id LIMIT %s)"
    f" SELECT DISTINCT {_FIELDS.format(of='e')} FROM e JOIN message m ON m.id = e.message"
    " JOIN version v ON v.message = m.id JOIN declaration d ON d.id = v.declaration"
    f" WHERE m.kind = ANY(%s::text[]) AND e.destination <> ALL(%s::text[]) AND NOT {_ANSWERED}"
)
_SET_DOWN: Final = (
    f"SELECT {_FIELDS.format(of='o')}, o.layer FROM overdue o JOIN message m ON m.id = o.message"
    " JOIN declaration d ON d.id = o.declaration WHERE o.message > %s AND o.message <= %s"
    " ORDER BY o.message, o.declaration, o.layer"
)
_LAST: Final = (
    "SELECT max(message) FROM (SELECT message FROM overdue WHERE message > %s ORDER BY message LIMIT %s) AS o"
)
_END: Final = (
    "DELETE FROM overdue o USING message m, declaration d WHERE m.id = o.message AND d.id = o.declaration"
    f" AND o.layer = %s AND o.message > %s AND o.message <= %s AND {_ANSWERED}"
)


class Watching:
    """The watching part of the spool."""

    db: Database

    def silent(
        self, walk: str, silence: Overdue, *, until: datetime, start: datetime, limit: int
    ) -> ScanStep:
        """Look at up to `limit` sent entries on from where this walk was last left, but none sent after `until`."""
        left = self.db.rows("SELECT at FROM walk WHERE name = %s", walk)
        first = _place(left[0][0]) if left else (to_number(start), 0)
        stretch = self.db.rows(_STRETCH, *first, to_number(until), limit)
        if not stretch:
            return ScanStep(silent=(), at=None, more=False)
        last = stretch[-1]
        given = [texts(one) for one in (silence.kinds, silence.except_to, silence.passing)]
        rows = self.db.rows(_SILENT, *first, *last, limit, *given)
        return ScanStep(
            silent=tuple(_silent((*row, silence.layer)) for row in rows),
            at=f"{last[0]} {last[1]}",
            more=len(stretch) == limit,
        )

    def set_overdue(self, walk: str, at: str, silent: Sequence[Silent]) -> list[Silent]:
        """Leave the walk at `ScanStep.at`, and set down what is overdue; returns what was not set down before.

        Of two nodes that look at the same stretch, one waits at the walk's row, and then finds all of it set down.
        """

        def work(transaction: Transaction) -> list[Silent]:
            transaction.run(
                "INSERT INTO walk VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET at = excluded.at", walk, at
            )
            new = transaction.all(
                "INSERT INTO overdue (message, declaration, layer, destination, sent_at) SELECT * FROM"
                " unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::bigint[])"
                " ON CONFLICT DO NOTHING RETURNING message, declaration, layer",
                int8s(one.message for one in silent),
                int8s(one.declaration for one in silent),
                texts(one.layer for one in silent),
                texts(one.destination for one in silent),
                int8s(to_number(one.sent_at) for one in silent),
            )
            found = {tuple(row) for row in new}
            return [one for one in silent if (one.message, one.declaration, one.layer) in found]

        return self.db.write(work)

    def overdue(self, *, after: int = 0, limit: int) -> list[Silent]:
        """Return up to `limit` of what was set down, of messages with a higher number than `after`, those in order."""
        ((last,),) = self.db.rows(_LAST, after, limit)
        return [_silent(row) for row in self.db.rows(_SET_DOWN, after, last or 0)]

    def end_overdue(self, silences: Sequence[Overdue], *, after: int, limit: int) -> int:
        """Take back what was set down and is answered by now; returns the last message's number, 0: there was none."""
        ((last,),) = self.db.rows(_LAST, after, limit)
        if last is None:
            return 0

        def work(transaction: Transaction) -> None:
            for one in silences:
                transaction.run(_END, one.layer, after, last, texts(one.passing))

        self.db.write(work)
        return int(last)


def _place(at: str) -> tuple[int, int]:
    sent_at, number = at.split(" ")
    return int(sent_at), int(number)


def _silent(row: Row) -> Silent:
    declaration, message, uid, owner, kind, destination, identity, sent_at, layer = row
    return Silent(
        declaration=declaration,
        message=message,
        layer=layer,
        uid=uid,
        owner=owner,
        kind=kind,
        destination=destination,
        identity=identity,
        sent_at=to_time(sent_at),
    )
