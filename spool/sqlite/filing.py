"""Keeping what came back, putting it on the timelines, and bringing it home."""

import json
from collections.abc import Mapping, Sequence

from spool.entry import (
    Collected,
    Filed,
    Filing,
    Notice,
    Orphan,
    RawArrival,
    TimelineEntry,
    Unread,
)
from spool.signals import Signals
from spool.sqlite.database import Database, to_time
from spool.sqlite.filing_batch import FilingBatch

_ARRIVAL = (
    "SELECT id, feed, name, body, received_at,"
    " (SELECT group_concat(f.feed, char(10)) FROM arrival_feed f WHERE f.arrival = arrival.id) FROM arrival"
)
_TIMELINE = (
    "SELECT d.identity, t.at, t.kind, t.status, t.facts, t.digest, t.body_index, t.arrival, a.received_at, t.notice"
    " FROM timeline t JOIN declaration d ON d.id = t.declaration JOIN arrival a ON a.id = t.arrival"
)
_ANSWERS = (
    "SELECT n.cursor, d.identity, t.at, t.kind, t.status, t.facts, t.digest, t.body_index, n.arrival"
    " FROM notice n CROSS JOIN timeline t ON t.notice = n.cursor CROSS JOIN declaration d ON d.id = t.declaration"
    " WHERE n.owner = ? AND n.cursor > ? AND n.cursor <= ? ORDER BY n.cursor, t.body_index, t.id"
)
"""What a page of notices says, in one go; the order of the joins is that of the page."""

_ORPHAN = "o.id, o.arrival, o.body_index, a.feed, a.name, a.kind, o.reason, o.facts, a.received_at"
_POINTED = (
    f"SELECT {_ORPHAN}, (SELECT count(*) FROM orphan_lookup l CROSS JOIN declaration d ON d.identity = l.text"
    " WHERE l.orphan = o.id) + (SELECT count(*) FROM orphan_lookup l CROSS JOIN handle h ON h.text = l.text"
    " WHERE l.orphan = o.id) + (SELECT count(*) FROM orphan_lookup l CROSS JOIN entry e ON e.cop_msg_id = l.text"
    " WHERE l.orphan = o.id) + (SELECT count(*) FROM arrival_feed f WHERE f.arrival = o.arrival)"
    " FROM orphan o CROSS JOIN arrival a ON a.id = o.arrival"
    " WHERE o.resolved = 0 AND o.id > ? ORDER BY o.id LIMIT ?"
)


class FilingCabinet:
    """The collecting part of the spool."""

    db: Database
    signals: Signals

    def keep(self, collected: Sequence[Collected]) -> int:
        """Keep raw answers; bytes kept before are not kept twice, but who else brings them is."""
        with self.db.write() as connection:
            now = self.db.now()
            before = connection.total_changes
            connection.executemany(
                "INSERT OR IGNORE INTO arrival (feed, name, sha256, body, received_at) VALUES (?, ?, ?, ?, ?)",
                [(one.feed, one.name, one.sha256, one.body, now) for one in collected],
            )
            new = connection.total_changes - before
            if new < len(collected):
                connection.executemany(
                    "UPDATE arrival SET filed = 0, name = ?1, received_at = ?2"
                    " WHERE sha256 = ?3 AND feed = ?4 AND asks = 1 AND filed = 1 AND name <> ?1",
                    [(one.name, now, one.sha256, one.feed) for one in collected],
                )
                connection.executemany(
                    "INSERT OR IGNORE INTO arrival_feed SELECT id, ?1 FROM arrival WHERE sha256 = ?2 AND feed <> ?1",
                    [(one.feed, one.sha256) for one in collected],
                )
            return new

    def unfiled(self, limit: int) -> list[RawArrival]:
        """Return raw answers not filed yet, oldest first."""
        with self.db.read() as connection:
            rows = connection.execute(f"{_ARRIVAL} WHERE filed = 0 ORDER BY id LIMIT ?", (limit,)).fetchall()
        return [_raw(row) for row in rows]

    def arrival(self, number: int) -> RawArrival | None:
        """Return one raw answer, filed or not."""
        with self.db.read() as connection:
            row = connection.execute(f"{_ARRIVAL} WHERE id = ?", (number,)).fetchone()
        return None if row is None else _raw(row)

    def file(self, filings: Sequence[Filing], *, resolves: Sequence[int] = ()) -> list[Filed]:
        """File what arrivals turned out to be, and mark orphans as resolved, in one commit."""
        with self.db.write() as connection:
            batch = FilingBatch(connection, filings, self.db.now())
            done = [batch.file(filing) for filing in filings]
            batch.write()
            if resolves:
                solved = [(orphan,) for orphan in resolves]
                connection.executemany("UPDATE orphan SET resolved = 1 WHERE id = ?", solved)
                connection.executemany("DELETE FROM orphan_lookup WHERE orphan = ?", solved)
        if any(filed.matched or filed.delivered for filed in done):
            self.signals.wake("notices")
        if any(filed.ended for filed in done):
            self.signals.wake("entries")
        return done

    def orphans(self, *, texts: Sequence[str] | None = None, limit: int = 1000) -> list[Orphan]:
        """Return unresolved orphans, newest last; with `texts` those that one of them would resolve."""
        query = f"SELECT {_ORPHAN}, 0 FROM orphan o JOIN arrival a ON a.id = o.arrival WHERE o.resolved = 0"
        with self.db.read() as connection:
            if texts is None:
                rows = connection.execute(f"{query} ORDER BY o.id DESC LIMIT ?", (limit,)).fetchall()
            else:
                rows = [
                    row
                    for text in dict.fromkeys(texts)
                    for row in connection.execute(
                        f"{query} AND o.id IN (SELECT orphan FROM orphan_lookup WHERE text = ?)"
                        " ORDER BY o.id DESC LIMIT ?",
                        (text, limit),
                    )
                ]
        unique = {row[0]: row for row in rows}
        return [_orphan(row) for _, row in sorted(unique.items())]

    def orphans_after(self, after: int, *, limit: int) -> list[Orphan]:
        """Return up to `limit` unresolved orphans of a higher number, ascending, each with its `pointers`."""
        with self.db.read() as connection:
            return [_orphan(row) for row in connection.execute(_POINTED, (after, limit))]

    def notices(self, owner: str, *, after: int, limit: int) -> list[Notice]:
        """Return what was filed for this owner after the cursor, in cursor order."""
        with self.db.read() as connection:
            rows = connection.execute(
                "SELECT n.cursor, n.arrival, a.kind, a.received_at FROM notice n JOIN arrival a ON a.id = n.arrival"
                " WHERE n.owner = ? AND n.cursor > ? ORDER BY n.cursor LIMIT ?",
                (owner, after, limit),
            ).fetchall()
            answers = connection.execute(_ANSWERS, (owner, after, rows[-1][0] if rows else after)).fetchall()
        entries: dict[int, list[TimelineEntry]] = {cursor: [] for cursor, *_ in rows}
        times = {arrival: to_time(received_at) for _, arrival, _, received_at in rows}
        for cursor, identity, at, kind, status, facts, digest, index, arrival in answers:
            entries[cursor].append(
                TimelineEntry(
                    identity=identity,
                    at=at,
                    kind=kind,
                    status=status,
                    facts=facts,
                    digest=digest,
                    index=index,
                    arrival=arrival,
                    received_at=times[arrival],
                    notice=cursor,
                )
            )
        return [
            Notice(
                cursor=cursor,
                arrival=arrival,
                kind=kind,
                received_at=times[arrival],
                rows=tuple(entries[cursor]),
            )
            for cursor, arrival, kind, _ in rows
        ]

    def newest_notices(self, owners: Sequence[str]) -> Mapping[str, int]:
        """Return the newest cursor of each of these owners who has any."""
        with self.db.read() as connection:
            rows = connection.execute(
                "SELECT o.value, (SELECT MAX(cursor) FROM notice WHERE owner = o.value) FROM json_each(?) o",
                (json.dumps(owners),),
            ).fetchall()
        return {owner: cursor for owner, cursor in rows if cursor is not None}

    def filed_for(self, owner: str, arrival: int) -> list[TimelineEntry]:
        """Return the rows of one arrival that are this owner's."""
        with self.db.read() as connection:
            rows = connection.execute(
                f"{_TIMELINE} WHERE t.arrival = ? AND d.owner = ? ORDER BY t.body_index, t.id",
                (arrival, owner),
            ).fetchall()
        return [timeline_entry(row) for row in rows]

    def addressed(self, owner: str, arrival: int) -> bool:
        """Say whether an arrival was filed as a whole for this owner."""
        with self.db.read() as connection:
            row = connection.execute(
                "SELECT 1 FROM addressed WHERE arrival = ? AND owner = ?", (arrival, owner)
            ).fetchone()
        return row is not None

    def unread(self, owner: str, *, at_most: int) -> Unread:
        """Return how much an owner was addressed as a whole and has not acknowledged; no more messages are counted."""
        messages, size = self.db.row(
            "SELECT count(*), coalesce(sum(size), 0) FROM (SELECT size FROM mail WHERE owner = ?1 AND cursor >"
            " coalesce((SELECT cursor FROM acknowledged WHERE owner = ?1), 0) ORDER BY cursor LIMIT ?2)",
            (owner, at_most),
        )
        return Unread(messages=messages, size_bytes=size)

    def acknowledge(self, owner: str, cursor: int) -> int:
        """Remember how far the owner has read (never backwards); returns the cursor that holds."""
        with self.db.write() as connection:
            (newest,) = connection.execute(
                "SELECT coalesce(max(cursor), 0) FROM notice WHERE owner = ?", (owner,)
            ).fetchone()
            row = connection.execute(
                "INSERT INTO acknowledged (owner, cursor) VALUES (?1, min(?2, ?3)) ON CONFLICT (owner) DO UPDATE"
                " SET cursor = max(cursor, min(?2, ?3)) RETURNING cursor",
                (owner, max(0, cursor), newest),
            ).fetchone()
        return int(row[0])

    def acknowledged(self, owner: str) -> int:
        """Return how far the owner has read; 0 at first."""
        with self.db.read() as connection:
            row = connection.execute("SELECT cursor FROM acknowledged WHERE owner = ?", (owner,)).fetchone()
        return 0 if row is None else int(row[0])

    def timeline(self, owner: str | None, text: str) -> list[TimelineEntry]:
        """Return the answers about declarations that the identity or handle names, by `at`."""
        with self.db.read() as connection:
            rows = connection.execute(
                f"{_TIMELINE} WHERE t.declaration IN (SELECT id FROM declaration WHERE identity = ?1"
                " UNION SELECT declaration FROM handle WHERE text = ?1) AND (?2 IS NULL OR d.owner = ?2)"
                " ORDER BY t.at, t.id",
                (text, owner),
            ).fetchall()
        return [timeline_entry(row) for row in rows]


def timeline_entry(row: tuple[str, str, str, str, bytes, str, int, int, int, int]) -> TimelineEntry:
    """Make the value from a row of the timeline query."""
    identity, at, kind, status, facts, digest, index, arrival, received_at, notice = row
    return TimelineEntry(
        identity=identity,
        at=at,
        kind=kind,
        status=status,
        facts=facts,
        digest=digest,
        index=index,
        arrival=arrival,
        received_at=to_time(received_at),
        notice=notice,
    )


def _orphan(row: tuple[int, int, int, str, str, str, str, bytes, int, int]) -> Orphan:
    number, arrival, index, feed, name, kind, reason, facts, received_at, pointers = row
    return Orphan(
        id=number,
        arrival=arrival,
        index=index,
        feed=feed,
        name=name,
        kind=kind,
        reason=reason,
        facts=facts,
        received_at=to_time(received_at),
        pointers=pointers,
    )


def _raw(row: tuple[int, str, str, bytes, int, str | None]) -> RawArrival:
    number, feed, name, body, received_at, also = row
    return RawArrival(
        id=number,
        feed=feed,
        name=name,
        body=body,
        received_at=to_time(received_at),
        also=tuple(also.split("\n")) if also else (),
    )
