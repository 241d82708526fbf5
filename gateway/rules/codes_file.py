"""Reads `mappings/codes.toml` into `Codes`; whatever is wrong in the file is an error that names the place."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeVar

import msgspec

from gateway.model import Code, CodeClass
from gateway.rules.catalogue import Catalogue
from gateway.rules.codes import ALL, CodeRange, Codes, Fallback, Remedy, Repeat, TextPattern
from gateway.rules.tables import TablePlace, read_tables, shaped

T = TypeVar("T")
_Literal = Annotated[str, msgspec.Meta(min_length=2, max_length=100)]


def load_codes(file: Path, catalogue: Catalogue) -> Codes:
    """Read the tables of codes; raises RulesError that names what is wrong, also a receipt not in the catalogue."""
    place = TablePlace(file)
    tables = shaped(read_tables(file), _Tables, place, _EXAMPLE)
    advice = _each(tables.advice, Remedy, place.within("advice"))
    read = _Reader(advice, frozenset(receipt.name for receipt in catalogue.receipts()))
    at_status, at_dxp, at_business = place.within("status"), place.within("dxp"), place.within("business")
    groups = _each(tables.status, _StatusGroup, at_status)
    dxp = shaped(tables.dxp, _Platform, at_dxp, _EXAMPLE)
    return Codes(
        statuses=MappingProxyType(dict(read.statuses(groups, at_status))),
        own_sets=MappingProxyType(dict(read.own_sets(groups, at_status))),
        platform=MappingProxyType(read.rows({"": dxp}, at_dxp, "[0-9]{4}")),
        spans=tuple(read.spans(dxp, at_dxp)),
        errors=MappingProxyType(
            read.rows(_each(tables.business, _Rows, at_business), at_business, "-[0-9]+")
        ),
        brackets=MappingProxyType(dict(read.brackets(tables.brackets, place.within("brackets")))),
        patterns=tuple(read.patterns(tables.patterns, place.within("patterns"))),
        unknown=read.fallback(tables.unknown, place.within("unknown")),
        repeat=read.repeat(tables.repeat, place.within("repeat")),
    )


class _Meaning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: CodeClass
    zh: str
    en: str
    advice: str = ""
    accepted_for: tuple[str, ...] = ()
    """Receipt types for which the code means accepted; `kind` applies to the others."""
    regional: bool = False


class _Span(_Meaning, frozen=True, kw_only=True, forbid_unknown_fields=True):
    first: int
    last: int


class _Fallback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    below_zero: _Meaning
    otherwise: _Meaning
    source: str


class _Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: str
    codes: dict[str, Any]
    """Converted one by one to `_Meaning`, so that an error can name the code."""


class _StatusGroup(_Group, frozen=True, kw_only=True, forbid_unknown_fields=True):
    receipts: tuple[str, ...] = (ALL,)
    unknown: Any = None
    """Required in a group that names its receipts, and only there."""


class _Rows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: str
    rows: list[tuple[str, str, str, str]]
    """Code, Chinese, English, name of an advice."""


class _Repeat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    texts: tuple[Annotated[str, msgspec.Meta(min_length=1)], ...]
    advice: str


class _Pattern(_Meaning, frozen=True, kw_only=True, forbid_unknown_fields=True):
    texts: Annotated[tuple[_Literal, ...], msgspec.Meta(min_length=1, max_length=8)]
    """Literal texts, no regular expressions: reading an answer costs the same whatever stands in it."""
    statuses: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()


class _Patterns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: str
    texts: Annotated[dict[str, Any], msgspec.Meta(max_length=100)]
    """Converted one by one to `_Pattern`, so that an error can name it."""


class _Platform(_Rows, frozen=True, kw_only=True, forbid_unknown_fields=True):
    spans: tuple[_Span, ...]


class _Tables(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file; tables of tables are converted one by one, so that an error can name the table."""

    advice: dict[str, Any]
    unknown: Any
    status: dict[str, Any]
    dxp: Any
    business: dict[str, Any]
    brackets: Any
    repeat: Any
    patterns: Any = None
    """Missing from a file of an older version."""


_EXAMPLE: Final = """
kind = "progress"
retry = "fix"
zh = "海关入库"
en = "taken into the customs database"
advice = "content"
accepted_for = ["CEB312Message"]
receipts = ["CEB816Message"]
texts = ["重复发送"]
statuses = ["2"]
codes = ["22001"]
who = ["platform"]
regional = true
source = "docs/spec/codes.md, returnStatus in receipts"
rows = [["-301001", "订单商品表体信息不存在", "the order has no items", "content"]]
spans = [{ first = 1, last = 999, kind = "refused", zh = "…", en = "…", advice = "format" }]
below_zero = { kind = "refused", zh = "处理异常", en = "processing error", advice = "content" }
otherwise = { kind = "unknown", zh = "未收录的状态码", en = "status code not listed" }
"""


@dataclass(frozen=True, slots=True)
class _Reader:
    """Converts the tables to values and resolves their references."""

    advice: Mapping[str, Remedy]
    receipts: frozenset[str]

    def statuses(
        self, groups: Mapping[str, _StatusGroup], place: TablePlace
    ) -> Iterator[tuple[tuple[str, str], Code]]:
        for name, group in groups.items():
            within = place.within(name)
            self._known(group.receipts, within, "receipts")
            for code, table in group.codes.items():
                at = within.within(f"codes.{code}")
                row = shaped(table, _Meaning, at, _EXAMPLE)
                meaning = self._meaning(row, code, group.source, at)
                for receipt in group.receipts:
                    yield (receipt, code), meaning
                self._known(row.accepted_for, at, "accepted_for")
                for receipt in row.accepted_for:
                    yield (receipt, code), replace(meaning, kind=CodeClass.ACCEPTED)

    def own_sets(
        self, groups: Mapping[str, _StatusGroup], place: TablePlace
    ) -> Iterator[tuple[str, Fallback]]:
        for name, group in groups.items():
            within = place.within(name)
            if (ALL in group.receipts) != (group.unknown is None):
                what = "a group needs `unknown` when it names its receipts, and only then"
                raise within.error(what, key="unknown", example=_line("otherwise"))
            if group.unknown is not None:
                fallback = self.fallback(group.unknown, within.within("unknown"))
                yield from ((receipt, fallback) for receipt in group.receipts)

    def fallback(self, table: object, place: TablePlace) -> Fallback:
        row = shaped(table, _Fallback, place, _EXAMPLE)
        return Fallback(
            below_zero=self._meaning(row.below_zero, "", row.source, place),
            otherwise=self._meaning(row.otherwise, "", row.source, place),
        )

    def brackets(self, table: object, place: TablePlace) -> Iterator[tuple[str, Code]]:
        group = shaped(table, _Group, place, _EXAMPLE)
        for code, row in _each(group.codes, _Meaning, place.within("codes")).items():
            yield code, self._meaning(row, code, group.source, place.within(f"codes.{code}"))

    def patterns(self, table: object, place: TablePlace) -> Iterator[TextPattern]:
        if table is None:
            return
        group = shaped(table, _Patterns, place, _EXAMPLE)
        for name, row in _each(group.texts, _Pattern, place.within("texts")).items():
            at = place.within(f"texts.{name}")
            if bool(row.statuses) == bool(row.codes):
                what = "a pattern counts in some statuses or behind some codes: give `statuses` or `codes`"
                raise at.error(what, key="statuses", example=_line("statuses"))
            code = row.codes[0] if len(row.codes) == 1 else name
            yield TextPattern(
                texts=row.texts,
                statuses=frozenset(row.statuses),
                codes=frozenset(row.codes),
                meaning=self._meaning(row, code, group.source, at),
            )

    def repeat(self, table: object, place: TablePlace) -> Repeat:
        row = shaped(table, _Repeat, place, _EXAMPLE)
        return Repeat(texts=row.texts, advice=self._advice(row.advice, place, "advice"))

    def spans(self, table: _Platform, place: TablePlace) -> Iterator[CodeRange]:
        for row in table.spans:
            if row.first > row.last:
                what = f"span {row.first} ends before it begins"
                raise place.error(what, key="spans", example=_line("spans"))
            yield CodeRange(
                first=row.first, last=row.last, meaning=self._meaning(row, "", table.source, place)
            )

    def rows(self, tables: Mapping[str, _Rows], place: TablePlace, pattern: str) -> dict[str, Code]:
        """Read rows of error codes; a code listed twice gets both texts and the advice of the later row.

        Its kind is `unknown` if one of the two is, because that one may be meant.
        """
        read: dict[str, Code] = {}
        for name, table in tables.items():
            at = place.within(name) if name else place
            for code, zh, en, advised in table.rows:
                if not re.fullmatch(pattern, code):
                    raise at.error(f"{code!r} is not such a code", key="rows", example=_line("rows"))
                advice = self._advice(advised, at, "rows")
                new = _code(_Meaning(kind=advice.kind, zh=zh, en=en), code, table.source, advice)
                old = read.get(code)
                if old is not None:
                    kind = CodeClass.UNKNOWN if CodeClass.UNKNOWN in {old.kind, new.kind} else new.kind
                    new = replace(new, kind=kind, zh=f"{old.zh} / {zh}", en=f"{old.en} / {en}")
                read[code] = new
        return read

    def _meaning(self, row: _Meaning, code: str, source: str, place: TablePlace) -> Code:
        advice = self._advice(row.advice, place, "advice") if row.advice else None
        return _code(row, code, source, advice)

    def _advice(self, name: str, place: TablePlace, key: str) -> Remedy:
        if name not in self.advice:
            raise place.error(f"there is no table [advice.{name}]", key=key, example=_line("advice"))
        return self.advice[name]

    def _known(self, names: tuple[str, ...], place: TablePlace, key: str) -> None:
        for name in names:
            if name != ALL and name not in self.receipts:
                raise place.error(f"{name} is no receipt of the catalogue", key=key, example=_line(key))


def _code(row: _Meaning, code: str, source: str, advice: Remedy | None) -> Code:
    return Code(
        code=code,
        kind=row.kind,
        zh=row.zh,
        en=row.en,
        advice_zh=advice.zh if advice else "",
        advice_en=advice.en if advice else "",
        retry=advice.retry if advice else "",
        who=advice.who if advice else (),
        regional=row.regional,
        source=source,
    )


def _each(tables: Mapping[str, object], shape: type[T], place: TablePlace) -> dict[str, T]:
    return {name: shaped(table, shape, place.within(name), _EXAMPLE) for name, table in tables.items()}


def _line(key: str) -> str:
    return next(line for line in _EXAMPLE.splitlines() if line.startswith(f"{key} "))
