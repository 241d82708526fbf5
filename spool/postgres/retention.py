"""Take old, settled messages out of the spool, on PostgreSQL.

What is small is deleted row by row. Bodies of messages and answers stay where they are until nothing of their
day is left; then the partition of that day goes as a whole.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from spool.archived import Archived
from spool.postgres.database import PostgresDatabase
from spool.postgres.days import DAY
from spool.postgres.reading import READING
from spool.shared.reading import LINE, SharedReading
from spool.shared.retention import ANSWERING, DONE, RetentionSql, SharedRetention
from spool.times import to_number

_OVER: Final = (
    f"{DONE} AND NOT EXISTS (SELECT 1 FROM version v JOIN timeline t ON t.declaration = v.declaration"
    " JOIN arrival a ON a.id = t.arrival JOIN reader r ON r.owner = t.owner"
    " WHERE v.message = m.id AND (a.received_at >= o.until OR t.notice > r.acknowledged))"
)
"""Message `m` is over: no answer since `o.until` either, and the owner has acknowledged every one."""
_FROM: Final = "FROM message m, (SELECT %s AS until) AS o"
RETENTION: Final = RetentionSql(
    among=READING.among,
    lock=(
        "SELECT d.id FROM declaration d WHERE d.id IN (SELECT v.declaration FROM message m"
        " JOIN version v ON v.message = m.id WHERE m.uid = ANY(%s)) ORDER BY d.owner, d.identity FOR UPDATE"
    ),
    purgeable=(
        "SELECT m.id, m.uid, (SELECT count(*) FROM timeline t WHERE t.declaration IN ("
        f"SELECT v.declaration FROM version v WHERE v.message = m.id)) {_FROM} WHERE m.uid = ANY(%s) AND {_OVER}"
        " AND NOT (EXISTS (SELECT 1 FROM checkpoint) AND EXISTS (SELECT 1 FROM journal j WHERE j.uid = m.uid AND j.uid <> ''"
        " AND j.id > (SELECT max(highest) FROM leaves))) ORDER BY m.id FOR UPDATE OF m"
    ),
    tables=("entry", "overdue"),
    answers="DELETE FROM timeline WHERE declaration = ANY(%s) RETURNING owner, notice, arrival",
    notices=(
        "DELETE FROM notice n USING unnest(%s::text[], %s::bigint[]) AS o (owner, cursor)"
        " WHERE n.owner = o.owner AND n.cursor = o.cursor"
        " AND NOT EXISTS (SELECT 1 FROM timeline t WHERE t.owner = n.owner AND t.notice = n.cursor)"
    ),
    old=f"SELECT m.id, m.uid, m.accepted_at, {_OVER} {_FROM} WHERE m.id > %s ORDER BY m.id LIMIT %s",
    receipts=(
        "SELECT a.id, a.feed, a.name, a.kind, a.cop_msg_id, a.received_at, b.body FROM arrival a"
        f" JOIN arrival_body b ON b.day = a.day AND b.arrival = a.id WHERE a.id IN ({ANSWERING}) ORDER BY a.id"
    ),
    history=f"{LINE} WHERE uid <> '' AND (uid = %s OR uid = ANY(%s) AND event = 'receipt.filed') ORDER BY id",
)


class PostgresRetention(SharedRetention):
    """Drops days that are empty as a whole."""

    def __init__(self, db: PostgresDatabase, reading: SharedReading) -> None:
        super().__init__(db, RETENTION, reading)
        self._db = db

    def purge(self, archived: Sequence[Archived], *, before: datetime) -> list[str]:
        """Take these out, in one commit; one that changed since its export stays. Returns whose uids went."""
        done = super().purge(archived, before=before)
        if done:
            self._db.drop_days(to_number(before) // DAY)
        return done
