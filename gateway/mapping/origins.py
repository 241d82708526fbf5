"""Read the value of an element in a mapping file: where its text comes from, checked against its type."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from gateway.mapping.conditions import read_conditions
from gateway.mapping.functions import (
    FOURTEEN,
    NAMED_FORMS,
    Coded,
    Function,
    PlainNumber,
    Rounded,
    Scaled,
    Timed,
    Ungrouped,
    is_time_form,
)
from gateway.mapping.language import Constant, Copied, Given, Guid, Origin, Places, Position
from gateway.mapping.lookups import WrittenLookup, looked_up
from gateway.mapping.places import OneOrMore, PlaceReading, Within
from gateway.mapping.registered import FromGoods
from gateway.mapping.sources.item import NOT_IN_XML
from gateway.rules.fault_texts import FaultPlace, fault
from gateway.rules.fields import field_facts
from gateway.rules.schema_model import ValueType
from gateway.rules.schema_values import value_faults
from gateway.rules.tables import TablePlace, shaped

_EXAMPLE: Final = """
from = "buyer/name"
join = ["address/city", { text = ", " }, "address/street"], with = " "
with = " "
constant = "142"
given = "app_time"
guid = ["order_no", "submitted_at"], or [] for all that is written
position = true
default = "0"
else = { position = true }
when = { column = "支付方式", not = "货到付款" }
trim = true
decimal = 2
scale = -2
grouped = true
time = ["iso", "YYYY-MM-DD hh:mm:ss"]
to = "YYYYMMDD"
map = { direct = "9610", bonded = "1210" }
lookup = "unit"
goods = "gcode"
"""
_SOURCES: Final = ("from", "join", "constant", "given", "guid", "position")
_READING: Final = frozenset({"from", "join", "given"})
_NUMBERS: Final = ("grouped", "scale", "decimal")
_FUNCTIONS: Final = ("trim", "goods", "map", "lookup", *_NUMBERS, "time")
_FEN: Final = -2

KnownPlaces = Annotated[int, Meta(ge=0, le=18)]
Power = Annotated[int, Meta(ge=-18, le=18)]
GoodsColumn = Literal[
    "gcode",
    "itemName",
    "gname",
    "gmodel",
    "unit",
    "unit1",
    "unit2",
    "country",
    "barCode",
    "itemRecordNo",
    "emsNo",
]
"""Columns of registered goods that a mapping can look up."""


class _Text(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    text: str


class _Written(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    from_: OneOrMore | None = field(name="from", default=None)
    join: Annotated[tuple[OneOrMore | _Text, ...], Meta(min_length=1)] | None = None
    with_: str = field(name="with", default="")
    constant: str | None = None
    given: Literal["app_time"] | None = None
    guid: tuple[OneOrMore, ...] | None = None
    position: bool = False
    default: str | None = None
    else_: object = field(name="else", default=None)
    when: object = None
    trim: bool | None = None
    decimal: KnownPlaces | None = None
    scale: Power | None = None
    grouped: bool = False
    time: OneOrMore | None = None
    to: str = FOURTEEN
    map: dict[str, str] | None = None
    lookup: str | WrittenLookup | None = None
    goods: GoodsColumn | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """An element or attribute that contains a text, as the schema declares it."""

    name: str
    """An attribute's name starts with `@`."""
    kind: ValueType
    fixed: str | None

    @property
    def is_amount(self) -> bool:
        """Whether it is an amount of money."""
        return self.name in field_facts().money.fields

    @property
    def is_number(self) -> bool:
        """Whether it is a number."""
        return self.kind.base in ("decimal", "int")


def read_origin(written: object, of: Typed, reading: PlaceReading, place: TablePlace, at: Within) -> Origin:
    """Read the value written for one element, whose places are read inside `at`. Raises RulesError."""
    return _OriginReader(of, reading, at).read(written, place, of.name)


@dataclass(frozen=True, slots=True)
class _OriginReader:
    of: Typed
    reading: PlaceReading
    at: Within

    def read(self, written: object, place: TablePlace, key: str) -> Origin:
        if isinstance(written, str | list):
            written = {"from": written}
        if not isinstance(written, dict):
            raise place.error(f"{key} needs a text or a table", key=key, example=f'{key} = "order_no"')
        inside = place.within(key)
        table = shaped(written, _Written, inside, _EXAMPLE)
        _check_keys(written, inside)
        origin = self._origin(table, inside)
        for text in _known_texts(origin):
            _check_text(text, self.of, inside)
        self._check_number(table, origin, inside)
        return replace(origin, otherwise=self._otherwise(table, inside))

    def _origin(self, table: _Written, place: TablePlace) -> Origin:
        source = self._source(table, place)
        reads = isinstance(source, Copied | Given)
        steps = tuple(self._steps(table, place, copied=isinstance(source, Copied)))
        return Origin(
            source=source,
            trim=reads and (self.reading.trim if table.trim is None else table.trim),
            literal=self.reading.literal and isinstance(source, Copied),
            goods=None if table.goods is None else FromGoods(column=table.goods),
            steps=steps,
            reads_numbers=bool(steps) or self.of.is_number,
            when=() if table.when is None else read_conditions(table.when, self.reading, place, self.at),
        )

    def _source(self, table: _Written, place: TablePlace) -> Copied | Given | Constant | Position | Guid:
        if table.constant is not None:
            return Constant(text=table.constant)
        if table.given is not None:
            return Given()
        if table.guid is not None:
            return Guid(key=tuple([self._places(one, place, "guid") for one in table.guid]))
        if table.join is not None:
            pieces = tuple([self._piece(one, place) for one in table.join])
            return Copied(pieces=pieces, between=table.with_)
        if table.from_ is not None:
            return Copied(pieces=(self._places(table.from_, place, "from"),))
        if not table.position:
            raise place.error("position = false says nothing", key="position", example="position = true")
        return Position()

    def _piece(self, written: OneOrMore | _Text, place: TablePlace) -> Places | str:
        return written.text if isinstance(written, _Text) else self._places(written, place, "join")

    def _places(self, written: OneOrMore, place: TablePlace, key: str) -> Places:
        return self.reading.places(written, place, key, self.at)

    def _steps(self, table: _Written, place: TablePlace, *, copied: bool) -> Iterator[Function]:
        if table.map is not None:
            if not table.map:
                raise place.error("a map without a code", key="map", example='map = { direct = "9610" }')
            yield Coded(codes=table.map)
        if table.lookup is not None:
            yield looked_up(table.lookup, self.reading.tables, place)
        if table.grouped:
            yield Ungrouped()
        yield from self._moved(table, copied=copied)
        if table.time is not None:
            yield _timed(table.time, table.to, place)

    def _moved(self, table: _Written, *, copied: bool) -> Iterator[Function]:
        """Yield the function that moves or rounds a number, if there is one."""
        scale = table.scale
        if scale is None and copied and self.of.is_amount and self.reading.money == "fen":
            scale = _FEN
        if table.decimal is not None:
            yield Rounded(places=table.decimal, scale=scale or 0)
        elif scale is not None:
            yield Scaled(scale=scale)
        elif self.of.is_number and copied and table.map is None and table.lookup is None:
            yield PlainNumber()

    def _otherwise(self, table: _Written, place: TablePlace) -> Origin | None:
        if table.default is not None:
            _check_text(table.default, self.of, place)
            return Origin(source=Constant(text=table.default))
        return None if table.else_ is None else self.read(table.else_, place, "else")

    def _check_number(self, table: _Written, origin: Origin, place: TablePlace) -> None:
        places = self.of.kind.fraction_digits
        if table.decimal is not None and places is not None and table.decimal > places:
            raise place.error(
                f"customs takes {places} places at most", key="decimal", example=f"decimal = {places}"
            )
        if self.of.is_amount and isinstance(origin.source, Copied) and not self.reading.money:
            raise self.reading.place.error(
                f"{self.of.name} is an amount, and it is not said whether the source has yuan or fen",
                key="money", example='money = "yuan", or money = "fen"',
            )  # fmt: skip


def _check_keys(written: dict[str, object], place: TablePlace) -> None:
    given = [name for name in _SOURCES if name in written]
    if len(given) != 1:
        what = f"has {' and '.join(given)}" if given else "has no source"
        raise place.error(f"{what}: exactly one of {', '.join(_SOURCES)}", example='from = "order_no"')
    for name, needs in (("to", "time"), ("with", "join")):
        if name in written and needs not in written:
            raise place.error(f"{name} goes with {needs}", key=name)
    if "default" in written and "else" in written:
        raise place.error("default and else say the same thing: one of them", key="else")
    if given[0] not in _READING:
        barred = [name for name in (*_FUNCTIONS, "default", "else") if name in written]
        if barred:
            reading = ", ".join(sorted(_READING))
            raise place.error(f"{barred[0]} goes with {reading}, not with {given[0]}", key=barred[0])
    elif "time" in written and any(name in written for name in _NUMBERS):
        raise place.error("a text is a number or a time, not both", key="time")


def _timed(written: OneOrMore, to: str, place: TablePlace) -> Timed:
    forms = (written,) if isinstance(written, str) else written
    for form, key in (*((form, "time") for form in forms), (to, "to")):
        if not is_time_form(form) and (key == "to" or form not in NAMED_FORMS):
            raise place.error(
                f"{form!r} is no form of a time: {', '.join(NAMED_FORMS)}, or a pattern with YYYY, MM and DD",
                key=key, example='time = "YYYY-MM-DD hh:mm:ss"',
            )  # fmt: skip
    return Timed(forms=tuple(forms), to=to)


def _known_texts(origin: Origin) -> Iterator[str]:
    """Yield the texts that are known without a source."""
    if isinstance(origin.source, Constant):
        yield origin.source.text
    elif len(origin.steps) == 1 and isinstance(origin.steps[0], Coded):
        yield from origin.steps[0].codes.values()


def _check_text(text: str, of: Typed, place: TablePlace) -> None:
    if of.fixed is not None and text != of.fixed:
        what = f"{text!r}: customs takes nothing but {of.fixed!r} here"
        raise place.error(what, example=f'constant = "{of.fixed}"')
    if NOT_IN_XML.search(text):
        raise place.error(f"{text!r} holds a character that XML cannot")
    broken = next(value_faults(text, of.kind), None)
    if broken is not None:
        about = FaultPlace(path="", element=of.name, name_zh="", value=text)
        told = fault(broken.rule, about, **broken.facts)
        raise place.error(f"{text!r}: {told.message}. {told.fix}")
