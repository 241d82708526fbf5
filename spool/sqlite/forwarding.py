"""Handing entries out under a lease, and taking back how it went."""

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice

from spool.claimants import LEFT, MARK, first_of
from spool.ending import Ending, EndVerdict, Whose, abandoned, ended, settled
from spool.entry import Claimed, Ended, Settlement
from spool.errors import LifecycleError
from spool.fairness import behind, in_turn, resource_of
from spool.lease import Lease
from spool.lifecycle import NEXT, OPERATORS, UNSETTLED, Event, State, after
from spool.signals import Signals
from spool.sqlite.accepting import write_journal
from spool.sqlite.database import Database, to_number, to_time
from spool.sqlite.ordering import leave, line_up, step_back, stop_waiting
from spool.sqlite.returning import WHOSE
from spool.store import NO_BOUNDS

_DUE = "state = 'ready' AND blockers = 0 AND destination = ?"
"""Word for word the condition of the indexes `entry_due` and `entry_next`."""
_NEXT_OF_TURN = (
    "SELECT e.id, e.claim + 1, m.uid, m.owner, m.kind, e.destination, e.cop_msg_id, e.attempts, m.accepted_at,"
    " m.facts, e.facts, p.body FROM entry e JOIN message m ON m.id = e.message JOIN payload p ON p.message = m.id"
    " WHERE e.state = 'ready' AND e.blockers = 0 AND e.destination = ? AND e.turn = ? AND e.priority = ?"
    " AND e.due_at <= ? ORDER BY e.due_at, e.id LIMIT ?"
)
_LOST = f"{WHOSE} FROM entry e INDEXED BY entry_leased CROSS JOIN message m ON m.id = e.message"
"""The index is named, because SQLite takes the order of `id` for a reason to read every entry there ever was."""
_HELD = (
    "SELECT e.id, e.claim, m.uid, e.bounce, e.bounce_due FROM json_each(?) j CROSS JOIN entry e ON e.id = j.value"
    " JOIN message m ON m.id = e.message WHERE e.state = 'sending'"
)
_OF = f"(e.claimant = ? OR instr(e.claimant, ? || '{MARK}') = 1)"
"""A claimant or one of its later generations."""
_PRIORITIES = (0, 1, 2)
_TURNS_AT_MOST = 512
"""Turns that one claim looks at; the next claim goes on after the last of them."""

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
        lease = Lease.of(lease_s)
        with self.db.write() as connection:
            now = self.db.now()
            until = now + round(lease_s * 1_000_000)
            rows = self._turns(connection, destination, limit, now=now, room=dict(room))
            sending = after(State.READY, Event.CLAIMED).value
            connection.executemany(
                "UPDATE entry SET state = ?, claim = claim + 1, claimant = ?, lease_until = ?, claimed_at = ?,"
                " bounce = '' WHERE id = ?",
                [(sending, claimant, until, now, row[0]) for row in rows],
            )
        return [_claimed(row, lease) for row in rows]

    def _turns(
        self, connection: sqlite3.Connection, destination: str, limit: int, *, now: int, room: dict[str, int]
    ) -> list[_Row]:
        """Give every turn an equal share; what some do not use goes to the others."""
        full = {need for need, left in room.items() if left <= 0}
        turns = self._waiting_turns(connection, destination, full)
        served = self._last_needy.setdefault(destination, {})
        if room:
            turns = in_turn(turns, served, room.keys() - full)
        share = max(1, limit // max(1, len(turns)))
        rows: list[_Row] = []
        hungry: list[str] = []

        def take(turn: str, at_most: int, skip: int = 0) -> int:
            need = resource_of(turn)
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
        if full:
            with self.db.read() as connection:
                due = _soonest(connection, destination, full)
        else:
            (due,) = self.db.row(f"SELECT min(due_at) FROM entry WHERE {_DUE}", (destination,))
        return None if due is None else to_time(due)

    def settle(self, settlements: Sequence[Settlement]) -> int:
        """End attempts; void claims are passed over. Returns how many took effect."""
        if not settlements:
            return 0
        with self.db.write() as connection:
            now = self.db.now()
            valid = _valid(connection, settlements, now)
            freed = _end(connection, valid, now)
        if freed:
            self.signals.wake("entries")
        return len(valid)

    def recover(self, *, claimant: str | None = None) -> list[Ended]:
        """Make ready what `claimant` had claimed (it died), or, without a name, whose lease is over."""
        condition, values = (
            ("e.lease_until < ?", [self.db.now()]) if claimant is None else (_OF, [claimant, claimant])
        )
        with self.db.write() as connection:
            now = self.db.now()
            lost = {
                row[0]: row
                for row in connection.execute(f"{_LOST} WHERE e.state = 'sending' AND {condition}", values)
            }
            judged = abandoned([(entry, *row[-2:]) for entry, row in lost.items()], now=now)
            for entry, times, state, due, _, why in judged:
                connection.execute(
                    "UPDATE entry SET state = ?, due_at = ?, abandoned = ?, error = ? WHERE id = ?",
                    (state.value, due, times, why if state is State.DEAD else "", entry),
                )
                step_back(connection, entry) if state in UNSETTLED else leave(connection, entry)
            write_journal(connection, now, [(one.event, lost[one.entry][1], one.why) for one in judged])
        if judged:
            self.signals.wake("entries")
        return [ended(Whose(*lost[one.entry][:-2]), one.state, due=one.due, why=one.why) for one in judged]

    def leave(self, claimant: str) -> int:
        """Leave claims of earlier generations of `claimant` to those who hold them; returns how many that are now."""
        first = first_of(claimant)
        with self.db.write() as connection:
            return connection.execute(
                "UPDATE entry AS e SET claimant = ? WHERE e.state = 'sending'"
                f" AND e.claimant NOT IN (?, ?) AND {_OF}",
                (first + LEFT, claimant, first + LEFT, first, first),
            ).rowcount

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
        if resource_of(name) in full:
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


def _claimed(row: _Row, lease: Lease) -> Claimed:
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
        lease=lease,
    )


def _valid(
    connection: sqlite3.Connection, settlements: Sequence[Settlement], now: int
) -> list[tuple[int, str, Ending]]:
    """Return those whose claim still holds, once each: entry, uid of its message, and how it ends."""
    held = {
        (entry, claim): (uid, bounce, bounce_due)
        for entry, claim, uid, bounce, bounce_due in connection.execute(
            _HELD, (json.dumps([one.entry for one in settlements]),)
        )
    }
    found: dict[int, tuple[int, str, Ending]] = {}
    for one in settlements:
        row = held.get((one.entry, one.claim))
        if row is not None and one.entry not in found:
            uid, bounce, bounce_due = row
            due = now if one.next_at is None else to_number(one.next_at)
            verdict = EndVerdict(bounce, bounce_due) if bounce else None
            found[one.entry] = (one.entry, uid, settled(one, now=now, due=due, verdict=verdict))
    return list(found.values())


def _end(connection: sqlite3.Connection, valid: Sequence[tuple[int, str, Ending]], now: int) -> bool:
    """Write how the attempts ended; say whether others became free."""
    connection.executemany(
        "UPDATE entry SET state = ?, attempts = attempts + ?, due_at = ?, error = ?, sent_at = ?, sent_sha256 = ?,"
        " abandoned = 0, lease_until = 0 WHERE id = ?",
        [
            (
                end.state.value,
                end.failed,
                end.due,
                end.error,
                now if end.state is State.SENT else None,
                end.sent_sha256,
                entry,
            )
            for entry, _, end in valid
        ],
    )
    write_journal(connection, now, [(event, uid, why) for _, uid, end in valid for event, why in end.lines])
    (anybody_waits,) = connection.execute("SELECT EXISTS (SELECT 1 FROM wait)").fetchone()
    if not anybody_waits:
        return False
    freed = [
        step_back(connection, entry) if end.state in UNSETTLED else leave(connection, entry)
        for entry, _, end in valid
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
    anew = ", attempts = 0, abandoned = 0, error = ''" if event is Event.RETRIED else ""
    for entry, state in able:
        target = after(state, event)
        connection.execute(
            f"UPDATE entry SET state = ?, due_at = ?{anew} WHERE id = ?",
            (target.value, now, entry),
        )
        if target not in UNSETTLED:
            leave(connection, entry)
            stop_waiting(connection, entry)
        elif state not in UNSETTLED:
            line_up(connection, entry)
    return True
