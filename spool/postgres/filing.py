"""Keeping what came back, and putting it on the timelines.

A notice's cursor counts within its owner: the row of `reader` is counted up, and so locked, by the transaction
that files, until it commits. So cursors of one owner become visible in their order, and whoever has read up to
one has missed none below it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from spool import journal
from spool.entry import (
    Collected,
    Filed,
    Filing,
    OrphanBody,
    RawArrival,
    TimelineRow,
)
from spool.errors import SpoolError
from spool.postgres.accepting import write_journal
from spool.postgres.arrays import blobs, int8s, texts
from spool.postgres.database import Database, Row, Transaction, numbers, to_time
from spool.postgres.returning import bounced_by
from spool.postgres.signals import wake
from spool.postgres.texts import short

_ARRIVAL = (
    "SELECT a.id, a.feed, a.name, b.body, a.received_at,"
    " (SELECT string_agg(f.feed, E'\\n' ORDER BY f.feed) FROM arrival_feed f WHERE f.arrival = a.id) FROM arrival a"
    " JOIN arrival_body b ON b.day = a.day AND b.arrival = a.id"
)


class FilingCabinet:
    """The collecting part of the spool."""

    db: Database

    def keep(self, collected: Sequence[Collected]) -> int:
        """Keep raw answers; bytes kept before are not kept twice, but who else brings them is."""
        if not collected:
            return 0
        different: dict[bytes, Collected] = {}
        for one in collected:
            different.setdefault(one.sha256, one)

        def work(transaction: Transaction) -> int:
            made = numbers(transaction, "arrival_number", len(different))
            rows = sorted(zip(made, different.values(), strict=True), key=lambda row: row[1].sha256)
            kept = transaction.run(
                "WITH o AS (SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bytea[], %s::bytea[])"
                " AS o (id, feed, name, sha256, body)),"
                " new AS (INSERT INTO arrival (id, day, feed, name, sha256, received_at)"
                " SELECT id, %s, feed, name, sha256, %s FROM o ON CONFLICT (sha256) DO NOTHING RETURNING id)"
                " INSERT INTO arrival_body (day, arrival, body) SELECT %s, o.id, o.body FROM o JOIN new USING (id)"
                " RETURNING arrival",
                int8s(number for number, _ in rows),
                texts(one.feed for _, one in rows),
                texts(one.name for _, one in rows),
                blobs(one.sha256 for _, one in rows),
                blobs(one.body for _, one in rows),
                transaction.day,
                transaction.now,
                transaction.day,
            )
            new = {row[0] for row in kept.fetchall()}
            said_before = [one for number, one in rows if number not in new]
            if said_before:
                transaction.run(
                    "UPDATE arrival a SET filed = false, name = o.name, received_at = %s"
                    " FROM unnest(%s::text[], %s::bytea[], %s::text[]) AS o (name, sha256, feed)"
                    " WHERE a.sha256 = o.sha256 AND a.feed = o.feed AND a.asks AND a.filed AND a.name <> o.name",
                    transaction.now,
                    texts(one.name for one in said_before),
                    blobs(one.sha256 for one in said_before),
                    texts(one.feed for one in said_before),
                )
                transaction.run(
                    "INSERT INTO arrival_feed SELECT a.id, o.feed FROM unnest(%s::bytea[], %s::text[]) AS o (sha256, feed)"
                    " JOIN arrival a ON a.sha256 = o.sha256 WHERE a.feed <> o.feed ON CONFLICT DO NOTHING",
                    blobs(one.sha256 for one in said_before),
                    texts(one.feed for one in said_before),
                )
            return len(new)

        return self.db.write(work)

    def unfiled(self, limit: int) -> list[RawArrival]:
        """Return raw answers not filed yet, oldest first."""
        return [
            _raw(row) for row in self.db.rows(f"{_ARRIVAL} WHERE NOT a.filed ORDER BY a.id LIMIT %s", limit)
        ]

    def arrival(self, number: int) -> RawArrival | None:
        """Return one raw answer, filed or not."""
        rows = self.db.rows(f"{_ARRIVAL} WHERE a.id = %s", number)
        return _raw(rows[0]) if rows else None

    def file(self, filings: Sequence[Filing], *, resolves: Sequence[int] = ()) -> list[Filed]:
        """File what arrivals turned out to be, and mark orphans as resolved, in one commit.

        Two nodes may file the same arrival: what the faster one wrote is a duplicate to the slower.
        """

        def work(transaction: Transaction) -> list[Filed]:
            batch = _Batch(transaction, filings)
            done = [batch.file(filing) for filing in filings]
            batch.write(resolves)
            returned = bounced_by(transaction, filings)
            return [replace(one, ended=returned.get(one.arrival, ())) for one in done] if returned else done

        return self.db.write(work)


def _raw(row: Row) -> RawArrival:
    number, feed, name, body, received_at, also = row
    return RawArrival(
        id=number,
        feed=feed,
        name=name,
        body=body,
        received_at=to_time(received_at),
        also=tuple(also.split("\n")) if also else (),
    )


@dataclass(slots=True)
class _Rows:
    """What one commit inserts."""

    notice: list[tuple[str, int]] = field(default_factory=list)
    """Owner, arrival; the cursor is given when all are known."""
    timeline: list[tuple[TimelineRow, str, int, int]] = field(default_factory=list)
    """Row, owner, arrival, place in `notice`."""
    addressed: list[tuple[int, str]] = field(default_factory=list)
    """Arrival, owner."""
    mail: list[int] = field(default_factory=list)
    """Place in `notice` of each of those."""
    orphan: list[tuple[int, int, OrphanBody]] = field(default_factory=list)
    handle: dict[tuple[str, int], str] = field(default_factory=dict)


class _Batch:
    """The filings of one commit."""

    def __init__(self, transaction: Transaction, filings: Sequence[Filing]) -> None:
        self._transaction = transaction
        self._filings = filings
        self._rows = _Rows()
        self._journal: list[tuple[str, str, str]] = []
        told = [row for filing in filings for row in filing.rows]
        declarations = {row.declaration for row in told}
        declarations.update(number for filing in filings for number in filing.learned)
        run = transaction.run
        filed = run(  # of two nodes that file the same, one waits here
            "SELECT id, filed, sha256 FROM arrival WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE",
            int8s(filing.arrival for filing in filings),
        )
        owners = run(  # locked against being purged, not against each other
            "SELECT id, owner FROM declaration WHERE id = ANY(%s) ORDER BY owner, identity FOR KEY SHARE",
            int8s(declarations),
        )
        known = run(
            "SELECT declaration, digest FROM timeline"
            " JOIN unnest(%s::bigint[], %s::text[]) AS o (declaration, digest) USING (declaration, digest)",
            int8s(row.declaration for row in told),
            texts(row.digest for row in told),
        )
        self._orphans = iter(
            numbers(transaction, "orphan_number", sum(len(filing.orphans) for filing in filings))
        )
        mail = [filing.arrival for filing in filings if filing.addressees]
        heard = mail and run("SELECT arrival, owner FROM addressed WHERE arrival = ANY(%s)", int8s(mail))
        self._heard: set[tuple[int, str]] = {(row[0], row[1]) for row in heard or ()}
        arrivals = list(filed)
        self._filed = {row[0] for row in arrivals if row[1]}
        self._sha256: dict[int, bytes] = {row[0]: row[2] for row in arrivals}
        self._owners: dict[int, str] = {row[0]: row[1] for row in owners}
        self._known = {(row[0], row[1]) for row in known}

    def file(self, filing: Filing) -> Filed:
        """Judge one filing; its rows are to be written."""
        matched: Counter[str] = Counter()
        notices: dict[str, int] = {}
        duplicates = 0
        for row in filing.rows:
            if (row.declaration, row.digest) in self._known:
                duplicates += 1
                continue
            self._known.add((row.declaration, row.digest))
            owner = self._owner(row.declaration)
            if owner not in notices:
                notices[owner] = len(self._rows.notice)
                self._rows.notice.append((owner, filing.arrival))
            self._rows.timeline.append((row, owner, filing.arrival, notices[owner]))
            matched[owner] += 1
        delivered = tuple(owner for owner in filing.addressees if (filing.arrival, owner) not in self._heard)
        for owner in delivered:
            self._heard.add((filing.arrival, owner))
            self._rows.addressed.append((filing.arrival, owner))
            place = notices.get(owner, len(self._rows.notice))
            if owner not in notices:
                self._rows.notice.append((owner, filing.arrival))
            self._rows.mail.append(place)
        for declaration, learned in filing.learned.items():
            for text in learned:
                self._rows.handle[short(text), declaration] = self._owner(declaration)
        orphans = () if filing.arrival in self._filed else filing.orphans
        self._filed.add(filing.arrival)
        self._rows.orphan += [(next(self._orphans), filing.arrival, orphan) for orphan in orphans]
        filed = Filed(
            arrival=filing.arrival,
            matched=dict(matched),
            duplicates=duplicates,
            orphaned=len(orphans),
            delivered=delivered,
        )
        name = journal.name_of(filing.cop_msg_id, filing.arrival)
        lines = journal.filed(filing, filed, self._sha256.get(filing.arrival, b""))
        self._journal += [("receipt.filed", name, line) for line in lines]
        return filed

    def _owner(self, declaration: int) -> str:
        try:
            return self._owners[declaration]
        except KeyError:
            raise SpoolError(f"there is no declaration {declaration}") from None

    def write(self, resolves: Sequence[int]) -> None:
        """Insert the rows of everything filed."""
        run = self._transaction.run
        if self._rows.notice:
            cursors = self._cursors()
            self._write_timelines(cursors)
            self._write_mail(cursors)
            wake(self._transaction, "notices")
        if self._rows.addressed:
            run(
                "INSERT INTO addressed (arrival, owner) SELECT * FROM unnest(%s::bigint[], %s::text[])",
                int8s(arrival for arrival, _ in self._rows.addressed),
                texts(owner for _, owner in self._rows.addressed),
            )
        if self._rows.handle:
            pairs = sorted(self._rows.handle.items())
            run(
                "INSERT INTO handle (text, declaration, owner)"
                " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[]) ON CONFLICT DO NOTHING",
                texts(text for (text, _), _ in pairs),
                int8s(number for (_, number), _ in pairs),
                texts(owner for _, owner in pairs),
            )
        if self._rows.orphan:
            self._write_orphans()
        run(
            "UPDATE arrival a SET filed = true, kind = o.kind, cop_msg_id = o.cop_msg_id, asks = a.asks OR o.asks = 1"
            " FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[]) AS o (id, kind, cop_msg_id, asks)"
            " WHERE a.id = o.id",
            int8s(filing.arrival for filing in self._filings),
            texts(filing.kind for filing in self._filings),
            texts(short(filing.cop_msg_id) for filing in self._filings),
            int8s(bool(filing.bounces) for filing in self._filings),
        )
        if resolves:
            run("UPDATE orphan SET resolved = true WHERE id = ANY(%s)", int8s(resolves))
            run("DELETE FROM orphan_lookup WHERE orphan = ANY(%s)", int8s(resolves))
        write_journal(self._transaction, self._journal)

    def _cursors(self) -> list[int]:
        """Give each notice its cursor; locks the owners' rows, in one order for all, until the commit."""
        counts = sorted(Counter(owner for owner, _ in self._rows.notice).items())
        rows = self._transaction.all(
            "INSERT INTO reader (owner, newest) SELECT * FROM unnest(%s::text[], %s::bigint[])"
            " ON CONFLICT (owner) DO UPDATE SET newest = reader.newest + excluded.newest RETURNING owner, newest",
            texts(owner for owner, _ in counts),
            int8s(count for _, count in counts),
        )
        last = {owner: newest - dict(counts)[owner] for owner, newest in rows}
        cursors = []
        for owner, _ in self._rows.notice:
            last[owner] += 1
            cursors.append(last[owner])
        return cursors

    def _write_timelines(self, cursors: Sequence[int]) -> None:
        notices, lines = self._rows.notice, self._rows.timeline
        self._transaction.run(
            "INSERT INTO notice (owner, cursor, arrival) SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[])",
            texts(owner for owner, _ in notices),
            int8s(cursors),
            int8s(arrival for _, arrival in notices),
        )
        if not lines:
            return
        self._transaction.run(
            "INSERT INTO timeline (declaration, owner, at, kind, status, facts, digest, body_index, arrival, notice)"
            " SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[], %s::text[],"
            " %s::bigint[], %s::bigint[], %s::bigint[])",
            int8s(row.declaration for row, _, _, _ in lines),
            texts(owner for _, owner, _, _ in lines),
            texts(row.at for row, _, _, _ in lines),
            texts(row.kind for row, _, _, _ in lines),
            texts(row.status for row, _, _, _ in lines),
            blobs(row.facts for row, _, _, _ in lines),
            texts(row.digest for row, _, _, _ in lines),
            int8s(row.index for row, _, _, _ in lines),
            int8s(arrival for _, _, arrival, _ in lines),
            int8s(cursors[place] for _, _, _, place in lines),
        )

    def _write_mail(self, cursors: Sequence[int]) -> None:
        notices, places = self._rows.notice, self._rows.mail
        if places:
            self._transaction.run(
                "INSERT INTO mail SELECT o.owner, o.cursor, length(b.body)"
                " FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) AS o (owner, cursor, arrival)"
                " JOIN arrival a ON a.id = o.arrival JOIN arrival_body b ON b.day = a.day AND b.arrival = a.id",
                texts(notices[place][0] for place in places),
                int8s(cursors[place] for place in places),
                int8s(notices[place][1] for place in places),
            )

    def _write_orphans(self) -> None:
        rows = self._rows.orphan
        self._transaction.run(
            "INSERT INTO orphan (id, arrival, body_index, reason, facts)"
            " SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::bytea[])",
            int8s(number for number, _, _ in rows),
            int8s(arrival for _, arrival, _ in rows),
            int8s(orphan.index for _, _, orphan in rows),
            texts(orphan.reason for _, _, orphan in rows),
            blobs(orphan.facts for _, _, orphan in rows),
        )
        lookups = {(short(text), number) for number, _, orphan in rows for text in orphan.lookups}
        self._transaction.run(
            "INSERT INTO orphan_lookup (text, orphan) SELECT * FROM unnest(%s::text[], %s::bigint[])",
            texts(text for text, _ in lookups),
            int8s(number for _, number in lookups),
        )
