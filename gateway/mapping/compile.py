"""Compile a TOML file to a mapping, fully checked against its schema; RulesError names file, key and an example."""

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field

from gateway.errors import RulesError
from gateway.mapping.conditions import read_conditions
from gateway.mapping.fragment import Fragment
from gateway.mapping.language import (
    ArrayMembers,
    Branch,
    ColumnHeads,
    Condition,
    Leaf,
    Places,
    RowGroups,
    SheetColumn,
    SourceKind,
    SourceMapping,
)
from gateway.mapping.lookups import LookupTables
from gateway.mapping.origins import Typed, read_origin
from gateway.mapping.places import OneOrMore, PlaceReading, Within
from gateway.model import Direction, MessageType
from gateway.rules.loading import Rules
from gateway.rules.schema_model import ElementDecl, Grammar, Shape, Slot, ValueType
from gateway.rules.schemas import CEB_NAMESPACE, SIGNATURE
from gateway.rules.tables import TablePlace, shaped

_EXAMPLE: Final = """
message = "CEB311Message"
source = "json"
about = "orders of the shop"
money = "yuan"
sheet = "订单"
delimiter = ";"
trim = true
literal = true
when = { column = "业务类型", is = "9610" }
columns = { "订单编号" = { also = ["订单号", "order_no"], required = true } }
each = { Order = "/orders", "Order/OrderList" = "lines" }
document = { Order = { OrderHead = { orderNo = "order_no" } } }
"""
_EACH_EXAMPLE: Final = """
sheet = "商品"
key = ["订单编号"]
by = ["序号"]
"""
_WHEN: Final = "when"


class _Heads(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    also: tuple[str, ...] = ()
    required: bool = False
    example: str = ""
    about: str = ""


class _Joined(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    sheet: Annotated[str, Meta(min_length=1)]
    key: Annotated[tuple[OneOrMore, ...], Meta(min_length=1)]
    by: tuple[OneOrMore, ...] = ()


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    message: str
    source: Literal["json", "table", "csv"]
    about: str = ""
    money: Literal["yuan", "fen", ""] = ""
    sheet: str = ""
    delimiter: Annotated[str, Meta(pattern=r'^([^"\r\n]?)$')] = ""
    trim: bool = False
    literal: bool = False
    when: object = None
    columns: dict[str, _Heads] | None = None
    each: dict[str, str | tuple[OneOrMore, ...] | _Joined] = field(default_factory=dict)
    document: dict[str, Any]


def load_mapping(file: Path, rules: Rules) -> SourceMapping:
    """Read and check one mapping, and the files beside it that it looks things up in. Raises RulesError."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise RulesError(
            f"cannot read a mapping: {error.strerror}", where=str(file), fix="name a file that ends in .toml"
        ) from error
    return compile_mapping(content, file, rules, beside=file.parent)


def compile_mapping(
    content: bytes, file: Path, rules: Rules, *, beside: Path | Mapping[str, bytes] | None = None
) -> SourceMapping:
    """Check a mapping that stands in `content`; `file` names it, and need not exist. Raises RulesError.

    `beside`: the folder of the files that it looks things up in, or these by name; None: it can name none.
    """
    place = TablePlace(file)
    text = _decoded(content, place)
    read = shaped(_tables(text, place), _File, place, _EXAMPLE)
    kind = rules.catalogue.by_name(read.message)
    schemas = rules.schemas
    if kind is None or kind.direction is not Direction.DECLARATION or read.message not in schemas.roots:
        raise place.error(
            f"{read.message} is no declaration of edition {schemas.edition}", key="message",
            example='message = "CEB311Message"',
        )  # fmt: skip
    looking = LookupTables(rules.tables, beside)
    reading = PlaceReading(
        mapping=file.stem,
        table=read.source != "json",
        columns=_columns(read, place),
        money=read.money,
        trim=read.trim,
        literal=read.literal,
        tables=looking,
        place=place,
    )
    loader = _Loader(read, kind, schemas.grammar_for(kind.name), place, reading)
    root = loader.root(schemas.declaration(kind.name))
    mapping = SourceMapping(
        name=file.stem,
        sha256=mapping_digest(content, looking.files, looking.used),
        text=text,
        files=looking.files,
        tables=looking.used,
        edition=schemas.edition,
        about=read.about,
        source=SourceKind.TABLE if reading.table else SourceKind.JSON,
        delimiter=read.delimiter,
        sheet=read.sheet,
        money=read.money,
        columns=(),
        when=loader.when(read.when),
        kind=kind,
        root=root,
    )
    return replace(mapping, columns=_heads(mapping, reading)) if reading.table else mapping


def _decoded(content: bytes, place: TablePlace) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise place.error(f"not a TOML table in UTF-8: {error}") from error


def _tables(text: str, place: TablePlace) -> dict[str, Any]:
    """Parse TOML. Raises RulesError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise place.error(f"not a TOML table in UTF-8: {error}") from error


def _columns(read: _File, place: TablePlace) -> Mapping[str, ColumnHeads] | None:
    table_words = {
        "columns": read.columns is not None,
        "sheet": bool(read.sheet),
        "delimiter": bool(read.delimiter),
    }
    if read.source == "json":
        for word, used in table_words.items():
            if used:
                raise place.error(f"{word} goes with a table", key=word, example='source = "table"')
        return None
    if read.literal:
        raise place.error("literal goes with a tree", key="literal", example='source = "json"')
    if read.columns is None:
        return None
    return {
        name: ColumnHeads(
            name=name, also=one.also, required=one.required, example=one.example, about=one.about
        )
        for name, one in read.columns.items()
    }


def _heads(mapping: SourceMapping, reading: PlaceReading) -> tuple[ColumnHeads, ...]:
    """Return the columns of a table, as it lists them, or all that it names."""
    if reading.columns is not None:
        return tuple(reading.columns.values())
    names = dict.fromkeys(one.name for one in mapping.places() if isinstance(one, SheetColumn))
    return tuple([ColumnHeads(name=name, required=True) for name in names])


def mapping_digest(content: bytes, files: Mapping[str, bytes], tables: Mapping[str, str]) -> str:
    """Return the hex digest of a mapping: of its text alone, or of that and of all that it looks things up in.

    `files`: those beside it, by name; `tables`: code tables, by name → digest.
    """
    own = hashlib.sha256(content).hexdigest()
    beside = {name: hashlib.sha256(body).hexdigest() for name, body in files.items()}
    more = [f"{name} {digest}" for name, digest in sorted([*tables.items(), *beside.items()])]
    return hashlib.sha256("\n".join((own, *more)).encode()).hexdigest() if more else own


@dataclass(frozen=True, slots=True, kw_only=True)
class _At:
    """The loader's position in the file and in the document."""

    place: TablePlace
    path: str = ""
    """Path of the element below the root: `Order/OrderList`."""
    within: Within
    """The enclosing items."""

    def inside(self, name: str) -> "_At":
        path = f"{self.path}/{name}" if self.path else name
        return _At(place=self.place.within(name), path=path, within=self.within)


class _Loader:
    """Walks the tables of one file along the schema."""

    def __init__(
        self, read: _File, kind: MessageType, grammar: Grammar, place: TablePlace, reading: PlaceReading
    ) -> None:
        self._read = read
        self._kind = kind
        self._grammar = grammar
        self._place = place
        self._reading = reading
        self._used: set[str] = set()
        """Keys of `each` that have been used."""

    def root(self, decl: ElementDecl) -> Branch:
        """Read all of `document`, and check that every key of `each` was used."""
        slot = Slot(decl=decl, low=1, high=1)
        at = _At(place=self._place.within("document"), within=Within())
        if self._kind.body not in self._read.document:
            raise at.place.error(
                f"there is no {self._kind.body}", key=self._kind.body, example=f"[document.{self._kind.body}]"
            )
        root = self._branch(slot, decl, self._read.document, at)
        if unused := sorted(set(self._read.each) - self._used):
            known = ", ".join(self._repeating(decl, "")) or "none"
            raise self._place.error(
                f"{unused[0]} is no element of document that may repeat; those are: {known}",
                key=f'each."{unused[0]}"', example=f'"{self._kind.body}" = {self._each_example()}',
            )  # fmt: skip
        return root

    def when(self, written: object) -> tuple[Condition, ...]:
        """Read the condition of the whole mapping: of a row of a table, or of a declaration of a tree."""
        if written is None:
            return ()
        within = Within() if self._reading.table else Within().inside(None)
        return read_conditions(written, self._reading, self._place, within)

    def _repeating(self, decl: ElementDecl, path: str) -> Iterator[str]:
        for slot in self._grammar.shape(decl).slots:
            if slot.decl is None or slot.decl.namespace != CEB_NAMESPACE:
                continue
            inner = f"{path}/{slot.decl.name}".lstrip("/")
            if slot.high != 1:
                yield inner
            yield from self._repeating(slot.decl, inner)

    def _branch(self, slot: Slot, decl: ElementDecl, table: Mapping[str, Any], at: _At) -> Branch:
        shape = self._grammar.shape(decl)
        each = self._each(slot, at)
        within = at if each is None else replace(at, within=at.within.inside(_sheet_of(each)))
        self._known(table, shape, decl, at.place)
        parts = [
            self._part(one, table[one.decl.name], within)
            for one in shape.slots
            if one.decl is not None and one.decl.name in table
        ]
        self._complete(table, shape, decl, at.place)
        return Branch(
            name=decl.name,
            name_zh=decl.name_zh,
            parts=tuple(parts),
            attributes=tuple(self._attributes(shape, table, within)),
            optional=slot.low == 0,
            repeats=slot.high != 1,
            most=slot.high,
            each=each,
            when=()
            if _WHEN not in table
            else read_conditions(table[_WHEN], self._reading, at.place, within.within),
        )

    def _part(self, slot: Slot, written: object, at: _At) -> Leaf | Branch:
        decl = slot.decl
        assert decl is not None  # noqa: S101 (slots without one have no name)
        shape = self._grammar.shape(decl)
        if shape.open or decl.namespace != CEB_NAMESPACE:
            what = f"{decl.name} cannot be mapped: what may stand in it is not customs' to say"
            raise at.place.error(what, key=decl.name)
        if shape.text is not None or shape.foreign:
            type_ = Typed(name=decl.name, kind=shape.text or ValueType(), fixed=decl.fixed)
            origin = read_origin(written, type_, self._reading, at.place, at.within)
            if shape.foreign:
                origin = replace(origin, steps=(*origin.steps, Fragment()))
            return Leaf(
                name=decl.name,
                name_zh=decl.name_zh,
                origin=origin,
                optional=slot.low == 0,
                markup=shape.foreign,
            )
        if not isinstance(written, dict):
            what, example = f"{decl.name} holds elements, not a text", f"[{at.place.table}.{decl.name}]"
            raise at.place.error(what, key=decl.name, example=example)
        return self._branch(slot, decl, written, at.inside(decl.name))

    def _attributes(self, shape: Shape, table: Mapping[str, Any], at: _At) -> Iterator[Leaf]:
        for one in shape.attributes:
            name = f"@{one.name}"
            if name in table:
                type_ = Typed(name=name, kind=one.type, fixed=one.fixed)
                origin = read_origin(table[name], type_, self._reading, at.place, at.within)
                yield Leaf(name=name, name_zh=one.name_zh, origin=origin, optional=not one.required)
            elif one.required:
                what = f"the required attribute {one.name} ({one.name_zh}) has no source"
                source = "guid = []" if one.name == "guid" else 'constant = "1.0"'
                raise at.place.error(what, key=f'"{name}"', example=f'"{name}" = {{ {source} }}')

    def _known(self, table: Mapping[str, Any], shape: Shape, decl: ElementDecl, place: TablePlace) -> None:
        names = [one.decl.name for one in shape.slots if one.decl is not None]
        names += [f"@{one.name}" for one in shape.attributes]
        for name in table:
            if name not in names and name != _WHEN:
                near = get_close_matches(name, names, n=1)
                what = f"{decl.name} ({decl.name_zh}) has no {name} in {self._kind.name}"
                raise place.error(
                    what, key=name, example=f'{near[0]} = "…"' if near else f"one of: {', '.join(names)}"
                )

    def _complete(self, table: Mapping[str, Any], shape: Shape, decl: ElementDecl, place: TablePlace) -> None:
        for slot in shape.slots:
            one = slot.decl
            if one is None or slot.low == 0 or one.tag == SIGNATURE or one.name in table or not shape.ordered:
                continue
            what = f"the required element {one.name} ({one.name_zh}) of {decl.name} has no source"
            raise place.error(what, key=one.name, example=self._example(one, place))

    def _example(self, decl: ElementDecl, place: TablePlace) -> str:
        if self._grammar.shape(decl).text is None:
            return f"[{place.table}.{decl.name}]"
        if decl.fixed is not None:
            return f'{decl.name} = {{ constant = "{decl.fixed}" }}'
        return f'{decl.name} = "{decl.name}"'

    def _each(self, slot: Slot, at: _At) -> ArrayMembers | RowGroups | None:
        written = self._read.each.get(at.path) if at.path else None
        if written is None or (slot.high == 1 and at.path != self._kind.body):
            return None
        self._used.add(at.path)
        key = f'each."{at.path}"'
        if isinstance(written, str) == self._reading.table:
            what = "a list of columns to group rows by" if self._reading.table else "the path of an array"
            example = f'"{at.path}" = {self._each_example()}'
            raise self._place.error(f"of {self._read.source} it is {what}", key=key, example=example)
        if isinstance(written, str):
            return ArrayMembers(at=self._reading.places(written, self._place, key, at.within))
        if isinstance(written, _Joined):
            if at.path == self._kind.body:
                raise self._place.error(
                    "declarations come from the first sheet; others are joined to them", key=key,
                    example=f'sheet = "{written.sheet}" at the top, and "{at.path}" = ["订单编号"]',
                )  # fmt: skip
            return self._joined(written, key, at)
        return RowGroups(by=self._every(written, key, at.within))

    def _joined(self, written: _Joined, key: str, at: _At) -> RowGroups:
        inner = at.within.inside(written.sheet)
        return RowGroups(
            by=self._every(written.by, key, inner),
            sheet=written.sheet,
            key=self._every(written.key, key, inner),
            outer=self._every(written.key, key, at.within),
        )

    def _every(self, columns: tuple[OneOrMore, ...], key: str, at: Within) -> tuple[Places, ...]:
        return tuple([self._reading.places(one, self._place, key, at) for one in columns])

    def _each_example(self) -> str:
        return '["order_no"], or [] for every row' if self._reading.table else '"/orders"'


def _sheet_of(each: ArrayMembers | RowGroups) -> str | None:
    """Return the sheet of the items; None: that of the item around them."""
    return each.sheet or None if isinstance(each, RowGroups) else None
