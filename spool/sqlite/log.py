"""The Merkle log on SQLite: numbers of journal lines are in the order of the commits that wrote them."""

from collections.abc import Sequence
from typing import Final

from spool.shared.backend import Row
from spool.shared.log import SharedLog
from spool.shared.reading import LINE

_BEHIND: Final = f"{LINE} WHERE id > ? ORDER BY id LIMIT ?"
"""Lines behind one, in order."""
_BETWEEN: Final = f"{LINE} WHERE id > ? AND id <= ? ORDER BY id"
"""Lines behind one and up to another, in order."""
_NEWEST: Final = "SELECT coalesce(max(id), 0) FROM journal"
"""Number of the newest line."""


class SqliteLog(SharedLog):
    """Every line is final once it is committed: numbers are given under the writers' lock."""

    def _takeable(self, last: int, limit: int) -> Sequence[Row]:
        return self._db.rows(_BEHIND, last, limit)

    def _newest(self) -> int:
        return int(self._db.rows(_NEWEST)[0][0])

    def _lines(self, after: int, up_to: int) -> Sequence[Row]:
        return self._db.rows(_BETWEEN, after, up_to)
