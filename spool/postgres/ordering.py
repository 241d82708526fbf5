"""The order of a declaration: which entry waits for which, kept as rows of `wait` and a count beside it.

The rules are those of the spool on SQLite: a later entry waits for every earlier unsettled one of the same
declaration and destination, and nothing starts while another is on its way. Ways of one message do not wait for
each other. What makes the rules hold with many writers:

- a row of `wait` is made only while its blocker is locked and known to be unsettled, and removed by whoever
  settles the blocker, who has locked it too: no wait outlives what it waits for;
- the count of an entry is changed only together with its rows of `wait`;
- entries are locked in the order of their numbers. Where that cannot be (an entry that comes back unsent finds
  earlier ones), PostgreSQL ends a deadlock and the transaction is begun anew.
"""

from collections.abc import Collection, Sequence
from typing import Final

from spool.lifecycle import UNSETTLED_SQL, State
from spool.postgres.arrays import int8s, texts
from spool.shared.backend import Transaction

_LOCK_DECLARATIONS: Final = (
    "SELECT d.id FROM declaration d WHERE d.id IN (SELECT v.declaration FROM message m"
    " JOIN version v ON v.message = m.id WHERE m.uid = ANY(%s)) ORDER BY d.owner, d.identity FOR NO KEY UPDATE"
)
"""Lock the declarations of messages."""
_LOCK_ENTRIES: Final = (
    "SELECT e.id FROM entry e WHERE e.id IN ("
    "SELECT own.id FROM message m JOIN entry own ON own.message = m.id WHERE m.uid = ANY(%s) UNION "
    "SELECT other.id FROM message m JOIN version mine ON mine.message = m.id"
    " JOIN version theirs ON theirs.declaration = mine.declaration JOIN entry other ON other.message = theirs.message"
    f" WHERE m.uid = ANY(%s) AND other.state IN ({UNSETTLED_SQL})) ORDER BY e.id FOR NO KEY UPDATE"
)
"""Lock the entries of messages, and every unsettled entry with one of their declarations."""
_RELATED: Final = (
    "SELECT DISTINCT e.id, e.state FROM entry me JOIN version mine ON mine.message = me.message"
    " JOIN version theirs ON theirs.declaration = mine.declaration JOIN entry e ON e.message = theirs.message"
    " WHERE me.id = %s AND e.message <> me.message AND e.destination = me.destination"
    f" AND e.state IN ({UNSETTLED_SQL})"
)
"""Unsettled entries of other messages with a declaration of this one, to its destination."""
_EARLIER: Final = "SELECT blocker, entry FROM wait WHERE blocker = ANY(%s) AND entry < blocker"
"""Waits of earlier entries for these."""
_LOCK: Final = "SELECT id FROM entry WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
"""Lock entries."""
_LOCK_FOLLOWERS: Final = (
    "SELECT e.id FROM entry e WHERE e.id IN (SELECT w.entry FROM wait w WHERE w.blocker = ANY(%s))"
    " ORDER BY e.id FOR NO KEY UPDATE"
)
"""Lock the entries that wait for these."""
_END_WAITS: Final = (
    "WITH gone AS (DELETE FROM wait w WHERE {} RETURNING w.entry)"
    " UPDATE entry e SET blockers = e.blockers - g.count"
    " FROM (SELECT entry, count(*) FROM gone GROUP BY entry) AS g WHERE e.id = g.entry"
)
"""Remove waits and count them off; the entries that wait are locked."""
_WAIT: Final = (
    "WITH made AS (INSERT INTO wait (blocker, entry, owner) SELECT o.blocker, o.entry, e.owner"
    " FROM unnest(%s::bigint[], %s::bigint[]) AS o (blocker, entry) JOIN entry e ON e.id = o.entry RETURNING entry)"
    " UPDATE entry e SET blockers = e.blockers + m.count"
    " FROM (SELECT entry, count(*) FROM made GROUP BY entry) AS m WHERE e.id = m.entry"
)
"""Let the second entry of each pair wait for the first; both are locked."""


class PostgresOrder:
    """Moves waits while others write: rows are locked first."""

    def lock_related(self, transaction: Transaction, uids: Collection[str]) -> None:
        """Lock the declarations of these messages, their entries, and every unsettled entry with one of them."""
        asked = texts(uids)
        transaction.run(_LOCK_DECLARATIONS, asked)
        transaction.run(_LOCK_ENTRIES, asked, asked)

    def line_up(self, transaction: Transaction, entry: int) -> None:
        """Give an entry that was over and is ready again its old place in the order; all related ones are locked."""
        waits = [
            (other, entry) if other < entry or state == State.SENDING else (entry, other)
            for other, state in transaction.all(_RELATED, entry)
        ]
        transaction.many(_WAIT, "ii", waits)

    def step_back(self, transaction: Transaction, entries: Sequence[int]) -> bool:
        """Let entries that came back unsent wait for earlier ones that waited for them; True if there were any."""
        asked = int8s(entries)
        turned = transaction.all(_EARLIER, asked)
        if turned:
            transaction.run(_LOCK, int8s(earlier for _, earlier in turned))
            transaction.run(_END_WAITS.format("w.blocker = ANY(%s) AND w.entry < w.blocker"), asked)
            transaction.many(_WAIT, "ii", [(earlier, later) for later, earlier in turned])
        return bool(turned)

    def leave(self, transaction: Transaction, entries: Sequence[int]) -> bool:
        """Take settled entries out of the order; True: whether any waited for them is not asked."""
        asked = int8s(entries)
        transaction.run(_LOCK_FOLLOWERS, asked)
        transaction.run(_END_WAITS.format("w.blocker = ANY(%s)"), asked)
        return True

    def stop_waiting(self, transaction: Transaction, entry: int) -> None:
        """Forget what an entry waited for that will never go."""
        transaction.run(_END_WAITS.format("w.entry = %s"), entry)
