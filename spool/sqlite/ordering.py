"""The order of a declaration: which entry waits for which, kept as rows of `wait` and a count beside it.

Two rules hold after every commit, for entries of one destination with a common declaration. A later
entry waits for every earlier one that is unsettled; and nothing starts while another is on its way,
be it a later one that went out while this one was dead. The second kind of wait turns round when
the later one comes back unsent, so no two entries ever wait for each other.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from spool.lifecycle import UNSETTLED, State

_UNSETTLED = ", ".join(f"'{state.value}'" for state in sorted(UNSETTLED))


def unsettled(connection: sqlite3.Connection, destination: str, declarations: Sequence[int]) -> set[int]:
    """Return the entries that a new entry for these declarations has to wait for."""
    return {
        entry
        for declaration in declarations
        for (entry,) in connection.execute(
            "SELECT e.id FROM version v JOIN entry e ON e.message = v.message"
            f" WHERE v.declaration = ? AND e.destination = ? AND e.state IN ({_UNSETTLED})",
            (declaration, destination),
        )
    }


def add_waits(connection: sqlite3.Connection, waits: Iterable[tuple[int, int]]) -> None:
    """Let the second entry of each pair wait for the first; the count beside is the caller's."""
    connection.executemany("INSERT INTO wait (blocker, entry) VALUES (?, ?)", waits)


def line_up(connection: sqlite3.Connection, entry: int) -> None:
    """Give an entry that was dead and is ready again its old place in the order."""
    related = connection.execute(
        "SELECT DISTINCT e.id, e.state FROM entry me JOIN version mine ON mine.message = me.message"
        " JOIN version theirs ON theirs.declaration = mine.declaration JOIN entry e ON e.message = theirs.message"
        f" WHERE me.id = ?1 AND e.id <> ?1 AND e.destination = me.destination AND e.state IN ({_UNSETTLED})",
        (entry,),
    ).fetchall()
    for other, state in related:
        if other < entry or state == State.SENDING:
            _wait(connection, entry, other)
        else:
            _wait(connection, other, entry)


def step_back(connection: sqlite3.Connection, entry: int) -> bool:
    """Let an entry that came back unsent wait for earlier ones that waited for it; say if there were any."""
    earlier = connection.execute(
        "SELECT entry FROM wait WHERE blocker = ?1 AND entry < ?1", (entry,)
    ).fetchall()
    for (other,) in earlier:
        connection.execute("DELETE FROM wait WHERE blocker = ? AND entry = ?", (entry, other))
        connection.execute("UPDATE entry SET blockers = blockers - 1 WHERE id = ?", (other,))
        _wait(connection, entry, other)
    return bool(earlier)


def leave(connection: sqlite3.Connection, entry: int) -> bool:
    """Take a settled entry out of the order; say whether later ones waited for it."""
    followers = connection.execute("SELECT entry FROM wait WHERE blocker = ?", (entry,)).fetchall()
    if followers:
        connection.execute("DELETE FROM wait WHERE blocker = ?", (entry,))
        connection.executemany("UPDATE entry SET blockers = blockers - 1 WHERE id = ?", followers)
    return bool(followers)


def stop_waiting(connection: sqlite3.Connection, entry: int) -> None:
    """Forget what an entry waited for that will never go."""
    connection.execute("DELETE FROM wait WHERE entry = ?", (entry,))
    connection.execute("UPDATE entry SET blockers = 0 WHERE id = ?", (entry,))


def _wait(connection: sqlite3.Connection, entry: int, blocker: int) -> None:
    add_waits(connection, [(blocker, entry)])
    connection.execute("UPDATE entry SET blockers = blockers + 1 WHERE id = ?", (entry,))
