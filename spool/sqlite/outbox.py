"""Hand entries out under a lease, on SQLite, and what taking them back needs of its own SQL."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import Final

from spool import values
from spool.entry import Claimed
from spool.fairness import TURNS_AT_MOST, behind, resource_of, shared_out
from spool.lease import Lease
from spool.lifecycle import Event, State, after
from spool.shared.backend import Row, Transaction
from spool.shared.measures import READY
from spool.shared.outbox import OutboxSql, SharedOutbox
from spool.sqlite.database import SqliteDatabase
from spool.sqlite.ordering import SqliteOrder
from spool.store import NO_BOUNDS
from spool.times import to_time

_WHOSE: Final = (
    "SELECT e.id, m.uid, m.owner, m.kind, e.destination, e.cop_msg_id, e.attempts, e.abandoned, e.claimant"
)
OUTBOX: Final = OutboxSql(
    whose=f"{_WHOSE} FROM entry e JOIN message m ON m.id = e.message",
    lost=(  # the index is named, because SQLite takes the order of `id` for a reason to read every entry there ever was
        f"{_WHOSE} FROM entry e INDEXED BY entry_leased CROSS JOIN message m ON m.id = e.message"
        " WHERE e.state = 'sending' AND {}"
    ),
    held=(
        "SELECT e.id, e.claim, m.uid, e.bounce, e.bounce_due FROM json_each(?) j CROSS JOIN entry e ON e.id = j.value"
        " JOIN message m ON m.id = e.message WHERE e.state = 'sending'"
    ),
    end=(
        "UPDATE entry SET state = ?2, attempts = attempts + ?3, due_at = ?4, error = ?5, sent_sha256 = ?6,"
        " sent_at = CASE ?2 WHEN 'sent' THEN ?7 END, abandoned = 0, lease_until = 0 WHERE id = ?1"
    ),
    abandon="UPDATE entry SET state = ?2, due_at = ?3, abandoned = ?4, error = ?5 WHERE id = ?1",
    answered=(
        "SELECT e.state FROM entry e JOIN arrival a ON a.id = ?"
        " WHERE e.id = ? AND e.claim = ?"
        " AND (a.received_at >= e.claimed_at OR e.claimed_at > ?)"
        " AND (e.state = 'sent' OR e.state = 'sending' AND e.bounce = '')"
    ),
    skip_locked="",
)
_NEXT_OF_TURN: Final = (
    "SELECT e.id, e.claim + 1, m.uid, m.owner, m.kind, e.destination, e.cop_msg_id, e.attempts, m.accepted_at,"
    " m.facts, e.facts, p.body FROM entry e JOIN message m ON m.id = e.message JOIN payload p ON p.message = m.id"
    " WHERE e.state = 'ready' AND e.blockers = 0 AND e.destination = ? AND e.turn = ? AND e.priority = ?"
    " AND e.due_at <= ? ORDER BY e.due_at, e.id LIMIT ?"
)
"""Rows of `values.claimed` of a turn, destination and priority that are due."""
_CLAIM: Final = (
    f"UPDATE entry SET state = '{after(State.READY, Event.CLAIMED).value}', claim = claim + 1, claimant = ?2,"
    " lease_until = ?3, claimed_at = ?4, bounce = '' WHERE id = ?1"
)
"""Give an entry to a claimant."""
_NEXT_TURN: Final = f"SELECT min(turn) FROM entry WHERE {READY} AND turn > ?"
"""The next turn with something ready: one step in the index."""
_NEXT_DUE: Final = f"SELECT min(due_at) FROM entry WHERE {READY}"
"""When the first entry is due."""
_NEXT_DUE_OF_TURN: Final = f"{_NEXT_DUE} AND turn = ? AND priority = ?"
"""When the first entry of a turn and priority is due."""
_PRIORITIES: Final = (0, 1, 2)


class SqliteOutbox(SharedOutbox):
    """Claims under the writers' lock; without it when nothing is due."""

    def __init__(self, db: SqliteDatabase) -> None:
        super().__init__(db, OUTBOX, SqliteOrder())
        self._db = db

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
        due = self.next_due(destination)
        if due is None or due > self._db.clock():
            return []
        lease = Lease.of(lease_s)

        def work(transaction: Transaction) -> list[Row]:
            now, left = transaction.now, dict(room)
            full = {need for need, places in left.items() if places <= 0}
            turns = self._turns(destination, full)
            if not turns:
                return []
            seen: dict[str, int] = {}

            def take(some: Sequence[str], each: int, at_most: int) -> dict[str, list[Row]]:
                got: dict[str, list[Row]] = {}
                for turn in some:
                    bound = min(each, at_most)
                    if bound <= 0:
                        break
                    got[turn] = self._of_turn(destination, turn, now, limit=bound, skip=seen.get(turn, 0))
                    seen[turn] = seen.get(turn, 0) + len(got[turn])
                    at_most -= len(got[turn])
                return got

            served = self._last_needy.setdefault(destination, {})
            rows, last = shared_out(turns, limit, room=left, served=served, take=take)
            until = now + round(lease_s * 1_000_000)
            transaction.many(_CLAIM, "itii", [(row[0], claimant, until, now) for row in rows])
            self._last_turn[destination] = last
            return rows

        return [values.claimed(row, lease) for row in self._db.transact(work)]

    def next_due(self, destination: str, *, full: Collection[str] = ()) -> datetime | None:
        """Return when the next waiting entry may be claimed; None when nothing waits for its time."""
        rows = self._db.rows
        if full:
            times = [
                rows(_NEXT_DUE_OF_TURN, destination, turn, priority)[0][0]
                for turn in self._names(destination, above="", full=full)
                for priority in _PRIORITIES
            ]
            due = min((time for time in times if time is not None), default=None)
        else:
            due = rows(_NEXT_DUE, destination)[0][0]
        return None if due is None else to_time(due)

    def _turns(self, destination: str, full: Collection[str]) -> list[str]:
        """Name turns with something ready, once round, from the one after the last that was served."""
        last = self._last_turn.get(destination, "")
        names = chain(
            self._names(destination, above=last, full=full),
            self._names(destination, above="", up_to=last, full=full) if last else (),
        )
        return list(islice(names, TURNS_AT_MOST))

    def _names(
        self, destination: str, *, above: str, up_to: str | None = None, full: Collection[str] = ()
    ) -> Iterator[str]:
        """Walk the turns with something ready: one step in the index a turn, or all those with a need in `full`."""
        while True:
            ((name,),) = self._db.rows(_NEXT_TURN, destination, above)
            if name is None or (up_to is not None and name > up_to):
                return
            if resource_of(name) in full:
                above = behind(name)
                continue
            yield name
            above = name

    def _of_turn(self, destination: str, turn: str, now: int, *, limit: int, skip: int) -> list[Row]:
        """Read one turn's due entries, by priority, without the first `skip`."""
        rows: list[Row] = []
        for priority in _PRIORITIES:
            room = limit + skip - len(rows)
            if room > 0:
                rows += self._db.rows(_NEXT_OF_TURN, destination, turn, priority, now, room)
        return rows[skip:]
