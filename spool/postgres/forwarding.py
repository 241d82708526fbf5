"""Handing entries out under a lease, and taking back how it went."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from spool.ending import Ending, Verdict, Whose, abandoned, ended, settled
from spool.entry import Claimed, Ended, Settlement
from spool.errors import LifecycleError
from spool.lifecycle import NEXT, OPERATORS, UNSETTLED, Event, State, after
from spool.postgres.accepting import write_journal
from spool.postgres.arrays import blobs, int8s, texts
from spool.postgres.database import Database, Row, Transaction, to_number, to_time
from spool.postgres.ordering import leave, line_up, lock_related, step_back, stop_waiting
from spool.postgres.returning import WHOSE
from spool.postgres.signals import wake

_OWNERS_AT_MOST: Final = 512
"""Owners that one claim looks at; the next claim goes on after the last of them."""
_READY: Final = "e.state = 'ready' AND e.blockers = 0 AND e.destination = %s"
_OWNERS: Final = (
    # one step in the index for each owner and priority, however much each has
    "WITH RECURSIVE lane (owner, priority) AS ("
    f"(SELECT e.owner, e.priority FROM entry e WHERE {_READY} AND e.owner > %s ORDER BY e.owner, e.priority LIMIT 1)"
    " UNION ALL SELECT n.owner, n.priority FROM lane l CROSS JOIN LATERAL ("
    f"SELECT e.owner, e.priority FROM entry e WHERE {_READY} AND (e.owner, e.priority) > (l.owner, l.priority)"
    " ORDER BY e.owner, e.priority LIMIT 1) AS n)"
    f" SELECT l.owner FROM lane l WHERE EXISTS (SELECT 1 FROM entry e WHERE {_READY} AND e.owner = l.owner"
    " AND e.priority = l.priority AND e.due_at <= %s) LIMIT %s"
)
_TAKE: Final = (
    "UPDATE entry t SET state = %s, claim = t.claim + 1, claimant = %s, lease_until = %s, claimed_at = %s,"
    " bounce = '' WHERE t.id = ANY(ARRAY("
    "SELECT c.id FROM unnest(%s::text[]) AS o (owner) CROSS JOIN LATERAL (SELECT d.id"
    " FROM (VALUES (0), (1), (2)) AS p (priority) CROSS JOIN LATERAL (SELECT e.id FROM entry e"
    f" WHERE {_READY} AND e.owner = o.owner AND e.priority = p.priority AND e.due_at <= %s"
    " ORDER BY e.due_at, e.id LIMIT %s FOR UPDATE SKIP LOCKED) AS d LIMIT %s) AS c))"
    " RETURNING t.owner, t.priority, t.due_at, t.id, t.claim, t.uid, t.cop_msg_id, t.attempts, t.facts, t.message"
)
_CONTENT: Final = (
    "SELECT m.id, m.kind, m.accepted_at, m.facts, p.body FROM message m"
    " JOIN payload p ON p.day = m.day AND p.message = m.id WHERE m.id = ANY(%s)"
)


class Forwarding:
    """The forwarding part of the spool."""

    db: Database
    _last_owner: dict[str, str]
    """Destination → the owner that was served last, by this process."""

    def claim(self, claimant: str, destination: str, *, limit: int, lease_s: float) -> list[Claimed]:
        """Take up to `limit` entries whose turn has come, in turn from each owner that has any.

        What another claim holds at this moment is passed over, not waited for.
        """

        def work(transaction: Transaction) -> list[Claimed]:
            turn = _Turn(transaction, claimant, destination, lease_s)
            rows = turn.take(self._last_owner.get(destination, ""), limit)
            content = transaction.run(_CONTENT, int8s({row[9] for row in rows})) if rows else None
            transaction.commit()
            if content is None:
                return []
            self._last_owner[destination] = turn.last
            messages = {row[0]: row for row in content}
            return [_claimed(row, destination, messages[row[9]]) for row in rows]

        return self.db.write(work)

    def next_due(self, destination: str) -> datetime | None:
        """Return when the next waiting entry may be claimed; None when nothing waits for its time."""
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
            condition, value = (
                ("e.lease_until < %s", transaction.now) if claimant is None else ("e.claimant = %s", claimant)
            )
            rows = transaction.all(
                f"{WHOSE} WHERE e.state = 'sending' AND {condition} ORDER BY e.id FOR UPDATE OF e SKIP LOCKED",
                value,
            )
            return _abandon(transaction, rows) if rows else []

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
    """One claim: an equal share for every owner; what some do not use goes to the others."""

    def __init__(self, transaction: Transaction, claimant: str, destination: str, lease_s: float) -> None:
        self._transaction = transaction
        self._claimant = claimant
        self._destination = destination
        self._until = transaction.now + round(lease_s * 1_000_000)
        self.last = ""
        """The owner that was served last."""

    def take(self, last: str, limit: int) -> list[Row]:
        """Take up to `limit` entries, beginning with the owner after `last`."""
        owners = self._owners(last, limit)
        if not owners:
            return []
        share = max(1, limit // len(owners))
        taken = self._take(owners, share)
        rows = [row for owner in owners for row in taken.get(owner, ())]
        self.last = next((owner for owner in reversed(owners) if owner in taken), last)
        for owner in owners:
            room = limit - len(rows)
            if room and len(taken.get(owner, ())) == share:
                rows += self._take([owner], room).get(owner, ())
        return rows

    def _owners(self, last: str, limit: int) -> list[str]:
        """Name owners with something due, once round, from the one after the last that was served."""
        count = min(limit, _OWNERS_AT_MOST)
        found = dict.fromkeys(self._owners_after(last, count))
        if last and len(found) < count:
            found.update(dict.fromkeys(name for name in self._owners_after("", count) if name <= last))
        return list(found)[:count]

    def _owners_after(self, name: str, count: int) -> list[str]:
        where, now = self._destination, self._transaction.now
        rows = self._transaction.all(_OWNERS, where, name, where, where, now, 3 * count)
        return [row[0] for row in rows]

    def _take(self, owners: Collection[str], share: int) -> dict[str, list[Row]]:
        rows = self._transaction.all(
            _TAKE,
            after(State.READY, Event.CLAIMED).value,
            self._claimant,
            self._until,
            self._transaction.now,
            texts(owners),
            self._destination,
            self._transaction.now,
            share,
            share,
        )
        taken: dict[str, list[Row]] = {}
        for row in sorted(rows, key=lambda row: (row[1], row[2], row[3])):
            taken.setdefault(row[0], []).append(row)
        return taken


def _claimed(row: Row, destination: str, message: Row) -> Claimed:
    owner, _, _, entry, claim, uid, cop_msg_id, attempts, way, _ = row
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
    )


def _abandon(transaction: Transaction, rows: Sequence[Row]) -> list[Ended]:
    """End claims whose holders fell silent; the entries are locked."""
    lost = {row[0]: row for row in rows}
    judged = abandoned([(entry, row[-1]) for entry, row in lost.items()], now=transaction.now)
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
    return [ended(Whose(*lost[one.entry][:-1]), one.state, due=one.due, why=one.why) for one in judged]


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
            verdict = Verdict(bounce, bounce_due) if bounce else None
            found[one.entry] = (one.entry, uid, settled(one, now=now, due=due, verdict=verdict))
    return list(found.values())


def _end(transaction: Transaction, valid: Sequence[tuple[int, str, Ending]]) -> None:
    """Write how the attempts ended."""
    transaction.run(
        "UPDATE entry e SET state = o.state, attempts = e.attempts + o.failed, due_at = o.due_at, error = o.error,"
        " sent_at = CASE o.failed WHEN 0 THEN %s END, sent_sha256 = o.sha256, abandoned = 0, lease_until = 0"
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
    anew = ", attempts = 0, abandoned = 0" if event is Event.RETRIED else ""
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
