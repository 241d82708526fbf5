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

from collections.abc import Collection, Iterable, Sequence

from spool.lifecycle import UNSETTLED, State
from spool.postgres.arrays import int8s, texts
from spool.postgres.database import Row, Transaction

_UNSETTLED = ", ".join(f"'{state.value}'" for state in sorted(UNSETTLED))


def unsettled(
    transaction: Transaction, declarations: Iterable[int], destinations: Iterable[str]
) -> list[Row]:
    """Return (declaration, destination, entry) of what a new entry has to wait for, locked against settling."""
    return transaction.all(
        "SELECT v.declaration, e.destination, e.id FROM version v JOIN entry e ON e.message = v.message"
        f" WHERE v.declaration = ANY(%s) AND e.destination = ANY(%s) AND e.state IN ({_UNSETTLED})"
        " ORDER BY e.id FOR SHARE OF e",
        int8s(declarations),
        texts(destinations),
    )


def lock_related(transaction: Transaction, uids: Collection[str]) -> None:
    """Lock the declarations of these messages, their entries, and every unsettled entry with one of them."""
    transaction.run(
        "SELECT d.id FROM declaration d WHERE d.id IN (SELECT v.declaration FROM message m"
        " JOIN version v ON v.message = m.id WHERE m.uid = ANY(%s))"
        " ORDER BY d.owner, d.identity FOR NO KEY UPDATE",
        texts(uids),
    )
    transaction.run(
        "SELECT e.id FROM entry e WHERE e.id IN ("
        "SELECT own.id FROM message m JOIN entry own ON own.message = m.id WHERE m.uid = ANY(%s) UNION "
        "SELECT other.id FROM message m JOIN version mine ON mine.message = m.id"
        " JOIN version theirs ON theirs.declaration = mine.declaration JOIN entry other ON other.message = theirs.message"
        f" WHERE m.uid = ANY(%s) AND other.state IN ({_UNSETTLED})) ORDER BY e.id FOR NO KEY UPDATE",
        texts(uids),
        texts(uids),
    )


def line_up(transaction: Transaction, entry: int) -> None:
    """Give an entry that was dead and is ready again its old place in the order; all related ones are locked."""
    related = transaction.all(
        "SELECT DISTINCT e.id, e.state FROM entry me JOIN version mine ON mine.message = me.message"
        " JOIN version theirs ON theirs.declaration = mine.declaration JOIN entry e ON e.message = theirs.message"
        " WHERE me.id = %s AND e.message <> me.message AND e.destination = me.destination"
        f" AND e.state IN ({_UNSETTLED})",
        entry,
    )
    _wait(
        transaction,
        [
            (other, entry) if other < entry or state == State.SENDING else (entry, other)
            for other, state in related
        ],
    )


def step_back(transaction: Transaction, entries: Sequence[int]) -> None:
    """Let entries that came back unsent wait for earlier ones that waited for them."""
    turned = transaction.all(
        "SELECT blocker, entry FROM wait WHERE blocker = ANY(%s) AND entry < blocker", int8s(entries)
    )
    if turned:
        _lock(transaction, [earlier for _, earlier in turned])
        _end_waits(transaction, "w.blocker = ANY(%s) AND w.entry < w.blocker", int8s(entries))
        _wait(transaction, [(earlier, later) for later, earlier in turned])


def leave(transaction: Transaction, entries: Sequence[int]) -> None:
    """Take settled entries out of the order."""
    transaction.run(
        "SELECT e.id FROM entry e WHERE e.id IN (SELECT w.entry FROM wait w WHERE w.blocker = ANY(%s))"
        " ORDER BY e.id FOR NO KEY UPDATE",
        int8s(entries),
    )
    _end_waits(transaction, "w.blocker = ANY(%s)", int8s(entries))


def stop_waiting(transaction: Transaction, entry: int) -> None:
    """Forget what an entry waited for that will never go."""
    _end_waits(transaction, "w.entry = %s", entry)


def _lock(transaction: Transaction, entries: Sequence[int]) -> None:
    transaction.run("SELECT id FROM entry WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", int8s(entries))


def _end_waits(transaction: Transaction, condition: str, value: object) -> None:
    """Remove waits and count them off; the entries that wait are locked."""
    transaction.run(
        f"WITH gone AS (DELETE FROM wait w WHERE {condition} RETURNING w.entry)"
        " UPDATE entry e SET blockers = e.blockers - g.count"
        " FROM (SELECT entry, count(*) FROM gone GROUP BY entry) AS g WHERE e.id = g.entry",
        value,
    )


def _wait(transaction: Transaction, waits: Sequence[tuple[int, int]]) -> None:
    """Let the second entry of each pair wait for the first; both are locked."""
    if waits:
        transaction.run(
            "WITH made AS (INSERT INTO wait (blocker, entry, owner) SELECT o.blocker, o.entry, e.owner"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS o (blocker, entry) JOIN entry e ON e.id = o.entry RETURNING entry)"
            " UPDATE entry e SET blockers = e.blockers + m.count"
            " FROM (SELECT entry, count(*) FROM made GROUP BY entry) AS m WHERE e.id = m.entry",
            int8s(blocker for blocker, _ in waits),
            int8s(entry for _, entry in waits),
        )
