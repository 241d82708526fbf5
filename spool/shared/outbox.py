"""Take back how it went with what was claimed: settlements, lost claims, operators' acts, answers that end attempts.

What an event moves is judged in `spool.ending` and `spool.lifecycle`; which entry waits for which is the backend's `Order`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from spool.claimants import LEFT, MARK, first_of
from spool.ending import FARTHEST, EndVerdict, Whose, bounced, ended, endings, lost
from spool.entry import Bounce, Ended, Filing, Settlement
from spool.errors import LifecycleError
from spool.lifecycle import OPERATORS, UNSETTLED, Event, State, moves
from spool.shared.backend import Store, Transaction
from spool.store import Topic
from spool.times import to_number

_OF: Final = f"(e.claimant = ? OR substr(e.claimant, 1, length(?) + 1) = ? || '{MARK}')"
"""A claimant or one of its later generations; the name is given three times."""
_LEAVE: Final = f"UPDATE entry AS e SET claimant = ? WHERE e.state = 'sending' AND e.claimant NOT IN (?, ?) AND {_OF} RETURNING id"
"""Put claims of earlier generations under the name of what is left."""
_WAITS: Final = "SELECT EXISTS (SELECT 1 FROM wait)"
"""Whether any entry waits for another."""
_ENTRIES: Final = (
    "SELECT e.id, e.state FROM message m JOIN entry e ON e.message = m.id"
    " WHERE m.uid = ? AND ? IN ('', e.destination) ORDER BY e.id"
)
"""Entries of a message, all or those to one destination."""
_MOVE: Final = "UPDATE entry SET state = ?, due_at = ? WHERE id = ?"
"""Move an entry as an operator says."""
_ANEW: Final = "UPDATE entry SET state = ?, due_at = ?, attempts = 0, abandoned = 0, error = '' WHERE id = ?"
"""The same, and let it begin anew."""
_OF_UIDS: Final = "SELECT m.uid FROM entry e JOIN message m ON m.id = e.message WHERE e.id = ?"
"""Whose an entry is."""
_NEWER: Final = (
    "SELECT newer.uid FROM entry me JOIN version mine ON mine.message = me.message"
    " JOIN version theirs ON theirs.declaration = mine.declaration AND theirs.message > me.message"
    " JOIN message newer ON newer.id = theirs.message JOIN entry e ON e.message = theirs.message"
    " WHERE me.id = ? AND e.destination = me.destination AND e.state IN ('sending', 'sent') LIMIT 1"
)
"""A newer message about the same that has gone to the same destination."""
_WAS_SENT: Final = "first_sent_at = coalesce(first_sent_at, sent_at, claimed_at)"
"""An answer about an attempt proves that it got there, whatever else is heard of it (docs/adr/0037)."""
_REMEMBER: Final = f"UPDATE entry SET bounce = ?, bounce_due = ?, {_WAS_SENT} WHERE id = ?"
"""Keep what an answer said until the attempt is settled."""
_BOUNCE: Final = (
    "UPDATE entry SET state = ?, attempts = attempts + 1, due_at = ?, error = ?, sent_at = NULL, sent_sha256 = ?,"
    f" {_WAS_SENT} WHERE id = ?"
)
"""Send an entry back, or let it die."""

_AT_ONCE: Final = 1000
"""Entries that one commit brings near at most."""
_SLACK: Final = 1_000_000
"""Microseconds by which clocks may differ without being wrong."""
_TOO_FAR: Final = tuple(
    f"SELECT e.id FROM entry e WHERE e.state = 'ready' AND e.{blocked} AND e.destination = ? AND e.due_at > ?"
    " AND (e.attempts = 0 AND e.abandoned = 0 AND e.error = ''"
    f" OR e.abandoned = 0 AND e.due_at > ? OR e.due_at > ?) LIMIT {_AT_ONCE}"
    for blocked in ("blockers = 0", "blockers > 0")
)
"""Entries whose turn is too far ahead: those that are next, then those behind them; by `entry_next` and `entry_blocked`."""
_LEASED_TOO_LONG: Final = f"SELECT e.id FROM entry e WHERE e.state = 'sending' AND e.lease_until > ? AND e.destination = ? LIMIT {_AT_ONCE}"
"""Entries whose lease is too long."""
_FAR: Final = f"SELECT {' OR '.join(f'EXISTS ({query})' for query in (*_TOO_FAR, _LEASED_TOO_LONG))}"
"""Whether there are any."""
_BRING_NEAR: Final = "UPDATE entry SET due_at = ? WHERE id = ?"
_SHORTEN: Final = "UPDATE entry SET lease_until = ? WHERE id = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSql:
    """What a backend says in its own SQL; where it locks rows, the statement does so."""

    whose: str
    """The fields of `ending.Whose`, how often in a row a claim has ended without a word, and who claimed it, of `entry e`."""
    lost: str
    """The same of entries that are being sent, with a condition in place of `{}`."""
    held: str
    """Entry, claim, uid, bounce and bounce_due of those of these entries that are being sent."""
    end: str
    """Write how attempts ended: entry, state, failed attempts more, due, error, sent_sha256, now; for many."""
    abandon: str
    """Write what became of lost claims: entry, state, due, times, error; for many."""
    answered: str
    """State of the entry that an arrival ends the attempt of: arrival, entry, claim, now."""
    skip_locked: str
    """What a SELECT ends with that takes rows nobody else has."""


class Order(Protocol):
    """Which entry waits for which; see `spool.sqlite.ordering`."""

    def lock_related(self, transaction: Transaction, uids: Collection[str]) -> None:
        """Keep others from moving entries about the same declarations as these messages, where others write at once."""
        ...

    def line_up(self, transaction: Transaction, entry: int) -> None:
        """Give an entry that was over and is ready again its old place in the order."""
        ...

    def step_back(self, transaction: Transaction, entries: Sequence[int]) -> bool:
        """Let entries that came back unsent wait for earlier ones that waited for them; True if there were any."""
        ...

    def leave(self, transaction: Transaction, entries: Sequence[int]) -> bool:
        """Take settled entries out of the order; True if later ones waited for them."""
        ...

    def stop_waiting(self, transaction: Transaction, entry: int) -> None:
        """Forget what an entry waited for that will never go."""
        ...


class SharedOutbox:
    """The part of a spool that hands entries out: `spool.store.SpoolOutbox`, but for `claim` and `next_due`."""

    def __init__(self, db: Store, sql: OutboxSql, order: Order) -> None:
        self._store = db
        self._sql = sql
        self._order = order
        self._last_turn: dict[str, str] = {}
        """Destination → the turn that was served last, by this process."""
        self._last_needy: dict[str, dict[str, str]] = {}
        """The same, apart for each need that a claim had a bound for."""

    def settle(self, settlements: Sequence[Settlement]) -> int:
        """End attempts; void claims are passed over. Returns how many took effect."""
        if not settlements:
            return 0

        def work(transaction: Transaction) -> int:
            held = transaction.all(self._sql.held, self._store.numbers(one.entry for one in settlements))
            valid = endings(settlements, held, now=transaction.now)
            transaction.many(
                self._sql.end,
                "itiitbi",
                [
                    (entry, end.state.value, end.failed, end.due, end.error, end.sent_sha256, transaction.now)
                    for entry, _, end in valid
                ],
            )
            transaction.journal((event, uid, why) for _, uid, end in valid for event, why in end.lines)
            waits = bool(valid) and transaction.all(_WAITS)[0][0]
            if waits and self._reorder(transaction, [(entry, end.state) for entry, _, end in valid]):
                transaction.wake(Topic.ENTRIES)
            return len(valid)

        return self._store.transact(work)

    def recover(self, *, claimant: str | None = None) -> list[Ended]:
        """Make ready what `claimant` had claimed (it died), or, without a name, whose lease is over."""

        def work(transaction: Transaction) -> list[Ended]:
            condition, given = (
                ("e.lease_until < ?", (transaction.now,)) if claimant is None else (_OF, (claimant,) * 3)
            )
            rows = transaction.all(self._sql.lost.format(condition), *given)
            judged = lost(rows, now=transaction.now)
            if judged:
                transaction.many(
                    self._sql.abandon,
                    "itiit",
                    [(one.entry, one.state.value, one.due, one.times, one.error) for one, _ in judged],
                )
                self._reorder(transaction, [(one.entry, one.state) for one, _ in judged])
                transaction.journal((one.event, it.uid, one.why) for one, it in judged)
                transaction.wake(Topic.ENTRIES)
            return [it for _, it in judged]

        return self._store.transact(work)

    def leave(self, claimant: str) -> int:
        """Leave claims of earlier generations of `claimant` to those who hold them; returns how many were not left before."""
        first = first_of(claimant)
        given = (first + LEFT, claimant, first + LEFT, first, first, first)
        return self._store.transact(lambda one: len(one.all(_LEAVE, *given)))

    def act(self, event: Event, uids: Sequence[str], *, reason: str = "", destination: str = "") -> int:
        """Let an operator's event happen to these messages' entries; all or, on LifecycleError, none.

        Returns how many messages it happened to; uids that nobody knows are passed over.
        """
        if event not in OPERATORS:
            raise LifecycleError(f"{event.value} is not for an operator to say")

        def work(transaction: Transaction) -> int:
            self._order.lock_related(transaction, uids)
            done = [uid for uid in uids if self._act(transaction, event, uid, destination)]
            transaction.journal((f"entry.{event.value}", uid, reason) for uid in done)
            if done:
                transaction.wake(Topic.ENTRIES)
            return len(done)

        return self._store.transact(work)

    def _act(self, transaction: Transaction, event: Event, uid: str, destination: str) -> bool:
        moved = moves(event, transaction.all(_ENTRIES, uid, destination))
        for entry, before, state in moved:
            statement = _ANEW if event is Event.RETRIED else _MOVE
            transaction.run(statement, state.value, transaction.now, entry)
            if state not in UNSETTLED:
                self._order.leave(transaction, [entry])
                self._order.stop_waiting(transaction, entry)
            elif before not in UNSETTLED:
                self._order.line_up(transaction, entry)
        return bool(moved)

    def _reorder(self, transaction: Transaction, ends: Sequence[tuple[int, State]]) -> bool:
        """Let others go before or after entries that are no longer on their way; True if there were any."""
        over = [entry for entry, state in ends if state not in UNSETTLED]
        unsent = [entry for entry, state in ends if state in UNSETTLED]
        freed = bool(over) and self._order.leave(transaction, over)
        return (bool(unsent) and self._order.step_back(transaction, unsent)) or freed

    def bounce(self, transaction: Transaction, filings: Sequence[Filing]) -> dict[int, tuple[Ended, ...]]:
        """Let the answers of these filings end attempts (docs/adr/0014); returns by arrival what came of it.

        The declarations of the entries are locked first, and with them every unsettled entry about one of them: so
        nobody can claim, put or bring back another of the same meanwhile.
        """
        bounces = [(filing.arrival, one) for filing in filings for one in filing.bounces]
        returned: dict[int, tuple[Ended, ...]] = {}
        if bounces:
            uids = [transaction.run(_OF_UIDS, one.entry) for _, one in bounces]
            self._order.lock_related(transaction, {row[0] for uid in uids for row in uid.fetchall()})
        for arrival, one in bounces:
            it = self._bounce(transaction, one, arrival)
            if it is not None:
                returned[arrival] = (*returned.get(arrival, ()), it)
        if returned:
            transaction.wake(Topic.ENTRIES)
        return returned

    def _bounce(self, transaction: Transaction, one: Bounce, arrival: int) -> Ended | None:
        """Let an answer end an attempt; None when it is not about the entry's latest one.

        While that attempt is still to be settled, the entry remembers what the answer said: nothing of the same
        declarations can start meanwhile, so what is judged now holds then.
        """
        run, rows, now = transaction.run, transaction.all, transaction.now
        found = rows(self._sql.answered, arrival, one.entry, one.claim, now)
        if not found:
            return None
        whose = Whose(*rows(f"{self._sql.whose} WHERE e.id = ?", one.entry)[0][:-2])
        newer = rows(_NEWER, one.entry)
        verdict = EndVerdict(one.reason, None if one.next_at is None else to_number(one.next_at))
        verdict = verdict.overtaken_by(newer[0][0] if newer else None)
        end = bounced(State.SENT, verdict, now=now)
        if State(found[0][0]) is State.SENDING:
            run(_REMEMBER, *verdict, one.entry)
        else:
            run(_BOUNCE, end.state.value, end.due, end.error, b"", one.entry)
            transaction.journal((event, whose.uid, why) for event, why in end.lines)
            if end.state in UNSETTLED:
                self._order.line_up(transaction, one.entry)
        return ended(whose, end.state, due=end.due, why=end.error, failed=True)

    def repair_clock(self, destination: str, *, wait_s: float, lease_s: float) -> int:
        """Bring near what lies further ahead than it can have been put; see `spool.store.SpoolOutbox`."""
        now = self._store.now()
        lease_ends = now + round(lease_s * 1_000_000)
        latest = now + _SLACK + round(wait_s * 1_000_000)
        far = (destination, now + _SLACK, latest, max(latest, now + _SLACK + FARTHEST))
        long = (lease_ends + _SLACK, destination)
        if not self._store.rows(_FAR, *far, *far, *long)[0][0]:
            return 0

        def work(transaction: Transaction) -> int:
            lock = self._sql.skip_locked
            due = [row for query in _TOO_FAR for row in transaction.all(query + lock, *far)]
            leased = transaction.all(_LEASED_TOO_LONG + lock, *long)
            for row in due:
                transaction.run(_BRING_NEAR, now, row[0])
            for row in leased:
                transaction.run(_SHORTEN, lease_ends, row[0])
            if due:
                transaction.wake(Topic.ENTRIES)
            return len(due) + len(leased)

        return self._store.transact(work)
