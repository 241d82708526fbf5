"""Find messages that are over, and put together everything about one, before it is taken out of the spool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from spool import values
from spool.archived import Archived, ArchivedDeclaration, ArchivedReceipt
from spool.entry import JournalLine, Old
from spool.journal import name_of
from spool.shared.backend import Store, Transaction
from spool.shared.reading import TIMELINE, SharedReading
from spool.times import to_number

_LOOKED_AT: Final = 500
"""Messages that one look for old ones reads at most."""
DONE: Final = (
    "m.accepted_at < o.until AND EXISTS (SELECT 1 FROM entry e WHERE e.message = m.id)"
    " AND NOT EXISTS (SELECT 1 FROM entry e WHERE e.message = m.id"
    " AND (e.state NOT IN ('sent', 'discarded') OR e.due_at >= o.until OR e.sent_at >= o.until))"
)
"""Message `m` was accepted and every entry settled before `o.until`; a settlement leaves its time in `due_at`."""
_MESSAGE: Final = "SELECT id, request_key FROM message WHERE uid = ?"
"""Number and request key of a message."""
_WAY_FACTS: Final = "SELECT facts FROM entry WHERE message = ? ORDER BY id"
"""Facts of the ways of a message."""
_DECLARATIONS: Final = (
    "SELECT d.id, d.identity, v.version, d.facts FROM version v JOIN declaration d ON d.id = v.declaration"
    " WHERE v.message = ? ORDER BY d.id, v.version"
)
"""Declarations of a message."""
_HANDLES: Final = "SELECT text FROM handle WHERE declaration = ?"
"""Handles of a declaration."""
_ANSWERS: Final = f"{TIMELINE} WHERE t.declaration = ? ORDER BY t.at, t.id"
"""Answers about a declaration, in the order of customs' own time."""
ANSWERING: Final = (
    "SELECT t.arrival FROM version v JOIN timeline t ON t.declaration = v.declaration WHERE v.message = ?"
)
"""Arrivals that speak of a declaration of a message."""

_JOURNAL: Final = "DELETE FROM journal WHERE uid <> '' AND uid {among}"
"""Take out the journal lines of messages."""
_VERSIONS: Final = "DELETE FROM version WHERE message {among} RETURNING declaration"
"""Take out what messages say; returns about which declarations."""
_LINKS: Final = "DELETE FROM parcel WHERE declaration {among} AND message {among}"
"""Take out how these messages link declarations."""
_OF: Final = "DELETE FROM {table} WHERE {column} {among}"
"""Take out rows of a table."""
_LEFT: Final = (
    "DELETE FROM declaration AS d WHERE d.id {among}"
    " AND NOT EXISTS (SELECT 1 FROM version v WHERE v.declaration = d.id) RETURNING id"
)
"""Take out those of these declarations that no message speaks of any more."""
_ARRIVALS: Final = (
    "DELETE FROM arrival AS a WHERE a.id {among} AND NOT EXISTS (SELECT 1 FROM timeline t WHERE t.arrival = a.id)"
    " AND NOT EXISTS (SELECT 1 FROM orphan o WHERE o.arrival = a.id AND NOT o.resolved) RETURNING id, cop_msg_id"
)
"""Take out those of these raw answers that speak of nobody else, nor of a declaration that is not found yet."""
_FILED: Final = (
    "DELETE FROM journal AS j WHERE j.uid <> '' AND j.uid {among} AND j.event = 'receipt.filed'"
    " AND NOT EXISTS (SELECT 1 FROM arrival a WHERE a.cop_msg_id = j.uid AND a.cop_msg_id <> '')"
)
"""Take out the journal lines of raw answers that are gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSql:
    """What a backend says in its own SQL."""

    among: str
    """Condition: a column is one of a list, which is one value."""
    lock: str
    """Keep others from putting or filing anything about the declarations of messages, by uid; empty: nobody else writes."""
    purgeable: str
    """Number, uid and answers of those messages that are over before a time; none while lines about it are to be sealed."""
    tables: tuple[str, ...]
    """Tables with rows of one message, but for `version` and `message`."""
    answers: str
    """Take the answers about declarations out; returns owner, if cursors count within it, notice and arrival."""
    notices: str
    """Take out notices that no answer is of any more: owner, cursor; for many."""

    old: str
    """Number, uid, accepted_at and whether it was over before a time, of messages behind a number, in order; limit."""
    receipts: str
    """Rows of `values.archived_receipt` that speak of a declaration of a message, by number."""
    history: str
    """Journal lines about a uid, or that an arrival of one of these names was filed, by number."""


class SharedRetention:
    """The part of a spool that gives up old messages: `spool.store.SpoolRetention`."""

    def __init__(self, db: Store, sql: RetentionSql, reading: SharedReading) -> None:
        self._store = db
        self._sql = sql
        self._reading = reading

    def purge(self, archived: Sequence[Archived], *, before: datetime) -> list[str]:
        """Take these out, in one commit; one that changed since its export stays. Returns whose uids went."""
        until = to_number(before)
        answers = {one.uid: one.answers for one in archived}

        def work(transaction: Transaction) -> list[str]:
            asked = self._store.texts(answers)
            if self._sql.lock:
                transaction.run(self._sql.lock, asked)
            rows = transaction.all(self._sql.purgeable, until, asked)
            gone = {number: uid for number, uid, found in rows if answers[uid] == found}
            if gone:
                self._purge(transaction, gone)
            return list(gone.values())

        return self._store.transact(work)

    def _purge(self, transaction: Transaction, gone: Mapping[int, str]) -> None:
        among, numbers, texts, key = self._sql.among, self._store.numbers, self._store.texts, self._store.key
        messages = numbers(gone)
        transaction.run(_JOURNAL.format(among=among), texts(map(key, gone.values())))
        said = transaction.all(_VERSIONS.format(among=among), messages)
        transaction.run(_LINKS.format(among=among), numbers({row[0] for row in said}), messages)
        for table in self._sql.tables:
            transaction.run(_OF.format(table=table, column="message", among=among), messages)
        transaction.run(_OF.format(table="message", column="id", among=among), messages)
        left = transaction.all(_LEFT.format(among=among), numbers({row[0] for row in said}))
        declarations = numbers(row[0] for row in left)
        for table in ("handle", "earlier_facts"):
            transaction.run(_OF.format(table=table, column="declaration", among=among), declarations)
        answers = transaction.all(self._sql.answers, declarations)
        transaction.many(self._sql.notices, "ti", {(owner, notice) for owner, notice, _ in answers})
        arrivals = transaction.all(_ARRIVALS.format(among=among), numbers({row[2] for row in answers}))
        for table in ("orphan", "arrival_feed"):
            asked = numbers(row[0] for row in arrivals)
            transaction.run(_OF.format(table=table, column="arrival", among=among), asked)
        names = texts({name_of(cop_msg_id, number) for number, cop_msg_id in arrivals})
        transaction.run(_FILED.format(among=among), names)

    def old(self, before: datetime, *, limit: int, cursor: str = "") -> Old:
        """Return up to `limit` messages that were over before this time, oldest first."""
        until = to_number(before)
        rows = self._store.rows(self._sql.old, until, int(cursor or 0), _LOOKED_AT)
        uids: list[str] = []
        for number, uid, _, over in rows:
            if over:
                uids.append(uid)
                if len(uids) == limit:
                    return Old(uids=tuple(uids), cursor=str(number))
        young = all(accepted_at >= until for _, _, accepted_at, _ in rows)
        return Old(uids=tuple(uids), cursor="" if young or len(rows) < _LOOKED_AT else str(rows[-1][0]))

    def export(self, uid: str) -> Archived | None:
        """Return everything that is known of one message; None when there is none of that id."""
        ways, kept = tuple(self._reading.ways(uid)), self._reading.kept(uid)
        found = self._store.rows(_MESSAGE, uid)
        if not ways or kept is None or not found:
            return None
        body, source = kept
        ((number, request_key),) = found
        receipts = tuple(values.archived_receipt(row) for row in self._store.rows(self._sql.receipts, number))
        return Archived(
            ways=ways,
            way_facts=tuple(row[0] for row in self._store.rows(_WAY_FACTS, number)),
            request_key=request_key,
            body=body,
            source=source,
            declarations=self._declarations(number),
            receipts=receipts,
            history=self._history(uid, receipts),
        )

    def _declarations(self, message: int) -> tuple[ArchivedDeclaration, ...]:
        run = self._store.rows
        return tuple(
            ArchivedDeclaration(
                identity=identity,
                version=version,
                facts=facts,
                handles=tuple(sorted(row[0] for row in run(_HANDLES, number))),
                answers=tuple(values.timeline_entry(row) for row in run(_ANSWERS, number)),
            )
            for number, identity, version, facts in run(_DECLARATIONS, message)
        )

    def _history(self, uid: str, receipts: Sequence[ArchivedReceipt]) -> tuple[JournalLine, ...]:
        names = {self._store.key(name_of(receipt.cop_msg_id, receipt.id)) for receipt in receipts}
        rows = self._store.rows(self._sql.history, self._store.key(uid), self._store.texts(names))
        return tuple(values.journal_line(row) for row in rows)
