"""The message catalogue: all CEB types, and how answers are matched to declarations."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from gateway.model import Direction, Family, MessageType
from gateway.rules.tables import TablePlace, read_tables, shaped

_NAME: Final = re.compile(r"CEB(\d{3})Message")
_ANY: Final = ("*",)
_COMPARE: Final = "compare"
_COMPARE_EXAMPLE: Final = """
exact = ["copNo"]
integer = ["msgSeqNo"]
"""
_OF_CUSTOMS: Final = "customsCode"
"""This code names a customs office, not an enterprise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The message types by name, `mappings/catalogue.toml` (docs/spec/messages.md, Catalogue)."""

    types: Mapping[str, MessageType]

    def by_name(self, name: str) -> MessageType | None:
        """Return the type whose root element has this local name, or None."""
        return self.types.get(name)

    def declarations(self) -> tuple[MessageType, ...]:
        """Return the types that enterprises send, in the order of the table."""
        return tuple(kind for kind in self.types.values() if kind.direction is Direction.DECLARATION)

    def receipts(self) -> tuple[MessageType, ...]:
        """Return the types that customs sends, in the order of the table."""
        return tuple(kind for kind in self.types.values() if kind.direction is Direction.RECEIPT)

    def for_answer(self, receipt_type: str) -> tuple[MessageType, ...]:
        """Return the declaration types that a receipt may answer: all for CEB900Message, none if unknown."""
        receipt = self.types.get(receipt_type)
        if receipt is None:
            return ()
        if receipt.answers == _ANY:
            return self.declarations()
        return tuple(self.types[name] for name in receipt.answers)


def load_catalogue(file: Path) -> Catalogue:
    """Read the catalogue and check every reference in it; raises RulesError that names a broken one."""
    tables = dict(read_tables(file))
    compare = shaped(tables.pop(_COMPARE, {}), _Compare, TablePlace(file, _COMPARE), _COMPARE_EXAMPLE)
    types = {
        name: _message_type(name, table, TablePlace(file, name), frozenset(compare.integer))
        for name, table in tables.items()
    }
    _check_compare(compare, types.values(), TablePlace(file, _COMPARE))
    for message_type in types.values():
        _check(message_type, types, TablePlace(file, message_type.name))
    return Catalogue(types=MappingProxyType(types))


class _Compare(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields whose values are compared exactly, and those compared as integers."""

    exact: tuple[str, ...] = ()
    integer: tuple[str, ...] = ()


class _Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table as written: `MessageType` without the fields derived from the table's name."""

    family: Family
    direction: Direction
    title_zh: str
    title_en: str
    body: str
    source: str
    head: str = ""
    key: tuple[str, ...] = ()
    handle: str = ""
    numbers: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    answered_by: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    status: str = ""
    time: str = ""
    info: str = ""
    signature_before: str = ""
    signature_required: bool = False
    receiver: str = ""


_EXAMPLE: Final = """
family = "import"
direction = "declaration"
title_zh = "进口清单"
title_en = "import inventory"
body = "Inventory"
head = "InventoryHead"
key = ["agentCode", "copNo"]
handle = "copNo"
numbers = ["preNo", "invtNo"]
codes = ["ebpCode", "ebcCode"]
answered_by = ["CEB622Message", "CEB816Message"]
answers = ["CEB621Message"]
status = "returnStatus"
time = "returnTime"
info = "returnInfo"
signature_before = "ExtendMessage"
signature_required = true
receiver = "DXPEDCCEB0000002"
source = "docs/spec/messages.md, Catalogue, Import"
"""


def _message_type(name: str, table: object, place: TablePlace, integers: frozenset[str]) -> MessageType:
    """Turn one table into a MessageType; raises RulesError that names the wrong key."""
    numbered = _NAME.fullmatch(name)
    if numbered is None:
        raise place.error(f"{name} is not the name of a message type", example="[CEB621Message]")
    row = shaped(table, _Row, place, _EXAMPLE)
    return MessageType(
        name=name,
        number=int(numbered[1]),
        key_codes=tuple(one for one in row.key if one.endswith("Code") and one != _OF_CUSTOMS),
        integers=integers.intersection((*row.key, *row.numbers, *row.codes)),
        **msgspec.structs.asdict(row),
    )


def _check_compare(compare: _Compare, types: Iterable[MessageType], place: TablePlace) -> None:
    """Check that each field has one rule and exists: a misspelt one would be compared in the wrong way."""
    there = {name for kind in types for name in (*kind.key, *kind.numbers, *kind.codes)}
    named = (*compare.exact, *compare.integer)
    for name in named:
        if name not in there or named.count(name) > 1:
            wrong = "has two rules" if name in there else "is no key, number or code of any message type"
            raise place.error(f"{name} {wrong}", key=name, example=_COMPARE_EXAMPLE.strip())


def _check(own: MessageType, types: Mapping[str, MessageType], place: TablePlace) -> None:
    """Check one type alone, and against the types that it names."""
    receipt = own.direction is Direction.RECEIPT
    needed = ("answers", "status", "time") if receipt else ("key", "answered_by", "receiver")
    barred = (
        ("answered_by", "receiver", "signature_before", "signature_required") if receipt else
        ("answers", "status", "time", "info")
    )  # fmt: skip
    for key in needed:
        if not getattr(own, key):
            raise place.error(f"a {own.direction} needs {key}", key=key, example=_line(key))
    for key in barred:
        if getattr(own, key):
            raise place.error(f"a {own.direction} has no {key}", key=key)
    if own.handle and own.handle not in own.key:
        raise place.error(
            f"handle {own.handle} is no field of the key", key="handle", example=_line("handle")
        )
    if own.answers != _ANY:
        _check_references(own, types, place)


def _check_references(own: MessageType, types: Mapping[str, MessageType], place: TablePlace) -> None:
    """Check that the two sides of every answer name each other and mean the same key."""
    key = "answers" if own.answers else "answered_by"
    for name in own.answers or own.answered_by:
        other = types.get(name)
        if other is None:
            raise place.error(f"there is no table [{name}]", key=key, example=_line(key))
        if own.name not in (other.answered_by if own.answers else other.answers):
            raise place.error(f"[{name}] does not name {own.name} in return", key=key, example=_line(key))
        if own.answers and own.key and (own.key, own.handle) != (other.key, other.handle):
            raise place.error(f"key and handle are not those of [{name}]", key="key", example=_line("key"))


def _line(key: str) -> str:
    return next(line for line in _EXAMPLE.splitlines() if line.startswith(f"{key} "))
