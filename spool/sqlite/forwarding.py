"""Handing entries out under a lease, and taking back how it went."""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain, islice

from spool.entry import UNCOUNTED, Claimed, Fate, Settlement
from spool.errors import LifecycleError
from spool.lifecycle import NEXT, OPERATORS, UNSETTLED, Event, State, after
from spool.signals import Signals
from spool.sqlite.accepting import write_journal
from spool.sqlite.database import Database, to_number, to_time
from spool.sqlite.ordering import leave, line_up, step_back, stop_waiting
from spool.store import NO_BOUNDS
from spool.turns import behind, in_turn, need_of

_EVENTS = {
    Fate.DELIVERED: Event.DELIVERED,
    Fate.DEFERRED: Event.DEFERRED,
    Fate.POSTPONED: Event.DEFERRED,
    Fate.UNDELIVERABLE: Event.UNDELIVERABLE,
}
_HAPPENED = {
    Fate.DELIVERED: "entry.sent",
    Fate.DEFERRED: "entry.deferred",
    Fate.POSTPONED: "entry.postponed",
    Fate.UNDELIVERABLE: "entry.dead",
}
_DUE = "state = 'ready' AND blockers = 0 AND destination = ?"
"""Word for word the condition of the indexes `entry_due` and `entry_next`."""
_NEXT_OF_TURN = (
    "SELECT e.id, e.claim + 1, m.uid, m.owner, m.kind, e.destination, e.cop_msg_id, e.attempts, m.accepted_at,"
    " m.facts, e.facts, p.body FROM entry e JOIN message m ON m.id = e.message JOIN payload p ON p.message = m.id"
    " WHERE e.state = 'ready' AND e.blockers = 0 AND e.destination = ? AND e.turn = ? AND e.priority = ?"
    " AND e.due_at <= ? ORDER BY e.due_at, e.id LIMIT ?"
)
_PRIORITIES = (0, 1, 2)
_TURNS_AT_MOST = 512
"""Turns that one claim looks at; the next claim goes on after the last of them."""


_UNFINISHED = "found unfinished; sent again under the same id"
_Row = tuple[int, int, str, str, str, str, str, int, int, bytes, bytes, bytes]


class Forwarding:
    """The forwarding part of the spool."""

    db: Database
    signals: Signals
    _last_turn: dict[str, str]
    """Destination → the turn that was served last, in this process."""
    _last_needy: dict[str, dict[str, str]]
    """The same, apart for each need that a claim had a bound for."""

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
        if not self._anything_due(destination):
            return []
        with self.db.write() as connection:
            until = to_number(self.db.clock() + timedelta(seconds=lease_s))
            rows = self._turns(connection, destination, limit, dict(room))
            sending = after(State.READY, Event.CLAIMED).value
            connection.executemany(
                "UPDATE entry SET state = ?, claim = claim + 1, claimant = ?, lease_until = ? WHERE id = ?",
                [(sending, claimant, until, row[0]) for row in rows],
            )
        return [_claimed(row) for row in rows]

    def _turns(
        self, connection: sqlite3.Connection, destination: str, limit: int, room: dict[str, int]
    ) -> list[_Row]:
        """Give every turn an equal share; what some do not use goes to the others."""
        now = self.db.now()
        full = {need for need, left in room.items() if left <= 0}
        turns = self._waiting_turns(connection, destination, full)
        served = self._last_needy.setdefault(destination, {})
        if room:
            turns = in_turn(turns, served, room.keys() - full)
        share = max(1, limit // max(1, len(turns)))
        rows: list[_Row] = []
        hungry: list[str] = []

        def take(turn: str, at_most: int, skip: int = 0) -> int:
            need = need_of(turn)
            bound = min(at_most, limit - len(rows), room.get(need, limit))
            got = _of_turn(connection, destination, turn, now, limit=bound, skip=skip) if bound > 0 else []
            rows.extend(got)
            if need in room:
                room[need] -= len(got)
                served[need] = turn if bound > 0 else served.get(need, "")
            return len(got)

        for turn in turns:
            got = take(turn, share)
            self._last_turn[destination] = turn  # also one with nothing due: the next goes on behind it
            if got == share:
                hungry.append(turn)
            if len(rows) == limit:
                return rows
        for turn in hungry:
            take(turn, limit, skip=share)
        return rows

    def _waiting_turns(
        self, connection: sqlite3.Connection, destination: str, full: Collection[str]
    ) -> list[str]:
        """Name turns with something ready, once round, from the one after the last that was served."""
        last = self._last_turn.get(destination, "")
        names = chain(
            _names(connection, destination, above=last, full=full),
            _names(connection, destination, above="", up_to=last, full=full) if last else (),
        )
        return list(islice(names, _TURNS_AT_MOST))

    def _anything_due(self, destination: str) -> bool:
        due = self.next_due(destination)
        return due is not None and due <= self.db.clock()

    def next_due(self, destination: str, *, full: Collection[str] = ()) -> datetime | None:
        """Return when the next waiting entry may be claimed; None when nothing waits for its time."""
        with self.db.read() as connection:
            if full:
                due = _soonest(connection, destination, full)
            else:
                (due,) = connection.execute(
                    "SELECT min(due_at) FROM entry WHERE state = 'ready' AND blockers = 0 AND destination = ?",
                    (destination,),
                ).fetchone()
        return None if due is None else to_time(due)

    def settle(self, settlements: Sequence[Settlement]) -> int:
        """End attempts; void claims are passed over. Returns how many took effect."""
        if not settlements:
            return 0
        with self.db.write() as connection:
            valid = _valid(connection, settlements)
            freed = _end(connection, valid, self.db.now())
        if freed:
            self.signals.wake("entries")
        return len(valid)

    def recover(self, *, claimant: str | None = None) -> int:
        """Make ready what `claimant` had claimed (it died), or, without a name, whose lease is over."""
        condition, value = (
            ("lease_until < ?", self.db.now()) if claimant is None else ("claimant = ?", claimant)
        )
        with self.db.write() as connection:
            now = self.db.now()
            rows = connection.execute(
                "SELECT e.id, m.uid FROM entry e JOIN message m ON m.id = e.message"
                f" WHERE e.state = 'sending' AND e.{condition} ORDER BY e.id",
                (value,),
            ).fetchall()
            ready = after(State.SENDING, Event.DEFERRED).value
            for entry, _ in rows:
                connection.execute("UPDATE entry SET state = ?, due_at = ? WHERE id = ?", (ready, now, entry))
                step_back(connection, entry)
            write_journal(connection, now, [("entry.deferred", uid, _UNFINISHED) for _, uid in rows])
        if rows:
            self.signals.wake("entries")
        return len(rows)

    def act(self, event: Event, uids: Sequence[str], *, reason: str = "", destination: str = "") -> int:
        """Let an operator's event happen to these messages' entries; all or, on LifecycleError, none.

        Returns how many it happened to; uids that nobody knows are passed over.
        """
        if event not in OPERATORS:
            raise LifecycleError(f"{event.value} is not for an operator to say")
        with self.db.write() as connection:
            now = self.db.now()
            done = [uid for uid in uids if _act(connection, event, uid, destination, now)]
            write_journal(connection, now, [(f"entry.{event.value}", uid, reason) for uid in done])
        if done:
            self.signals.wake("entries")
        return len(done)


def _names(
    connection: sqlite3.Connection,
    destination: str,
    *,
    above: str,
    up_to: str | None = None,
    full: Collection[str] = (),
) -> Iterator[str]:
    """Walk the turns with something ready: one step in the index a turn, or all those with a need in `full`."""
    while True:
        (name,) = connection.execute(
            f"SELECT min(turn) FROM entry WHERE {_DUE} AND turn > ?", (destination, above)
        ).fetchone()
        if name is None or (up_to is not None and name > up_to):
            return
        if need_of(name) in full:
            above = behind(name)
            continue
        yield name
        above = name


def _of_turn(
    connection: sqlite3.Connection, destination: str, turn: str, now: int, *, limit: int, skip: int = 0
) -> list[_Row]:
    """Read one turn's due entries, by priority, without the first `skip`."""
    rows: list[_Row] = []
    for priority in _PRIORITIES:
        room = limit + skip - len(rows)
        if room > 0:
            rows += connection.execute(_NEXT_OF_TURN, (destination, turn, priority, now, room)).fetchall()
    return rows[skip:]


def _soonest(connection: sqlite3.Connection, destination: str, full: Collection[str]) -> int | None:
    """Find the time of the first entry that needs nothing in `full`."""
    times = [
        connection.execute(
            f"SELECT min(due_at) FROM entry WHERE {_DUE} AND turn = ? AND priority = ?",
            (destination, turn, priority),
        ).fetchone()[0]
        for turn in _names(connection, destination, above="", full=full)
        for priority in _PRIORITIES
    ]
    return min((time for time in times if time is not None), default=None)


def _claimed(row: _Row) -> Claimed:
    entry, claim, uid, owner, kind, destination, cop_msg_id, attempts, accepted_at, facts, way, body = row
    return Claimed(
        entry=entry,
        claim=claim,
        uid=uid,
        owner=owner,
        kind=kind,
        destination=destination,
        cop_msg_id=cop_msg_id,
        attempts=attempts,
        accepted_at=to_time(accepted_at),
        facts=facts,
        way=way,
        body=body,
    )


def _valid(connection: sqlite3.Connection, settlements: Sequence[Settlement]) -> list[tuple[Settlement, str]]:
    """Return those whose claim still holds, once each, with the uid of their message."""
    found: dict[int, tuple[Settlement, str]] = {}
    for one in settlements:
        row = connection.execute(
            "SELECT m.uid FROM entry e JOIN message m ON m.id = e.message"
            " WHERE e.id = ? AND e.claim = ? AND e.state = 'sending'",
            (one.entry, one.claim),
        ).fetchone()
        if row is not None:
            found.setdefault(one.entry, (one, row[0]))
    return list(found.values())


def _end(connection: sqlite3.Connection, valid: Sequence[tuple[Settlement, str]], now: int) -> bool:
    """Write how the attempts ended; say whether others became free."""
    rows = []
    for one, _ in valid:
        delivered = one.fate is Fate.DELIVERED
        state = after(State.SENDING, _EVENTS[one.fate])
        due = now if one.next_at is None else to_number(one.next_at)
        sent_at = now if delivered else None
        rows.append(
            (state.value, int(one.fate not in UNCOUNTED), due, one.error, sent_at, one.sent_sha256, one.entry)
        )
    connection.executemany(
        "UPDATE entry SET state = ?, attempts = attempts + ?, due_at = ?, error = ?, sent_at = ?, sent_sha256 = ?,"
        " lease_until = 0 WHERE id = ?",
        rows,
    )
    write_journal(connection, now, [(_HAPPENED[one.fate], uid, one.error) for one, uid in valid])
    (anybody_waits,) = connection.execute("SELECT EXISTS (SELECT 1 FROM wait)").fetchone()
    if not anybody_waits:
        return False
    freed = [
        leave(connection, one.entry)
        if after(State.SENDING, _EVENTS[one.fate]) not in UNSETTLED
        else step_back(connection, one.entry)
        for one, _ in valid
    ]
    return any(freed)


def _act(connection: sqlite3.Connection, event: Event, uid: str, destination: str, now: int) -> bool:
    rows = connection.execute(
        "SELECT e.id, e.state FROM message m JOIN entry e ON e.message = m.id"
        " WHERE m.uid = ?1 AND (?2 = '' OR e.destination = ?2) ORDER BY e.id",
        (uid, destination),
    ).fetchall()
    if not rows:
        return False
    able = [(entry, State(state)) for entry, state in rows if event in NEXT[State(state)]]
    if not able:
        after(State(rows[0][1]), event)  # says why not
    attempts = "0" if event is Event.RETRIED else "attempts"
    for entry, state in able:
        target = after(state, event)
        connection.execute(
            f"UPDATE entry SET state = ?, due_at = ?, attempts = {attempts} WHERE id = ?",
            (target.value, now, entry),
        )
        if target not in UNSETTLED:
            leave(connection, entry)
            stop_waiting(connection, entry)
        elif state not in UNSETTLED:
            line_up(connection, entry)
    return True
