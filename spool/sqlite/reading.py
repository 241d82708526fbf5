"""What reading messages needs of SQLite's own SQL."""

from collections.abc import Sequence
from typing import Final

from spool import values
from spool.entry import MessageView
from spool.shared.backend import Row
from spool.shared.reading import LINE, ReadingSql, SharedReading
from spool.sqlite.database import SqliteDatabase
from spool.sqlite.schema import unfinished

_OF_DECLARATION: Final = "SELECT m.uid FROM version v JOIN message m ON m.id = v.message WHERE v.declaration IN ({}) ORDER BY m.id LIMIT ?2"
READING: Final = ReadingSql(
    view=(
        "SELECT m.uid, m.owner, m.kind, m.sha256, m.facts, m.accepted_at, e.id, e.destination, e.cop_msg_id, e.part,"
        " e.state, e.attempts, e.due_at, e.error, e.sent_at, e.sent_sha256, e.facts, m.id"
        " FROM message m JOIN entry e ON e.message = m.id"
    ),
    among="IN (SELECT value FROM json_each(?))",
    open=unfinished("e."),
    error="instr(e.error, ?) > 0",
    body="SELECT p.body, p.source FROM message m JOIN payload p ON p.message = m.id WHERE m.uid = ?",
    beginning=(
        "SELECT uid FROM message WHERE uid >= ?1 AND uid < ?2 AND substr(uid, 1, length(?3)) = ?3 ORDER BY uid LIMIT ?4"
    ),
    searches=(
        ("SELECT uid FROM message WHERE uid = upper(?1) LIMIT ?2", False),
        (
            "SELECT m.uid FROM entry e JOIN message m ON m.id = e.message WHERE e.cop_msg_id = ?1 ORDER BY e.id LIMIT ?2",
            False,
        ),
        (
            _OF_DECLARATION.format(
                "SELECT t.declaration FROM arrival a JOIN timeline t ON t.arrival = a.id"
                # the index holds only those that have one, and SQLite must be told that this is one
                " WHERE a.cop_msg_id = ?1 AND a.cop_msg_id <> ''"
            ),
            True,
        ),
        (_OF_DECLARATION.format("SELECT id FROM declaration WHERE identity = ?1"), False),
        (_OF_DECLARATION.format("SELECT declaration FROM handle WHERE text = ?1"), True),
        (  # not indexed: reads every declaration, the price of a bare value
            _OF_DECLARATION.format(
                "SELECT id FROM declaration WHERE instr(identity || ' ', '=' || ?1 || ' ') > 0"
                " UNION SELECT declaration FROM handle WHERE substr(text, -length(?1) - 1) = '=' || ?1"
            ),
            False,
        ),
    ),
    history=f"{LINE} WHERE uid = ? AND uid <> '' ORDER BY id",
)
_WAITS_FOR: Final = (
    "SELECT m.uid FROM wait w JOIN entry e ON e.id = w.blocker JOIN message m ON m.id = e.message"
    " WHERE w.entry = ? ORDER BY e.id"
)
"""Uids of the messages that an entry waits for."""
_IDENTITIES: Final = "SELECT d.identity FROM version v JOIN declaration d ON d.id = v.declaration WHERE v.message = ? ORDER BY d.id"
"""Identities of the declarations of a message."""


class SqliteReading(SharedReading):
    """Reads what a view is about apart: SQLite would do so for every row that a LIMIT then leaves out."""

    def __init__(self, db: SqliteDatabase) -> None:
        super().__init__(db, READING)
        self._database = db

    def _views(self, condition: str, *given: object) -> list[MessageView]:
        with self._database.read():
            return super()._views(condition, *given)

    def views(self, rows: Sequence[Row]) -> list[MessageView]:
        """Make values of rows of `READING.view`."""
        return [
            values.message_view(
                (*row[:-1], self._texts(_WAITS_FOR, row[6]), self._texts(_IDENTITIES, row[-1]))
            )
            for row in rows
        ]

    def _texts(self, query: str, number: int) -> list[str]:
        return [row[0] for row in self._db.rows(query, number)]
