"""The Merkle log over the journal: what takes lines into it, and what reads it (docs/adr/0018)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from spool import values
from spool.entry import JournalLine
from spool.errors import SpoolError
from spool.merkle import ProofError
from spool.note import read as read_note
from spool.sealing import Growth, Leaves, Sealed, Sign, growth, packed, unpacked
from spool.shared.backend import Row, Store, Transaction

LAST: Final = "SELECT coalesce(max(highest), 0) FROM leaves"
"""Number of the last line that is in the log."""
_WRITE_TILE: Final = (
    "INSERT INTO tile VALUES (?, ?, ?) ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes"
)
_WRITE_LEAVES: Final = "INSERT INTO leaves VALUES (?, ?, ?)"
_WRITE_CHECKPOINT: Final = "INSERT INTO checkpoint VALUES (?, ?, ?)"
"""What one sealing writes."""
_TILE: Final = "SELECT hashes FROM tile WHERE level = ? AND number = ?"
"""Hashes of a tile."""
_CHECKPOINT: Final = "SELECT size, at, note FROM checkpoint ORDER BY size DESC LIMIT 1"
"""The newest checkpoint."""
_CHECKPOINTS: Final = "SELECT size, at, note FROM checkpoint WHERE size > ? ORDER BY size LIMIT ?"
"""Checkpoints behind a size, in order."""
_LEAVES: Final = "SELECT first, numbers, highest FROM leaves WHERE highest > ? ORDER BY highest LIMIT ?"
"""Sealings behind a line, in order."""
_PLACE: Final = "SELECT first, numbers FROM leaves WHERE highest >= ? ORDER BY highest LIMIT 1"
"""The sealing that took a line."""


class SharedLog(ABC):
    """The part of a spool that keeps the log: `spool.store.SpoolLog`."""

    def __init__(self, db: Store) -> None:
        self._db = db

    def seal(self, sign: Sign, *, limit: int) -> int:
        """Take up to `limit` lines of the journal into the log, with a checkpoint; see `spool.store.SpoolLog`."""
        before = self.checkpoint()
        last = self._last()
        rows = self._takeable(last, limit)
        if not rows:
            return 0
        try:  # hashing takes a while: outside of any transaction
            grown = growth(before.size if before else 0, [(*row,) for row in rows], self.tile)
        except ProofError as error:
            raise SpoolError(str(error), where="the log", fix="`gateway journal verify` says more") from error
        note = sign(read_note(before.note).origin if before else "", grown.size, grown.root)

        def work(transaction: Transaction) -> int:
            if self._locked_last(transaction) != last:  # another process was faster
                return 0
            _write(transaction, grown, note)
            return len(rows)

        return self._db.transact(work)

    @abstractmethod
    def _takeable(self, last: int, limit: int) -> Sequence[Row]:
        """Return lines behind `last`, in order, before which no other can appear any more."""

    @abstractmethod
    def _newest(self) -> int:
        """Return a number that no line of the journal is above."""

    @abstractmethod
    def _lines(self, after: int, up_to: int) -> Sequence[Row]:
        """Return the lines of the journal with these numbers, ascending."""

    def _locked_last(self, transaction: Transaction) -> int:
        """Return the last line that is in the log, with nobody else sealing until the commit."""
        return int(transaction.all(LAST)[0][0])

    def _last(self) -> int:
        return int(self._db.rows(LAST)[0][0])

    def unsealed(self) -> int:
        """Return how many lines are not in the log yet, or a little more: numbers may be missing."""
        return max(0, self._newest() - self._last())

    def tile(self, level: int, number: int) -> bytes:
        """Return the hashes of a tile; empty when there is none."""
        rows = self._db.rows(_TILE, level, number)
        return bytes(rows[0][0]) if rows else b""

    def checkpoint(self) -> Sealed | None:
        """Return the newest checkpoint; None before the first."""
        rows = self._db.rows(_CHECKPOINT)
        return values.sealed(rows[0]) if rows else None

    def checkpoints(self, *, after: int, limit: int) -> list[Sealed]:
        """Return checkpoints of more than `after` events, oldest first."""
        return [values.sealed(row) for row in self._db.rows(_CHECKPOINTS, after, limit)]

    def places(self, numbers: Sequence[int]) -> dict[int, int]:
        """Return the index in the log of each of these lines that is in it."""
        found: dict[int, int] = {}
        for number in sorted(set(numbers)):
            if number not in found:
                for first, code in self._db.rows(_PLACE, number):
                    found |= {one: first + place for place, one in enumerate(unpacked(code))}
        return {number: found[number] for number in numbers if number in found}

    def leaves(self, *, after: int, limit: int) -> list[Leaves]:
        """Return what sealings took whose highest line is above `after`, oldest first."""
        return [values.leaves(row) for row in self._db.rows(_LEAVES, after, limit)]

    def lines(self, *, after: int, up_to: int) -> list[JournalLine]:
        """Return the lines of the journal with these numbers, `after` not among them, ascending."""
        return [values.journal_line(row) for row in self._lines(after, up_to)]


def _write(transaction: Transaction, grown: Growth, note: str) -> None:
    for place, hashes in grown.tiles.items():
        transaction.run(_WRITE_TILE, *place, hashes)
    numbers = grown.leaves.numbers
    transaction.run(_WRITE_LEAVES, numbers[-1], grown.leaves.first, packed(numbers))
    transaction.run(_WRITE_CHECKPOINT, grown.size, transaction.now, note)
