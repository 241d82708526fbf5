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

from spool.entry import JournalLine
from spool.errors import SpoolError
from spool.merkle import ProofError
from spool.note import read as read_note
from spool.postgres.arrays import blobs, int8s
from spool.postgres.database import Database, Row, Transaction, to_time
from spool.postgres.looking import LINE, happening
from spool.sealing import Growth, Leaves, Sealed, Sign, growth, packed, unpacked

_ONE_AT_A_TIME: Final = 0x6C6F67
"""Advisory lock of whoever seals: `log` in hexadecimal."""
_WRITERS: Final = (
    "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted"
    " AND relation = 'journal'::regclass AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_LAST: Final = "SELECT coalesce(max(highest), 0) FROM leaves"
UNSEALED: Final = (
    "(EXISTS (SELECT 1 FROM checkpoint) AND EXISTS (SELECT 1 FROM journal j WHERE j.uid = m.uid AND j.uid <> ''"
    " AND j.id > (SELECT max(highest) FROM leaves)))"
)
"""Of a message `m`: a log was begun, and lines about it are not in it yet."""


class Sealing:
    """The sealing part of the spool."""

    db: Database
    _decided: int = 0
    """No line up to this number can appear any more."""
    _pending: tuple[int, frozenset[str]] | None = None
    """A number, and the transactions that may still bring a line below it."""
    _connection: int = 0
    """By which of the connections both were learnt."""

    def seal(self, sign: Sign, *, limit: int) -> int:
        """Take lines of the journal into the log, with a checkpoint; see `spool.store.Spool`."""
        before = self.checkpoint()
        size = before.size if before else 0
        last = int(self.db.rows(_LAST)[0][0])
        self._look_at_writers()
        rows = self._taken(last, self._decided, limit)
        if not rows or self._is_forgotten():
            return 0
        try:
            grown = growth(size, [(row[0], row[1], row[2], row[3], row[4]) for row in rows], self.tile)
        except ProofError as error:
            raise SpoolError(str(error), where="the log", fix="`gateway journal verify` says more") from error
        note = sign(read_note(before.note).origin if before else "", grown.size, grown.root)

        def work(transaction: Transaction) -> int:
            transaction.run("SELECT pg_advisory_xact_lock(%s)", _ONE_AT_A_TIME)
            if transaction.all(_LAST)[0][0] != last:  # another node was faster
                return 0
            _write(transaction, grown, note)
            return len(rows)

        return self.db.write(work)

    def _is_forgotten(self) -> bool:
        """Forget what was decided if the connection by which it was learnt is not the present one; say whether it is so."""
        if self._connection == self.db.connections:
            return False
        self._connection, self._decided, self._pending = self.db.connections, 0, None
        return True

    def _look_at_writers(self) -> None:
        writers = self._writers()
        self._is_forgotten()
        if self._pending is not None and not self._pending[1] & writers:
            self._decided, self._pending = self._pending[0], None
        if self._pending is None:
            ((given, used),) = self.db.rows("SELECT last_value, is_called FROM journal_number")
            newest = int(given) if used else 0
            writers = self._writers()  # only now: who took a number before that had the lock already
            if writers:
                self._pending = (newest, writers)
            else:
                self._decided = newest
        self._is_forgotten()  # the answers are of two lives of the server

    def _writers(self) -> frozenset[str]:
        return frozenset(str(row[0]) for row in self.db.rows(_WRITERS))

    def _taken(self, after: int, up_to: int, limit: int) -> list[Row]:
        """Read lines by number; a step in the index for each day that there is, for clocks may go backwards."""
        return self.db.rows(
            "SELECT l.* FROM unnest(%s::bigint[]) AS d (day) CROSS JOIN LATERAL"
            f" ({LINE} WHERE day = d.day AND id > %s AND id <= %s ORDER BY id LIMIT %s) AS l UNION ALL"
            f" ({LINE}_rest WHERE id > %s AND id <= %s ORDER BY id LIMIT %s) ORDER BY id LIMIT %s",
            int8s(self.db.days("journal")),
            *(after, up_to, limit),
            *(after, up_to, limit),
            limit,
        )

    def unsealed(self) -> int:
        """Return how many lines are not in the log yet, or a little more: numbers may be missing."""
        ((given, used),) = self.db.rows("SELECT last_value, is_called FROM journal_number")
        return max(0, (int(given) if used else 0) - int(self.db.rows(_LAST)[0][0]))

    def tile(self, level: int, number: int) -> bytes:
        """Return the hashes of a tile; empty when there is none."""
        rows = self.db.rows("SELECT hashes FROM tile WHERE level = %s AND number = %s", level, number)
        return bytes(rows[0][0]) if rows else b""

    def checkpoint(self) -> Sealed | None:
        """Return the newest checkpoint; None before the first."""
        rows = self.db.rows("SELECT size, at, note FROM checkpoint ORDER BY size DESC LIMIT 1")
        return _sealed(rows[0]) if rows else None

    def checkpoints(self, *, after: int, limit: int) -> list[Sealed]:
        """Return checkpoints of more than `after` events, oldest first."""
        query = "SELECT size, at, note FROM checkpoint WHERE size > %s ORDER BY size LIMIT %s"
        return [_sealed(row) for row in self.db.rows(query, after, limit)]

    def places(self, numbers: Sequence[int]) -> dict[int, int]:
        """Return the index in the log of each of these lines that is in it."""
        found: dict[int, int] = {}
        for number in sorted(set(numbers)):
            if number not in found:
                for first, code in self.db.rows(
                    "SELECT first, numbers FROM leaves WHERE highest >= %s ORDER BY highest LIMIT 1", number
                ):
                    found |= {one: first + place for place, one in enumerate(unpacked(code))}
        return {number: found[number] for number in numbers if number in found}

    def leaves(self, *, after: int, limit: int) -> list[Leaves]:
        """Return what sealings took whose highest line is above `after`, oldest first."""
        rows = self.db.rows(
            "SELECT first, numbers, highest FROM leaves WHERE highest > %s ORDER BY highest LIMIT %s",
            after,
            limit,
        )
        return [Leaves(first=first, numbers=unpacked(code), highest=highest) for first, code, highest in rows]

    def lines(self, *, after: int, up_to: int) -> list[JournalLine]:
        """Return the lines of the journal with these numbers, `after` not among them, ascending."""
        return [happening(row) for row in self._taken(after, up_to, max(0, up_to - after))]


def _write(transaction: Transaction, grown: Growth, note: str) -> None:
    transaction.run(
        "INSERT INTO tile SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[])"
        " ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes",
        int8s(level for level, _ in grown.tiles),
        int8s(number for _, number in grown.tiles),
        blobs(grown.tiles.values()),
    )
    numbers = grown.leaves.numbers
    transaction.run(
        "INSERT INTO leaves VALUES (%s, %s, %s)", numbers[-1], grown.leaves.first, packed(numbers)
    )
    transaction.run("INSERT INTO checkpoint VALUES (%s, %s, %s)", grown.size, transaction.now, note)


def _sealed(row: Row) -> Sealed:
    size, at, note = row
    return Sealed(size=size, at=to_time(at), note=note)
