"""The Merkle log over the journal, on PostgreSQL: many writers, whose numbers may become visible in any order.

No line may be passed over, so a line is taken only when no line with a lower number can appear any more. Whoever
inserts into the journal holds a lock on it, from before it takes numbers until its lines are visible. So: read the
last number given, then see who holds that lock; once these transactions are over, every number up to that one is
decided. Nobody waits for the sealer, and the journal needs no column for it (docs/adr/0018).

What is decided holds for as long as the server lives. One that crashed gives numbers again that it gave before and that no
commit has brought to its disk; then whoever was connected has lost the connection, and with it all that was decided.
"""

from collections.abc import Sequence
from typing import Final

from spool.postgres.arrays import int8s
from spool.postgres.database import PostgresDatabase
from spool.shared.backend import Row, Transaction
from spool.shared.log import SharedLog
from spool.shared.reading import LINE

_ONE_AT_A_TIME: Final = 0x6C6F67
"""Advisory lock of whoever seals: `log` in hexadecimal."""
_WRITERS: Final = (
    "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted"
    " AND relation = 'journal'::regclass AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
"""Transactions that may insert into the journal."""
_GIVEN: Final = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM journal_number"
"""The last number given to a line."""
_BETWEEN: Final = (
    "SELECT l.* FROM unnest(%s::bigint[]) AS d (day) CROSS JOIN LATERAL"
    f" ({LINE} WHERE day = d.day AND id > %s AND id <= %s ORDER BY id LIMIT %s) AS l UNION ALL"
    f" ({LINE}_rest WHERE id > %s AND id <= %s ORDER BY id LIMIT %s) ORDER BY id LIMIT %s"
)
"""Lines behind one and up to another: a step in the index for each day that there is, for clocks may go backwards."""


class PostgresLog(SharedLog):
    """Takes a line when no line with a lower number can appear any more."""

    def __init__(self, db: PostgresDatabase) -> None:
        super().__init__(db)
        self._database = db
        self._decided = 0
        """No line up to this number can appear any more."""
        self._pending: tuple[int, frozenset[str]] | None = None
        """A number, and the transactions that may still bring a line below it."""
        self._connection = 0
        """By which of the connections both were learnt."""

    def _takeable(self, last: int, limit: int) -> Sequence[Row]:
        self._look_at_writers()
        rows = self._taken(last, self._decided, limit)
        return () if self._is_forgotten() else rows

    def _locked_last(self, transaction: Transaction) -> int:
        transaction.run("SELECT pg_advisory_xact_lock(%s)", _ONE_AT_A_TIME)
        return super()._locked_last(transaction)

    def _is_forgotten(self) -> bool:
        """Forget what was decided if the connection by which it was learnt is not the present one; True if it is so."""
        if self._connection == self._database.connections:
            return False
        self._connection, self._decided, self._pending = self._database.connections, 0, None
        return True

    def _look_at_writers(self) -> None:
        writers = self._writers()
        self._is_forgotten()
        if self._pending is not None and not self._pending[1] & writers:
            self._decided, self._pending = self._pending[0], None
        if self._pending is None:
            newest = self._newest()
            writers = self._writers()  # only now: who took a number before that had the lock already
            if writers:
                self._pending = (newest, writers)
            else:
                self._decided = newest
        self._is_forgotten()  # the answers are of two lives of the server

    def _writers(self) -> frozenset[str]:
        return frozenset(str(row[0]) for row in self._db.rows(_WRITERS))

    def _newest(self) -> int:
        return int(self._db.rows(_GIVEN)[0][0])

    def _lines(self, after: int, up_to: int) -> Sequence[Row]:
        return self._taken(after, up_to, max(0, up_to - after))

    def _taken(self, after: int, up_to: int, limit: int) -> Sequence[Row]:
        days = int8s(self._database.days("journal"))
        return self._db.rows(_BETWEEN, days, *(after, up_to, limit) * 2, limit)
