"""Figures about the spool that are cheap enough to be asked for all the time."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from spool.entry import Outstanding
from spool.fairness import NEEDY_BELOW, behind, fair_key_of, resource_of
from spool.shared.backend import Store

READY: Final = "state = 'ready' AND blockers = 0 AND destination = ?"
"""The condition of the indexes `entry_due` and `entry_next`, word for word."""
_NEEDY: Final = f"SELECT min(turn) FROM entry WHERE {READY} AND turn > ? AND turn < ?"
"""The next turn that needs something: one step in the index."""
_OF_TURN: Final = f"SELECT count(*) FROM (SELECT 1 FROM entry WHERE {READY} AND turn = ? LIMIT ?) AS c"
"""How many entries of a turn could go."""
_OVERDUE: Final = "SELECT layer, count(*) FROM overdue GROUP BY layer"
"""How many answers are overdue, by layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuresSql:
    """What a backend says in its own SQL."""

    destinations: str
    """Every destination that has unsettled or dead entries, one step in the index for each."""
    orphans: str
    """How many orphans are not resolved."""
    unacknowledged: str
    """Owner and number of notices behind the acknowledged one, of every owner that has notices."""


class SharedMeasures:
    """The part of a spool that counts: `spool.store.SpoolMeasures`, but for `backlog`."""

    def __init__(self, db: Store, sql: MeasuresSql) -> None:
        self._db = db
        self._sql = sql

    def destinations(self) -> list[str]:
        """Return every destination that has unsettled or dead entries, in order."""
        return sorted(row[0] for row in self._db.rows(self._sql.destinations))

    def needed(self, *, at_most: int) -> Mapping[str, int]:
        """Return how many entries could go but for what they need, by that; of each turn no more are counted."""
        found: Counter[str] = Counter()
        for destination in self.destinations():
            above = ""
            while turn := self._needy(destination, above):
                found[resource_of(turn)] += self._of_turn(destination, turn, at_most)
                above = turn
        return found

    def waiting(self, owner: str, *, at_most: int) -> int:
        """Return how many entries of an owner could go now; no more than `at_most` are counted."""
        found = 0
        for destination in self.destinations():
            turns, above = [fair_key_of(owner, "")], ""
            while turn := self._needy(destination, above):
                turns.append(fair_key_of(owner, resource_of(turn)))
                above = behind(turn)
            for turn in turns:
                found += self._of_turn(destination, turn, at_most - found)
        return found

    def outstanding(self) -> Outstanding:
        """Return what waits outside of the gateway: orphans, notices by owner, answers that are overdue."""
        return Outstanding(
            orphans=self._db.rows(self._sql.orphans)[0][0],
            unacknowledged=dict(self._db.rows(self._sql.unacknowledged)),
            overdue=dict(self._db.rows(_OVERDUE)),
        )

    def _needy(self, destination: str, above: str) -> str | None:
        turn: str | None = self._db.rows(_NEEDY, destination, above, NEEDY_BELOW)[0][0]
        return turn

    def _of_turn(self, destination: str, turn: str, at_most: int) -> int:
        return int(self._db.rows(_OF_TURN, destination, turn, at_most)[0][0])
