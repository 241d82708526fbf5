"""Bringing answers home, and what nobody was found for."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from spool.entry import Notice, Orphan, TimelineEntry, Unread
from spool.postgres.arrays import int8s, texts
from spool.postgres.database import Database, Row, Transaction, to_time
from spool.postgres.texts import short

TIMELINE: Final = (
    "SELECT d.identity, t.at, t.kind, t.status, t.facts, t.digest, t.body_index, t.arrival, a.received_at, t.notice"
    " FROM timeline t JOIN declaration d ON d.id = t.declaration JOIN arrival a ON a.id = t.arrival"
)
_ORPHAN = (
    "SELECT o.id, o.arrival, o.body_index, a.feed, a.name, a.kind, o.reason, o.facts, a.received_at{}"
    " FROM orphan o JOIN arrival a ON a.id = o.arrival WHERE NOT o.resolved"
)
_ORPHANS: Final = _ORPHAN.format(", 0::bigint")
_POINTED: Final = _ORPHAN.format(
    ", (SELECT count(*) FROM orphan_lookup l JOIN declaration d ON d.identity = l.text WHERE l.orphan = o.id)"
    " + (SELECT count(*) FROM orphan_lookup l JOIN handle h ON h.text = l.text WHERE l.orphan = o.id)"
    " + (SELECT count(*) FROM orphan_lookup l JOIN entry e ON e.cop_msg_id = l.text WHERE l.orphan = o.id)"
    " + (SELECT count(*) FROM arrival_feed f WHERE f.arrival = o.arrival)"
)


class Homing:
    """The part of the spool that owners read."""

    db: Database

    def notices(self, owner: str, *, after: int, limit: int) -> list[Notice]:
        """Return what was filed for this owner after the cursor, in cursor order."""
        found = self.db.rows(
            "SELECT n.cursor, n.arrival, a.kind, a.received_at FROM notice n JOIN arrival a ON a.id = n.arrival"
            " WHERE n.owner = %s AND n.cursor > %s ORDER BY n.cursor LIMIT %s",
            owner,
            after,
            limit,
        )
        if not found:
            return []
        lines: defaultdict[int, list[TimelineEntry]] = defaultdict(list)
        cursors = int8s(row[0] for row in found)
        for row in self.db.rows(
            f"{TIMELINE} WHERE t.owner = %s AND t.notice = ANY(%s) ORDER BY t.body_index, t.id",
            owner,
            cursors,
        ):
            lines[row[9]].append(line(row))
        return [
            Notice(
                cursor=cursor,
                arrival=arrival,
                kind=kind,
                received_at=to_time(received_at),
                rows=tuple(lines[cursor]),
            )
            for cursor, arrival, kind, received_at in found
        ]

    def filed_for(self, owner: str, arrival: int) -> list[TimelineEntry]:
        """Return the rows of one arrival that are this owner's."""
        rows = self.db.rows(
            f"{TIMELINE} WHERE t.arrival = %s AND t.owner = %s ORDER BY t.body_index, t.id", arrival, owner
        )
        return [line(row) for row in rows]

    def addressed(self, owner: str, arrival: int) -> bool:
        """Say whether an arrival was filed as a whole for this owner."""
        return bool(self.db.rows("SELECT 1 FROM addressed WHERE arrival = %s AND owner = %s", arrival, owner))

    def unread(self, owner: str, *, at_most: int) -> Unread:
        """Return how much an owner was addressed as a whole and has not acknowledged; no more messages are counted."""
        ((messages, size),) = self.db.rows(
            "SELECT count(*), coalesce(sum(size), 0)::bigint FROM (SELECT size FROM mail WHERE owner = %s AND cursor >"
            " coalesce((SELECT acknowledged FROM reader WHERE owner = %s), 0) ORDER BY cursor LIMIT %s) AS m",
            owner,
            owner,
            at_most,
        )
        return Unread(messages=messages, size_bytes=size)

    def acknowledge(self, owner: str, cursor: int) -> int:
        """Remember how far the owner has read (never backwards); returns the cursor that holds."""

        def work(transaction: Transaction) -> int:
            rows = transaction.all(
                "UPDATE reader SET acknowledged = greatest(acknowledged, least(%s, newest)) WHERE owner = %s"
                " RETURNING acknowledged",
                cursor,
                owner,
            )
            return int(rows[0][0]) if rows else 0

        return self.db.write(work)

    def newest_notices(self, owners: Sequence[str]) -> Mapping[str, int]:
        """Return the newest cursor of each of these owners who has any."""
        rows = self.db.rows(
            "SELECT owner, newest FROM reader WHERE owner = ANY(%s) AND newest > 0", texts(owners)
        )
        return {str(owner): int(newest) for owner, newest in rows}

    def acknowledged(self, owner: str) -> int:
        """Return how far the owner has read; 0 at first."""
        rows = self.db.rows("SELECT acknowledged FROM reader WHERE owner = %s", owner)
        return int(rows[0][0]) if rows else 0

    def timeline(self, owner: str | None, text: str) -> list[TimelineEntry]:
        """Return the answers about declarations that the identity or handle names, by `at`."""
        condition, values = ("", ()) if owner is None else (" AND t.owner = %s", (owner,))
        rows = self.db.rows(
            f"{TIMELINE} WHERE t.declaration IN (SELECT id FROM declaration WHERE identity = %s"
            f" UNION SELECT declaration FROM handle WHERE text = %s){condition} ORDER BY t.at, t.id",
            text,
            short(text),
            *values,
        )
        return [line(row) for row in rows]

    def orphans(self, *, texts: Sequence[str] | None = None, limit: int = 1000) -> list[Orphan]:
        """Return unresolved orphans, newest last; with `texts` those that one of them would resolve."""
        if texts is None:
            rows = self.db.rows(f"{_ORPHANS} ORDER BY o.id DESC LIMIT %s", limit)
        else:
            rows = self._orphans_named(texts, limit)
        return [_orphan(row) for row in sorted(rows, key=lambda row: int(row[0]))]

    def orphans_after(self, after: int, *, limit: int) -> list[Orphan]:
        """Return up to `limit` unresolved orphans of a higher number, ascending, each with its `pointers`."""
        return [
            _orphan(row)
            for row in self.db.rows(f"{_POINTED} AND o.id > %s ORDER BY o.id LIMIT %s", after, limit)
        ]

    def _orphans_named(self, names: Sequence[str], limit: int) -> list[Row]:
        """Return up to `limit` for each text, once each."""
        return self.db.rows(
            f"{_ORPHANS} AND o.id IN (SELECT l.orphan FROM unnest(%s::text[]) AS n (text) CROSS JOIN LATERAL ("
            "SELECT orphan FROM orphan_lookup WHERE orphan_lookup.text = n.text ORDER BY orphan DESC LIMIT %s) AS l)",
            texts(dict.fromkeys(map(short, names))),
            limit,
        )


def line(row: Row) -> TimelineEntry:
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


def _orphan(row: Row) -> Orphan:
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
