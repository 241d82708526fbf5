"""Hand entries out under a lease, on PostgreSQL, and what taking them back needs of its own SQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from spool import values
from spool.entry import Claimed
from spool.fairness import TURNS_AT_MOST, shared_out
from spool.lease import Lease
from spool.lifecycle import Event, State, after
from spool.postgres.arrays import int8s, texts
from spool.postgres.database import PostgresDatabase, PostgresTransaction
from spool.postgres.ordering import PostgresOrder
from spool.shared.backend import Row
from spool.shared.outbox import OutboxSql, SharedOutbox
from spool.store import NO_BOUNDS
from spool.times import to_time

_WHOSE: Final = (
    "SELECT e.id, e.uid, e.owner, m.kind, e.destination, e.cop_msg_id, e.attempts, e.abandoned, e.claimant"
    " FROM entry e JOIN message m ON m.id = e.message"
)
OUTBOX: Final = OutboxSql(
    whose=_WHOSE,
    lost=f"{_WHOSE} WHERE e.state = 'sending' AND {{}} ORDER BY e.id FOR UPDATE OF e SKIP LOCKED",
    held=(
        "SELECT e.id, e.claim, e.uid, e.bounce, e.bounce_due FROM entry e WHERE e.id = ANY(%s) AND e.state = 'sending'"
        " ORDER BY e.id FOR NO KEY UPDATE"
    ),
    end=(
        "UPDATE entry e SET state = o.state, attempts = e.attempts + o.failed, due_at = o.due_at, error = o.error,"
        " sent_at = CASE o.state WHEN 'sent' THEN o.now END, sent_sha256 = o.sha256, abandoned = 0, lease_until = 0"
        " FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::bytea[], %s::bigint[])"
        " AS o (id, state, failed, due_at, error, sha256, now) WHERE e.id = o.id"
    ),
    abandon=(
        "UPDATE entry e SET state = o.state, due_at = o.due_at, abandoned = o.times, error = o.error"
        " FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::text[])"
        " AS o (id, state, due_at, times, error) WHERE e.id = o.id"
    ),
    answered=(
        "SELECT e.state FROM entry e JOIN arrival a ON a.id = %s"
        " WHERE e.id = %s AND e.claim = %s"
        " AND (a.received_at >= e.claimed_at OR e.claimed_at > %s)"
        " AND (e.state = 'sent' OR e.state = 'sending' AND e.bounce = '') FOR NO KEY UPDATE OF e"
    ),
    skip_locked=" FOR UPDATE SKIP LOCKED",
)
_READY: Final = "e.state = 'ready' AND e.blockers = 0 AND e.destination = %s"
_LANES: Final = (
    # one step in the index for each turn and priority, however much each has
    "WITH RECURSIVE lane (turn, priority) AS ("
    f"(SELECT e.turn, e.priority FROM entry e WHERE {_READY} AND e.turn > %s ORDER BY e.turn, e.priority LIMIT 1)"
    " UNION ALL SELECT n.turn, n.priority FROM lane l CROSS JOIN LATERAL ("
    f"SELECT e.turn, e.priority FROM entry e WHERE {_READY} AND (e.turn, e.priority) > (l.turn, l.priority)"
    " ORDER BY e.turn, e.priority LIMIT 1) AS n)"
)
_UNNEEDY: Final = "split_part(l.turn, chr(31), 2) <> ALL(%s::text[])"
_TURNS: Final = (
    f"{_LANES} SELECT l.turn FROM lane l WHERE {_UNNEEDY} AND EXISTS (SELECT 1 FROM entry e WHERE {_READY}"
    " AND e.turn = l.turn AND e.priority = l.priority AND e.due_at <= %s OFFSET 0) LIMIT %s"
)
"""Turns with something due, ascending: `OFFSET 0` lets no join come out of EXISTS, which would lose the order of the lanes."""
_SOONEST: Final = (
    f"{_LANES} SELECT min((SELECT min(e.due_at) FROM entry e WHERE {_READY} AND e.turn = l.turn"
    f" AND e.priority = l.priority)) FROM lane l WHERE {_UNNEEDY}"
)
_TAKE: Final = (
    "UPDATE entry t SET state = %s, claim = t.claim + 1, claimant = %s, lease_until = %s, claimed_at = %s,"
    " bounce = '' WHERE t.id = ANY(ARRAY("
    "SELECT c.id FROM unnest(%s::text[]) AS o (turn) CROSS JOIN LATERAL (SELECT d.id"
    " FROM (VALUES (0), (1), (2)) AS p (priority) CROSS JOIN LATERAL (SELECT e.id FROM entry e"
    f" WHERE {_READY} AND e.turn = o.turn AND e.priority = p.priority AND e.due_at <= %s"
    " ORDER BY e.due_at, e.id LIMIT %s FOR UPDATE SKIP LOCKED) AS d LIMIT %s) AS c))"
    " RETURNING t.turn, t.priority, t.due_at, t.id, t.claim, t.uid, t.cop_msg_id, t.attempts, t.facts, t.message,"
    " t.owner"
)
"""Claim what is due: state, claimant, end of the lease, now, turns, destination, now, entries of each turn at most twice."""
_NEXT_DUE: Final = f"SELECT min(e.due_at) FROM entry e WHERE {_READY}"
"""When the first entry is due."""
_CONTENT: Final = (
    "SELECT m.id, m.kind, m.accepted_at, m.facts, p.body FROM message m"
    " JOIN payload p ON p.day = m.day AND p.message = m.id WHERE m.id = ANY(%s)"
)
"""What is claimed with the entries of messages."""


class PostgresOutbox(SharedOutbox):
    """Claims past what other claims hold at this moment, without waiting for them."""

    def __init__(self, db: PostgresDatabase) -> None:
        super().__init__(db, OUTBOX, PostgresOrder())

    def claim(
        self,
        claimant: str,
        destination: str,
        *,
        limit: int,
        lease_s: float,
        room: Mapping[str, int] = NO_BOUNDS,
    ) -> list[Claimed]:
        """Take up to `limit` entries whose turn has come, in turn from each owner that has any."""

        def work(transaction: PostgresTransaction) -> list[Claimed]:
            lease, now, left = Lease.of(lease_s), transaction.now, dict(room)
            full = [need for need, places in left.items() if places <= 0]
            turns = self._turns(transaction, destination, min(limit, TURNS_AT_MOST), full)
            claim = (after(State.READY, Event.CLAIMED).value, claimant, now + round(lease_s * 1_000_000), now)

            def take(some: Sequence[str], each: int, _: int) -> dict[str, list[Row]]:
                rows = transaction.all(_TAKE, *claim, texts(some), destination, now, each, each)
                taken: dict[str, list[Row]] = {}
                for row in sorted(rows, key=lambda row: (row[1], row[2], row[3])):
                    taken.setdefault(row[0], []).append(row)
                return taken

            rows: list[Row] = []
            last = self._last_turn.get(destination, "")
            if turns:
                served = self._last_needy.setdefault(destination, {})
                rows, last = shared_out(turns, limit, room=left, served=served, take=take)
            content = transaction.run(_CONTENT, int8s({row[9] for row in rows})) if rows else ()
            transaction.commit()
            messages = {row[0]: row for row in content}
            self._last_turn[destination] = last
            return [values.claimed(_joined(row, destination, messages[row[9]]), lease) for row in rows]

        return self._store.transact(work)

    def next_due(self, destination: str, *, full: Collection[str] = ()) -> datetime | None:
        """Return when the next waiting entry may be claimed; None when nothing waits for its time."""
        to = destination
        rows = self._store.rows
        ((due,),) = rows(_SOONEST, to, "", to, to, texts(full)) if full else rows(_NEXT_DUE, to)
        return None if due is None else to_time(due)

    def _turns(
        self, transaction: PostgresTransaction, destination: str, count: int, full: Collection[str]
    ) -> list[str]:
        """Name turns with something due, once round, from the one after the last that was served."""

        def behind(name: str) -> list[str]:
            to, now = destination, transaction.now
            rows = transaction.all(_TURNS, to, name, to, texts(full), to, now, 3 * count)
            return [row[0] for row in rows]

        last = self._last_turn.get(destination, "")
        found = dict.fromkeys(behind(last))
        if last and len(found) < count:
            found.update(dict.fromkeys(name for name in behind("") if name <= last))
        return list(found)[:count]


def _joined(row: Row, destination: str, message: Row) -> Row:
    """Put together a row of `values.claimed`."""
    _, _, _, entry, claim, uid, cop_msg_id, attempts, way, _, owner = row
    _, kind, accepted_at, facts, body = message
    return entry, claim, uid, owner, kind, destination, cop_msg_id, attempts, accepted_at, facts, way, body
