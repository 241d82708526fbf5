"""Take old, settled messages out of the spool, on SQLite."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from spool.archived import Archived
from spool.shared.reading import LINE, SharedReading
from spool.shared.retention import ANSWERING, DONE, RetentionSql, SharedRetention
from spool.sqlite.database import SqliteDatabase
from spool.sqlite.reading import READING

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
    among=READING.among,
    lock="",
    purgeable=(
        "SELECT m.id, m.uid, (SELECT count(*) FROM timeline WHERE declaration IN"
        " (SELECT declaration FROM version WHERE message = m.id)) FROM (SELECT ? AS until) o CROSS JOIN json_each(?) j"
        f" CROSS JOIN message m ON m.uid = j.value WHERE {_OVER}"
        " AND NOT (EXISTS (SELECT 1 FROM checkpoint) AND EXISTS (SELECT 1 FROM journal"
        " WHERE uid = m.uid AND uid <> '' AND id > (SELECT max(highest) FROM leaves))) ORDER BY m.id"
    ),
    tables=("entry", "overdue", "payload"),
    answers="DELETE FROM timeline WHERE declaration IN (SELECT value FROM json_each(?)) RETURNING '', notice, arrival",
    notices="DELETE FROM notice WHERE cursor = ?2 AND NOT EXISTS (SELECT 1 FROM timeline WHERE notice = ?2)",
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


class SqliteRetention(SharedRetention):
    """Makes the indexes that only this part needs."""

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
        return super().purge(archived, before=before)

    def _prepare(self) -> None:
        if self._ready:
            return
        if self._db.rows(_INDEXED)[0][0] < len(_INDEXES):
            with self._db.write() as connection:
                for index in _INDEXES.values():
                    connection.execute(index)
        self._ready = True
