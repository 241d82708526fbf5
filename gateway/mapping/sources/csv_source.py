"""Read CSV as spreadsheets and programs write it (RFC 4180), with a header; every cell knows its position.

The standard library's reader reports the line of an error, but neither its column nor where a cell begins.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import FAULTS_COUNTED, Refused
from gateway.mapping.sources.item import Lines, NoTextError, Reference, SourceItem, Spot, shortened
from gateway.mapping.sources.lossy_numbers import lost
from gateway.model import Fault
from gateway.rules.fault_texts import shown_of

_ENDS: Final = ("\r\n", "\n", "\r")
_FIX: Final = (
    'put cells that hold a comma, a line break or " in double quotes, and write " inside them twice',
    '含有逗号、换行或"的单元格须用双引号括起，其中的"须写两次',
)


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    """Row number as in a spreadsheet: the header is row 1, and empty rows count."""
    cells: list[str]
    offsets: list[int]


@dataclass(frozen=True, slots=True)
class _Table:
    columns: Mapping[str, int]
    lines: Lines
    header: _Row


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of the table: all rows, those of one declaration, or one row."""

    table: _Table
    rows: list[_Row]

    def text(self, at: Reference, *, as_written: bool = False) -> str | None:
        """See SourceItem; several rows must all have the same text."""
        column = self.table.columns[at.written]
        if not self.rows:
            return None
        first = self.rows[0].cells[column]
        for row in self.rows:
            if row.cells[column] != first and row.cells[column].strip() != first.strip():
                spot = Rows(self.table, [row]).spot(at)
                raise NoTextError("rows_disagree", spot, row.cells[column], first=str(self.rows[0].number))
        text = first.strip()
        if text and not as_written and (rule := lost(text, bare=False)):
            raise NoTextError(rule, self.spot(at), text)
        return text or None

    def spot(self, at: Reference | None = None) -> Spot:
        """See SourceItem; for several rows, the first."""
        row = self.rows[0] if self.rows else self.table.header
        if at is None:
            return self.table.lines.spot(row.offsets[0], f"row {row.number}")
        column = self.table.columns[at.written]
        return self.table.lines.spot(row.offsets[column], f"row {row.number}, column {at.written}")

    def each(self, over: tuple[Reference, ...]) -> Sequence[SourceItem]:
        """See SourceItem; groups are in the order of their first rows. Without columns, each row is an item."""
        if not over:
            return [Rows(self.table, [row]) for row in self.rows]
        columns = [self.table.columns[one.written] for one in over]
        groups: dict[tuple[str, ...], list[_Row]] = {}
        for row in self.rows:
            groups.setdefault(tuple([row.cells[column].strip() for column in columns]), []).append(row)
        return [Rows(self.table, rows) for rows in groups.values()]


def read_csv(text: str, delimiter: str, wanted: Sequence[str], limits: LimitsConfig) -> Rows:
    """Read a whole table, whose header must have all `wanted` columns. Raises Refused `not-csv` with every fault.

    At most `limits.elements` cells. Rows whose cells are all empty are skipped.
    """
    lines = Lines(text)
    try:
        rows = _Reader(text, delimiter, limits.elements).rows()
    except _WrongError as wrong:
        raise _refused(lines, [wrong]) from wrong
    if not rows:
        raise _refused(
            lines,
            [
                _WrongError(
                    0,
                    "empty",
                    "there is no header",
                    "没有标题行",
                    ("name the columns in row 1", "请在第1行填写列名"),
                )
            ],
        )
    header, *others = rows
    columns = {name: at for at, cell in enumerate(header.cells) if (name := cell.strip())}
    wrong_header = [*islice(_doubled(header, columns), FAULTS_COUNTED), *_missing(header, columns, wanted)]
    if wrong_header:
        raise _refused(lines, wrong_header)
    width = len(header.cells)
    ragged = [_ragged(row, width) for row in others if len(row.cells) != width]
    if ragged:
        raise _refused(lines, ragged)
    return Rows(_Table(columns, lines, header), others)


class _WrongError(Exception):
    def __init__(self, offset: int, rule: str, what: str, zh: str, fix: tuple[str, str] = _FIX) -> None:
        super().__init__(what)
        self.offset = offset
        self.rule = rule
        self.zh = zh
        self.fix = fix


def _doubled(header: _Row, columns: Mapping[str, int]) -> Iterator[_WrongError]:
    for at, cell in enumerate(header.cells):
        name = shortened(cell.strip())
        if name and columns[cell.strip()] != at:
            what = f"the column {name} stands twice in the header"
            zh, fix = f"标题行中列“{name}”重复", ("rename one of them", "请修改其中一列的名称")
            yield _WrongError(header.offsets[at], "duplicate_column", what, zh, fix)


def _missing(header: _Row, columns: Mapping[str, int], wanted: Sequence[str]) -> Iterator[_WrongError]:
    fix = (
        "add it to the header; a cell may stay empty where nothing is to be said",
        "请在标题行中添加该列；没有内容的单元格可以留空",
    )
    for name in wanted:
        if name not in columns:
            yield _WrongError(
                header.offsets[0], "missing_column", f"there is no column {name}", f"缺少列“{name}”", fix
            )


def _ragged(row: _Row, width: int) -> _WrongError:
    have = len(row.cells)
    offset = row.offsets[width] if have > width else row.offsets[-1]
    what = f"row {row.number} has {have} cells, the header has {width}"
    return _WrongError(offset, "ragged", what, f"第{row.number}行有{have}列，标题行有{width}列")


def _refused(lines: Lines, wrongs: Sequence[_WrongError]) -> Refused:
    return Refused("not-csv", shown_of(_fault(lines, wrong) for wrong in wrongs[:FAULTS_COUNTED]))


def _fault(lines: Lines, wrong: _WrongError) -> Fault:
    spot = lines.spot(wrong.offset, "")
    return Fault(
        line=spot.line,
        column=spot.column,
        rule=wrong.rule,
        message=f"{wrong} (line {spot.line}, column {spot.column})",
        message_zh=f"{wrong.zh}（第{spot.line}行第{spot.column}列）",
        fix=wrong.fix[0],
        fix_zh=wrong.fix[1],
    )


class _Reader:
    """One pass over the text."""

    def __init__(self, text: str, delimiter: str, cells: int) -> None:
        self._text = text
        self._at = 0
        self._delimiter = delimiter
        self._plain = re.compile(rf'[^"\r\n{re.escape(delimiter)}]*+')
        self._most = self._left = cells

    def rows(self) -> list[_Row]:
        rows: list[_Row] = []
        number = 0
        while self._at < len(self._text):
            number += 1
            row = self._row(number)
            if any(cell.strip() for cell in row.cells):
                rows.append(row)
        return rows

    def _row(self, number: int) -> _Row:
        row = _Row(number, [], [])
        while True:
            row.offsets.append(self._at)
            row.cells.append(self._cell())
            if self._text.startswith(self._delimiter, self._at):
                self._at += 1
                continue
            end = next((one for one in _ENDS if self._text.startswith(one, self._at)), "")
            if not end and self._at < len(self._text):
                what = "a double quote inside a cell, or text behind one"
                raise _WrongError(self._at, "quote", what, "单元格中的双引号使用不正确")
            self._at += len(end)
            return row

    def _cell(self) -> str:
        self._left -= 1
        if self._left < 0:
            fix = ("split it into several requests", "请分成多次请求提交")
            raise _WrongError(
                self._at, "elements", f"more than {self._most} cells", f"单元格超过{self._most}个", fix
            )
        if not self._text.startswith('"', self._at):
            found = self._plain.match(self._text, self._at)
            self._at = found.end() if found else self._at
            return found[0] if found else ""
        return self._quoted()

    def _quoted(self) -> str:
        begin = end = self._at + 1
        while (end := self._text.find('"', end)) >= 0:
            if not self._text.startswith('""', end):
                self._at = end + 1
                return self._text[begin:end].replace('""', '"')
            end += 2
        raise _WrongError(self._at, "quote", "a cell in double quotes that never ends", "双引号没有结束")
