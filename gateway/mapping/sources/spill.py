"""Bring rows of equal keys together in constant memory, by a temporary SQLite file that has no name and ends with us."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import groupby
from typing import Final, Self

from msgspec import msgpack

from gateway.mapping.sources.table import Bare, Row

Key = tuple[str, ...]
_CACHE: Final = "PRAGMA cache_size = -16384"
"""16 MiB."""
_UNSAFE: Final = (
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA locking_mode = EXCLUSIVE",
    _CACHE,
)
"""A temporary file does not outlive its process, so nothing of it has to survive a crash."""
_PORTION: Final = 1000
_Stored = tuple[int, int, int, list[str], list[int], str]
_decoder: Final = msgpack.Decoder(_Stored)


class Spill:
    """Rows by key, on disk. Close it, or use it in a `with`.

    TMPDIR says where the file is; it takes about the size of the rows as text. Raises sqlite3.Error when the disk is full.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        for pragma in _UNSAFE:
            self._database.execute(pragma)
        self._database.execute(
            "CREATE TABLE key (at INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, written BLOB NOT NULL)"
        )
        self._database.execute(
            "CREATE TABLE line (at INTEGER PRIMARY KEY, key INTEGER NOT NULL, stored BLOB NOT NULL)"
        )
        self._last: tuple[Key, int] | None = None
        self._like: Row | None = None
        """A row of the same sheet: the others share what reads their places."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the file."""
        self._database.close()

    def fill(self, rows: Iterable[Row], key: Callable[[Row], Key]) -> None:
        """Take up rows of one sheet; to be called once."""
        self._database.execute("BEGIN")
        waiting: list[tuple[int, bytes]] = []
        for row in rows:
            self._like = self._like or row
            waiting.append((self._key_of(key(row)), _stored(row)))
            if len(waiting) >= _PORTION:
                self._put(waiting)
        self._put(waiting)
        self._database.execute("CREATE INDEX line_by_key ON line (key, at)")
        self._database.execute("COMMIT")

    def groups(self, start: int = 0) -> Iterator[tuple[Key, Iterator[Row]]]:
        """Yield the keys in the order in which they came first, each with its rows; without the first `start`."""
        with closing(
            self._database.execute("SELECT at, written FROM key WHERE at > ? ORDER BY at", (start,))
        ) as keys:
            for at, written in keys:
                yield tuple(msgpack.decode(written, type=list[str])), self._rows(at)

    def rows(self, key: Key) -> Iterator[Row]:
        """Yield the rows of a key, in their order; none if it did not come."""
        found = self._database.execute("SELECT at FROM key WHERE digest = ?", (_digest(key),)).fetchone()
        return iter(()) if found is None else self._rows(found[0])

    def keys_besides(self, known: "Spill") -> Iterator[tuple[Key, Row]]:
        """Yield the keys that `known` does not have, each with its first row: children without a parent."""
        for key, rows in self.groups():
            if not known.has(key):
                yield key, next(rows)

    def has(self, key: Key) -> bool:
        """Say whether any row has this key."""
        return (
            self._database.execute("SELECT 1 FROM key WHERE digest = ?", (_digest(key),)).fetchone()
            is not None
        )

    def add_key(self, key: Key) -> bool:
        """Note a key without a row; False: it is there already."""
        made = self._database.execute(
            "INSERT OR IGNORE INTO key (digest, written) VALUES (?, ?)",
            (_digest(key), msgpack.encode([str(one) for one in key])),
        )
        return made.rowcount == 1

    def _rows(self, at: int) -> Iterator[Row]:
        with closing(
            self._database.execute("SELECT stored FROM line WHERE key = ? ORDER BY at", (at,))
        ) as found:
            for (stored,) in found:
                yield self._restored(stored)

    def _key_of(self, key: Key) -> int:
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        self.add_key(key)
        (at,) = self._database.execute("SELECT at FROM key WHERE digest = ?", (_digest(key),)).fetchone()
        self._last = key, int(at)
        return int(at)

    def _put(self, waiting: list[tuple[int, bytes]]) -> None:
        self._database.executemany("INSERT INTO line (key, stored) VALUES (?, ?)", waiting)
        waiting.clear()

    def _restored(self, stored: bytes) -> Row:
        assert self._like is not None  # noqa: S101 (there is no row without a first one)
        number, line, column, cells, bare, written = _decoder.decode(stored)
        for at in bare:
            cells[at] = Bare(cells[at])
        return replace(self._like, number=number, line=line, column=column, cells=cells, written=written)


def spilled(
    rows: Callable[[], Iterator[Row]], key: Callable[[Row], Key], start: int = 0
) -> Iterator[tuple[Key, Iterator[Row]]]:
    """Yield each key with all its rows, in the order in which the keys came first; without the first `start` keys.

    `rows`: gives the rows anew with each call. They are read once for their keys, and go through a temporary file only
    if a key comes again after another one. The rows of a key are to be read before the next key is asked for.
    """
    if scattered(rows(), key):
        with Spill() as spill:
            spill.fill(rows(), key)
            yield from spill.groups(start)
        return
    for at, group in enumerate(groupby(rows(), key)):
        if at >= start:
            yield group


def scattered(rows: Iterable[Row], key: Callable[[Row], Key]) -> bool:
    """Say whether a key comes again after another one."""
    with Spill() as seen:
        return not all(seen.add_key(one) for one, _ in groupby(rows, key))


def _digest(key: Key) -> bytes:
    return hashlib.blake2b(msgpack.encode([str(one) for one in key]), digest_size=16).digest()


def _stored(row: Row) -> bytes:
    cells: Sequence[str] = row.cells
    bare = [at for at, cell in enumerate(cells) if type(cell) is Bare]
    texts = [str(cell) for cell in cells] if bare else list(cells)
    return msgpack.encode((row.number, row.line, row.column, texts, bare, row.written))
