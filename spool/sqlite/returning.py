"""Entries that an answer sends back, or has die (docs/adr/0014)."""

import sqlite3
from typing import Final

from spool.ending import EndVerdict, Whose, bounced, ended
from spool.entry import Bounce, Ended
from spool.lifecycle import UNSETTLED, State
from spool.sqlite.accepting import write_journal
from spool.sqlite.database import to_number
from spool.sqlite.ordering import line_up

WHOSE: Final = (
    "SELECT e.id, m.uid, m.owner, m.kind, e.destination, e.cop_msg_id, e.attempts, e.abandoned, e.claimant"
)
"""The fields of `ending.Whose`, how often in a row its claim has ended without a word, and who claimed it."""
_ANSWERED: Final = (
    "SELECT e.state FROM entry e JOIN arrival a ON a.id = ?"
    " WHERE e.id = ? AND e.claim = ?"
    " AND (a.received_at >= e.claimed_at OR e.claimed_at > ?)"
    " AND (e.state = 'sent' OR e.state = 'sending' AND e.bounce = '')"
)
_NEWER: Final = (
    "SELECT newer.uid FROM entry me JOIN version mine ON mine.message = me.message"
    " JOIN version theirs ON theirs.declaration = mine.declaration AND theirs.message > me.message"
    " JOIN message newer ON newer.id = theirs.message JOIN entry e ON e.message = theirs.message"
    " WHERE me.id = ? AND e.destination = me.destination AND e.state IN ('sending', 'sent') LIMIT 1"
)
_WAS_SENT: Final = "first_sent_at = coalesce(first_sent_at, sent_at, claimed_at)"
"""An answer about an attempt proves that it got there, whatever else is heard of it."""


def bounce(connection: sqlite3.Connection, one: Bounce, arrival: int, now: int) -> Ended | None:
    """Let an answer end an attempt; None when it is not about the entry's latest one.

    While that attempt is still to be settled, the entry remembers what the answer said: nothing of the same
    declarations can start meanwhile, so what is judged now holds then.
    """
    run = connection.execute
    found = run(_ANSWERED, (arrival, one.entry, one.claim, now)).fetchone()
    if found is None:
        return None
    whose = Whose(
        *run(
            f"{WHOSE} FROM entry e JOIN message m ON m.id = e.message WHERE e.id = ?", (one.entry,)
        ).fetchone()[:-2]
    )
    newer = run(_NEWER, (one.entry,)).fetchone()
    verdict = EndVerdict(one.reason, None if one.next_at is None else to_number(one.next_at))
    verdict = verdict.overtaken_by(newer and newer[0])
    end = bounced(State.SENT, verdict, now=now)
    if State(found[0]) is State.SENDING:
        run(f"UPDATE entry SET bounce = ?, bounce_due = ?, {_WAS_SENT} WHERE id = ?", (*verdict, one.entry))
    else:
        run(
            "UPDATE entry SET state = ?, attempts = attempts + 1, due_at = ?, error = ?, sent_at = NULL,"
            f" sent_sha256 = x'', {_WAS_SENT} WHERE id = ?",
            (end.state.value, end.due, end.error, one.entry),
        )
        write_journal(connection, now, [(event, whose.uid, why) for event, why in end.lines])
        if end.state in UNSETTLED:
            line_up(connection, one.entry)
    return ended(whose, end.state, due=end.due, why=end.error, failed=True)
