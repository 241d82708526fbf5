"""Keep what came back, and put it on the timelines, on PostgreSQL.

A notice's cursor counts within its owner: the row of `reader` is counted up, and so locked, by the transaction
that files, until it commits. So cursors of one owner become visible in their order, and whoever has read up to
one has missed none below it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from spool import values
from spool.entry import Collected, Filing, Found
from spool.filing import FiledBefore, FilingRows, answers_in, declarations_in
from spool.postgres.arrays import columns, int8s
from spool.postgres.database import PostgresDatabase, numbers
from spool.postgres.days import DAY
from spool.postgres.texts import short
from spool.shared.backend import Row, Transaction
from spool.shared.outbox import SharedOutbox
from spool.shared.receipts import PAGE, ReceiptsSql, SharedReceipts

_ORPHAN: Final = (
    "SELECT o.id, o.arrival, o.body_index, a.feed, a.name, a.kind, o.reason, o.facts, a.received_at, {}"
    " FROM orphan o JOIN arrival a ON a.id = o.arrival WHERE NOT o.resolved"
)
RECEIPTS: Final = ReceiptsSql(
    arrival=(
        "SELECT a.id, a.feed, a.name, b.body, a.received_at,"
        " (SELECT string_agg(f.feed, E'\\n' ORDER BY f.feed COLLATE \"C\") FROM arrival_feed f WHERE f.arrival = a.id)"
        " FROM arrival a JOIN arrival_body b ON b.day = a.day AND b.arrival = a.id"
    ),
    unfiled="NOT a.filed",
    carriers=(
        "SELECT DISTINCT v.declaration, e.destination FROM unnest(%s::bigint[]) AS o (id)"
        " JOIN version v ON v.declaration = o.id JOIN entry e ON e.message = v.message"
    ),
    pointed=_ORPHAN.format(
        "(SELECT count(*) FROM orphan_lookup l JOIN declaration d ON d.identity = l.text WHERE l.orphan = o.id)"
        " + (SELECT count(*) FROM orphan_lookup l JOIN handle h ON h.text = l.text WHERE l.orphan = o.id)"
        " + (SELECT count(*) FROM orphan_lookup l JOIN entry e ON e.cop_msg_id = l.text WHERE l.orphan = o.id)"
        " + (SELECT count(*) FROM arrival_feed f WHERE f.arrival = o.arrival)"
    )
    + " AND o.id > %s ORDER BY o.id LIMIT %s",
    newest=f"{_ORPHAN.format('0::bigint')} ORDER BY o.id DESC LIMIT %s",
)
_NAMED_ORPHANS: Final = (
    f"{_ORPHAN.format('0::bigint')} AND o.id IN (SELECT l.orphan FROM unnest(%s::text[]) AS n (text) CROSS JOIN LATERAL ("
    "SELECT orphan FROM orphan_lookup WHERE orphan_lookup.text = n.text ORDER BY orphan DESC LIMIT %s) AS l)"
)
"""Orphans that texts would resolve, up to a limit for each text."""
_KEEP: Final = (
    "WITH o AS (SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bytea[], %s::bytea[])"
    " AS o (id, feed, name, sha256, body)), t AS (SELECT %s AS day, %s AS now),"
    " new AS (INSERT INTO arrival (id, day, feed, name, sha256, received_at)"
    " SELECT id, day, feed, name, sha256, now FROM o, t ON CONFLICT (sha256) DO NOTHING RETURNING id)"
    " INSERT INTO arrival_body (day, arrival, body) SELECT t.day, o.id, o.body FROM o JOIN new USING (id), t"
    " RETURNING arrival"
)
"""Keep bytes that are new: numbers, feeds, names, digests, bytes, day, time. Returns the numbers of those."""
_SAID_AGAIN: Final = (
    "UPDATE arrival a SET filed = false, name = o.name, received_at = %s"
    " FROM unnest(%s::text[], %s::text[], %s::bytea[]) AS o (feed, name, sha256)"
    " WHERE a.sha256 = o.sha256 AND a.feed = o.feed AND a.asks AND a.filed AND a.name <> o.name"
)
"""Have bytes filed again that asked for another attempt and came under another name."""
_ALSO: Final = (
    "INSERT INTO arrival_feed SELECT a.id, o.feed FROM unnest(%s::bytea[], %s::text[]) AS o (sha256, feed)"
    " JOIN arrival a ON a.sha256 = o.sha256 WHERE a.feed <> o.feed ON CONFLICT DO NOTHING"
)
"""Remember other feeds that brought bytes."""
_ARRIVALS: Final = "SELECT id, sha256, filed FROM arrival WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
"""Arrivals by number, locked: of two nodes that file the same, one waits here."""
_OWNERS: Final = "SELECT id, owner FROM declaration WHERE id = ANY(%s) ORDER BY owner, identity FOR KEY SHARE"
"""Owners of declarations, locked against being purged, not against each other."""
_KNOWN: Final = (
    "SELECT declaration, digest FROM timeline"
    " JOIN unnest(%s::bigint[], %s::text[]) AS o (declaration, digest) USING (declaration, digest)"
)
"""Answers that are there."""
_ADDRESSED: Final = "SELECT arrival, owner FROM addressed WHERE arrival = ANY(%s)"
"""Whom arrivals are for as a whole."""
_CURSORS: Final = (
    "INSERT INTO reader (owner, newest) SELECT * FROM unnest(%s::text[], %s::bigint[])"
    " ON CONFLICT (owner) DO UPDATE SET newest = reader.newest + excluded.newest RETURNING owner, newest"
)
"""Count up the newest cursor of owners; locks their rows, in one order for all, until the commit."""
_NOTICE: Final = (
    "INSERT INTO notice (cursor, owner, arrival) SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bigint[])"
)
_TIMELINE: Final = (
    "INSERT INTO timeline (declaration, owner, at, kind, status, facts, digest, body_index, arrival, notice)"
    " SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[], %s::text[],"
    " %s::bigint[], %s::bigint[], %s::bigint[])"
)
_MAIL: Final = (
    "INSERT INTO mail SELECT o.owner, o.cursor, length(b.body)"
    " FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) AS o (owner, cursor, arrival)"
    " JOIN arrival a ON a.id = o.arrival JOIN arrival_body b ON b.day = a.day AND b.arrival = a.id"
)
_ADDRESS: Final = "INSERT INTO addressed (arrival, owner) SELECT * FROM unnest(%s::bigint[], %s::text[])"
_HANDLE: Final = (
    "INSERT INTO handle (text, declaration, owner)"
    " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[]) ON CONFLICT DO NOTHING"
)
_ORPHANED: Final = (
    "INSERT INTO orphan (id, arrival, body_index, reason, facts)"
    " SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::bytea[])"
)
_LOOKUP: Final = "INSERT INTO orphan_lookup (text, orphan) SELECT * FROM unnest(%s::text[], %s::bigint[]) ON CONFLICT DO NOTHING"
_FILED: Final = (
    "UPDATE arrival a SET filed = true, kind = o.kind, cop_msg_id = o.cop_msg_id, asks = a.asks OR o.asks = 1"
    " FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[]) AS o (kind, cop_msg_id, asks, id)"
    " WHERE a.id = o.id"
)
"""Rows of `spool.filing.FilingRows`."""
_POINTED: Final = (
    "SELECT d.id, d.owner, d.identity, d.facts, o.text,"
    " EXISTS (SELECT 1 FROM earlier_facts e WHERE e.declaration = d.id)"
    " FROM unnest(%s::text[], %s::text[], %s::bigint[]) WITH ORDINALITY AS o (text, short, after, place)"
    " CROSS JOIN (VALUES (%s::text)) AS w (owner) CROSS JOIN LATERAL ("
    "SELECT n.id FROM declaration n WHERE n.identity = o.text AND n.id > o.after AND w.owner IN ('', n.owner)"
    " UNION (SELECT h.declaration FROM handle h WHERE h.text = o.short AND h.declaration > o.after"
    f" AND w.owner IN ('', h.owner) ORDER BY h.declaration LIMIT {PAGE}) ORDER BY 1 LIMIT {PAGE}) AS f"
    " JOIN declaration d ON d.id = f.id ORDER BY o.place, d.id"
)
"""A page of the declarations that texts point at, of each text behind a number."""
_EARLIER: Final = f"SELECT digest, facts FROM earlier_facts WHERE declaration = %s AND digest > %s ORDER BY digest LIMIT {PAGE}"
"""A page of the facts that a declaration had before."""


class PostgresReceipts(SharedReceipts):
    """Keeps, files and finds with a statement for many values."""

    def __init__(self, db: PostgresDatabase, outbox: SharedOutbox) -> None:
        super().__init__(db, RECEIPTS, outbox)

    def keep(self, collected: Sequence[Collected]) -> int:
        """Keep raw answers; bytes kept before are not kept twice, but who else brings them is."""
        different: dict[bytes, Collected] = {}
        for one in collected:
            different.setdefault(one.sha256, one)

        def work(transaction: Transaction) -> int:
            made = numbers(transaction, "arrival_number", len(different))
            rows = sorted(zip(made, different.values(), strict=True), key=lambda row: row[1].sha256)
            given = columns(
                "ittbb", [(number, one.feed, one.name, one.sha256, one.body) for number, one in rows]
            )
            new = {row[0] for row in transaction.all(_KEEP, *given, transaction.now // DAY, transaction.now)}
            again = [(one.feed, one.name, one.sha256) for number, one in rows if number not in new]
            if again:
                transaction.run(_SAID_AGAIN, transaction.now, *columns("ttb", again))
                transaction.many(_ALSO, "bt", [(sha256, feed) for feed, _, sha256 in again])
            return len(new)

        return self._store.transact(work) if collected else 0

    def _before(self, transaction: Transaction, filings: Sequence[Filing]) -> FiledBefore:
        run = transaction.run
        arrivals = run(_ARRIVALS, int8s(filing.arrival for filing in filings))
        owners = run(_OWNERS, int8s(declarations_in(filings)))
        known = run(_KNOWN, *columns("it", answers_in(filings)))
        mail = [filing.arrival for filing in filings if filing.addressees]
        addressed = mail and run(_ADDRESSED, int8s(mail))
        orphans = numbers(transaction, "orphan_number", sum(len(filing.orphans) for filing in filings))
        there = list(arrivals)
        return FiledBefore(
            owners={row[0]: row[1] for row in owners},
            answers={(row[0], row[1]) for row in known},
            addressed={(row[0], row[1]) for row in addressed or ()},
            sha256={row[0]: row[1] for row in there},
            filed={row[0] for row in there if row[2]},
            orphans=iter(orphans),
        )

    def _write(self, transaction: Transaction, rows: FilingRows) -> None:
        many = transaction.many
        cursors = _cursors(transaction, [owner for owner, _ in rows.notice])
        many(_NOTICE, "iti", [(cursors[place], *notice) for place, notice in enumerate(rows.notice)])
        many(_TIMELINE, "ittttbtiii", [(*row[:-1], cursors[row[-1]]) for row in rows.timeline])
        many(
            _MAIL,
            "tii",
            [(rows.notice[place][0], cursors[place], rows.notice[place][1]) for place in rows.mail],
        )
        many(_ADDRESS, "it", rows.addressed)
        handles = sorted({(short(text), number, owner) for owner, text, number in rows.handle})
        many(_HANDLE, "tit", handles)
        many(_ORPHANED, "iiitb", rows.orphan)
        many(_LOOKUP, "ti", [(short(text), number) for text, number in rows.orphan_lookup])
        filed = [(kind, short(cop_msg_id), asks, number) for kind, cop_msg_id, asks, number in rows.arrival]
        many(_FILED, "ttii", filed)

    def _orphans_named(self, texts: Sequence[str], limit: int) -> list[Row]:
        return self._store.rows(_NAMED_ORPHANS, self._store.texts(texts), limit)

    def find(self, texts: Sequence[str], *, owner: str | None = None) -> Iterator[Found]:
        """Yield every declaration that one of the texts points at, once for each of its facts, the newest last."""
        left = dict.fromkeys(texts, 0)
        while left:
            given = [(text, short(text), after) for text, after in left.items()]
            rows = self._store.rows(_POINTED, *columns("tti", given), owner or "")
            pages = Counter(row[4] for row in rows)
            left = {row[4]: row[0] for row in rows if pages[row[4]] == PAGE}
            for *row, text, changed in rows:
                found = values.found(row, text)
                if changed:
                    yield from self._earlier(found)
                yield found

    def _earlier(self, one: Found) -> Iterator[Found]:
        """Yield it as each of its versions before the newest says."""
        rows: list[Row] = [(b"",)]
        while rows := self._store.rows(_EARLIER, one.declaration, rows[-1][0]):
            for _, facts in rows:
                yield replace(one, facts=facts)


def _cursors(transaction: Transaction, owners: Sequence[str]) -> list[int]:
    """Give each notice its cursor."""
    if not owners:
        return []
    counts = Counter(owners)
    rows = transaction.all(_CURSORS, *columns("ti", sorted(counts.items())))
    last = {owner: newest - counts[owner] for owner, newest in rows}
    cursors = []
    for owner in owners:
        last[owner] += 1
        cursors.append(last[owner])
    return cursors
