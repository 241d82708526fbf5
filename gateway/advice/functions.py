"""The functions that rules may call (docs/rules.md). Pure, and none raises: what cannot be told is None."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache
from operator import mul
from types import MappingProxyType
from typing import Any, Final

Value = str | Decimal | int | bool | None

_NUMBER: Final = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*", re.ASCII)
_EXPONENT: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?[Ee][+-][0-9]{1,3}", re.ASCII)
_LONGEST: Final = 1_000_000
"""More characters than any field has."""
_CODES_KEPT: Final = 4096
_NUMBERS_KEPT: Final = 1024
"""A declaration says most of its numbers several times over."""
_DAYS_KEPT: Final = 4096
_DATE: Final = re.compile(r"[0-9]{8}", re.ASCII)
_TIME: Final = re.compile(r"[0-9]{8}(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]", re.ASCII)
_IDENTITY: Final = re.compile(r"[1-9][0-9]{16}[0-9X]", re.ASCII)
_IDENTITY_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_IDENTITY_ZERO: Final = ord("0") * sum(_IDENTITY_WEIGHTS)
_IDENTITY_CHECKS: Final = "10X98765432"
_CUSTOMS_CODE: Final = re.compile(r"[1-9][0-9]{3}[0-9A-Z]{6}", re.ASCII)
_CREDIT_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CREDIT_VALUES: Final = {character: value for value, character in enumerate(_CREDIT_ALPHABET)}
_CREDIT_WEIGHTS: Final = tuple(pow(3, place, 31) for place in range(17))
_CREDIT_LENGTH: Final = 18
_FILLERS: Final = frozenset(
    {"空", "无", "没有", "null", "none", "n/a", "na", "nil", "-", "--", "/", "//", "\\", ".", "*", "0"}
)
"""Texts that programs and people write where they have no value; compared without blanks and case."""
_LONGEST_FILLER: Final = max(map(len, _FILLERS))


class ValueKind(StrEnum):
    """What an expression gives."""

    NUMBER = "number"
    TEXT = "text"
    TRUTH = "truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFunction:
    """A function of the language."""

    takes: tuple[ValueKind, ...]
    gives: ValueKind
    call: Callable[..., Value]
    inline: str = ""
    """Python of the same meaning, with `{}` for each argument, where that is faster than the call."""
    may_miss: bool = False
    """Whether it can be that it cannot tell; the rule is not judged then."""


def number(text: str) -> Decimal | None:
    """Read a decimal number as XML Schema has it; None for anything else."""
    return None if _NUMBER.fullmatch(text) is None else Decimal(text)


@lru_cache(maxsize=_NUMBERS_KEPT)
def valid_number(text: str) -> Decimal | None:
    """Read a number of a field that the schema has found to be one; None for anything else."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def near(one: Decimal, other: Decimal, tolerance: Decimal) -> bool:
    """Say whether two numbers differ by `tolerance` at most."""
    return abs(one - other) <= tolerance


def is_date(text: str) -> bool:
    """Say whether a text is a day of the calendar, `YYYYMMDD`."""
    return _day(text) is not None if len(text) == len("YYYYMMDD") else False


def is_time(text: str) -> bool:
    """Say whether a text is a second of the calendar, `YYYYMMDDhhmmss`."""
    return _TIME.fullmatch(text) is not None and _day(text) is not None


def days(first: str, last: str) -> Decimal | None:
    """Count the days from one date or time to another, below zero where the second is earlier; None: one is no date."""
    begin, end = _day(first), _day(last)
    return None if begin is None or end is None else Decimal((end - begin).days)


def minutes(first: str, last: str) -> Decimal | None:
    """Count the whole minutes from one time to another, below zero where the second is earlier; None: one is no time."""
    begin, end = _instant(first), _instant(last)
    return None if begin is None or end is None else Decimal((end - begin).total_seconds() // 60)


def part(text: str, first: Decimal, count: Decimal) -> str:
    """Cut out `count` characters from the `first` on, which is 1 for the first."""
    return text[part_of(first, count)]


def part_of(first: Decimal, count: Decimal) -> slice:
    """Return what `part` cuts out."""
    start = max(_bounded(first) - 1, 0)
    return slice(start, start + max(_bounded(count), 0))


def is_digits(text: str) -> bool:
    """Say whether a text consists of the digits 0 to 9, and of one at least."""
    return text.isascii() and text.isdigit()


def is_half_width(text: str) -> bool:
    """Say whether all characters are printable ASCII."""
    return text.isascii() and text.isprintable()


def is_trimmed(text: str) -> bool:
    """Say whether a text neither begins nor ends with white space."""
    return text == text.strip()


def is_exponent(text: str) -> bool:
    """Say whether a text is a number as spreadsheets shorten it, such as `1.9011E+09`."""
    return _EXPONENT.fullmatch(text) is not None


def is_plain_code(text: str) -> bool:
    """Say whether a text is written as codes are: half-width, no blanks around it, no filler, no exponent."""
    if len(text) > _LONGEST_FILLER and text.isascii() and text.isalnum():
        return True
    return is_half_width(text) and is_trimmed(text) and not is_filler(text) and not is_exponent(text)


def is_filler(text: str) -> bool:
    """Say whether a text stands for having none, such as `无` or `//`."""
    return text in _FILLERS or text.replace(" ", "").lower() in _FILLERS


def is_identity_number(text: str) -> bool:
    """Check a citizen's identity number by GB 11643: birthday and check character (docs/spec/business_rules.md, Person)."""
    if _IDENTITY.fullmatch(text) is None or _day(text[6:14]) is None:
        return False
    total = sum(map(mul, text.encode(), _IDENTITY_WEIGHTS)) - _IDENTITY_ZERO
    return _IDENTITY_CHECKS[total % 11] == text[17]


def is_customs_code(text: str) -> bool:
    """Check the form of a 10-character customs registration code; it has no check digit (docs/spec/business_rules.md, Firms)."""
    return _CUSTOMS_CODE.fullmatch(text) is not None


@lru_cache(maxsize=_CODES_KEPT)
def is_credit_code(text: str) -> bool:
    """Check an 18-character unified social credit code with its check character, GB 32100."""
    if len(text) != _CREDIT_LENGTH or not _CREDIT_VALUES.keys() >= set(text):
        return False
    total = sum(
        _CREDIT_VALUES[character] * weight
        for character, weight in zip(text[:17], _CREDIT_WEIGHTS, strict=True)
    )
    return _CREDIT_ALPHABET[-total % 31] == text[17]


def _bounded(value: Decimal) -> int:
    return int(min(max(value, Decimal(-1)), Decimal(_LONGEST)))


def _instant(text: str) -> datetime | None:
    day = _day(text) if _TIME.fullmatch(text) is not None else None
    if day is None:
        return None
    return datetime.combine(day, time(int(text[8:10]), int(text[10:12]), int(text[12:14])))


def _day(text: str) -> date | None:
    return _calendar_day(text[: len("YYYYMMDD")])


@lru_cache(maxsize=_DAYS_KEPT)
def _calendar_day(text: str) -> date | None:
    if _DATE.fullmatch(text) is None:
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None


_N, _T, _B = ValueKind.NUMBER, ValueKind.TEXT, ValueKind.TRUTH

FUNCTIONS: Final[Mapping[str, RuleFunction]] = MappingProxyType(
    {
        "near": RuleFunction(takes=(_N, _N, _N), gives=_B, call=near, inline="(abs({} - {}) <= {})"),
        "length": RuleFunction(takes=(_T,), gives=_N, call=len, inline="len({})"),
        "is_digits": RuleFunction(takes=(_T,), gives=_B, call=is_digits),
        "starts": RuleFunction(takes=(_T, _T), gives=_B, call=str.startswith, inline="{}.startswith({})"),
        "contains": RuleFunction(takes=(_T, _T), gives=_B, call=lambda text, other: other in text),
        "part": RuleFunction(takes=(_T, _N, _N), gives=_T, call=part),
        "is_date": RuleFunction(takes=(_T,), gives=_B, call=is_date),
        "is_time": RuleFunction(takes=(_T,), gives=_B, call=is_time),
        "days": RuleFunction(takes=(_T, _T), gives=_N, call=days, may_miss=True),
        "minutes": RuleFunction(takes=(_T, _T), gives=_N, call=minutes, may_miss=True),
        "number": RuleFunction(takes=(_T,), gives=_N, call=number, may_miss=True),
        "is_trimmed": RuleFunction(takes=(_T,), gives=_B, call=is_trimmed),
        "is_exponent": RuleFunction(takes=(_T,), gives=_B, call=is_exponent),
        "is_plain_code": RuleFunction(takes=(_T,), gives=_B, call=is_plain_code),
        "is_half_width": RuleFunction(takes=(_T,), gives=_B, call=is_half_width),
        "is_filler": RuleFunction(takes=(_T,), gives=_B, call=is_filler),
        "is_identity_number": RuleFunction(takes=(_T,), gives=_B, call=is_identity_number),
        "is_customs_code": RuleFunction(takes=(_T,), gives=_B, call=is_customs_code),
        "is_credit_code": RuleFunction(takes=(_T,), gives=_B, call=is_credit_code),
    }
)
"""Functions of values alone; `filled`, `value`, the tables and what goes over items are in `gateway.advice.compiling`."""

NAMES: Final[Mapping[str, Any]] = MappingProxyType({f"f_{name}": one.call for name, one in FUNCTIONS.items()})
