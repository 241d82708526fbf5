"""Entries that an answer sends back, or has die (docs/adr/0014).

The declarations of such an entry are locked first, and with them every unsettled entry about one of them: so
nobody can claim, put or bring back another of the same meanwhile.
"""

from collections.abc import Sequence
from typing import Final

from spool.ending import EndVerdict, Whose, bounced, ended
from spool.entry import Bounce, Ended, Filing
from spool.lifecycle import UNSETTLED, State
from spool.postgres.accepting import write_journal
from spool.postgres.arrays import int8s
from spool.postgres.database import Transaction, to_number
from spool.postgres.ordering import line_up, lock_related
from spool.postgres.signals import wake

WHOSE: Final = (
    "SELECT e.id, e.uid, e.owner, m.kind, e.destination, e.cop_msg_id, e.attempts, e.abandoned, e.claimant"
    " FROM entry e JOIN message m ON m.id = e.message"
)
"""The fields of `ending.Whose`, how often in a row its claim has ended without a word, and who claimed it."""
_ANSWERED: Final = (
    "SELECT e.state FROM entry e JOIN arrival a ON a.id = %s"
    " WHERE e.id = %s AND e.claim = %s"
    " AND (a.received_at >= e.claimed_at OR e.claimed_at > %s)"
    " AND (e.state = 'sent' OR e.state = 'sending' AND e.bounce = '') FOR NO KEY UPDATE OF e"
)
_NEWER: Final = (
    "SELECT e.uid FROM entry me JOIN version mine ON mine.message = me.message"
    " JOIN version theirs ON theirs.declaration = mine.declaration AND theirs.message > me.message"
    " JOIN entry e ON e.message = theirs.message"
    " WHERE me.id = %s AND e.destination = me.destination AND e.state IN ('sending', 'sent') LIMIT 1"
)
_WAS_SENT: Final = "first_sent_at = coalesce(first_sent_at, sent_at, claimed_at)"
"""An answer about an attempt proves that it got there, whatever else is heard of it."""


def bounced_by(transaction: Transaction, filings: Sequence[Filing]) -> dict[int, tuple[Ended, ...]]:
    """Let the answers of these filings end attempts; returns by arrival what came of it."""
    bounces = [(filing.arrival, one) for filing in filings for one in filing.bounces]
    if not bounces:
        return {}
    uids = transaction.all("SELECT uid FROM entry WHERE id = ANY(%s)", int8s(one.entry for _, one in bounces))
    lock_related(transaction, {uid for (uid,) in uids})
    returned: dict[int, tuple[Ended, ...]] = {}
    for arrival, one in bounces:
        told = _bounce(transaction, one, arrival)
        if told is not None:
            returned[arrival] = (*returned.get(arrival, ()), told)
    if returned:
        wake(transaction, "entries")
    return returned


def _bounce(transaction: Transaction, one: Bounce, arrival: int) -> Ended | None:
    """Let an answer end an attempt; None when it is not about the entry's latest one.

    While that attempt is still to be settled, the entry remembers what the answer said: nothing of the same
    declarations can start meanwhile, so what is judged now holds then.
    """
    run, rows = transaction.run, transaction.all
    found = rows(_ANSWERED, arrival, one.entry, one.claim, transaction.now)
    if not found:
        return None
    whose = Whose(*rows(f"{WHOSE} WHERE e.id = %s", one.entry)[0][:-2])
    newer = rows(_NEWER, one.entry)
    verdict = EndVerdict(one.reason, None if one.next_at is None else to_number(one.next_at))
    verdict = verdict.overtaken_by(newer[0][0] if newer else None)
    end = bounced(State.SENT, verdict, now=transaction.now)
    if State(found[0][0]) is State.SENDING:
        run(f"UPDATE entry SET bounce = %s, bounce_due = %s, {_WAS_SENT} WHERE id = %s", *verdict, one.entry)
    else:
        run(
            "UPDATE entry SET state = %s, attempts = attempts + 1, due_at = %s, error = %s, sent_at = NULL,"
            f" sent_sha256 = '', {_WAS_SENT} WHERE id = %s",
            end.state.value,
            end.due,
            end.error,
            one.entry,
        )
        write_journal(transaction, [(event, whose.uid, why) for event, why in end.lines])
        if end.state in UNSETTLED:
            line_up(transaction, one.entry)
    return ended(whose, end.state, due=end.due, why=end.error, failed=True)
