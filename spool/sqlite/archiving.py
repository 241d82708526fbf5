"""Taking old, settled messages out of the spool: which ones, everything about them, and gone."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from spool.archived import Archived, ArchivedDeclaration, ArchivedReceipt
from spool.entry import JournalLine, Old, TimelineEntry
from spool.journal import name_of
from spool.sqlite.database import to_number, to_time
from spool.sqlite.filing import timeline_entry
from spool.sqlite.looking import LINE, Looking, line
from spool.sqlite.sealing import unsealed

_LOOKED_AT: Final = 500
"""Messages that one look for old ones reads at most."""
_INDEXES: Final = (
    "CREATE INDEX IF NOT EXISTS handle_declaration ON handle (declaration)",
    "CREATE INDEX IF NOT EXISTS orphan_arrival ON orphan (arrival)",
)
"""Only who purges needs them, so only who purges pays for them."""
_DONE: Final = (
    "EXISTS (SELECT 1 FROM entry WHERE message = ?1) AND NOT EXISTS (SELECT 1 FROM entry WHERE message = ?1"
    " AND (state NOT IN ('sent', 'discarded') OR due_at >= ?2 OR sent_at >= ?2))"
)
"""Every entry was settled before the time, and there is one; a settlement leaves its time in `due_at`."""
_QUIET: Final = (
    "NOT EXISTS (SELECT 1 FROM version v JOIN timeline t ON t.declaration = v.declaration"
    " JOIN arrival a ON a.id = t.arrival JOIN notice n ON n.cursor = t.notice"
    " LEFT JOIN acknowledged k ON k.owner = n.owner"
    " WHERE v.message = ?1 AND (a.received_at >= ?2 OR n.cursor > coalesce(k.cursor, 0)))"
)
"""No answer since the time, and the owner has acknowledged every one."""
_TIMELINE: Final = (
    "SELECT d.identity, t.at, t.kind, t.status, t.facts, t.digest, t.body_index, t.arrival, a.received_at, t.notice"
    " FROM timeline t JOIN declaration d ON d.id = t.declaration JOIN arrival a ON a.id = t.arrival"
    " WHERE t.declaration = ? ORDER BY t.at, t.id"
)


class Archiving(Looking):
    """The purging part of the spool."""

    _ready_to_purge = False

    def old(self, before: datetime, *, limit: int, cursor: str = "") -> Old:
        """Return up to `limit` messages that were over before this time, oldest first."""
        until = to_number(before)
        last = int(cursor or 0)
        uids: list[str] = []
        with self.db.read() as connection:
            rows = connection.execute(
                "SELECT id, uid, accepted_at FROM message WHERE id > ? ORDER BY id LIMIT ?",
                (last, _LOOKED_AT),
            ).fetchall()
            for number, uid, accepted_at in rows:
                last = number
                if accepted_at < until and _over(connection, number, until):
                    uids.append(uid)
                    if len(uids) == limit:
                        return Old(uids=tuple(uids), cursor=str(last))
        young = all(accepted_at >= until for _, _, accepted_at in rows)
        return Old(uids=tuple(uids), cursor="" if young or len(rows) < _LOOKED_AT else str(last))

    def export(self, uid: str) -> Archived | None:
        """Return everything that is known of one message; None when there is none of that id."""
        self._prepare()
        ways, body = tuple(self.ways(uid)), self.body(uid)
        if not ways or body is None:
            return None
        with self.db.read() as connection:
            run = connection.execute
            number, request_key = run(
                "SELECT id, request_key FROM message WHERE uid = ?", (uid,)
            ).fetchone() or (0, "")
            receipts = _receipts(connection, number)
            return Archived(
                ways=ways,
                way_facts=tuple(
                    facts
                    for (facts,) in run("SELECT facts FROM entry WHERE message = ? ORDER BY id", (number,))
                ),
                request_key=request_key,
                body=body,
                declarations=_declarations(connection, number),
                receipts=receipts,
                history=_history(connection, uid, receipts),
            )

    def purge(self, archived: Sequence[Archived], *, before: datetime) -> list[str]:
        """Take these out, in one commit; one that changed since its export stays. Returns whose uids went."""
        self._prepare()
        until = to_number(before)
        gone = []
        with self.db.write() as connection:
            for one in archived:
                row = connection.execute("SELECT id FROM message WHERE uid = ?", (one.uid,)).fetchone()
                if row is None or not _over(connection, row[0], until):
                    continue
                if _answers(connection, row[0]) == one.answers and not unsealed(connection, one.uid):
                    _purge(connection, row[0], one.uid)
                    gone.append(one.uid)
        return gone

    def _prepare(self) -> None:
        if self._ready_to_purge:
            return
        with self.db.read() as connection:
            (there,) = connection.execute(
                "SELECT count(*) FROM sqlite_master WHERE name IN ('handle_declaration', 'orphan_arrival')"
            ).fetchone()
        if there < len(_INDEXES):
            with self.db.write() as connection:
                for index in _INDEXES:
                    connection.execute(index)
        self._ready_to_purge = True


def _over(connection: sqlite3.Connection, message: int, before: int) -> bool:
    (over,) = connection.execute(
        f"SELECT (SELECT accepted_at FROM message WHERE id = ?1) < ?2 AND {_DONE} AND {_QUIET}",
        (message, before),
    ).fetchone()
    return bool(over)


def _answers(connection: sqlite3.Connection, message: int) -> int:
    (count,) = connection.execute(
        "SELECT count(*) FROM timeline WHERE declaration IN (SELECT declaration FROM version WHERE message = ?)",
        (message,),
    ).fetchone()
    return int(count)


def _declarations(connection: sqlite3.Connection, message: int) -> tuple[ArchivedDeclaration, ...]:
    rows = connection.execute(
        "SELECT d.id, d.identity, v.version, d.facts FROM version v JOIN declaration d ON d.id = v.declaration"
        " WHERE v.message = ? ORDER BY d.id, v.version",
        (message,),
    ).fetchall()
    return tuple(
        ArchivedDeclaration(
            identity=identity,
            version=version,
            facts=facts,
            handles=tuple(
                text
                for (text,) in connection.execute(
                    "SELECT text FROM handle WHERE declaration = ? ORDER BY text", (declaration,)
                )
            ),
            answers=_timeline(connection, declaration),
        )
        for declaration, identity, version, facts in rows
    )


def _timeline(connection: sqlite3.Connection, declaration: int) -> tuple[TimelineEntry, ...]:
    return tuple(timeline_entry(row) for row in connection.execute(_TIMELINE, (declaration,)))


def _receipts(connection: sqlite3.Connection, message: int) -> tuple[ArchivedReceipt, ...]:
    rows = connection.execute(
        "SELECT id, feed, name, kind, cop_msg_id, received_at, body FROM arrival WHERE id IN (SELECT t.arrival"
        " FROM version v JOIN timeline t ON t.declaration = v.declaration WHERE v.message = ?) ORDER BY id",
        (message,),
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


def _history(
    connection: sqlite3.Connection, uid: str, receipts: Sequence[ArchivedReceipt]
) -> tuple[JournalLine, ...]:
    query = f"{LINE} WHERE uid = ? AND uid <> ''"
    rows = set(connection.execute(query, (uid,)))
    for name in {name_of(receipt.cop_msg_id, receipt.id) for receipt in receipts}:
        rows |= set(connection.execute(f"{query} AND event = 'receipt.filed'", (name,)))
    return tuple(map(line, sorted(rows)))


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
    run("DELETE FROM timeline WHERE declaration = ?", (declaration,))
    run("DELETE FROM handle WHERE declaration = ?", (declaration,))
    run("DELETE FROM earlier_facts WHERE declaration = ?", (declaration,))
    run("DELETE FROM declaration WHERE id = ?", (declaration,))
    for notice in {notice for _, notice in rows}:
        run(
            "DELETE FROM notice WHERE cursor = ?1 AND NOT EXISTS (SELECT 1 FROM timeline WHERE notice = ?1)",
            (notice,),
        )
    for arrival in {arrival for arrival, _ in rows}:
        _purge_arrival(connection, arrival)


def _purge_arrival(connection: sqlite3.Connection, arrival: int) -> None:
    """Take out a raw answer unless it speaks of others too, or of somebody who is not found yet."""
    run = connection.execute
    if run(
        "SELECT EXISTS (SELECT 1 FROM timeline WHERE arrival = ?1)"
        " OR EXISTS (SELECT 1 FROM orphan WHERE arrival = ?1 AND resolved = 0)",
        (arrival,),
    ).fetchone()[0]:
        return
    (cop_msg_id,) = run("SELECT cop_msg_id FROM arrival WHERE id = ?", (arrival,)).fetchone()
    run("DELETE FROM orphan WHERE arrival = ?", (arrival,))
    run("DELETE FROM arrival_feed WHERE arrival = ?", (arrival,))
    run("DELETE FROM arrival WHERE id = ?", (arrival,))
    run(
        "DELETE FROM journal WHERE uid = ?1 AND uid <> '' AND event = 'receipt.filed'"
        " AND NOT EXISTS (SELECT 1 FROM arrival WHERE cop_msg_id = ?1 AND cop_msg_id <> '')",
        (name_of(cop_msg_id, arrival),),
    )
