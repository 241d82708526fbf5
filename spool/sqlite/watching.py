"""Answers that do not come: walks over what was sent, and what they found overdue."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from spool.entry import Overdue, ScanStep, Silent
from spool.sqlite.database import Database, to_number, to_time

_STRETCH: Final = (
    "SELECT sent_at, id FROM entry WHERE sent_at IS NOT NULL AND (sent_at > ?1 OR sent_at = ?1 AND id > ?2)"
    " AND sent_at >= ?1 AND sent_at <= ?3 ORDER BY sent_at, id LIMIT ?4"
)
_FIELDS: Final = "d.id, m.id, m.uid, m.owner, m.kind, {of}.destination, d.identity, {of}.sent_at"
_ANSWERED: Final = (
    "EXISTS (SELECT 1 FROM timeline t JOIN arrival a ON a.id = t.arrival WHERE t.declaration = d.id"
    " AND (a.received_at >= m.accepted_at"
    " OR NOT EXISTS (SELECT 1 FROM version o WHERE o.declaration = d.id AND o.message < m.id))"
    " AND t.kind || ' ' || t.status NOT IN (SELECT value FROM json_each(?{passing})))"
)
_SILENT: Final = (
    f"SELECT DISTINCT {_FIELDS.format(of='e')} FROM json_each(?1) s CROSS JOIN entry e ON e.id = s.value"
    " CROSS JOIN message m ON m.id = e.message CROSS JOIN version v ON v.message = m.id"
    " CROSS JOIN declaration d ON d.id = v.declaration"
    " WHERE m.kind IN (SELECT value FROM json_each(?2)) AND e.destination NOT IN (SELECT value FROM json_each(?3))"
    f" AND NOT {_ANSWERED.format(passing=4)}"
)
_SET_DOWN: Final = (
    f"SELECT {_FIELDS.format(of='o')}, o.layer FROM overdue o CROSS JOIN message m ON m.id = o.message"
    " CROSS JOIN declaration d ON d.id = o.declaration WHERE o.message > ? AND o.message <= ?"
    " ORDER BY o.message, o.declaration, o.layer"
)
_LAST: Final = (
    "SELECT max(message) FROM (SELECT message FROM overdue WHERE message > ? ORDER BY message LIMIT ?)"
)
_END: Final = (
    "DELETE FROM overdue WHERE layer = ?1 AND message > ?2 AND message <= ?3 AND EXISTS"
    " (SELECT 1 FROM message m JOIN declaration d ON d.id = overdue.declaration WHERE m.id = overdue.message"
    f" AND {_ANSWERED.format(passing=4)})"
)


class Watching:
    """The watching part of the spool."""

    db: Database

    def silent(
        self, walk: str, silence: Overdue, *, until: datetime, start: datetime, limit: int
    ) -> ScanStep:
        """Look at up to `limit` sent entries on from where this walk was last left, but none sent after `until`."""
        with self.db.read() as connection:
            run = connection.execute
            left = run("SELECT at FROM walk WHERE name = ?", (walk,)).fetchone()
            first = _place(left[0]) if left else (to_number(start), 0)
            stretch = run(_STRETCH, (*first, to_number(until), limit)).fetchall()
            if not stretch:
                return ScanStep(silent=(), at=None, more=False)
            last = stretch[-1]
            entries = [number for _, number in stretch]
            given = [json.dumps(one) for one in (entries, silence.kinds, silence.except_to, silence.passing)]
            rows = run(_SILENT, given).fetchall()
        return ScanStep(
            silent=tuple(_silent((*row, silence.layer)) for row in rows),
            at=f"{last[0]} {last[1]}",
            more=len(stretch) == limit,
        )

    def set_overdue(self, walk: str, at: str, silent: Sequence[Silent]) -> list[Silent]:
        """Leave the walk at `ScanStep.at`, and set down what is overdue; returns what was not set down before."""
        with self.db.write() as connection:
            run = connection.execute
            run("INSERT INTO walk VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET at = ?2", (walk, at))
            return [
                one
                for one in silent
                if run(
                    "INSERT OR IGNORE INTO overdue (message, declaration, layer, destination, sent_at)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (one.message, one.declaration, one.layer, one.destination, to_number(one.sent_at)),
                ).rowcount
            ]

    def overdue(self, *, after: int = 0, limit: int) -> list[Silent]:
        """Return up to `limit` of what was set down, of messages with a higher number than `after`, those in order."""
        with self.db.read() as connection:
            (last,) = connection.execute(_LAST, (after, limit)).fetchone()
            return [_silent(row) for row in connection.execute(_SET_DOWN, (after, last or 0))]

    def end_overdue(self, silences: Sequence[Overdue], *, after: int, limit: int) -> int:
        """Take back what was set down and is answered by now; returns the last message's number, 0: there was none."""
        with self.db.read() as connection:
            (last,) = connection.execute(_LAST, (after, limit)).fetchone()
        if last is None:
            return 0
        with self.db.write() as connection:
            for one in silences:
                connection.execute(_END, (one.layer, after, last, json.dumps(one.passing)))
        return int(last)


def _place(at: str) -> tuple[int, int]:
    sent_at, number = at.split(" ")
    return int(sent_at), int(number)


def _silent(row: tuple[int, int, str, str, str, str, str, int, str]) -> Silent:
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
