"""An enterprise's goods and switches of books, as rules and mappings look things up in them. Pure.

The goods lie packed in one text of bytes, sorted by item number, and are looked up there: a register of 50,000 items
takes as much memory as its text has bytes, and costs nothing to hand to another process.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from gateway.goods.columns import GOODS_COLUMNS

PERIODS_AT_MOST: Final = 20
"""Rows of one item."""
CELL: Final = "\t"
ROW: Final = "\n"
"""What lies between cells and behind rows; neither is allowed in a cell."""
_OFFSET: Final = 4
_COLUMN: Final = {one.name: at for at, one in enumerate(GOODS_COLUMNS)}
_ITEM, _FROM, _UNTIL = _COLUMN["itemNo"], _COLUMN["from"], _COLUMN["until"]
Cells = tuple[str, ...]
"""One row, in the order of its columns; days as YYYYMMDD, what is not said empty."""
_NUMBERS: Final = ("now", "since")
OWN_TABLES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"goods": tuple(_COLUMN), "books": _NUMBERS, "records": _NUMBERS}
)
"""Tables that rules can look things up in, each enterprise in its own → their columns.

`books` and `records`: account books (emsNo) and record numbers (itemRecordNo) that are switched; `now` is the number that
is in force on the day in place of the one looked up, `since` the day of the switch between the two.
"""
_FIELDS: Final = {"books": "emsNo", "records": "itemRecordNo"}


class GoodsRegister(Struct, frozen=True, kw_only=True):
    """The goods of one enterprise."""

    version: int = 0
    """That of the spool; 0: from a file."""
    sha256: str
    """Hex, of the document as handed in."""
    rows: int
    data: bytes
    starts: bytes
    """Where each row begins in `data`, four bytes each, little end first."""

    def row(self, item: str, day: str) -> Cells | None:
        """Return the row of an item that is in force on a day, YYYYMMDD; None: there is none."""
        return next((one for one in self.rows_of(item) if in_force(one, day)), None)

    def rows_of(self, item: str) -> list[Cells]:
        """Return the rows of an item, oldest period first."""
        key = item.encode() + CELL.encode()
        at = self._first(item.encode())
        found: list[Cells] = []
        while at < self.rows and self.data.startswith(key, start := self._start(at)):
            end = self.data.index(b"\n", start)
            found.append(tuple(self.data[start:end].decode().split(CELL)))
            at += 1
        return found

    def _first(self, item: bytes) -> int:
        """Return the number of the first row whose item is not before this one."""
        low, high = 0, self.rows
        while low < high:
            middle = (low + high) // 2
            start = self._start(middle)
            if self.data[start : self.data.index(b"\t", start)] < item:
                low = middle + 1
            else:
                high = middle
        return low

    def _start(self, row: int) -> int:
        return int.from_bytes(self.starts[row * _OFFSET : (row + 1) * _OFFSET], "little")


class GoodsOfDay:
    """The goods as they are on one day, for mappings: `gateway.mapping.registered.RegisteredGoods`."""

    def __init__(self, goods: GoodsRegister, day: str) -> None:
        """`day`: YYYYMMDD."""
        self.version = goods.version
        self.sha256 = goods.sha256
        self._tables = OwnTables(goods=goods)
        self.day = day

    def has(self, item: str) -> bool:
        """Say whether an item is there."""
        return bool(self._tables.has("goods", item, self.day))

    def text(self, item: str, column: str) -> str:
        """Return a cell of an item; empty: nothing is said there, or the item is not there."""
        return self._tables.look("goods", item, column, self.day) or ""


class BookSwitch(Struct, frozen=True, kw_only=True):
    """A number that another takes the place of."""

    field: str
    """`emsNo` or `itemRecordNo`."""
    old: str
    new: str
    since: str
    """First day of the new one, YYYYMMDD."""


class BooksRegister(Struct, frozen=True, kw_only=True):
    """The switches of one enterprise."""

    version: int = 0
    """As in `GoodsRegister`."""
    sha256: str
    switches: tuple[BookSwitch, ...]

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.switches)


Register = GoodsRegister | BooksRegister


class OwnTables:
    """All that one enterprise has handed in, for rules and mappings; for one thread."""

    def __init__(self, goods: GoodsRegister | None = None, books: BooksRegister | None = None) -> None:
        self.goods = goods
        self.books = books
        self._last: tuple[str, str, Cells | None] = ("", "", None)
        """The last item looked up, its day and its row: rules ask about one item several times in a row."""
        self._after: dict[tuple[str, str], BookSwitch] = {}
        self._before: dict[tuple[str, str], BookSwitch] = {}
        for one in books.switches if books is not None else ():
            self._after[one.field, one.old] = one
            earlier = self._before.setdefault((one.field, one.new), one)
            if one.since < earlier.since:
                self._before[one.field, one.new] = one

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle what was handed in alone."""
        return OwnTables, (self.goods, self.books)

    @property
    def versions(self) -> tuple[int, int]:
        """Versions of goods and of books; 0: there are none."""
        return (
            0 if self.goods is None else self.goods.version,
            0 if self.books is None else self.books.version,
        )

    def look(self, table: str, code: str, column: str, day: str) -> str | None:
        """Return a cell of one of `OWN_TABLES` as it is on a day, YYYYMMDD; None: nothing is said there."""
        if table == "goods":
            row = self._row(code, day)
            return row[_COLUMN[column]] or None if row is not None else None
        found = self._in_force(_FIELDS[table], code, day)
        return None if found is None else found[_NUMBERS.index(column)]

    def has(self, table: str, code: str, day: str) -> bool | None:
        """Say whether a table has a code on a day; None: there is no such table."""
        if table == "goods":
            return None if self.goods is None else self._row(code, day) is not None
        return None if self.books is None else self._in_force(_FIELDS[table], code, day) is not None

    def _row(self, item: str, day: str) -> Cells | None:
        if self.goods is None:
            return None
        if self._last[:2] != (item, day):
            self._last = (item, day, self.goods.row(item, day))
        return self._last[2]

    def _in_force(self, field: str, number: str, day: str) -> tuple[str, str] | None:
        """Return the number in force on a day in place of this one, and when they are switched; None: none, or itself."""
        switch = self._after.get((field, number))
        if switch is not None and switch.since <= day:
            since = switch.since
            while switch is not None and switch.since <= day:
                number, switch = switch.new, self._after.get((field, switch.new))
            return number, since
        switch = self._before.get((field, number))
        if switch is None or switch.since <= day:
            return None
        since = switch.since
        while switch is not None and switch.since > day:
            number, switch = switch.old, self._before.get((field, switch.old))
        return number, since


def packed(rows: list[Cells], sha256: str) -> GoodsRegister:
    """Pack the rows of a register."""
    pieces: list[bytes] = []
    starts = bytearray()
    size = 0
    for row in sorted(rows, key=lambda one: (one[_ITEM].encode(), one[_FROM])):
        piece = (CELL.join(row) + ROW).encode()
        starts += size.to_bytes(_OFFSET, "little")
        pieces.append(piece)
        size += len(piece)
    return GoodsRegister(sha256=sha256, rows=len(rows), data=b"".join(pieces), starts=bytes(starts))


def in_force(row: Cells, day: str) -> bool:
    """Say whether a row of goods is in force on a day, YYYYMMDD."""
    return row[_FROM] <= day and (not row[_UNTIL] or day <= row[_UNTIL])


def entries(register: Register, item: str | None) -> tuple[Mapping[str, str], ...]:
    """Return the rows of an item, or all switches of books; column → value, without empty ones."""
    if isinstance(register, BooksRegister):
        return tuple(
            [
                {"field": one.field, "old": one.old, "new": one.new, "from": one.since}
                for one in register.switches
            ]
        )
    names = tuple(_COLUMN)
    rows = register.rows_of(item) if item is not None else ()
    return tuple([{name: cell for name, cell in zip(names, row, strict=True) if cell} for row in rows])
