"""Find messages that are over, and put together everything about one, before it is taken out of the spool."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from spool import values
from spool.archived import Archived, ArchivedDeclaration, ArchivedReceipt
from spool.entry import JournalLine, Old
from spool.journal import name_of
from spool.shared.backend import Store
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSql:
    """What a backend says in its own SQL."""

    old: str
    """Number, uid, accepted_at and whether it was over before a time, of messages behind a number, in order; limit."""
    receipts: str
    """Rows of `values.archived_receipt` that speak of a declaration of a message, by number."""
    history: str
    """Journal lines about a uid, or that an arrival of one of these names was filed, by number."""


class SharedRetention(ABC):
    """The part of a spool that gives up old messages: `spool.store.SpoolRetention`."""

    def __init__(self, db: Store, sql: RetentionSql, reading: SharedReading) -> None:
        self._store = db
        self._sql = sql
        self._reading = reading

    @abstractmethod
    def purge(self, archived: Sequence[Archived], *, before: datetime) -> list[str]:
        """Take these out, in one commit; one that changed since its export stays. Returns whose uids went."""

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
        ways, body = tuple(self._reading.ways(uid)), self._reading.body(uid)
        found = self._store.rows(_MESSAGE, uid)
        if not ways or body is None or not found:
            return None
        ((number, request_key),) = found
        receipts = tuple(values.archived_receipt(row) for row in self._store.rows(self._sql.receipts, number))
        return Archived(
            ways=ways,
            way_facts=tuple(row[0] for row in self._store.rows(_WAY_FACTS, number)),
            request_key=request_key,
            body=body,
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
