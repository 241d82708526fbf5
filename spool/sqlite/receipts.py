"""Keep what came back, and put it on the timelines, on SQLite."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from typing import Final

from msgspec.structs import replace

from spool import values
from spool.entry import Collected, Filing, Found
from spool.filing import FiledBefore, FilingRows, answers_in, declarations_in
from spool.shared.backend import Row, Transaction
from spool.shared.outbox import SharedOutbox
from spool.shared.receipts import PAGE, ReceiptsSql, SharedReceipts
from spool.sqlite.database import SqliteDatabase
from spool.sqlite.many import select

_ORPHAN: Final = (
    "SELECT o.id, o.arrival, o.body_index, a.feed, a.name, a.kind, o.reason, o.facts, a.received_at, {}"
    " FROM orphan o CROSS JOIN arrival a ON a.id = o.arrival WHERE o.resolved = 0"
)
RECEIPTS: Final = ReceiptsSql(
    arrival=(
        "SELECT id, feed, name, body, received_at,"
        " (SELECT group_concat(feed, char(10)) FROM (SELECT f.feed FROM arrival_feed f WHERE f.arrival = a.id ORDER BY f.feed))"
        " FROM arrival a"
    ),
    unfiled="a.filed = 0",
    carriers=(
        "SELECT DISTINCT v.declaration, e.destination FROM json_each(?) o"
        " CROSS JOIN version v ON v.declaration = o.value CROSS JOIN entry e ON e.message = v.message"
    ),
    pointed=_ORPHAN.format(
        "(SELECT count(*) FROM orphan_lookup l CROSS JOIN declaration d ON d.identity = l.text"
        " WHERE l.orphan = o.id) + (SELECT count(*) FROM orphan_lookup l CROSS JOIN handle h ON h.text = l.text"
        " WHERE l.orphan = o.id) + (SELECT count(*) FROM orphan_lookup l CROSS JOIN entry e ON e.cop_msg_id = l.text"
        " WHERE l.orphan = o.id) + (SELECT count(*) FROM arrival_feed f WHERE f.arrival = o.arrival)"
    )
    + " AND o.id > ? ORDER BY o.id LIMIT ?",
    newest=f"{_ORPHAN.format(0)} ORDER BY o.id DESC LIMIT ?",
)
_NAMED_ORPHANS: Final = f"{_ORPHAN.format(0)} AND o.id IN (SELECT orphan FROM orphan_lookup WHERE text = ?) ORDER BY o.id DESC LIMIT ?"
"""The newest orphans that a text would resolve."""
_KEEP: Final = (
    "INSERT OR IGNORE INTO arrival (feed, name, sha256, body, received_at) VALUES (?1, ?2, ?3, ?4, ?5)"
)
"""Keep bytes that are new."""
_SAID_AGAIN: Final = (
    "UPDATE arrival SET filed = 0, name = ?2, received_at = ?5"
    " WHERE sha256 = ?3 AND feed = ?1 AND asks = 1 AND filed = 1 AND name <> ?2"
)
"""Have bytes filed again that asked for another attempt and came under another name."""
_ALSO: Final = (
    "INSERT OR IGNORE INTO arrival_feed SELECT id, ?1 FROM arrival WHERE sha256 = ?2 AND feed <> ?1"
)
"""Remember another feed that brought bytes."""
_OWNERS: Final = "SELECT id, owner FROM declaration WHERE id IN (VALUES {})"
"""Owners of declarations."""
_KNOWN: Final = (
    "SELECT declaration, digest FROM (VALUES {}) AS o"
    " CROSS JOIN timeline t ON t.declaration = o.column1 AND t.digest = o.column2"
)
"""Answers that are there: `(declaration, digest) IN (VALUES …)` goes through the whole table."""
_ARRIVALS: Final = "SELECT id, sha256, filed FROM arrival WHERE id IN (VALUES {})"
"""Arrivals by number."""
_ADDRESSED: Final = "SELECT arrival, owner FROM addressed WHERE arrival IN (VALUES {})"
"""Whom arrivals are for as a whole."""
_LAST_ORPHAN: Final = "SELECT coalesce(max(id), 0) FROM orphan"
"""Number of the newest orphan."""
_LAST_CURSOR: Final = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'notice'"
"""The last cursor given."""
_NOTICE: Final = "INSERT INTO notice (owner, arrival) VALUES (?, ?)"
_TIMELINE: Final = (
    "INSERT INTO timeline (declaration, at, kind, status, facts, digest, body_index, arrival, notice)"
    " VALUES (?1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
)
_MAIL: Final = "INSERT INTO mail SELECT n.owner, n.cursor, length(a.body) FROM notice n JOIN arrival a ON a.id = n.arrival WHERE n.cursor = ?"
_HANDLE: Final = "INSERT OR IGNORE INTO handle (text, declaration) VALUES (?2, ?3)"
_ADDRESS: Final = "INSERT INTO addressed (arrival, owner) VALUES (?, ?)"
_ORPHANED: Final = "INSERT INTO orphan (id, arrival, body_index, reason, facts) VALUES (?, ?, ?, ?, ?)"
_LOOKUP: Final = "INSERT OR IGNORE INTO orphan_lookup (text, orphan) VALUES (?, ?)"
_FILED: Final = "UPDATE arrival SET filed = 1, kind = ?, cop_msg_id = ?, asks = max(asks, ?) WHERE id = ?"
"""Rows of `spool.filing.FilingRows`."""

_NAMED: Final = "SELECT identity, id, owner, facts FROM declaration WHERE identity IN (VALUES {})"
"""Declarations by identity."""
_HANDLES: Final = (
    "SELECT o.column1 FROM (VALUES {}) AS o WHERE EXISTS (SELECT 1 FROM handle WHERE text = o.column1)"
)
"""Texts that are handles."""
_MEANT: Final = (
    "SELECT d.id, d.owner, d.identity, d.facts FROM handle h JOIN declaration d ON d.id = h.declaration"
    " WHERE h.text = ?1 AND h.declaration > ?2 AND d.identity <> ?1 AND (?3 IS NULL OR d.owner = ?3)"
    f" ORDER BY h.declaration LIMIT {PAGE}"
)
"""A page of the declarations that a handle points at."""
_CHANGED: Final = (
    "SELECT o.column1 FROM (VALUES {}) AS o"
    " WHERE EXISTS (SELECT 1 FROM earlier_facts WHERE declaration = o.column1)"
)
"""Declarations whose facts were others before."""
_EARLIER: Final = (
    f"SELECT facts FROM earlier_facts WHERE declaration = ? AND facts > ? ORDER BY facts LIMIT {PAGE}"
)
"""A page of the facts that a declaration had before."""


class SqliteReceipts(SharedReceipts):
    """Keeps, files and finds with a statement for many values."""

    def __init__(self, db: SqliteDatabase, outbox: SharedOutbox) -> None:
        super().__init__(db, RECEIPTS, outbox)
        self._db = db

    def keep(self, collected: Sequence[Collected]) -> int:
        """Keep raw answers; bytes kept before are not kept twice, but who else brings them is."""

        def work(transaction: Transaction) -> int:
            rows = [(one.feed, one.name, one.sha256, one.body, transaction.now) for one in collected]
            before = self._db.connection.total_changes
            transaction.many(_KEEP, "ttbbi", rows)
            new = self._db.connection.total_changes - before
            if new < len(rows):
                transaction.many(_SAID_AGAIN, "ttbbi", rows)
                transaction.many(_ALSO, "tb", [(one.feed, one.sha256) for one in collected])
            return new

        return self._db.transact(work)

    def _before(self, transaction: Transaction, filings: Sequence[Filing]) -> FiledBefore:
        ask = partial(select, self._db.rows)
        arrivals = ask(_ARRIVALS, [(filing.arrival,) for filing in filings])
        mail = [(filing.arrival,) for filing in filings if filing.addressees]
        return FiledBefore(
            owners=dict(ask(_OWNERS, [(number,) for number in declarations_in(filings)])),
            answers=set(ask(_KNOWN, answers_in(filings))),
            addressed=set(ask(_ADDRESSED, mail)),
            sha256={row[0]: row[1] for row in arrivals},
            filed={row[0] for row in arrivals if row[2]},
            orphans=count(transaction.all(_LAST_ORPHAN)[0][0] + 1),
            first=transaction.all(_LAST_CURSOR)[0][0] + 1,  # cursors count over all owners
        )

    def _write(self, transaction: Transaction, rows: FilingRows) -> None:
        many = transaction.many
        many(_NOTICE, "ti", rows.notice)
        many(_TIMELINE, "ittttbtiii", rows.timeline)
        many(_MAIL, "i", [(place,) for place in rows.mail])
        many(_HANDLE, "tti", rows.handle)
        many(_ADDRESS, "it", rows.addressed)
        many(_ORPHANED, "iiitb", rows.orphan)
        many(_LOOKUP, "ti", rows.orphan_lookup)
        many(_FILED, "ttii", rows.arrival)

    def _orphans_named(self, texts: Sequence[str], limit: int) -> list[Row]:
        return [row for text in texts for row in self._db.rows(_NAMED_ORPHANS, text, limit)]

    def find(self, texts: Sequence[str], *, owner: str | None = None) -> Iterator[Found]:
        """Yield every declaration that one of the texts points at, once for each of its facts, the newest last."""
        wanted = [(text,) for text in dict.fromkeys(texts)]
        named = select(self._db.rows, _NAMED, wanted)
        handles = dict.fromkeys(row[0] for row in select(self._db.rows, _HANDLES, wanted))
        yield from self._with_earlier(
            [
                values.found((number, of, identity, facts), identity)
                for identity, number, of, facts in named
                if owner in {None, of}
            ]
        )
        for text in handles:
            after = 0
            while page := [values.found(row, text) for row in self._db.rows(_MEANT, text, after, owner)]:
                yield from self._with_earlier(page)
                after = page[-1].declaration

    def _with_earlier(self, page: Sequence[Found]) -> Iterator[Found]:
        """Yield each as its versions before the newest say, and then as that does."""
        if not page:
            return
        changed = {row[0] for row in select(self._db.rows, _CHANGED, [(one.declaration,) for one in page])}
        for one in page:
            if one.declaration in changed:
                facts: list[Row] = [(b"",)]
                while facts := self._db.rows(_EARLIER, one.declaration, facts[-1][0]):
                    yield from (replace(one, facts=row[0]) for row in facts)
            yield one
