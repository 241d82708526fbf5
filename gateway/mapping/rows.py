"""The items of a table: groups of rows, each with the places of its cells; and rows that are no data."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.mapping.faults import CellSpot
from gateway.mapping.functions import spelt
from gateway.mapping.heads import SheetLayout
from gateway.mapping.language import SheetColumn
from gateway.mapping.sources.item import NoTextError
from gateway.mapping.sources.spill import Key
from gateway.mapping.sources.table import Row

_TOTALS: Final = frozenset(
    {"合计", "总计", "小计", "累计", "total", "totals", "subtotal", "sum", "grandtotal"}
)
_EXAMPLES: Final = frozenset({"示例", "样例", "示例行", "样例行", "example", "examplerow"})
MARK_HEAD: Final = "标记"
"""The head of the column in which a row may be marked as an example."""
_FIRSTS: Final = frozenset(word[0] for word in _TOTALS | _EXAMPLES) | {
    "T",
    "S",
    "G",
    "E",
    "【",
    "(",
    "（",
    "[",
}
_AROUND: Final = "【】[]()（）:：*＊"


@dataclass(slots=True, eq=False)
class RowsItem:
    """Some rows of a sheet: those of a message, of a declaration, of one line of it."""

    layout: SheetLayout
    rows: Sequence[Row]
    around: "RowsItem | None" = None

    def above(self, ups: int) -> "RowsItem":
        """Return the item so many levels up."""
        item = self
        for _ in range(ups):
            if item.around is not None:
                item = item.around
        return item

    def spot(self, column: SheetColumn | None = None) -> CellSpot:
        """Return the place of a cell of its first row, or of that row."""
        row = self.rows[0] if self.rows else self.layout.head
        return self.layout.spot(row, column)

    def text(self, at: int, column: SheetColumn) -> str:
        """Return the cell there, which all rows have to have alike; empty: nothing. Raises NoTextError."""
        rows = self.rows
        if not rows:
            return ""
        first = cell(rows[0], at)
        if len(rows) > 1:
            for row in rows:
                other = cell(row, at)
                if other != first and not (blank(other) and blank(first)):
                    spot = self.layout.spot(row, column)
                    raise NoTextError("rows_disagree", spot, other, first=str(rows[0].number))
        return first


def cell(row: Row, at: int) -> str:
    """Return a cell of a row; empty where the row has ended."""
    try:
        return row.cells[at]
    except IndexError:
        return ""


def blank(text: str) -> bool:
    """Say whether a text is nothing."""
    return not text or text.isspace()


def key_of(row: Row, columns: Iterable[int]) -> Key:
    """Return what rows of one group have alike: their cells without white space around them."""
    return tuple([cell(row, at).strip() for at in columns])


def grouped(item: RowsItem, columns: Sequence[int]) -> Iterator[RowsItem]:
    """Yield the rows of an item that are alike in these columns; without any, each row by itself."""
    if not columns:
        for row in item.rows:
            yield RowsItem(item.layout, (row,), item)
        return
    groups: dict[Key, list[Row]] = {}
    for row in item.rows:
        groups.setdefault(key_of(row, columns), []).append(row)
    for rows in groups.values():
        yield RowsItem(item.layout, rows, item)


@dataclass(frozen=True, slots=True)
class RowKinds:
    """Tells rows of data from others."""

    keys: tuple[int, ...]
    """The columns that say which declaration a row belongs to."""
    required: tuple[int, ...]
    marks: tuple[int, ...]
    """Columns in which a row may be marked as an example."""

    def is_total(self, row: Row) -> bool:
        """Say whether a row holds totals: it says so, and names no declaration."""
        first = _first(row)
        keys = [cell(row, at).strip() for at in self.keys]
        if not _reads(first, _TOTALS) and not any(_reads(one, _TOTALS) for one in keys):
            return False
        if keys:
            return all(not one or _reads(one, _TOTALS) for one in keys)
        return any(blank(cell(row, at)) for at in self.required)

    def is_example(self, row: Row) -> bool:
        """Say whether a row is marked as an example."""
        return _reads(_first(row), _EXAMPLES) or any(
            _reads(cell(row, at).strip(), _EXAMPLES) for at in self.marks
        )


def _first(row: Row) -> str:
    for one in row.cells:
        if one and (text := one.strip()):
            return text
    return ""


def _reads(text: str, words: frozenset[str]) -> bool:
    """Say whether a text is one of some words; most texts are not, so that is found out quickly."""
    return bool(text) and text[0] in _FIRSTS and len(text) <= _LONGEST and spelt(text).strip(_AROUND) in words


_LONGEST: Final = 20
