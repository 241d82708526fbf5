"""Handing entries out under a lease, and taking back how it went."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from spool.claimants import LEFT, MARK, first_of
from spool.ending import Ending, EndVerdict, Whose, abandoned, ended, settled
from spool.entry import Claimed, Ended, Settlement
from spool.errors import LifecycleError
from spool.fairness import in_turn, resource_of
from spool.lease import Lease
from spool.lifecycle import NEXT, OPERATORS, UNSETTLED, Event, State, after
from spool.postgres.accepting import write_journal
from spool.postgres.arrays import blobs, int8s, texts
from spool.postgres.database import Database, Row, Transaction, to_number, to_time
from spool.postgres.ordering import leave, line_up, lock_related, step_back, stop_waiting
from spool.postgres.returning import WHOSE
from spool.postgres.signals import wake
from spool.store import NO_BOUNDS

_TURNS_AT_MOST: Final = 512
"""Turns that one claim looks at; the next claim goes on after the last of them."""
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
    " AND e.turn = l.turn AND e.priority = l.priority AND e.due_at <= %s) LIMIT %s"
)
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
_OF: Final = f"(e.claimant = %s OR starts_with(e.claimant, %s || '{MARK}'))"
"""A claimant or one of its later generations."""
_CONTENT: Final = (
    "SELECT m.id, m.kind, m.accepted_at, m.facts, p.body FROM message m"
    " JOIN payload p ON p.day = m.day AND p.message = m.id WHERE m.id = ANY(%s)"
)


class Forwarding:
    """The forwarding part of the spool."""

    db: Database
    _last_turn: dict[str, str]
    """Destination → the turn that was served last, by this process."""
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
        """Take up to `limit` entries whose turn has come, in turn from each owner that has any.

        What another claim holds at this moment is passed over, not waited for.
        """

        def work(transaction: Transaction) -> list[Claimed]:
            served = self._last_needy.setdefault(destination, {})
            lease = Lease.of(lease_s)
            turn = _Turn(transaction, claimant, destination, lease_s=lease_s, room=dict(room), served=served)
            rows = turn.take(self._last_turn.get(destination, ""), limit)
            content = transaction.run(_CONTENT, int8s({row[9] for row in rows})) if rows else None
            transaction.commit()
            if content is None:
                return []
            self._last_turn[destination] = turn.last
            messages = {row[0]: row for row in content}
            return [_claimed(row, destination, messages[row[9]], lease) for row in rows]

        return self.db.write(work)

    def next_due(self, destination: str, *, full: Collection[str] = ()) -> datetime | None:
        """Return when the next waiting entry may be claimed; None when nothing waits for its time."""
        if full:
            where = destination
            ((due,),) = self.db.rows(_SOONEST, where, "", where, where, texts(full))
        else:
            ((due,),) = self.db.rows(f"SELECT min(e.due_at) FROM entry e WHERE {_READY}", destination)
        return None if due is None else to_time(due)

    def settle(self, settlements: Sequence[Settlement]) -> int:
        """End attempts; void claims are passed over. Returns how many took effect."""
        if not settlements:
            return 0

        def work(transaction: Transaction) -> int:
            valid = _valid(transaction, settlements)
            if valid:
                _end(transaction, valid)
            return len(valid)

        return self.db.write(work)

    def recover(self, *, claimant: str | None = None) -> list[Ended]:
        """Make ready what `claimant` had claimed (it died), or, without a name, whose lease is over."""

        def work(transaction: Transaction) -> list[Ended]:
            condition, values = (
                ("e.lease_until < %s", (transaction.now,))
                if claimant is None
                else (_OF, (claimant, claimant))
            )
            rows = transaction.all(
                f"{WHOSE} WHERE e.state = 'sending' AND {condition} ORDER BY e.id FOR UPDATE OF e SKIP LOCKED",
                *values,
            )
            return _abandon(transaction, rows) if rows else []

        return self.db.write(work)

    def leave(self, claimant: str) -> int:
        """Leave claims of earlier generations of `claimant` to those who hold them; returns how many that are now."""
        first = first_of(claimant)

        def work(transaction: Transaction) -> int:
            rows = transaction.all(
                "UPDATE entry e SET claimant = %s WHERE e.state = 'sending' AND e.claimant <> ALL(%s::text[])"
                f" AND {_OF} RETURNING e.id",
                first + LEFT,
                texts((claimant, first + LEFT)),
                first,
                first,
            )
            return len(rows)

        return self.db.write(work)

    def act(self, event: Event, uids: Sequence[str], *, reason: str = "", destination: str = "") -> int:
        """Let an operator's event happen to these messages' entries; all or, on LifecycleError, none.

        Returns how many it happened to; uids that nobody knows are passed over.
        """
        if event not in OPERATORS:
            raise LifecycleError(f"{event.value} is not for an operator to say")

        def work(transaction: Transaction) -> int:
            lock_related(transaction, uids)
            done = [uid for uid in uids if _act(transaction, event, uid, destination)]
            write_journal(transaction, [(f"entry.{event.value}", uid, reason) for uid in done])
            if done:
                wake(transaction, "entries")
            return len(done)

        return self.db.write(work)


class _Turn:
    """One claim: an equal share for every turn; what some do not use goes to the others."""

    def __init__(
        self,
        transaction: Transaction,
        claimant: str,
        destination: str,
        *,
        lease_s: float,
        room: dict[str, int],
        served: dict[str, str],
    ) -> None:
        self._transaction = transaction
        self._claimant = claimant
        self._destination = destination
        self._until = transaction.now + round(lease_s * 1_000_000)
        self._room = room
        self._served = served
        self.last = ""
        """The turn that was served last."""

    def take(self, last: str, limit: int) -> list[Row]:
        """Take up to `limit` entries, beginning with the turn after `last`."""
        turns = self._waiting_turns(last, limit)
        if not turns:
            return []
        share = max(1, limit // len(turns))
        if self._room:
            turns = in_turn(turns, self._served, self._room)
        taken: dict[str, list[Row]] = {}
        for some, bound in self._shares(turns, share):
            taken.update(self._take(some, bound))
        rows = [row for turn in turns for row in taken.get(turn, ())]
        self.last = next((turn for turn in reversed(turns) if turn in taken), last)
        for turn in turns:
            room = min(limit - len(rows), self._room.get(resource_of(turn), limit))
            if room > 0 and len(taken.get(turn, ())) == share:
                rows += self._take([turn], room).get(turn, ())
        return rows

    def _shares(self, turns: Sequence[str], share: int) -> Iterator[tuple[list[str], int]]:
        """Part the turns by what they need, each part with the share of its turns: no more than there is room for."""
        parts: dict[str, list[str]] = {}
        for turn in turns:
            need = resource_of(turn)
            parts.setdefault(need if need in self._room else "", []).append(turn)
        for need, some in parts.items():
            room = self._room.get(need)
            if room is None:
                yield some, share
            else:
                self._served[need] = some[:room][-1]
                yield some[:room], max(1, min(share, room // len(some)))

    def _waiting_turns(self, last: str, limit: int) -> list[str]:
        """Name turns with something due, once round, from the one after the last that was served."""
        count = min(limit, _TURNS_AT_MOST)
        found = dict.fromkeys(self._turns_after(last, count))
        if last and len(found) < count:
            found.update(dict.fromkeys(name for name in self._turns_after("", count) if name <= last))
        return list(found)[:count]

    def _turns_after(self, name: str, count: int) -> list[str]:
        where, now = self._destination, self._transaction.now
        full = texts(need for need, left in self._room.items() if left <= 0)
        rows = self._transaction.all(_TURNS, where, name, where, full, where, now, 3 * count)
        return [row[0] for row in rows]

    def _take(self, turns: Collection[str], share: int) -> dict[str, list[Row]]:
        rows = self._transaction.all(
            _TAKE,
            after(State.READY, Event.CLAIMED).value,
            self._claimant,
            self._until,
            self._transaction.now,
            texts(turns),
            self._destination,
            self._transaction.now,
            share,
            share,
        )
        taken: dict[str, list[Row]] = {}
        for row in sorted(rows, key=lambda row: (row[1], row[2], row[3])):
            taken.setdefault(row[0], []).append(row)
            if resource_of(row[0]) in self._room:
                self._room[resource_of(row[0])] -= 1
        return taken


def _claimed(row: Row, destination: str, message: Row, lease: Lease) -> Claimed:
    _, _, _, entry, claim, uid, cop_msg_id, attempts, way, _, owner = row
    _, kind, accepted_at, facts, body = message
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


def _abandon(transaction: Transaction, rows: Sequence[Row]) -> list[Ended]:
    """End claims whose holders fell silent; the entries are locked."""
    lost = {row[0]: row for row in rows}
    judged = abandoned([(entry, *row[-2:]) for entry, row in lost.items()], now=transaction.now)
    transaction.run(
        "UPDATE entry e SET state = o.state, due_at = o.due_at, abandoned = o.times, error = o.error"
        " FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::text[])"
        " AS o (id, state, due_at, times, error) WHERE e.id = o.id",
        int8s(one.entry for one in judged),
        texts(one.state.value for one in judged),
        int8s(one.due for one in judged),
        int8s(one.times for one in judged),
        texts(one.why if one.state is State.DEAD else "" for one in judged),
    )
    _reorder(transaction, [(one.entry, one.state) for one in judged])
    write_journal(transaction, [(one.event, lost[one.entry][1], one.why) for one in judged])
    wake(transaction, "entries")
    return [ended(Whose(*lost[one.entry][:-2]), one.state, due=one.due, why=one.why) for one in judged]


def _valid(transaction: Transaction, settlements: Sequence[Settlement]) -> list[tuple[int, str, Ending]]:
    """Return those whose claim still holds, once each, locked: entry, uid of its message, and how it ends."""
    now = transaction.now
    held = {
        row[0]: row[1:]
        for row in transaction.all(
            "SELECT e.id, e.uid, e.bounce, e.bounce_due FROM unnest(%s::bigint[], %s::bigint[]) AS o (id, claim)"
            " JOIN entry e ON e.id = o.id AND e.claim = o.claim WHERE e.state = 'sending'"
            " ORDER BY e.id FOR NO KEY UPDATE OF e",
            int8s(one.entry for one in settlements),
            int8s(one.claim for one in settlements),
        )
    }
    found: dict[int, tuple[int, str, Ending]] = {}
    for one in settlements:
        if one.entry in held and one.entry not in found:
            uid, bounce, bounce_due = held[one.entry]
            due = now if one.next_at is None else to_number(one.next_at)
            verdict = EndVerdict(bounce, bounce_due) if bounce else None
            found[one.entry] = (one.entry, uid, settled(one, now=now, due=due, verdict=verdict))
    return list(found.values())


def _end(transaction: Transaction, valid: Sequence[tuple[int, str, Ending]]) -> None:
    """Write how the attempts ended."""
    transaction.run(
        "UPDATE entry e SET state = o.state, attempts = e.attempts + o.failed, due_at = o.due_at, error = o.error,"
        " sent_at = CASE o.state WHEN 'sent' THEN %s END, sent_sha256 = o.sha256, abandoned = 0, lease_until = 0"
        " FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::bytea[])"
        " AS o (id, state, failed, due_at, error, sha256) WHERE e.id = o.id",
        transaction.now,
        int8s(entry for entry, _, _ in valid),
        texts(end.state.value for _, _, end in valid),
        int8s(end.failed for _, _, end in valid),
        int8s(end.due for _, _, end in valid),
        texts(end.error for _, _, end in valid),
        blobs(end.sent_sha256 for _, _, end in valid),
    )
    write_journal(transaction, [(event, uid, why) for _, uid, end in valid for event, why in end.lines])
    if transaction.all("SELECT EXISTS (SELECT 1 FROM wait)")[0][0]:
        _reorder(transaction, [(entry, end.state) for entry, _, end in valid])
        wake(transaction, "entries")


def _reorder(transaction: Transaction, ends: Sequence[tuple[int, State]]) -> None:
    """Let others go before or after entries that are no longer on their way."""
    over = [entry for entry, state in ends if state not in UNSETTLED]
    unsent = [entry for entry, state in ends if state in UNSETTLED]
    if over:
        leave(transaction, over)
    if unsent:
        step_back(transaction, unsent)


def _act(transaction: Transaction, event: Event, uid: str, destination: str) -> bool:
    rows = transaction.all(
        "SELECT e.id, e.state FROM message m JOIN entry e ON e.message = m.id"
        " WHERE m.uid = %s AND (%s = '' OR e.destination = %s) ORDER BY e.id",
        uid,
        destination,
        destination,
    )
    if not rows:
        return False
    able = [(entry, State(state)) for entry, state in rows if event in NEXT[State(state)]]
    if not able:
        after(State(rows[0][1]), event)  # says why not
    anew = ", attempts = 0, abandoned = 0, error = ''" if event is Event.RETRIED else ""
    for entry, state in able:
        target = after(state, event)
        transaction.run(
            f"UPDATE entry SET state = %s, due_at = %s{anew} WHERE id = %s",
            target.value,
            transaction.now,
            entry,
        )
        if target not in UNSETTLED:
            leave(transaction, [entry])
            stop_waiting(transaction, entry)
        elif state not in UNSETTLED:
            line_up(transaction, entry)
    return True
