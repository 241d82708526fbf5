"""The filings of one commit: judged against the database and against each other, then written at once."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from spool import journal
from spool.entry import Ended, Filed, Filing
from spool.errors import SpoolError
from spool.sqlite.accepting import write_journal
from spool.sqlite.many import select
from spool.sqlite.returning import bounce

_OWNERS = "SELECT id, owner FROM declaration WHERE id IN (VALUES {})"
_KNOWN = (
    "SELECT declaration, digest FROM (VALUES {}) AS o"
    " CROSS JOIN timeline t ON t.declaration = o.column1 AND t.digest = o.column2"
)
"""`(declaration, digest) IN (VALUES …)` goes through the whole table."""
_ARRIVALS = "SELECT id, sha256, filed FROM arrival WHERE id IN (VALUES {})"


@dataclass(slots=True)
class _Rows:
    """What one commit inserts, a list a table."""

    notice: list[tuple[int, str, int]] = field(default_factory=list)
    timeline: list[tuple[object, ...]] = field(default_factory=list)
    handle: list[tuple[str, int]] = field(default_factory=list)
    arrival: list[tuple[str, str, bool, int]] = field(default_factory=list)
    mail: list[tuple[str, int, int]] = field(default_factory=list)
    """Owner, cursor, arrival."""
    journal: list[tuple[str, str, str]] = field(default_factory=list)


class FilingBatch:
    """`file` each, then `write`, within one transaction."""

    def __init__(self, connection: sqlite3.Connection, filings: Sequence[Filing], now: int) -> None:
        self._connection = connection
        self._run = connection.execute
        self._now = now
        self._rows = _Rows()
        told = {(row.declaration, row.digest) for filing in filings for row in filing.rows}
        numbers = {(declaration,) for declaration, _ in told}
        self._owners: dict[int, str] = dict(select(connection, _OWNERS, numbers))
        self._known: set[tuple[int, str]] = set(select(connection, _KNOWN, told))
        arrivals = select(connection, _ARRIVALS, [(filing.arrival,) for filing in filings])
        self._sha256: dict[int, bytes] = {row[0]: row[1] for row in arrivals}
        self._filed: set[int] = {row[0] for row in arrivals if row[2]}
        # nobody else writes during this transaction, so the numbers are ours to give
        row = self._run("SELECT seq FROM sqlite_sequence WHERE name = 'notice'").fetchone()
        self._cursor: int = 0 if row is None else row[0]

    def file(self, filing: Filing) -> Filed:
        """Judge one filing; its rows are to be written."""
        matched: dict[str, int] = {}
        notices: dict[str, int] = {}
        duplicates = 0
        arrival = filing.arrival
        for row in filing.rows:
            owner = self._owner(row.declaration, arrival)
            if (row.declaration, row.digest) in self._known:
                duplicates += 1
                continue
            self._known.add((row.declaration, row.digest))
            notice = notices.get(owner) or self._notify(notices, owner, arrival)
            self._rows.timeline.append(
                (
                    row.declaration, row.at, row.kind, row.status, row.facts, row.digest, row.index,
                    arrival, notice,
                )
            )  # fmt: skip
            matched[owner] = matched.get(owner, 0) + 1
        delivered = self._deliver(filing)
        for owner in delivered:
            notice = notices.get(owner) or self._notify(notices, owner, arrival)
            self._rows.mail.append((owner, notice, arrival))
        for declaration, texts in filing.learned.items():
            self._rows.handle += [(text, declaration) for text in texts]
        filed = Filed(
            arrival=arrival,
            matched=matched,
            duplicates=duplicates,
            orphaned=self._keep_orphans(filing),
            delivered=delivered,
            ended=self._bounce(filing) if filing.bounces else (),
        )
        self._rows.arrival.append((filing.kind, filing.cop_msg_id, bool(filing.bounces), arrival))
        name = journal.name_of(filing.cop_msg_id, arrival)
        for line in journal.filed(filing, filed, self._sha256.get(arrival, b"")):
            self._rows.journal.append(("receipt.filed", name, line))
        return filed

    def write(self) -> None:
        """Insert the rows of everything filed."""
        rows, many = self._rows, self._connection.executemany
        many("INSERT INTO notice (cursor, owner, arrival) VALUES (?, ?, ?)", rows.notice)
        many(
            "INSERT INTO timeline (declaration, at, kind, status, facts, digest, body_index, arrival, notice)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows.timeline,
        )
        many("INSERT INTO mail SELECT ?, ?, length(body) FROM arrival WHERE id = ?", rows.mail)
        many("INSERT OR IGNORE INTO handle (text, declaration) VALUES (?, ?)", rows.handle)
        many(
            "UPDATE arrival SET filed = 1, kind = ?, cop_msg_id = ?, asks = max(asks, ?) WHERE id = ?",
            rows.arrival,
        )
        self._write_journal()

    def _owner(self, declaration: int, arrival: int) -> str:
        try:
            return self._owners[declaration]
        except KeyError:
            raise SpoolError(
                "the declaration of an answer was purged a moment ago",
                where=f"arrival {arrival}",
                fix="nothing to do: the answer is filed again, as an orphan",
                temporary=True,
            ) from None

    def _notify(self, notices: dict[str, int], owner: str, arrival: int) -> int:
        self._cursor += 1
        notices[owner] = self._cursor
        self._rows.notice.append((self._cursor, owner, arrival))
        return self._cursor

    def _deliver(self, filing: Filing) -> tuple[str, ...]:
        """Write whom the arrival is for; return those who had not heard of it."""
        return tuple(
            owner
            for owner in filing.addressees
            if self._run(
                "INSERT OR IGNORE INTO addressed (arrival, owner) VALUES (?, ?)", (filing.arrival, owner)
            ).rowcount
        )

    def _keep_orphans(self, filing: Filing) -> int:
        """Keep what nobody was found for, unless it was filed before, perhaps by another process."""
        known = filing.arrival in self._filed
        self._filed.add(filing.arrival)
        if known:
            return 0
        for orphan in filing.orphans:
            number = self._run(
                "INSERT INTO orphan (arrival, body_index, reason, facts) VALUES (?, ?, ?, ?)",
                (filing.arrival, orphan.index, orphan.reason, orphan.facts),
            ).lastrowid
            self._connection.executemany(
                "INSERT OR IGNORE INTO orphan_lookup (text, orphan) VALUES (?, ?)",
                [(text, number) for text in orphan.lookups],
            )
        return len(filing.orphans)

    def _bounce(self, filing: Filing) -> tuple[Ended, ...]:
        """Let its answers end attempts; what they write in the journal stands behind what was filed before."""
        self._write_journal()
        ended = [bounce(self._connection, one, filing.arrival, self._now) for one in filing.bounces]
        return tuple(one for one in ended if one is not None)

    def _write_journal(self) -> None:
        write_journal(self._connection, self._now, self._rows.journal)
        self._rows.journal.clear()
