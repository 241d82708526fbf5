"""Handing entries out under a lease, and taking back how it went."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from spool.entry import Claimed, Fate, Settlement
from spool.lifecycle import UNSETTLED, Event, State, after
from spool.signals import Signals
from spool.sqlite.accepting import journal
from spool.sqlite.database import Database, to_number, to_time

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


class Forwarding:
    """The forwarding part of the spool."""

    db: Database
    signals: Signals

    def claim(self, claimant: str, destination: str, *, limit: int, lease_s: float) -> list[Claimed]:
        """Take up to `limit` entries whose turn has come, oldest due first."""
        if not self._anything_due(destination):
            return []
        with self.db.write() as connection:
            now = self.db.now()
            until = to_number(self.db.clock() + timedelta(seconds=lease_s))
            taken = connection.execute(
                "UPDATE entry SET state = ?, claim = claim + 1, claimant = ?, lease_until = ? WHERE id IN ("
                " SELECT id FROM entry WHERE state = 'ready' AND blockers = 0 AND destination = ? AND due_at <= ?"
                " ORDER BY due_at, id LIMIT ?) RETURNING id",
                (after(State.READY, Event.CLAIMED).value, claimant, until, destination, now, limit),
            ).fetchall()
            return [_claimed(connection, entry) for (entry,) in sorted(taken)]

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
                f"UPDATE entry SET state = ?, due_at = ? WHERE state = 'sending' AND {condition} RETURNING message",
                (after(State.SENDING, Event.DEFERRED).value, now, value),
            ).fetchall()
            for (message,) in rows:
                (uid,) = connection.execute("SELECT uid FROM message WHERE id = ?", (message,)).fetchone()
                journal(
                    connection, now, "entry.deferred", uid, "found unfinished; sent again under the same id"
                )
        if rows:
            self.signals.wake("entries")
        return len(rows)

    def act(self, event: Event, uids: Sequence[str], *, reason: str = "") -> int:
        """Let an operator's event happen to these messages' entries. Raises LifecycleError."""
        with self.db.write() as connection:
            now = self.db.now()
            for uid in uids:
                for entry, state in connection.execute(
                    "SELECT e.id, e.state FROM message m JOIN entry e ON e.message = m.id WHERE m.uid = ?",
                    (uid,),
                ).fetchall():
                    target = after(State(state), event)
                    connection.execute(
                        "UPDATE entry SET state = ?, due_at = ?, attempts = CASE ? WHEN 'retried' THEN 0"
                        " ELSE attempts END WHERE id = ?",
                        (target.value, now, event.value, entry),
                    )
                    if target not in UNSETTLED:
                        free_followers(connection, entry)
                    journal(connection, now, f"entry.{event.value}", uid, reason)
        self.signals.wake("entries")
        return len(uids)


def _claimed(connection: sqlite3.Connection, entry: int) -> Claimed:
    row = connection.execute(
        "SELECT e.claim, m.uid, m.owner, m.kind, e.destination, e.cop_msg_id, e.attempts, m.accepted_at,"
        " m.facts, p.body FROM entry e JOIN message m ON m.id = e.message JOIN payload p ON p.message = m.id"
        " WHERE e.id = ?",
        (entry,),
    ).fetchone()
    claim, uid, owner, kind, destination, cop_msg_id, attempts, accepted_at, facts, body = row
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
    """Return None for a void claim, else whether followers became free."""
    target = after(State.SENDING, _EVENTS[settlement.fate])
    delivered = settlement.fate is Fate.DELIVERED
    due = now if settlement.next_at is None else to_number(settlement.next_at)
    row = connection.execute(
        "UPDATE entry SET state = ?, attempts = attempts + ?, due_at = ?, error = ?, sent_at = ?, sent_sha256 = ?,"
        " lease_until = 0 WHERE id = ? AND claim = ? AND state = 'sending' RETURNING message",
        (
            target.value,
            0 if delivered else 1,
            due,
            settlement.error,
            now if delivered else None,
            settlement.sent_sha256,
            settlement.entry,
            settlement.claim,
        ),
    ).fetchone()
    if row is None:
        return None
    (uid,) = connection.execute("SELECT uid FROM message WHERE id = ?", row).fetchone()
    journal(connection, now, _HAPPENED[settlement.fate], uid, settlement.error)
    return free_followers(connection, settlement.entry) if target not in UNSETTLED else False


def free_followers(connection: sqlite3.Connection, blocker: int) -> bool:
    """Take the settled entry out of the way of later ones; say whether there were any."""
    followers = connection.execute(
        "DELETE FROM wait WHERE blocker = ? RETURNING entry", (blocker,)
    ).fetchall()
    connection.executemany("UPDATE entry SET blockers = blockers - 1 WHERE id = ?", followers)
    return bool(followers)
