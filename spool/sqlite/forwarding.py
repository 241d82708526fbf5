"""Handing entries out under a lease, and taking back how it went."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from spool.entry import Claimed, Fate, Settlement
from spool.errors import LifecycleError
from spool.lifecycle import OPERATORS, UNSETTLED, Event, State, after
from spool.signals import Signals
from spool.sqlite.accepting import journal
from spool.sqlite.database import Database, to_number, to_time
from spool.sqlite.ordering import leave, line_up, step_back, stop_waiting

_EVENTS = {
    Fate.DELIVERED: Event.DELIVERED,
    Fate.DEFERRED: Event.DEFERRED,
    Fate.UNDELIVERABLE: Event.UNDELIVERABLE,
}
_HAPPENED = {
    Fate.DELIVERED: "entry.sent",
    Fate.DEFERRED: "entry.deferred",
    Fate.UNDELIVERABLE: "entry.dead",
}
_CLAIMABLE = (
    "SELECT e.id, e.claim + 1, m.uid, m.owner, m.kind, e.destination, e.cop_msg_id, e.attempts, m.accepted_at,"
    " m.facts, p.body FROM entry e JOIN message m ON m.id = e.message JOIN payload p ON p.message = m.id"
    " WHERE e.state = 'ready' AND e.blockers = 0 AND e.destination = ? AND e.due_at <= ?"
    " ORDER BY e.due_at, e.id LIMIT ?"
)


class Forwarding:
    """The forwarding part of the spool."""

    db: Database
    signals: Signals

    def claim(self, claimant: str, destination: str, *, limit: int, lease_s: float) -> list[Claimed]:
        """Take up to `limit` entries whose turn has come, oldest due first."""
        if not self._anything_due(destination):
            return []
        with self.db.write() as connection:
            until = to_number(self.db.clock() + timedelta(seconds=lease_s))
            rows = connection.execute(_CLAIMABLE, (destination, self.db.now(), limit)).fetchall()
            sending = after(State.READY, Event.CLAIMED).value
            connection.executemany(
                "UPDATE entry SET state = ?, claim = claim + 1, claimant = ?, lease_until = ? WHERE id = ?",
                [(sending, claimant, until, row[0]) for row in rows],
            )
        return [_claimed(row) for row in rows]

    def _anything_due(self, destination: str) -> bool:
        with self.db.read() as connection:
            row = connection.execute(
                "SELECT 1 FROM entry WHERE state = 'ready' AND blockers = 0 AND destination = ? AND due_at <= ?"
                " LIMIT 1",
                (destination, self.db.now()),
            ).fetchone()
        return row is not None

    def next_due(self, destination: str) -> datetime | None:
        """Return when the next waiting entry may be claimed; None when nothing waits for its time."""
        with self.db.read() as connection:
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
            now = self.db.now()
            done = [_settle(connection, settlement, now) for settlement in settlements]
        if True in done:
            self.signals.wake("entries")
        return sum(result is not None for result in done)

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
            for entry, uid in rows:
                connection.execute("UPDATE entry SET state = ?, due_at = ? WHERE id = ?", (ready, now, entry))
                step_back(connection, entry)
                journal(
                    connection, now, "entry.deferred", uid, "found unfinished; sent again under the same id"
                )
        if rows:
            self.signals.wake("entries")
        return len(rows)

    def act(self, event: Event, uids: Sequence[str], *, reason: str = "") -> int:
        """Let an operator's event happen to these messages' entries; all or, on LifecycleError, none.

        Returns how many it happened to; uids that nobody knows are passed over.
        """
        if event not in OPERATORS:
            raise LifecycleError(f"{event.value} is not for an operator to say")
        with self.db.write() as connection:
            now = self.db.now()
            done = sum(_act(connection, event, uid, reason, now) for uid in uids)
        if done:
            self.signals.wake("entries")
        return done


def _claimed(row: tuple[int, int, str, str, str, str, str, int, int, bytes, bytes]) -> Claimed:
    entry, claim, uid, owner, kind, destination, cop_msg_id, attempts, accepted_at, facts, body = row
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
        body=body,
    )


def _settle(connection: sqlite3.Connection, settlement: Settlement, now: int) -> bool | None:
    """Return None for a void claim, else whether others became free."""
    row = connection.execute(
        "SELECT m.uid FROM entry e JOIN message m ON m.id = e.message"
        " WHERE e.id = ? AND e.claim = ? AND e.state = 'sending'",
        (settlement.entry, settlement.claim),
    ).fetchone()
    if row is None:
        return None
    target = after(State.SENDING, _EVENTS[settlement.fate])
    delivered = settlement.fate is Fate.DELIVERED
    due = now if settlement.next_at is None else to_number(settlement.next_at)
    connection.execute(
        "UPDATE entry SET state = ?, attempts = attempts + ?, due_at = ?, error = ?, sent_at = ?, sent_sha256 = ?,"
        " lease_until = 0 WHERE id = ?",
        (
            target.value,
            0 if delivered else 1,
            due,
            settlement.error,
            now if delivered else None,
            settlement.sent_sha256,
            settlement.entry,
        ),
    )
    journal(connection, now, _HAPPENED[settlement.fate], row[0], settlement.error)
    settled = target not in UNSETTLED
    return leave(connection, settlement.entry) if settled else step_back(connection, settlement.entry)


def _act(connection: sqlite3.Connection, event: Event, uid: str, reason: str, now: int) -> bool:
    row = connection.execute(
        "SELECT e.id, e.state FROM message m JOIN entry e ON e.message = m.id WHERE m.uid = ?", (uid,)
    ).fetchone()
    if row is None:
        return False
    entry, state = row[0], State(row[1])
    target = after(state, event)
    attempts = "0" if event is Event.RETRIED else "attempts"
    connection.execute(
        f"UPDATE entry SET state = ?, due_at = ?, attempts = {attempts} WHERE id = ?",
        (target.value, now, entry),
    )
    if target not in UNSETTLED:
        leave(connection, entry)
        stop_waiting(connection, entry)
    elif state not in UNSETTLED:
        line_up(connection, entry)
    journal(connection, now, f"entry.{event.value}", uid, reason)
    return True
