"""Read what came back: raw answers, orphans, and the messages and declarations that answers are compared with."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from spool import values
from spool.entry import Filed, Filing, Orphan, RawArrival, Travelled
from spool.filing import FiledBefore, FilingBatch, FilingRows
from spool.shared.backend import Row, Store, Transaction
from spool.shared.outbox import SharedOutbox
from spool.store import Topic
from spool.times import to_time
from spool.travelling import COLUMNS, MOST, UNTOLD, TravelledEntry, meant

PAGE: Final = 500
"""Rows of one text that are looked at together: a text of many declarations is read to its end, never held as a whole."""
_TRAVELLED: Final = f"SELECT {COLUMNS} FROM entry WHERE cop_msg_id = ?{{}} ORDER BY id LIMIT {MOST}"
"""Entries under a CopMsgId."""
_MESSAGE: Final = "SELECT uid, owner, kind, accepted_at FROM message WHERE id = ?"
"""Whose a message is."""
_DECLARATIONS: Final = (
    "SELECT DISTINCT d.id, d.owner, d.identity, d.facts FROM version v"
    " JOIN declaration d ON d.id = v.declaration WHERE v.message = ? ORDER BY d.id"
)
"""Declarations of a message: rows of `values.found`."""

_RESOLVE: Final = "UPDATE orphan SET resolved = true WHERE id = ?"
"""Mark an orphan as resolved."""
_FORGET_LOOKUPS: Final = "DELETE FROM orphan_lookup WHERE orphan = ?"
"""Forget what would resolve an orphan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptsSql:
    """What a backend says in its own SQL."""

    arrival: str
    """Rows of `values.raw_arrival`, of `arrival a`."""
    unfiled: str
    """The condition of the index `arrival_unfiled`."""
    carriers: str
    """Declaration and destination, of each of these declarations."""
    pointed: str
    """Rows of `values.orphan` behind a number, in order; limit."""
    newest: str
    """The newest orphans, rows of `values.orphan`; limit."""


class SharedReceipts(ABC):
    """The part of a spool that keeps and files answers: `spool.store.SpoolReceipts`, but for `keep` and `find`."""

    def __init__(self, db: Store, sql: ReceiptsSql, outbox: SharedOutbox) -> None:
        self._store = db
        self._outbox = outbox
        self._sql = sql

    @abstractmethod
    def _before(self, transaction: Transaction, filings: Sequence[Filing]) -> FiledBefore:
        """Fetch what these filings are judged by."""

    @abstractmethod
    def _write(self, transaction: Transaction, rows: FilingRows) -> None:
        """Write the rows of what is filed, but for the journal."""

    @abstractmethod
    def _orphans_named(self, texts: Sequence[str], limit: int) -> list[Row]:
        """Return up to `limit` of the newest for each text, perhaps more than once."""

    def file(self, filings: Sequence[Filing], *, resolves: Sequence[int] = ()) -> list[Filed]:
        """File what arrivals turned out to be, and mark orphans as resolved, in one commit.

        Two processes may file the same arrival: what the faster one wrote is a duplicate to the slower.
        """

        def work(transaction: Transaction) -> list[Filed]:
            batch = FilingBatch(self._before(transaction, filings))
            done = [batch.file(filing) for filing in filings]
            self._write(transaction, batch.rows)
            for orphan in resolves:
                transaction.run(_RESOLVE, orphan)
                transaction.run(_FORGET_LOOKUPS, orphan)
            transaction.journal(batch.rows.journal)
            if batch.rows.notice:
                transaction.wake(Topic.NOTICES)
            returned = self._outbox.bounce(transaction, filings)
            return [replace(one, ended=returned.get(one.arrival, ())) for one in done] if returned else done

        return self._store.transact(work)

    def unfiled(self, limit: int) -> list[RawArrival]:
        """Return raw answers not filed yet, oldest first."""
        query = f"{self._sql.arrival} WHERE {self._sql.unfiled} ORDER BY a.id LIMIT ?"
        return [values.raw_arrival(row) for row in self._store.rows(query, limit)]

    def arrival(self, number: int) -> RawArrival | None:
        """Return one raw answer, filed or not."""
        rows = self._store.rows(f"{self._sql.arrival} WHERE a.id = ?", number)
        return values.raw_arrival(rows[0]) if rows else None

    def carriers(self, declarations: Collection[int]) -> dict[int, set[str]]:
        """Return to which destinations messages about each of these declarations go or went."""
        found: dict[int, set[str]] = {}
        for declaration, destination in self._store.rows(
            self._sql.carriers, self._store.numbers(declarations)
        ):
            found.setdefault(declaration, set()).add(destination)
        return found

    def travelled(self, cop_msg_id: str, senders: Collection[str] = ()) -> Travelled | None:
        """Return the one message of these senders, or of any, that goes out under this CopMsgId: `travelling.meant`."""
        wanted = (*senders, UNTOLD) if senders else ()
        of_them = f" AND sender IN ({', '.join('?' * len(wanted))})" if wanted else ""
        found = self._store.rows(_TRAVELLED.format(of_them), cop_msg_id, *wanted)
        entries = meant([TravelledEntry(*row) for row in found], senders)
        messages = self._store.rows(_MESSAGE, entries[0].message) if entries else ()
        if not messages:  # none, or it was purged a moment ago
            return None
        ((uid, owner, kind, accepted_at),) = messages
        return Travelled(
            uid=uid,
            owner=owner,
            kind=kind,
            accepted_at=to_time(accepted_at),
            declarations=tuple(
                values.found(row, cop_msg_id) for row in self._store.rows(_DECLARATIONS, entries[0].message)
            ),
            entries=tuple(one.latest for one in entries),
        )

    def orphans(self, *, texts: Sequence[str] | None = None, limit: int = 1000) -> list[Orphan]:
        """Return unresolved orphans, newest last; with `texts` those that one of them would resolve."""
        rows = (
            self._store.rows(self._sql.newest, limit)
            if texts is None
            else self._orphans_named([self._store.key(text) for text in dict.fromkeys(texts)], limit)
        )
        return [values.orphan(row) for _, row in sorted({row[0]: row for row in rows}.items())]

    def orphans_after(self, after: int, *, limit: int) -> list[Orphan]:
        """Return up to `limit` unresolved orphans of a higher number, ascending, each with its `pointers`."""
        return [values.orphan(row) for row in self._store.rows(self._sql.pointed, after, limit)]
