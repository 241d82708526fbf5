"""Read the conditions of a mapping file: `when = { column = "…", is = ["…"] }`."""

from typing import Final

from msgspec import UNSET, Struct, UnsetType, field

from gateway.mapping.language import Condition
from gateway.mapping.places import OneOrMore, PlaceReading, Within
from gateway.rules.tables import TablePlace, shaped

_EXAMPLE: Final = """
column = "支付方式"
place = "payment/kind"
is = ["9610", "1210"]
not = "货到付款"
present = true
"""


class _Written(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    column: OneOrMore | UnsetType = UNSET
    place: OneOrMore | UnsetType = UNSET
    is_: OneOrMore | UnsetType = field(name="is", default=UNSET)
    not_: OneOrMore | UnsetType = field(name="not", default=UNSET)
    present: bool | UnsetType = UNSET


def read_conditions(
    written: object, reading: PlaceReading, place: TablePlace, at: Within
) -> tuple[Condition, ...]:
    """Read one condition, or a list of them. Raises RulesError."""
    every = written if isinstance(written, list) else [written]
    return tuple([_condition(one, reading, place.within("when"), at) for one in every])


def _condition(written: object, reading: PlaceReading, place: TablePlace, at: Within) -> Condition:
    table = shaped(written, _Written, place, _EXAMPLE)
    word, other = ("column", "place") if reading.table else ("place", "column")
    where: OneOrMore | UnsetType = getattr(table, word)
    if where is UNSET or getattr(table, other) is not UNSET:
        example = 'column = "支付方式"' if reading.table else 'place = "payment/kind"'
        raise place.error(f"a condition of this source looks at a {word}", key=word, example=example)
    tests = [one for one in (table.is_, table.not_, table.present) if one is not UNSET]
    if len(tests) != 1:
        raise place.error("exactly one of is, not and present", key="is", example='is = ["9610", "1210"]')
    return Condition(
        at=reading.places(where, place, word, at),
        among=_texts(table.is_),
        not_among=_texts(table.not_),
        present=table.present if isinstance(table.present, bool) else None,
    )


def _texts(written: OneOrMore | UnsetType) -> frozenset[str] | None:
    if written is UNSET:
        return None
    return frozenset((written,) if isinstance(written, str) else written)
