"""The order of a declaration: which entry waits for which, kept as rows of `wait` and a count beside it.

Two rules hold after every commit, for entries of one destination with a common declaration. A later
entry waits for every earlier one that is unsettled; and nothing starts while another is on its way,
be it a later one that went out while this one was dead. The second kind of wait turns round when
the later one comes back unsent, so no two entries ever wait for each other.
"""

from collections.abc import Collection, Sequence
from typing import Final

from spool.lifecycle import UNSETTLED_SQL, State
from spool.shared.backend import Transaction

_RELATED: Final = (
    "SELECT DISTINCT e.id, e.state FROM entry me JOIN version mine ON mine.message = me.message"
    " JOIN version theirs ON theirs.declaration = mine.declaration JOIN entry e ON e.message = theirs.message"
    f" WHERE me.id = ?1 AND e.message <> me.message AND e.destination = me.destination AND e.state IN ({UNSETTLED_SQL})"
)
"""Unsettled entries of other messages with a declaration of this one, to its destination."""
_EARLIER: Final = "SELECT entry FROM wait WHERE blocker = ?1 AND entry < ?1"
"""Earlier entries that wait for this one."""
_FOLLOWERS: Final = "SELECT entry FROM wait WHERE blocker = ?"
"""All entries that wait for this one."""
_WAIT: Final = "INSERT INTO wait (blocker, entry) VALUES (?, ?)"
_COUNT: Final = "UPDATE entry SET blockers = blockers + ? WHERE id = ?"
"""A wait, and the count beside it."""


class SqliteOrder:
    """Moves waits under the writers' lock."""

    def lock_related(self, transaction: Transaction, uids: Collection[str]) -> None:
        """Do nothing: nobody else writes."""

    def line_up(self, transaction: Transaction, entry: int) -> None:
        """Give an entry that was over and is ready again its old place in the order."""
        for other, state in transaction.all(_RELATED, entry):
            if other < entry or state == State.SENDING:
                self._wait(transaction, entry, other)
            else:
                self._wait(transaction, other, entry)

    def step_back(self, transaction: Transaction, entries: Sequence[int]) -> bool:
        """Let entries that came back unsent wait for earlier ones that waited for them; True if there were any."""
        turned = [(one, other) for one in entries for (other,) in transaction.all(_EARLIER, one)]
        for entry, other in turned:
            transaction.run("DELETE FROM wait WHERE blocker = ? AND entry = ?", entry, other)
            transaction.run(_COUNT, -1, other)
            self._wait(transaction, entry, other)
        return bool(turned)

    def leave(self, transaction: Transaction, entries: Sequence[int]) -> bool:
        """Take settled entries out of the order; True if later ones waited for them."""
        freed = False
        for entry in entries:
            for (follower,) in transaction.all(_FOLLOWERS, entry):
                freed = True
                transaction.run(_COUNT, -1, follower)
            transaction.run("DELETE FROM wait WHERE blocker = ?", entry)
        return freed

    def stop_waiting(self, transaction: Transaction, entry: int) -> None:
        """Forget what an entry waited for that will never go."""
        transaction.run("DELETE FROM wait WHERE entry = ?", entry)
        transaction.run("UPDATE entry SET blockers = 0 WHERE id = ?", entry)

    @staticmethod
    def _wait(transaction: Transaction, entry: int, blocker: int) -> None:
        transaction.run(_WAIT, blocker, entry)
        transaction.run(_COUNT, 1, entry)
