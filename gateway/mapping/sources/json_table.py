"""Read tables out of JSON a row at a time: an array of flat objects, one such array for each sheet, or an object a line.

Rows are read by the standard library's scanner; what it refuses is read again by the strict reader, which says where.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NoReturn

from gateway.errors import Refused
from gateway.mapping.sources.json_source import offsets_of, read_json
from gateway.mapping.sources.refusing import refused
from gateway.mapping.sources.table import Bare, Form, Row, SourceLimits, SourceNote
from gateway.mapping.sources.text import LongLineError, TextFile

_WHITE: Final = re.compile(r"[ \t\n\r]*+")
_WORDS: Final = {True: Bare("true"), False: Bare("false"), None: ""}


class _NotPlainError(Exception):
    """The quick scanner cannot take it: the strict one says why."""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _NotPlainError("a key twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise _NotPlainError(name)


_scan: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=Bare, parse_int=Bare, parse_constant=_no_constant
).raw_decode


@dataclass(frozen=True, slots=True)
class _Member:
    """An object as read, and where it is written."""

    sheet: str
    values: dict[str, Any]
    written: str
    line: int
    column: int


@dataclass(slots=True)
class JsonSheet:
    """One array of flat objects; its heads are all the keys, in the order in which they come."""

    table: "JsonTable"
    name: str
    heads: dict[str, int] = field(default_factory=dict)
    line: int = 1
    hidden = False
    notes: Sequence[SourceNote] = ()

    def rows(self) -> Iterator[Row]:
        """See Sheet. Raises Refused `not-json`, `wrong-encoding`."""
        heads = list(self.heads)
        scan = partial(offsets_of, keys=heads)
        if heads:
            yield Row(1, heads, self.line)
        mine = (one for one in self.table.members() if one.sheet == self.name)
        for number, member in enumerate(mine, 2):
            cells = [""] * len(heads)
            for key, value in member.values.items():
                cells[self.heads[key]] = value if isinstance(value, str) else _WORDS[value]
            if any(map(str.strip, cells)):
                yield Row(number, cells, member.line, member.column, member.written, scan)


class JsonTable:
    """A workbook written as JSON or NDJSON."""

    def __init__(self, text: TextFile, form: Form, limits: SourceLimits) -> None:
        """Read it once to find sheets and heads. Raises Refused `not-json`, `wrong-encoding`."""
        self.form = form
        self._text = text
        self._limits = limits
        self._names: list[str] = []
        sheets: dict[str, JsonSheet] = {}
        counts: dict[str, int] = {}
        for member in self.members():
            sheet = sheets.setdefault(member.sheet, JsonSheet(self, member.sheet, line=member.line))
            counts[member.sheet] = counts.get(member.sheet, 1) + 1
            self._learn(sheet, member, counts[member.sheet])
        for name in self._names:
            sheets.setdefault(name, JsonSheet(self, name))
        self.sheets: Sequence[JsonSheet] = tuple(sheets.values())

    def members(self) -> Iterator[_Member]:
        """Yield every object, checked to be flat and within the bounds."""
        self._names = []
        lines = (
            self._in_lines()
            if self.form is Form.NDJSON
            else _Document(self._text, self._limits, self._names).members()
        )
        for member in lines:
            for key, value in member.values.items():
                if isinstance(value, list | dict):
                    line, column = Row(
                        0, (), member.line, member.column, member.written, partial(offsets_of, keys=[key])
                    ).place(0)
                    raise refused("not-json", "not_flat", line=line, column=column, name=key)
                if isinstance(value, str) and len(value) > self._limits.cell_chars:
                    raise refused(
                        "not-json",
                        "cell",
                        line=member.line,
                        column=member.column,
                        limit=self._limits.cell_chars,
                    )
            yield member

    def _learn(self, sheet: JsonSheet, member: _Member, row: int) -> None:
        if not member.values.keys() <= sheet.heads.keys():
            for key in member.values:
                sheet.heads.setdefault(key, len(sheet.heads))
        if len(sheet.heads) > self._limits.columns:
            raise refused(
                "not-json",
                "columns",
                line=member.line,
                column=member.column,
                row=row,
                limit=self._limits.columns,
            )
        if row > self._limits.rows:
            raise refused("not-json", "rows", line=member.line, column=member.column, limit=self._limits.rows)

    def _in_lines(self) -> Iterator[_Member]:
        limit = self._limits.document_bytes
        try:
            for number, line in self._text.lines(limit):
                written = line.strip(" \t\r\n")
                if written:
                    column = len(line) - len(line.lstrip(" \t")) + 1
                    yield _Member("", _one(written, number, column, self._limits), written, number, column)
        except LongLineError as long:
            raise refused("not-json", "document_size", line=long.line, column=1, limit=limit) from long


def _one(written: str, line: int, column: int, limits: SourceLimits) -> dict[str, Any]:
    """Read one object that is all of a text. Raises Refused."""
    try:
        value, end = _scan(written)
    except (ValueError, RecursionError, _NotPlainError) as wrong:
        raise _told(written, line, column, limits) from wrong
    if end < len(written):
        raise _told(written, line, column, limits)
    if not isinstance(value, dict):
        raise refused("not-json", "no_table", line=line, column=column)
    return value


def _told(written: str, line: int, column: int, limits: SourceLimits) -> Refused:
    """Return what the strict reader says about a text that the quick one did not take."""
    try:
        read_json(written, limits, line=line, column=column)
    except Refused as refusal:
        return refusal
    return refused("not-json", "no_table", line=line, column=column)


class _Document:
    """Walks one document: the outermost level here, each object by the scanner."""

    def __init__(self, text: TextFile, limits: SourceLimits, names: list[str]) -> None:
        self._texts = text.texts()
        self._limits = limits
        self._names = names
        self._buffer = ""
        self._at = 0
        self._counted = 0
        self._line, self._column = 1, 1
        """Of the sign at `_counted`."""
        self._ended = False

    def members(self) -> Iterator[_Member]:
        sign = self._next()
        if sign == "[":
            yield from self._array("")
        elif sign == "{":
            yield from self._sheets()
        else:
            raise self._no_table() if sign else refused("not-json", "empty")
        if self._peek():
            raise self._unexpected("the end", "文档结束")

    def _sheets(self) -> Iterator[_Member]:
        if self._peek() == "}":
            raise self._no_table()
        while True:
            name = self._name()
            if name in self._names:
                raise refused("not-json", "duplicate_sheet", **self._here(), name=name)
            self._names.append(name)
            self._expect(":")
            if self._peek() != "[":
                raise self._no_table()
            self._at += 1
            yield from self._array(name)
            if self._expect(",}") == "}":
                return

    def _array(self, sheet: str) -> Iterator[_Member]:
        if self._peek() == "]":
            self._at += 1
            return
        while True:
            yield self._member(sheet)
            if self._expect(",]") == "]":
                return

    def _member(self, sheet: str) -> _Member:
        if self._peek() != "{":
            raise self._no_table()
        value, end = self._scanned()
        here = self._here()
        written = self._buffer[self._at : end]
        self._at = end
        return _Member(sheet, value, written, here["line"], here["column"])

    def _name(self) -> str:
        if self._peek() != '"':
            raise self._unexpected("the name of a sheet", "工作表名称")
        name, self._at = self._scanned()
        return str(name)

    def _scanned(self) -> tuple[Any, int]:
        """Scan the value here, with more text as long as it is not complete. Raises Refused."""
        while True:
            try:
                return _scan(self._buffer, self._at)
            except (ValueError, RecursionError, _NotPlainError) as wrong:
                if len(self._buffer) - self._at > self._limits.document_bytes:
                    raise refused(
                        "not-json", "document_size", **self._here(), limit=self._limits.document_bytes
                    ) from wrong
                if isinstance(wrong, ValueError) and self._more():
                    continue
                raise self._strict() from wrong

    def _strict(self) -> Refused:
        here = self._here()
        return _told(self._buffer[self._at :], here["line"], here["column"], self._limits)

    def _more(self) -> bool:
        """Take up as much text as there is, so that a value is not scanned often; False: there is no more."""
        self._forget()
        wanted, pieces = len(self._buffer) + 1, [self._buffer]
        while wanted > 0 and not self._ended:
            piece = next(self._texts, "")
            self._ended = not piece
            pieces.append(piece)
            wanted -= len(piece)
        self._buffer = "".join(pieces)
        return len(pieces) > 1 and bool(pieces[1])

    def _forget(self) -> None:
        """Let go of what has been read."""
        self._here()
        self._buffer = self._buffer[self._at :]
        self._at = self._counted = 0

    def _here(self) -> dict[str, int]:
        """Return line and column; what is passed is counted once."""
        begin, self._counted = self._counted, self._at
        text = self._buffer
        ends = text.count("\n", begin, self._at) + text.count("\r", begin, self._at)
        last = max(text.rfind("\n", begin, self._at), text.rfind("\r", begin, self._at))
        self._line += ends - text.count("\r\n", begin, self._at)
        self._column = self._column + self._at - begin if last < 0 else self._at - last
        return {"line": self._line, "column": self._column}

    def _peek(self) -> str:
        """Return the next sign behind white space without taking it; empty: the end."""
        while True:
            found = _WHITE.match(self._buffer, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._buffer) or not self._more():
                return self._buffer[self._at : self._at + 1]

    def _next(self) -> str:
        sign = self._peek()
        self._at += len(sign)
        return sign

    def _expect(self, signs: str) -> str:
        sign = self._peek()
        if not sign or sign not in signs:
            raise self._unexpected(" or ".join(map(repr, signs)), "或".join(signs))
        self._at += 1
        return sign

    def _unexpected(self, expected: str, expected_zh: str) -> Refused:
        sign = self._peek()
        found, found_zh = (
            (f"found {sign!r}", f"却是{sign!r}") if sign else ("the document ends", "文档却已结束")
        )
        return refused(
            "not-json",
            "not_json",
            **self._here(),
            expected=expected,
            expected_zh=expected_zh,
            found=found,
            found_zh=found_zh,
        )

    def _no_table(self) -> Refused:
        return refused("not-json", "no_table", **self._here())
