"""Taking old, settled messages out of the spool: which ones, everything about them, and gone.

What is small is deleted row by row. Bodies of messages and answers stay where they are until nothing of their
day is left; then the partition of that day goes as a whole.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from spool.archived import Archived, ArchivedDeclaration, ArchivedReceipt
from spool.entry import JournalLine, Old
from spool.journal import name_of
from spool.postgres.arrays import int8s, texts
from spool.postgres.database import Row, Transaction, to_number, to_time
from spool.postgres.days import DAY
from spool.postgres.homing import TIMELINE, line
from spool.postgres.looking import LINE, Looking, happening
from spool.postgres.sealing import UNSEALED
from spool.postgres.texts import short

_LOOKED_AT: Final = 500
"""Messages that one look for old ones reads at most."""
_OVER: Final = (
    # every entry was settled before the time, and there is one; a settlement leaves its time in due_at
    "m.accepted_at < o.until AND EXISTS (SELECT 1 FROM entry e WHERE e.message = m.id)"
    " AND NOT EXISTS (SELECT 1 FROM entry e WHERE e.message = m.id"
    " AND (e.state NOT IN ('sent', 'discarded') OR e.due_at >= o.until OR e.sent_at >= o.until))"
    # no answer since the time, and the owner has acknowledged every one
    " AND NOT EXISTS (SELECT 1 FROM version v JOIN timeline t ON t.declaration = v.declaration"
    " JOIN arrival a ON a.id = t.arrival JOIN reader r ON r.owner = t.owner"
    " WHERE v.message = m.id AND (a.received_at >= o.until OR t.notice > r.acknowledged))"
)
_FROM: Final = "FROM message m, (SELECT %s AS until) AS o"


class Archiving(Looking):
    """The purging part of the spool."""

    def old(self, before: datetime, *, limit: int, cursor: str = "") -> Old:
        """Return up to `limit` messages that were over before this time, oldest first."""
        until = to_number(before)
        uids: list[str] = []
        rows = self.db.rows(
            f"SELECT m.id, m.uid, m.accepted_at, {_OVER} {_FROM} WHERE m.id > %s ORDER BY m.id LIMIT %s",
            until,
            int(cursor or 0),
            _LOOKED_AT,
        )
        for number, uid, _, over in rows:
            if over:
                uids.append(uid)
                if len(uids) == limit:
                    return Old(uids=tuple(uids), cursor=str(number))
        young = all(accepted_at >= until for _, _, accepted_at, _ in rows)
        last = "" if young or len(rows) < _LOOKED_AT else str(rows[-1][0])
        return Old(uids=tuple(uids), cursor=last)

    def export(self, uid: str) -> Archived | None:
        """Return everything that is known of one message; None when there is none of that id."""
        ways, body = tuple(self.ways(uid)), self.body(uid)
        found = self.db.rows("SELECT id, request_key FROM message WHERE uid = %s", uid)
        if not ways or body is None or not found:
            return None
        ((number, request_key),) = found
        facts = self.db.rows("SELECT facts FROM entry WHERE message = %s ORDER BY id", number)
        receipts = self._receipts(number)
        return Archived(
            ways=ways,
            way_facts=tuple(row[0] for row in facts),
            request_key=request_key,
            body=body,
            declarations=self._declarations(number),
            receipts=receipts,
            history=self._history(uid, receipts),
        )

    def _declarations(self, message: int) -> tuple[ArchivedDeclaration, ...]:
        rows = self.db.rows(
            "SELECT d.id, d.identity, v.version, d.facts,"
            " ARRAY(SELECT h.text FROM handle h WHERE h.declaration = d.id ORDER BY h.text)"
            " FROM version v JOIN declaration d ON d.id = v.declaration WHERE v.message = %s ORDER BY d.id, v.version",
            message,
        )
        return tuple(
            ArchivedDeclaration(
                identity=identity,
                version=version,
                facts=facts,
                handles=tuple(handles),
                answers=tuple(
                    map(
                        line, self.db.rows(f"{TIMELINE} WHERE t.declaration = %s ORDER BY t.at, t.id", number)
                    )
                ),
            )
            for number, identity, version, facts, handles in rows
        )

    def _receipts(self, message: int) -> tuple[ArchivedReceipt, ...]:
        rows = self.db.rows(
            "SELECT a.id, a.feed, a.name, a.kind, a.cop_msg_id, a.received_at, b.body FROM arrival a"
            " JOIN arrival_body b ON b.day = a.day AND b.arrival = a.id WHERE a.id IN (SELECT t.arrival"
            " FROM version v JOIN timeline t ON t.declaration = v.declaration WHERE v.message = %s) ORDER BY a.id",
            message,
        )
        return tuple(
            ArchivedReceipt(
                id=number,
                feed=feed,
                name=name,
                kind=kind,
                cop_msg_id=cop_msg_id,
                received_at=to_time(received_at),
                body=body,
            )
            for number, feed, name, kind, cop_msg_id, received_at, body in rows
        )

    def _history(self, uid: str, receipts: Sequence[ArchivedReceipt]) -> tuple[JournalLine, ...]:
        rows = self.db.rows(
            f"{LINE} WHERE uid <> '' AND (uid = %s OR uid = ANY(%s) AND event = 'receipt.filed') ORDER BY id",
            short(uid),
            texts({short(name_of(receipt.cop_msg_id, receipt.id)) for receipt in receipts}),
        )
        return tuple(map(happening, rows))

    def purge(self, archived: Sequence[Archived], *, before: datetime) -> list[str]:
        """Take these out, in one commit; one that changed since its export stays. Returns whose uids went."""
        until = to_number(before)

        def work(transaction: Transaction) -> list[str]:
            _lock(transaction, [one.uid for one in archived])
            rows = transaction.all(
                f"SELECT m.id, m.uid, (SELECT count(*) FROM timeline t WHERE t.declaration IN ("
                f"SELECT v.declaration FROM version v WHERE v.message = m.id)) {_FROM}"
                f" WHERE m.uid = ANY(%s) AND {_OVER} AND NOT {UNSEALED} ORDER BY m.id FOR UPDATE OF m",
                until,
                texts(one.uid for one in archived),
            )
            answers = {one.uid: one.answers for one in archived}
            gone = [row for row in rows if answers[row[1]] == row[2]]
            if gone:
                _purge(transaction, gone)
            return [uid for _, uid, _ in gone]

        done = self.db.write(work)
        if done:
            self.db.drop_days(until // DAY)
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
