"""Turn lines of the journal into leaves of the Merkle log: pure, and the same for every spool (docs/adr/0018).

The roles write journal lines in their normal commits. Sealing takes lines whose order can no longer change, gives
them consecutive indexes, and writes their hashes (`spool.merkle`) and a signed checkpoint in one commit of its own.
From then on, any change, removal or move of a line is detected.
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from spool.entry import JournalLine
from spool.merkle import Read, Tiles, Tree, grown, leaf_hash
from spool.times import to_number

_HEAD: Final = b"journal/1\n"
_FIRST: Final = struct.Struct(f"!{len(_HEAD)}sqqI")
_LENGTH: Final = struct.Struct("!I")

Row = tuple[int, int, str, str, str]
"""A line as in the databases: number, microseconds since 1970, event, uid, detail."""
Sign = Callable[[str, int, bytes], str]
"""(origin of the log, empty for a new log; size; root) → the signed note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A checkpoint as stored in the spool."""

    size: int
    """Number of events in the log."""
    at: datetime
    note: str
    """The signed note (`spool.note`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaves:
    """The lines of the journal that one sealing took."""

    first: int
    """Index of the first line in the log."""
    numbers: tuple[int, ...]
    """Line numbers, ascending; the indexes are consecutive. Empty: lines up to `highest` are omitted on purpose."""
    highest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """The data that one sealing writes."""

    leaves: Leaves
    tiles: Tiles
    size: int
    root: bytes


def content(number: int, at: int, event: str, uid: str, detail: str) -> bytes:
    """Return the bytes of a line that are hashed; each line has exactly one encoding.

    `journal/1`, line feed; number and microseconds since 1970, 8 bytes each; the three texts in UTF-8, each after
    its length in 4 bytes. Integers are big-endian.
    """
    said, about, more = (
        event.encode(),
        uid.encode("utf-8", "surrogatepass"),
        detail.encode("utf-8", "surrogatepass"),
    )
    head = _FIRST.pack(_HEAD, number, at, len(said))
    return b"".join((head, said, _LENGTH.pack(len(about)), about, _LENGTH.pack(len(more)), more))


def leaf_of(line: JournalLine) -> bytes:
    """Hash a line as a leaf of the log."""
    at = to_number(line.at)
    return leaf_hash(content(line.number, at, line.event, line.uid, line.detail))


def growth(size: int, rows: Sequence[Row], read: Read) -> Growth:
    """Append lines, ascending by number, to a log of `size` leaves. Raises ProofError when tiles are too short."""
    tiles = grown(size, [leaf_hash(content(*row)) for row in rows], read)
    after = size + len(rows)

    def reread(level: int, number: int) -> bytes:
        return tiles[level, number] if (level, number) in tiles else read(level, number)

    numbers = tuple(row[0] for row in rows)
    return Growth(
        leaves=Leaves(first=size, numbers=numbers, highest=numbers[-1]),
        tiles=tiles,
        size=after,
        root=Tree(after, reread).root(),
    )


def packed(numbers: Sequence[int]) -> bytes:
    """Pack ascending numbers as compressed differences; a byte or two each."""
    distances = [after - before for before, after in zip((0, *numbers), numbers, strict=False)]
    return zlib.compress(struct.pack(f"!{len(distances)}q", *distances), level=1)


def unpacked(code: bytes) -> tuple[int, ...]:
    """Undo `packed`."""
    raw = zlib.decompress(code)
    numbers, last = [], 0
    for distance in struct.unpack(f"!{len(raw) // 8}q", raw):
        last += distance
        numbers.append(last)
    return tuple(numbers)
