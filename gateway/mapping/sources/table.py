"""The interface of a table, whatever form it is written in: a workbook has sheets, a sheet has rows, a row has cells.

`gateway.mapping.sources.opening` opens one. The same table gives the same rows in every form and encoding.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from gateway.mapping.sources.item import Lines


class Form(StrEnum):
    """How the bytes are written."""

    CSV = "csv"
    XLSX = "xlsx"
    JSON = "json"
    NDJSON = "ndjson"


MEDIA: Final = {
    Form.CSV: "text/csv",
    Form.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Form.JSON: "application/json",
    Form.NDJSON: "application/x-ndjson",
}
"""Form → media type."""
SUFFIXES: Final = {
    ".csv": Form.CSV, ".tsv": Form.CSV, ".txt": Form.CSV, ".xlsx": Form.XLSX, ".xlsm": Form.XLSX, ".xls": Form.XLSX,
    ".json": Form.JSON, ".ndjson": Form.NDJSON, ".jsonl": Form.NDJSON,
}  # fmt: skip
"""Suffix of a file, in lower case → form; files that are refused as XLSX are told why there."""


class Bare(str):
    """A value that the source wrote as a number or a word, not as a text: a JSON number, an XLSX number or boolean.

    Exactly as written; whether its digits can still be trusted is asked with `lossy_numbers.lost`.
    """

    __slots__ = ()


Scan = Callable[[str], Sequence[int]]
"""From a row as written to the offsets of its cells in it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a sheet."""

    number: int
    """As in a spreadsheet: from 1, empty rows count. In JSON the heads are row 1, and the first object is row 2."""
    cells: Sequence[str]
    """Texts, or `Bare`; empty: nothing there. Rows may differ in length; cells that are not there are empty."""
    line: int = 0
    """Where it begins in a text form, from 1; 0: the form has no lines."""
    column: int = 1
    written: str = ""
    """As written in a text form."""
    scan: Scan | None = None

    def place(self, at: int) -> tuple[int, int]:
        """Return line and column of a cell, from 1; in a form without lines, the numbers of its row and its column."""
        if self.scan is None:
            return self.number, at + 1
        offsets = self.scan(self.written)
        offset = offsets[at] if at < len(offsets) else len(self.written)
        spot = Lines(self.written, line=self.line, column=self.column).spot(offset, "")
        return spot.line, spot.column


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceNote:
    """Something that was understood in a certain way, and that whoever sent the source should know."""

    rule: str
    """A stable name, for instance `formulas`."""
    message: str
    message_zh: str
    sheet: str = ""
    count: int = 1
    """How many cells, rows or sheets it is about."""


class Sheet(Protocol):
    """One sheet of a workbook."""

    @property
    def name(self) -> str:
        """Its name; empty for CSV, and for JSON without sheets."""

    @property
    def hidden(self) -> bool:
        """Whether the workbook hides it: it can be read, but nothing of it is meant to be handed in."""

    @property
    def notes(self) -> Sequence[SourceNote]:
        """Return what is to be said about it; complete when its rows have been read to the end once."""

    def rows(self) -> Iterator[Row]:
        """Yield the rows that have any text, in order; each call starts anew, in constant memory.

        Raises Refused where the source cannot be read any further: what came before is sound as it is.
        """


class Workbook(Protocol):
    """A source that holds tables."""

    @property
    def form(self) -> Form:
        """How it is written."""

    @property
    def sheets(self) -> Sequence[Sheet]:
        """Return all sheets in their order, hidden ones too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLimits:
    """What a source may have at most. What is in memory at one time is a row, or a document."""

    size_bytes: int = 512 * 1024 * 1024
    """Of the source."""
    document_bytes: int = 4 * 1024 * 1024
    """Of one JSON document, of one line of NDJSON, of one row of CSV."""
    depth: int = 64
    """Levels of a JSON document."""
    elements: int = 200_000
    """Values of a JSON document."""
    columns: int = 1000
    cell_chars: int = 32_767
    """Of a cell; what spreadsheets keep (ECMA-376 part 1, 18.18.93 has no bound, programs have this one)."""
    rows: int = 5_000_000
    """Of a sheet, empty ones too."""
    sheets: int = 64
    members: int = 1000
    """Files in the ZIP archive of an XLSX file."""
    inflated_bytes: int = 8 * 1024 * 1024 * 1024
    """Of all these files together, inflated."""
    ratio: int = 200
    """Inflated bytes for each byte of the archive; counts above `ratio_from_bytes`."""
    ratio_from_bytes: int = 64 * 1024 * 1024


def cell_name(row: int, at: int) -> str:
    """Return the name of a cell as spreadsheets show it: row 17, fourth cell (3) → `D17`."""
    return f"{column_name(at)}{row}"


def column_name(at: int) -> str:
    """Return the letters of a column, counted from 0: 0 → `A`, 27 → `AB`."""
    letters, left = "", at + 1
    while left:
        left, digit = divmod(left - 1, 26)
        letters = chr(65 + digit) + letters
    return letters


def column_at(letters: str) -> int:
    """Return the number of a column, counted from 0: `A` → 0, `AB` → 27."""
    at = 0
    for letter in letters:
        at = at * 26 + ord(letter) - 64
    return at - 1
