"""The Merkle log over the journal, on SQLite: numbers of lines are in the order of the commits that wrote them."""

import sqlite3
from collections.abc import Sequence

from spool.entry import JournalLine
from spool.errors import SpoolError
from spool.merkle import ProofError
from spool.note import read as read_note
from spool.sealing import Leaves, Sealed, Sign, growth, packed, unpacked
from spool.sqlite.database import Database, to_time
from spool.sqlite.looking import LINE, line


class Sealing:
    """The sealing part of the spool."""

    db: Database

    def seal(self, sign: Sign, *, limit: int) -> int:
        """Take lines of the journal into the log, with a checkpoint; see `spool.store.Spool`."""
        before = self.checkpoint()
        size = before.size if before else 0
        with self.db.read() as connection:  # hashing takes a while, and nobody has to wait for it
            (last,) = connection.execute("SELECT coalesce(max(highest), 0) FROM leaves").fetchone()
            rows = connection.execute(f"{LINE} WHERE id > ? ORDER BY id LIMIT ?", (last, limit)).fetchall()
        if not rows:
            return 0
        try:
            grown = growth(size, rows, self.tile)
        except ProofError as error:
            raise SpoolError(str(error), where="the log", fix="`gateway journal verify` says more") from error
        note = sign(read_note(before.note).origin if before else "", grown.size, grown.root)
        with self.db.write() as connection:
            run = connection.execute
            (now_last,) = run("SELECT coalesce(max(highest), 0) FROM leaves").fetchone()
            if now_last != last:  # another process was faster
                return 0
            connection.executemany(
                "INSERT INTO tile VALUES (?, ?, ?) ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes",
                [(*place, hashes) for place, hashes in grown.tiles.items()],
            )
            numbers = grown.leaves.numbers
            run("INSERT INTO leaves VALUES (?, ?, ?)", (numbers[-1], size, packed(numbers)))
            run("INSERT INTO checkpoint VALUES (?, ?, ?)", (grown.size, self.db.now(), note))
        return len(rows)

    def unsealed(self) -> int:
        """Return how many lines are not in the log yet, or a little more: numbers may be missing."""
        with self.db.read() as connection:
            (count,) = connection.execute(
                "SELECT coalesce((SELECT max(id) FROM journal), 0) - coalesce((SELECT max(highest) FROM leaves), 0)"
            ).fetchone()
        return max(0, int(count))

    def tile(self, level: int, number: int) -> bytes:
        """Return the hashes of a tile; empty when there is none."""
        with self.db.read() as connection:
            row = connection.execute(
                "SELECT hashes FROM tile WHERE level = ? AND number = ?", (level, number)
            ).fetchone()
        return b"" if row is None else bytes(row[0])

    def checkpoint(self) -> Sealed | None:
        """Return the newest checkpoint; None before the first."""
        with self.db.read() as connection:
            row = connection.execute(
                "SELECT size, at, note FROM checkpoint ORDER BY size DESC LIMIT 1"
            ).fetchone()
        return None if row is None else Sealed(size=row[0], at=to_time(row[1]), note=row[2])

    def checkpoints(self, *, after: int, limit: int) -> list[Sealed]:
        """Return checkpoints of more than `after` events, oldest first."""
        with self.db.read() as connection:
            rows = connection.execute(
                "SELECT size, at, note FROM checkpoint WHERE size > ? ORDER BY size LIMIT ?", (after, limit)
            ).fetchall()
        return [Sealed(size=size, at=to_time(at), note=note) for size, at, note in rows]

    def places(self, numbers: Sequence[int]) -> dict[int, int]:
        """Return the index in the log of each of these lines that is in it."""
        found: dict[int, int] = {}
        with self.db.read() as connection:
            for number in sorted(set(numbers)):
                if number in found:
                    continue
                row = connection.execute(
                    "SELECT first, numbers FROM leaves WHERE highest >= ? ORDER BY highest LIMIT 1", (number,)
                ).fetchone()
                if row is not None:
                    found |= {one: row[0] + place for place, one in enumerate(unpacked(row[1]))}
        return {number: found[number] for number in numbers if number in found}

    def leaves(self, *, after: int, limit: int) -> list[Leaves]:
        """Return what sealings took whose highest line is above `after`, oldest first."""
        with self.db.read() as connection:
            rows = connection.execute(
                "SELECT first, numbers, highest FROM leaves WHERE highest > ? ORDER BY highest LIMIT ?",
                (after, limit),
            ).fetchall()
        return [
            Leaves(first=first, numbers=unpacked(numbers), highest=highest)
            for first, numbers, highest in rows
        ]

    def lines(self, *, after: int, up_to: int) -> list[JournalLine]:
        """Return the lines of the journal with these numbers, `after` not among them, ascending."""
        with self.db.read() as connection:
            rows = connection.execute(
                f"{LINE} WHERE id > ? AND id <= ? ORDER BY id", (after, up_to)
            ).fetchall()
        return [line(row) for row in rows]


def unsealed(connection: sqlite3.Connection, uid: str) -> bool:
    """Say whether a log was begun and lines about a message are not in it yet."""
    (found,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM checkpoint) AND EXISTS (SELECT 1 FROM journal WHERE uid = ?1 AND uid <> ''"
        " AND id > (SELECT max(highest) FROM leaves))",
        (uid,),
    ).fetchone()
    return bool(found)
