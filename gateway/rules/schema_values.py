"""Find why a text is not a value of its type: the facets of the field tables, checked in Python."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.rules.schema_model import ValueType

_WHITE: Final = re.compile(r"[ \t\r\n]+")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_INT_RANGE: Final = range(-(2**31), 2**31)
_ZONE: Final = r"(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)?"
_DAY: Final = r"-?[0-9]{4,}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_CLOCK: Final = r"(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?|24:00:00(?:\.0+)?)"
_SHAPES: Final[Mapping[str, tuple[str, re.Pattern[str]]]] = {
    "base64Binary": (
        "not_base64",
        re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"),
    ),
    "dateTime": ("not_datetime", re.compile(_DAY + "T" + _CLOCK + _ZONE)),
    "date": ("not_date", re.compile(_DAY + _ZONE)),
    "ID": ("not_id", re.compile(r"[^\W\d][\w.\-·]*")),
    "decimal": ("not_decimal", _DECIMAL),
    "int": ("not_integer", _INTEGER),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueFault:
    """A rule that a text breaks, with the numbers for its message."""

    rule: str
    facts: Mapping[str, int] = field(default_factory=dict)


def value_faults(text: str, kind: ValueType) -> Iterator[ValueFault]:
    """Yield every rule of `kind` that `text` breaks, as far as `kind` is known (`kind.exact`)."""
    value = _WHITE.sub(" ", text).strip(" ") if kind.collapse else text
    rule, shape = _SHAPES.get(kind.base, ("", None))
    if shape is not None and not shape.fullmatch(
        value.replace(" ", "") if kind.base == "base64Binary" else value
    ):
        yield ValueFault(rule=rule)
        return
    if kind.base in {"decimal", "int"}:
        yield from _digit_faults(value, kind)
    else:
        yield from _length_faults(len(value), kind)


def _length_faults(length: int, kind: ValueType) -> Iterator[ValueFault]:
    if kind.length is not None and length != kind.length:
        yield ValueFault(rule="wrong_length", facts={"length": length, "limit": kind.length})
    if kind.min_length is not None and length < kind.min_length:
        yield ValueFault(rule="too_short", facts={"length": length, "limit": kind.min_length})
    if kind.max_length is not None and length > kind.max_length:
        yield ValueFault(rule="too_long", facts={"length": length, "limit": kind.max_length})


def _digit_faults(value: str, kind: ValueType) -> Iterator[ValueFault]:
    unsigned, _, part = value.lstrip("+-").partition(".")
    whole, part = unsigned.lstrip("0"), part.rstrip("0")
    total = len(whole) + len(part)
    sign = "-" if value.startswith("-") else ""
    if kind.base == "int" and (
        len(whole) > len("2147483648") or int(f"{sign}{whole or 0}") not in _INT_RANGE
    ):
        yield ValueFault(rule="out_of_range")
    if kind.total_digits is not None and total > kind.total_digits:
        yield ValueFault(rule="too_many_digits", facts={"length": total, "limit": kind.total_digits})
    if kind.fraction_digits is not None and len(part) > kind.fraction_digits:
        yield ValueFault(rule="too_many_decimals", facts={"length": len(part), "limit": kind.fraction_digits})
