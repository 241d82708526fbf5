"""Take old, settled messages out of the spool, on SQLite."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from spool.archived import Archived
from spool.journal import name_of
from spool.shared.reading import LINE, SharedReading
from spool.shared.retention import ANSWERING, DONE, RetentionSql, SharedRetention
from spool.sqlite.database import SqliteDatabase
from spool.times import to_number

_INDEXES: Final = {
    "handle_declaration": "CREATE INDEX IF NOT EXISTS handle_declaration ON handle (declaration)",
    "orphan_arrival": "CREATE INDEX IF NOT EXISTS orphan_arrival ON orphan (arrival)",
}
"""Only who purges needs them, so only who purges pays for them."""
_INDEXED: Final = f"SELECT count(*) FROM sqlite_master WHERE name IN ({', '.join(map(repr, _INDEXES))})"
"""How many of these indexes there are."""
_OVER: Final = (
    f"{DONE} AND NOT EXISTS (SELECT 1 FROM version v JOIN timeline t ON t.declaration = v.declaration"
    " JOIN arrival a ON a.id = t.arrival JOIN notice n ON n.cursor = t.notice"
    " LEFT JOIN acknowledged k ON k.owner = n.owner"
    " WHERE v.message = m.id AND (a.received_at >= o.until OR n.cursor > coalesce(k.cursor, 0)))"
)
"""Message `m` is over: no answer since `o.until` either, and the owner has acknowledged every one."""
RETENTION: Final = RetentionSql(
    old=(
        f"SELECT m.id, m.uid, m.accepted_at, {_OVER} FROM (SELECT ? AS until) o CROSS JOIN message m"
        " WHERE m.id > ? ORDER BY m.id LIMIT ?"
    ),
    receipts=(
        "SELECT id, feed, name, kind, cop_msg_id, received_at, body FROM arrival"
        f" WHERE id IN ({ANSWERING}) ORDER BY id"
    ),
    history=(
        f"{LINE} WHERE uid = ?1 AND uid <> '' UNION {LINE} WHERE uid IN (SELECT value FROM json_each(?2)) AND uid <> ''"
        " AND event = 'receipt.filed' ORDER BY id"
    ),
)
_PURGEABLE: Final = (
    "SELECT m.id, (SELECT count(*) FROM timeline WHERE declaration IN (SELECT declaration FROM version WHERE message = m.id))"
    " FROM (SELECT ?1 AS until) o CROSS JOIN message m"
    f" WHERE m.uid = ?2 AND {_OVER} AND NOT (EXISTS (SELECT 1 FROM checkpoint) AND EXISTS (SELECT 1 FROM journal"
    " WHERE uid = ?2 AND uid <> '' AND id > (SELECT max(highest) FROM leaves)))"
)
"""Number of a message that is over, and how many answers it has; none while lines about it are to be sealed."""


class SqliteRetention(SharedRetention):
    """Deletes row by row."""

    def __init__(self, db: SqliteDatabase, reading: SharedReading) -> None:
        super().__init__(db, RETENTION, reading)
        self._db = db
        self._ready = False

    def export(self, uid: str) -> Archived | None:
        """Return everything that is known of one message; None when there is none of that id."""
        self._prepare()
        return super().export(uid)

    def purge(self, archived: Sequence[Archived], *, before: datetime) -> list[str]:
        """Take these out, in one commit; one that changed since its export stays. Returns whose uids went."""
        self._prepare()
        until = to_number(before)
        gone = []
        with self._db.write() as connection:
            for one in archived:
                row = connection.execute(_PURGEABLE, (until, one.uid)).fetchone()
                if row is not None and row[1] == one.answers:
                    _purge(connection, row[0], one.uid)
                    gone.append(one.uid)
        return gone

    def _prepare(self) -> None:
        if self._ready:
            return
        if self._db.rows(_INDEXED)[0][0] < len(_INDEXES):
            with self._db.write() as connection:
                for index in _INDEXES.values():
                    connection.execute(index)
        self._ready = True


def _purge(connection: sqlite3.Connection, message: int, uid: str) -> None:
    run = connection.execute
    declarations = run("SELECT DISTINCT declaration FROM version WHERE message = ?", (message,)).fetchall()
    run("DELETE FROM journal WHERE uid = ? AND uid <> ''", (uid,))
    for table in ("version", "entry", "payload", "overdue"):
        run(f"DELETE FROM {table} WHERE message = ?", (message,))
    run("DELETE FROM message WHERE id = ?", (message,))
    for (declaration,) in declarations:
        if run("SELECT 1 FROM version WHERE declaration = ? LIMIT 1", (declaration,)).fetchone() is None:
            _purge_declaration(connection, declaration)


def _purge_declaration(connection: sqlite3.Connection, declaration: int) -> None:
    """Take out a declaration that no message speaks of any more, with its answers."""
    run = connection.execute
    rows = run("SELECT arrival, notice FROM timeline WHERE declaration = ?", (declaration,)).fetchall()
    for table in ("timeline", "handle", "earlier_facts"):
        run(f"DELETE FROM {table} WHERE declaration = ?", (declaration,))
    run("DELETE FROM declaration WHERE id = ?", (declaration,))
    for notice in {notice for _, notice in rows}:
        run(
            "DELETE FROM notice WHERE cursor = ?1 AND NOT EXISTS (SELECT 1 FROM timeline WHERE notice = ?1)",
            (notice,),
        )
    for arrival in {arrival for arrival, _ in rows}:
        _purge_arrival(connection, arrival)


def _purge_arrival(connection: sqlite3.Connection, arrival: int) -> None:
    """Take out a raw answer unless it speaks of others too, or of a declaration that is not found yet."""
    run = connection.execute
    if run(
        "SELECT EXISTS (SELECT 1 FROM timeline WHERE arrival = ?1)"
        " OR EXISTS (SELECT 1 FROM orphan WHERE arrival = ?1 AND resolved = 0)",
        (arrival,),
    ).fetchone()[0]:
        return
    (cop_msg_id,) = run("SELECT cop_msg_id FROM arrival WHERE id = ?", (arrival,)).fetchone()
    for table in ("orphan", "arrival_feed"):
        run(f"DELETE FROM {table} WHERE arrival = ?", (arrival,))
    run("DELETE FROM arrival WHERE id = ?", (arrival,))
    run(
        "DELETE FROM journal WHERE uid = ?1 AND uid <> '' AND event = 'receipt.filed'"
        " AND NOT EXISTS (SELECT 1 FROM arrival WHERE cop_msg_id = ?1 AND cop_msg_id <> '')",
        (name_of(cop_msg_id, arrival),),
    )
