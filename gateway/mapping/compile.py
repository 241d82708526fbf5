"""Compile a TOML file to a mapping, fully checked against its schema; RulesError names file, key and an example."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field

from gateway.mapping.language import Branch, Leaf, SourceKind, SourceMapping, references
from gateway.mapping.origins import OriginReading, Typed, read_origin, reference
from gateway.mapping.source import Reference
from gateway.model import Direction, MessageType
from gateway.rules.catalogue import Catalogue
from gateway.rules.schema_model import ElementDecl, Grammar, Shape, Slot
from gateway.rules.schemas import CEB_NAMESPACE, SIGNATURE, Schemas
from gateway.rules.tables import TablePlace, parse_tables, read_text, shaped

_EXAMPLE: Final = """
message = "CEB311Message"
source = "json"
about = "orders of the shop"
delimiter = ";"
each = { Order = "/orders", "Order/OrderList" = "lines" }
document = { Order = { OrderHead = { orderNo = "order_no" } } }
"""


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    message: str
    source: Literal["json", "csv"]
    about: str = ""
    delimiter: Annotated[str, Meta(pattern=r'^[^"\r\n]$')] = ","
    each: dict[str, str | tuple[str, ...]] = field(default_factory=dict)
    document: dict[str, Any]


def load_mapping(file: Path, schemas: Schemas, catalogue: Catalogue) -> SourceMapping:
    """Read and check one mapping. Raises RulesError."""
    return compile_mapping(read_text(file), file, schemas, catalogue)


def compile_mapping(text: str, file: Path, schemas: Schemas, catalogue: Catalogue) -> SourceMapping:
    """Check the text of one mapping; `file` names it and is not read. Raises RulesError."""
    place = TablePlace(file)
    read = shaped(parse_tables(text, file), _File, place, _EXAMPLE)
    kind = catalogue.by_name(read.message)
    if kind is None or kind.direction is not Direction.DECLARATION or read.message not in schemas.roots:
        raise place.error(
            f"{read.message} is no declaration of edition {schemas.edition}", key="message",
            example='message = "CEB311Message"',
        )  # fmt: skip
    source = SourceKind(read.source)
    grammar = schemas.grammar_for(kind.name)
    loader = _Loader(
        read, kind, grammar, place, OriginReading(mapping=file.stem, csv=source is SourceKind.CSV)
    )
    root = loader.root(schemas.declaration(kind.name))
    return SourceMapping(
        name=file.stem,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        about=read.about,
        source=source,
        delimiter=read.delimiter,
        kind=kind,
        root=root,
        wanted=tuple(dict.fromkeys(one.written for one in references(root))),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _At:
    """The loader's position in the file and in the document."""

    place: TablePlace
    path: str = ""
    """Path of the element below the root: `Order/OrderList`."""
    depth: int = 0
    """Number of enclosing items."""

    def inside(self, name: str) -> "_At":
        path = f"{self.path}/{name}" if self.path else name
        return _At(place=self.place.within(name), path=path, depth=self.depth)


class _Loader:
    """Walks the tables of one file along the schema."""

    def __init__(
        self, read: _File, kind: MessageType, grammar: Grammar, place: TablePlace, reading: OriginReading
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
        at = _At(place=self._place.within("document"))
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
        within = replace(at, depth=at.depth + (each is not None))
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
        )

    def _part(self, slot: Slot, written: object, at: _At) -> Leaf | Branch:
        decl = slot.decl
        assert decl is not None  # noqa: S101 (slots without one have no name)
        shape = self._grammar.shape(decl)
        if shape.open or decl.namespace != CEB_NAMESPACE:
            what = f"{decl.name} cannot be mapped: what may stand in it is not customs' to say"
            raise at.place.error(what, key=decl.name)
        if shape.text is not None:
            type_ = Typed(name=decl.name, kind=shape.text, fixed=decl.fixed)
            origin = read_origin(written, type_, self._reading, at.place, depth=at.depth)
            return Leaf(name=decl.name, name_zh=decl.name_zh, origin=origin)
        if not isinstance(written, dict):
            what, example = f"{decl.name} holds elements, not a text", f"[{at.place.table}.{decl.name}]"
            raise at.place.error(what, key=decl.name, example=example)
        return self._branch(slot, decl, written, at.inside(decl.name))

    def _attributes(self, shape: Shape, table: Mapping[str, Any], at: _At) -> Iterator[Leaf]:
        for one in shape.attributes:
            name = f"@{one.name}"
            if name in table:
                type_ = Typed(name=name, kind=one.type, fixed=one.fixed)
                origin = read_origin(table[name], type_, self._reading, at.place, depth=at.depth)
                yield Leaf(name=name, name_zh=one.name_zh, origin=origin)
            elif one.required:
                what = f"the required attribute {one.name} ({one.name_zh}) has no source"
                source = "guid = []" if one.name == "guid" else 'constant = "1.0"'
                raise at.place.error(what, key=f'"{name}"', example=f'"{name}" = {{ {source} }}')

    def _known(self, table: Mapping[str, Any], shape: Shape, decl: ElementDecl, place: TablePlace) -> None:
        names = [one.decl.name for one in shape.slots if one.decl is not None]
        names += [f"@{one.name}" for one in shape.attributes]
        for name in table:
            if name not in names:
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

    def _each(self, slot: Slot, at: _At) -> tuple[Reference, ...] | None:
        written = self._read.each.get(at.path) if at.path else None
        if written is None or slot.high == 1:
            return None
        self._used.add(at.path)
        key = f'each."{at.path}"'
        if isinstance(written, str) == self._reading.csv:
            what = "a list of columns to group rows by" if self._reading.csv else "the path of an array"
            example = f'"{at.path}" = {self._each_example()}'
            raise self._place.error(f"of {self._read.source} it is {what}", key=key, example=example)
        texts = (written,) if isinstance(written, str) else written
        return tuple(reference(text, self._reading, self._place, key, at.depth) for text in texts)

    def _each_example(self) -> str:
        return '["order_no"], or [] for every row' if self._reading.csv else '"/orders"'
