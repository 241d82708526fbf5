"""Read CSV as spreadsheets and programs write it (RFC 4180), a row at a time.

The standard library's reader reports the line of an error, but neither its column nor where a cell begins.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice, pairwise
from typing import Final

from gateway.errors import Refused
from gateway.mapping.sources.item import Lines
from gateway.mapping.sources.refusing import refused
from gateway.mapping.sources.table import Form, Row, SourceLimits, SourceNote
from gateway.mapping.sources.text import LongLineError, TextFile

_DELIMITERS: Final = ",;\t"
_LOOKED_AT: Final = 10
"""Rows in which the delimiter is looked for: the head row is among them."""
_ENDS: Final = "\r\n"


class CsvTable:
    """One CSV file: a workbook of one sheet without a name."""

    form = Form.CSV
    name = ""
    hidden = False
    notes: Sequence[SourceNote] = ()

    def __init__(self, text: TextFile, delimiter: str, limits: SourceLimits) -> None:
        """`delimiter`: empty: the one of comma, semicolon and tab that the first rows have most of."""
        self._text = text
        self._limits = limits
        self._delimiter = delimiter or self._found_delimiter()

    @property
    def sheets(self) -> Sequence["CsvTable"]:
        """See Workbook."""
        return (self,)

    def rows(self) -> Iterator[Row]:
        """See Sheet. Raises Refused `not-csv`, `wrong-encoding`."""
        cell, delimiter = re.compile(rf'[^"\r\n{re.escape(self._delimiter)}]*+'), self._delimiter
        scan = partial(_offsets, cell=cell, delimiter=delimiter)
        for number, (line, written) in enumerate(self._records(), 1):
            if number > self._limits.rows:
                raise refused("not-csv", "rows", line=line, column=1, limit=self._limits.rows)
            if '"' not in written:
                cells = written.split(delimiter)
            else:
                cells = _cells(written, _checked_offsets(written, line, scan))
            self._bound(number, line, cells)
            if any(map(str.strip, cells)):
                yield Row(number, cells, line, 1, written, scan)

    def _bound(self, number: int, line: int, cells: Sequence[str]) -> None:
        if len(cells) > self._limits.columns:
            raise refused("not-csv", "columns", line=line, column=1, row=number, limit=self._limits.columns)
        if max(map(len, cells)) > self._limits.cell_chars:
            raise refused("not-csv", "cell", line=line, column=1, limit=self._limits.cell_chars)

    def _records(self) -> Iterator[tuple[int, str]]:
        """Yield each row without its end, and its first line: lines are put together while a double quote is open."""
        limit = self._limits.document_bytes
        try:
            yield from _records(self._text.lines(limit), limit)
        except LongLineError as long:
            raise refused("not-csv", "long_row", line=long.line, column=1, limit=limit) from long

    def _found_delimiter(self) -> str:
        """Return the delimiter that makes most cells of one of the first rows; the first of them when equal."""
        try:
            first = [re.sub('"[^"]*+"', "", written) for _, written in islice(self._records(), _LOOKED_AT)]
        except Refused:
            return _DELIMITERS[0]  # reading the rows says it again, with its place
        return max(_DELIMITERS, key=lambda one: max((row.count(one) for row in first), default=0))


def ragged(row: Row, width: int) -> Refused:
    """Make the refusal of a row with another number of cells than the head row: a sign of quotes that are missing."""
    have = len(row.cells)
    line, column = row.place(min(have, width) - (have <= width))
    return refused("not-csv", "ragged", line=line, column=column, row=row.number, have=have, width=width)


def _records(lines: Iterator[tuple[int, str]], limit: int) -> Iterator[tuple[int, str]]:
    open_: list[str] = []
    first = size = 0
    for number, line in lines:
        quotes = line.count('"') % 2
        if not open_ and not quotes:
            yield number, line.rstrip(_ENDS)
        elif open_ and quotes:
            yield first, "".join((*open_, line.rstrip(_ENDS)))
            open_ = []
        else:
            first, size = (first, size + len(line)) if open_ else (number, len(line))
            open_.append(line)
        if open_ and size > limit:
            raise LongLineError(first)
    if open_:
        yield first, "".join(open_)


class _QuoteError(Exception):
    def __init__(self, rule: str, offset: int) -> None:
        super().__init__(rule)
        self.rule = rule
        self.offset = offset


def _offsets(written: str, *, cell: re.Pattern[str], delimiter: str) -> list[int]:
    """Return where each cell begins, and where the row ends (plus one). Raises _QuoteError."""
    found, at = [0], 0
    while True:
        if written.startswith('"', at):
            at = _quote_end(written, at)
        elif plain := cell.match(written, at):
            at = plain.end()
        if at >= len(written):
            return [*found, at + 1]
        if not written.startswith(delimiter, at):
            raise _QuoteError("quote", at)
        at += 1
        found.append(at)


def _quote_end(written: str, begin: int) -> int:
    end = begin + 1
    while (end := written.find('"', end)) >= 0:
        if not written.startswith('""', end):
            return end + 1
        end += 2
    raise _QuoteError("quote_open", begin)


def _checked_offsets(written: str, line: int, scan: Callable[[str], list[int]]) -> list[int]:
    try:
        return scan(written)
    except _QuoteError as wrong:
        spot = Lines(written, line=line).spot(wrong.offset, "")
        raise refused("not-csv", wrong.rule, line=spot.line, column=spot.column) from wrong


def _cells(written: str, offsets: Sequence[int]) -> list[str]:
    cells = []
    for begin, after in pairwise(offsets):
        cell = written[begin : after - 1]
        cells.append(cell[1:-1].replace('""', '"') if cell.startswith('"') else cell)
    return cells
