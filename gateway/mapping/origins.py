"""Read the value of an element in a mapping file: where its text comes from, checked against its type."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from gateway.mapping.functions import FOURTEEN, NAMED_FORMS, Coded, Function, Rounded, Timed, is_time_form
from gateway.mapping.language import Constant, Copied, Guid, Origin, Position
from gateway.mapping.registered import FromGoods
from gateway.mapping.sources.item import Reference
from gateway.rules.fault_texts import FaultPlace, fault
from gateway.rules.schema_model import ValueType
from gateway.rules.schema_values import value_faults
from gateway.rules.tables import TablePlace, shaped

_EXAMPLE: Final = """
from = "buyer/name"
join = ["address/city", "address/street"], with = " "
with = " "
constant = "142"
guid = ["order_no", "submitted_at"], or [] for the whole source
position = true
default = "0"
decimal = 2
scale = -2
time = ["iso", "YYYY-MM-DD hh:mm:ss"]
to = "YYYYMMDD"
map = { direct = "9610", bonded = "1210" }
goods = "gcode"
"""
_SOURCES: Final = ("from", "join", "constant", "guid", "position")
_FUNCTIONS: Final = ("decimal", "time", "map", "goods")

KnownPlaces = Annotated[int, Meta(ge=0, le=18)]
Power = Annotated[int, Meta(ge=-18, le=18)]
Paths = Annotated[tuple[str, ...], Meta(min_length=1)]
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


class _Written(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    from_: str | None = field(name="from", default=None)
    join: Paths | None = None
    with_: str = field(name="with", default="")
    constant: str | None = None
    guid: tuple[str, ...] | None = None
    position: Annotated[bool, Meta()] = False
    default: str | None = None
    decimal: KnownPlaces | None = None
    scale: Power = 0
    time: str | Paths | None = None
    to: str = FOURTEEN
    map: dict[str, str] | None = None
    goods: GoodsColumn | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginReading:
    """The settings common to all elements of a mapping."""

    mapping: str
    csv: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """An element or attribute that contains a text, as the schema declares it."""

    name: str
    """An attribute's name starts with `@`."""
    kind: ValueType
    fixed: str | None


def read_origin(
    written: object, of: Typed, reading: OriginReading, place: TablePlace, *, depth: int
) -> Origin:
    """Read the value written for one element, which is inside `depth` items. Raises RulesError."""
    if isinstance(written, str):
        written = {"from": written}
    if not isinstance(written, dict):
        raise place.error(
            f"{of.name} needs a text or a table", key=of.name, example=f'{of.name} = "order_no"'
        )
    inside = place.within(of.name)
    table = shaped(written, _Written, inside, _EXAMPLE)
    _one_source(written, inside)
    origin = _origin(table, of, reading, inside, depth)
    for text in _known_texts(origin):
        _check_text(text, of, inside)
    places = of.kind.fraction_digits
    if table.decimal is not None and places is not None and table.decimal > places:
        raise inside.error(
            f"customs takes {places} places at most", key="decimal", example=f"decimal = {places}"
        )
    return origin


def reference(text: str, reading: OriginReading, place: TablePlace, key: str, depth: int) -> Reference:
    """Read a JSON path or a CSV column. Raises RulesError."""
    if reading.csv:
        if not text.strip():
            raise place.error("a column without a name", key=key, example='from = "order_no"')
        return Reference(written=text.strip())
    try:
        found = Reference.of_path(text)
    except ValueError as error:
        raise place.error(
            str(error), key=key, example='"/sender/code", "buyer/name" or "../order_no"'
        ) from error
    if found.ups is not None and found.ups > depth:
        raise place.error(
            f"{text} goes up {found.ups} items, there are {depth}", key=key, example='"/sender/code"'
        )
    return found


def _one_source(written: dict[str, object], place: TablePlace) -> None:
    given = [name for name in _SOURCES if name in written]
    if len(given) != 1:
        what = f"has {' and '.join(given)}" if given else "has no source"
        raise place.error(f"{what}: exactly one of {', '.join(_SOURCES)}", example='from = "order_no"')
    for name, needs in (("scale", "decimal"), ("to", "time"), ("with", "join")):
        if name in written and needs not in written:
            raise place.error(f"{name} goes with {needs}", key=name)
    if given[0] not in ("from", "join"):
        barred = [name for name in (*_FUNCTIONS, "default") if name in written]
        if barred:
            raise place.error(f"{barred[0]} goes with from and join, not with {given[0]}", key=barred[0])
    elif sum(name in written for name in ("decimal", "time")) > 1:
        raise place.error("a text is a number or a time, not both", key="time")


def _origin(table: _Written, of: Typed, reading: OriginReading, place: TablePlace, depth: int) -> Origin:
    def refer(texts: tuple[str, ...], key: str) -> tuple[Reference, ...]:
        return tuple(reference(text, reading, place, key, depth) for text in texts)

    if table.constant is not None:
        return Constant(text=table.constant)
    if table.guid is not None:
        return Guid(key=refer(table.guid, "guid"))
    if table.from_ is None and table.join is None:
        if not table.position:
            raise place.error("position = false says nothing", key="position", example="position = true")
        return Position()
    at = refer(table.join, "join") if table.from_ is None else refer((table.from_,), "from")  # type: ignore[arg-type]  # one of them is there
    steps = tuple(_steps(table, place))
    return Copied(
        at=at,
        between=table.with_,
        default=table.default,
        goods=None if table.goods is None else FromGoods(column=table.goods),
        steps=steps,
        reads_numbers=bool(steps) or of.kind.base in ("decimal", "int"),
    )


def _steps(table: _Written, place: TablePlace) -> Iterator[Function]:
    if table.map is not None:
        if not table.map:
            raise place.error("a map without a code", key="map", example='map = { direct = "9610" }')
        yield Coded(codes=table.map)
    if table.decimal is not None:
        yield Rounded(places=table.decimal, scale=table.scale)
    if table.time is not None:
        forms = (table.time,) if isinstance(table.time, str) else table.time
        for form, key in (*((form, "time") for form in forms), (table.to, "to")):
            if not is_time_form(form) and (key == "to" or form not in NAMED_FORMS):
                raise place.error(
                    f"{form!r} is no form of a time: {', '.join(NAMED_FORMS)}, or a pattern with YYYY, MM and DD",
                    key=key, example='time = "YYYY-MM-DD hh:mm:ss"',
                )  # fmt: skip
        yield Timed(forms=tuple(forms), to=table.to)


def _known_texts(origin: Origin) -> Iterator[str]:
    """Yield the texts that are known without a source."""
    match origin:
        case Constant(text=text):
            yield text
        case Copied(default=default, steps=steps):
            if default is not None:
                yield default
            if len(steps) == 1 and isinstance(steps[0], Coded):
                yield from steps[0].codes.values()
        case Position() | Guid():
            return


def _check_text(text: str, of: Typed, place: TablePlace) -> None:
    if of.fixed is not None and text != of.fixed:
        what = f"{text!r}: customs takes nothing but {of.fixed!r} here"
        raise place.error(what, example=f'constant = "{of.fixed}"')
    broken = next(value_faults(text, of.kind), None)
    if broken is not None:
        about = FaultPlace(path="", element=of.name, name_zh="", value=text)
        told = fault(broken.rule, about, **broken.facts)
        raise place.error(f"{text!r}: {told.message}. {told.fix}")
