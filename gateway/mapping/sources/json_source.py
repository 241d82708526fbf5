"""Read JSON of platforms strictly: every value knows its position, and numbers stay as they are written.

The standard library's reader converts numbers to float, accepts duplicate keys and gives no positions.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.errors import Refused
from gateway.mapping.sources.item import Lines, NoTextError, Reference, SourceItem, Spot, shortened
from gateway.mapping.sources.lossy_numbers import lost
from gateway.mapping.sources.table import Bare
from gateway.model import Fault

_DEEPEST: Final = 256
"""Most levels, even if the configuration allows more: each level is a recursive call."""
_WHITE: Final = re.compile(r"[ \t\n\r]*+")
_SIGN: Final = re.compile(r"[ \t\n\r]*+([,:\]}])[ \t\n\r]*+")
_PLAIN_STRING: Final = re.compile(r'"([^"\\\x00-\x1f]*+)"')
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
"""Without possessive groups: in CPython 3.11 one that fails may lose its position (gh-106052)."""
_read_string: Final = json.JSONDecoder().raw_decode
_WORDS: Final[Mapping[str, str | None]] = {"true": "true", "false": "false", "null": None}


@dataclass(frozen=True, slots=True)
class _Scalar:
    text: str | None
    """None: null."""
    offset: int
    bare: bool
    """A number or a word without quotes."""


@dataclass(frozen=True, slots=True)
class _Array:
    members: list["_Value"]
    offset: int


@dataclass(frozen=True, slots=True)
class _Object:
    members: dict[str, "_Value"]
    offset: int


_Value = _Scalar | _Array | _Object


@dataclass(frozen=True, slots=True)
class JsonItem:
    """A value of the document, and the item that contains it."""

    value: _Value
    path: str
    """A JSON pointer; empty: the whole document."""
    around: "JsonItem | None"
    lines: Lines

    def written(self, at: Reference) -> str | None:
        """Return the text there as it is written, a `Bare` without quotes; None: missing or null. Raises NoTextError."""
        match self._there(at):
            case None:
                return None
            case _Scalar(text=text, bare=bare):
                return Bare(text) if bare and text else text
            case _Array():
                raise NoTextError("not_a_value", self.spot(at), "[…]")
            case _Object():
                raise NoTextError("not_a_value", self.spot(at), "{…}")

    def members(self, at: Reference) -> Sequence["JsonItem"]:
        """Return the members of the array there; a missing value or null is an empty one. Raises NoTextError."""
        value, _, path = self._find(at)
        match value:
            case None | _Scalar(text=None):
                return ()
            case _Array(members=members):
                return [JsonItem(one, f"{path}/{at}", self, self.lines) for at, one in enumerate(members)]
            case _:
                raise NoTextError("not_an_array", self.spot(at))

    def has(self, at: Reference) -> bool:
        """Say whether anything is there, be it null."""
        return self._there(at) is not None

    def text(self, at: Reference, *, as_written: bool = False) -> str | None:
        """See SourceItem."""
        match self._find(at)[0]:
            case None:
                return None
            case _Scalar(text=text, bare=bare):
                text = (text or "").strip()
                if text and not as_written and (rule := lost(text, bare=bare)):
                    raise NoTextError(rule, self.spot(at), text)
                return text or None
            case _Array():
                raise NoTextError("not_a_value", self.spot(at), "[…]")
            case _Object():
                raise NoTextError("not_a_value", self.spot(at), "{…}")

    def keys(self) -> list[str] | None:
        """Return the keys of an object, in its order; None: it is none."""
        return list(self.value.members) if isinstance(self.value, _Object) else None

    def spot(self, at: Reference | None = None) -> Spot:
        """See SourceItem; for a missing value, the position of the nearest enclosing value."""
        if at is None:
            return self.lines.spot(self.value.offset, self.path or "/")
        _, nearest, path = self._find(at)
        return self.lines.spot(nearest.offset, path or "/")

    def each(self, over: tuple[Reference, ...]) -> Sequence[SourceItem]:
        """See SourceItem; a missing value or null is an empty array."""
        return self.members(over[0])

    def _there(self, at: Reference) -> _Value | None:
        """Return the value; None if missing."""
        value: _Value | None = self.above(at.ups).value
        for step in at.steps:
            value = value.members.get(step) if type(value) is _Object else _member(value, step)
        return value

    def _find(self, at: Reference) -> tuple[_Value | None, _Value, str]:
        """Return the value (None if missing), the innermost existing value on the way to it, and the path."""
        begin = self.above(at.ups)
        value: _Value | None = begin.value
        nearest, path = begin.value, begin.path
        for step in at.steps:
            path += "/" + step.replace("~", "~0").replace("/", "~1")
            value = _member(value, step)
            nearest = nearest if value is None else value
        return value, nearest, path

    def above(self, ups: int | None) -> "JsonItem":
        """Return the item so many levels up; None: the whole document."""
        item = self
        while item.around is not None and ups != 0:
            item = item.around
            ups = None if ups is None else ups - 1
        return item


def _member(value: _Value | None, step: str) -> _Value | None:
    match value:
        case _Object(members=members):
            return members.get(step)
        case _Array(members=elements) if step.isascii() and step.isdigit() and int(step) < len(elements):
            return elements[int(step)]
        case _:
            return None


class JsonBounds(Protocol):
    """What a document may have at most."""

    @property
    def depth(self) -> int:
        """Levels."""

    @property
    def elements(self) -> int:
        """Values."""


def read_json(text: str, limits: JsonBounds, *, line: int = 1, column: int = 1) -> JsonItem:
    """Read a whole document. Raises Refused `not-json` with line and column.

    At most `limits.depth` levels and `limits.elements` values; duplicate keys are refused, and so are numbers
    that are not in RFC 8259 (NaN). `line`, `column`: where the text begins in its file.
    """
    lines = Lines(text, line=line, column=column)
    try:
        value = _Reader(text, depth=min(limits.depth, _DEEPEST), values=limits.elements).whole()
    except _WrongError as wrong:
        raise Refused("not-json", [_fault(wrong, lines.spot(wrong.offset, ""))]) from wrong
    return JsonItem(value, "", None, lines)


def value_texts(item: JsonItem) -> Iterator[str]:
    """Yield the structure and the texts of a value; keys in alphabetical order, null as nothing."""
    yield from _value_texts(item.value)


def _value_texts(value: _Value) -> Iterator[str]:
    match value:
        case _Scalar(text=text):
            yield "-" if text is None else f"={text}"
        case _Array(members=elements):
            yield f"[{len(elements)}"
            for one in elements:
                yield from _value_texts(one)
        case _Object(members=members):
            yield f"{{{len(members)}"
            for key in sorted(members):
                yield key
                yield from _value_texts(members[key])


def paths_of(item: JsonItem) -> Iterator[tuple[str, ...]]:
    """Yield the path of every text, number or word; members of arrays are `*`, so a path may come often."""
    yield from _paths_of(item.value, ())


def _paths_of(value: _Value, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    match value:
        case _Scalar(text=text):
            if text is not None:
                yield path
        case _Array(members=elements):
            for one in elements:
                yield from _paths_of(one, (*path, "*"))
        case _Object(members=members):
            for key, one in members.items():
                yield from _paths_of(one, (*path, key))


def offsets_of(text: str, keys: Sequence[str]) -> list[int]:
    """Return where the values of these keys are in an object that has been read before; behind it if not there."""
    value = _Reader(text, depth=_DEEPEST, values=len(text) + 1).whole()
    members = value.members if isinstance(value, _Object) else {}
    return [members[key].offset if key in members else len(text) for key in keys]


_WHOLE: Final = ("send one complete JSON document (RFC 8259)", "请发送一份完整的JSON文档（RFC 8259）")


class _WrongError(Exception):
    def __init__(self, offset: int, rule: str, what: str, zh: str, fix: tuple[str, str] = _WHOLE) -> None:
        super().__init__(what)
        self.offset = offset
        self.rule = rule
        self.what = what
        self.zh = zh
        self.fix = fix


def _fault(wrong: _WrongError, spot: Spot) -> Fault:
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

    def __init__(self, text: str, *, depth: int, values: int) -> None:
        self._text = text
        self._at = 0
        self._depth = depth
        self._most = self._left = values

    def whole(self) -> _Value:
        self._skip()
        value = self._value(self._depth)
        self._skip()
        if self._at < len(self._text):
            raise self._unexpected("the end")
        return value

    def _skip(self) -> None:
        found = _WHITE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _value(self, depth: int) -> _Value:
        begin = self._at
        self._left -= 1
        if self._left < 0:
            what, zh = f"more than {self._most} values", f"值超过{self._most}个"
            raise _WrongError(
                begin, "elements", what, zh, ("split it into several requests", "请分成多次请求提交")
            )
        sign = self._text[begin : begin + 1]
        if sign == '"':
            return _Scalar(self._string(), begin, bare=False)
        if sign in ("{", "["):
            if depth == 0:
                what, zh = f"nested more than {self._depth} levels deep", f"嵌套超过{self._depth}层"
                raise _WrongError(begin, "depth", what, zh, ("flatten it", "请减少嵌套层数"))
            self._at += 1
            return (
                _Object(self._object(depth - 1), begin)
                if sign == "{"
                else _Array(self._array(depth - 1), begin)
            )
        return self._bare()

    def _bare(self) -> _Scalar:
        begin = self._at
        if found := _NUMBER.match(self._text, begin):
            self._at = found.end()
            return _Scalar(found[0], begin, bare=True)
        for word, text in _WORDS.items():
            if self._text.startswith(word, begin):
                self._at += len(word)
                return _Scalar(text, begin, bare=True)
        raise self._unexpected("a value")

    def _string(self) -> str:
        if found := _PLAIN_STRING.match(self._text, self._at):
            self._at = found.end()
            return found[1]
        try:
            text, self._at = _read_string(self._text, self._at)
        except json.JSONDecodeError as error:
            what = "a string that is cut off or holds what must be escaped"
            zh, fix = (
                "字符串不完整或含有未转义的字符",
                (
                    'end it with " and escape control characters and backslashes',
                    '字符串须以"结束，其中的控制字符和反斜杠须转义',
                ),
            )
            raise _WrongError(error.pos, "not_json", what, zh, fix) from error
        return str(text)

    def _object(self, depth: int) -> dict[str, _Value]:
        members: dict[str, _Value] = {}
        self._skip()
        if self._text.startswith("}", self._at):
            self._at += 1
            return members
        while True:
            key_at = self._at
            if not self._text.startswith('"', key_at):
                raise self._unexpected("a key in double quotes")
            key = self._string()
            if key in members:
                name = shortened(key, 40)
                what, zh = f"the key {name!r} stands twice in one object", f"对象中键“{name}”重复"
                raise _WrongError(key_at, "duplicate_key", what, zh, ("keep one of them", "请只保留其中一个"))
            self._sign(":")
            members[key] = self._value(depth)
            if self._sign(",}") == "}":
                return members

    def _array(self, depth: int) -> list[_Value]:
        members: list[_Value] = []
        self._skip()
        if self._text.startswith("]", self._at):
            self._at += 1
            return members
        while True:
            members.append(self._value(depth))
            if self._sign(",]") == "]":
                return members

    def _sign(self, expected: str) -> str:
        """Consume one of these characters with the white space around it, and return it."""
        found = _SIGN.match(self._text, self._at)
        if found is None or found[1] not in expected:
            self._skip()
            raise self._unexpected(" or ".join(map(repr, expected)))
        self._at = found.end()
        return found[1]

    def _unexpected(self, expected: str) -> _WrongError:
        found = self._text[self._at : self._at + 1]
        there = f"found {shortened(found)!r}" if found else "the document ends"
        return _WrongError(
            self._at, "not_json", f"not JSON: {expected} was expected, {there}", "不是有效的JSON"
        )
