"""Take old, settled messages out of the spool, on PostgreSQL.

What is small is deleted row by row. Bodies of messages and answers stay where they are until nothing of their
day is left; then the partition of that day goes as a whole.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from spool.archived import Archived
from spool.journal import name_of
from spool.postgres.arrays import int8s, texts
from spool.postgres.database import PostgresDatabase
from spool.postgres.days import DAY
from spool.postgres.texts import short
from spool.shared.backend import Row, Transaction
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
    old=f"SELECT m.id, m.uid, m.accepted_at, {_OVER} {_FROM} WHERE m.id > %s ORDER BY m.id LIMIT %s",
    receipts=(
        "SELECT a.id, a.feed, a.name, a.kind, a.cop_msg_id, a.received_at, b.body FROM arrival a"
        f" JOIN arrival_body b ON b.day = a.day AND b.arrival = a.id WHERE a.id IN ({ANSWERING}) ORDER BY a.id"
    ),
    history=f"{LINE} WHERE uid <> '' AND (uid = %s OR uid = ANY(%s) AND event = 'receipt.filed') ORDER BY id",
)
_PURGEABLE: Final = (
    "SELECT m.id, m.uid, (SELECT count(*) FROM timeline t WHERE t.declaration IN ("
    f"SELECT v.declaration FROM version v WHERE v.message = m.id)) {_FROM} WHERE m.uid = ANY(%s) AND {_OVER}"
    " AND NOT (EXISTS (SELECT 1 FROM checkpoint) AND EXISTS (SELECT 1 FROM journal j WHERE j.uid = m.uid AND j.uid <> ''"
    " AND j.id > (SELECT max(highest) FROM leaves))) ORDER BY m.id FOR UPDATE OF m"
)
"""Number, uid and answers of messages that are over, locked; none while lines about it are to be sealed."""


class PostgresRetention(SharedRetention):
    """Deletes what is small row by row, and days that are empty as a whole."""

    def __init__(self, db: PostgresDatabase, reading: SharedReading) -> None:
        super().__init__(db, RETENTION, reading)
        self._db = db

    def purge(self, archived: Sequence[Archived], *, before: datetime) -> list[str]:
        """Take these out, in one commit; one that changed since its export stays. Returns whose uids went."""
        until = to_number(before)
        answers = {one.uid: one.answers for one in archived}

        def work(transaction: Transaction) -> list[str]:
            _lock(transaction, list(answers))
            rows = transaction.all(_PURGEABLE, until, texts(answers))
            gone = [row for row in rows if answers[row[1]] == row[2]]
            if gone:
                _purge(transaction, gone)
            return [uid for _, uid, _ in gone]

        done = self._db.transact(work)
        if done:
            self._db.drop_days(until // DAY)
        return done


def _lock(transaction: Transaction, uids: Sequence[str]) -> None:
    """Keep everybody from putting or filing anything about the declarations of these messages."""
    transaction.run(
        "SELECT d.id FROM declaration d WHERE d.id IN (SELECT v.declaration FROM message m"
        " JOIN version v ON v.message = m.id WHERE m.uid = ANY(%s)) ORDER BY d.owner, d.identity FOR UPDATE",
        texts(uids),
    )


def _purge(transaction: Transaction, gone: Sequence[Row]) -> None:
    run, rows = transaction.run, transaction.all
    messages = int8s(row[0] for row in gone)
    run("DELETE FROM journal WHERE uid <> '' AND uid = ANY(%s)", texts(short(row[1]) for row in gone))
    told = {
        row[0] for row in rows("DELETE FROM version WHERE message = ANY(%s) RETURNING declaration", messages)
    }
    run("DELETE FROM entry WHERE message = ANY(%s)", messages)
    run("DELETE FROM overdue WHERE message = ANY(%s)", messages)
    run("DELETE FROM message WHERE id = ANY(%s)", messages)
    left = rows(
        "DELETE FROM declaration d WHERE d.id = ANY(%s)"
        " AND NOT EXISTS (SELECT 1 FROM version v WHERE v.declaration = d.id) RETURNING d.id",
        int8s(told),
    )
    if left:
        _purge_answers(transaction, int8s(row[0] for row in left))


def _purge_answers(transaction: Transaction, declarations: bytes) -> None:
    """Take out the answers of declarations that no message speaks of any more."""
    run, rows = transaction.run, transaction.all
    run("DELETE FROM handle WHERE declaration = ANY(%s)", declarations)
    run("DELETE FROM earlier_facts WHERE declaration = ANY(%s)", declarations)
    lines = rows(
        "DELETE FROM timeline WHERE declaration = ANY(%s) RETURNING owner, notice, arrival", declarations
    )
    if not lines:
        return
    run(
        "DELETE FROM notice n USING unnest(%s::text[], %s::bigint[]) AS o (owner, cursor)"
        " WHERE n.owner = o.owner AND n.cursor = o.cursor"
        " AND NOT EXISTS (SELECT 1 FROM timeline t WHERE t.owner = n.owner AND t.notice = n.cursor)",
        texts(row[0] for row in lines),
        int8s(row[1] for row in lines),
    )
    arrivals = rows(  # unless it speaks of others too, or of somebody who is not found yet
        "DELETE FROM arrival a WHERE a.id = ANY(%s) AND NOT EXISTS (SELECT 1 FROM timeline t WHERE t.arrival = a.id)"
        " AND NOT EXISTS (SELECT 1 FROM orphan o WHERE o.arrival = a.id AND NOT o.resolved) RETURNING a.id, a.cop_msg_id",
        int8s({row[2] for row in lines}),
    )
    run("DELETE FROM orphan WHERE arrival = ANY(%s)", int8s(row[0] for row in arrivals))
    run("DELETE FROM arrival_feed WHERE arrival = ANY(%s)", int8s(row[0] for row in arrivals))
    run(
        "DELETE FROM journal j WHERE j.uid <> '' AND j.uid = ANY(%s) AND j.event = 'receipt.filed'"
        " AND NOT EXISTS (SELECT 1 FROM arrival a WHERE a.cop_msg_id = j.uid AND a.cop_msg_id <> '')",
        texts(name_of(row[1], row[0]) for row in arrivals),
    )
