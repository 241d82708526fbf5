"""The mapping language as values: a tree that follows the schema; each leaf says where its text comes from.

`gateway.mapping.compile` makes and checks these from a TOML file; `gateway.mapping.write` walks them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.mapping.functions import Function
from gateway.mapping.registered import FromGoods
from gateway.mapping.sources.item import Reference
from gateway.model import MessageType


class SourceKind(StrEnum):
    """What a mapping reads."""

    JSON = "json"
    """A tree of objects and arrays."""
    TABLE = "table"
    """Rows under heads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetColumn:
    """The place of a text in a table."""

    name: str
    nth: int = 1
    """Which of the columns with this head, counted from the left."""
    ups: int = 0
    """How many items to go up: 1 is the row around the rows of a joined sheet."""
    sheet: str = ""
    """The sheet that the column is in, as the mapping names it; empty: the first that is read."""

    @property
    def written(self) -> str:
        """As a mapping names it."""
        return "../" * self.ups + self.head

    @property
    def head(self) -> str:
        """As the sheet names it."""
        return self.name + (f"#{self.nth}" if self.nth > 1 else "")


Place = Reference | SheetColumn
Places = tuple[Place, ...]
"""The first of these that is there; never empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnHeads:
    """A column of a table, and what may stand above it."""

    name: str
    also: tuple[str, ...] = ()
    required: bool = False
    """Whether a table without it is refused."""
    example: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Holds or not of an item, by one of its texts without the white space around it."""

    at: Places
    among: frozenset[str] | None = None
    """The text is one of these."""
    not_among: frozenset[str] | None = None
    present: bool | None = None
    """Whether there has to be a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """The texts at these places, joined; places without a text are skipped."""

    pieces: tuple[Places | str, ...]
    """A `str` is a text of the mapping."""
    between: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The time that the request gives, 14 digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A constant text."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The number of the item among those that repeat, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guid:
    """A UUID made from the texts at these places; if empty, from all else that is written in the declaration or message."""

    key: tuple[Places, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a text comes from, and what is done to it."""

    source: Copied | Given | Constant | Position | Guid
    trim: bool = False
    literal: bool = False
    """Of a tree: a text that is empty or blank is a text too."""
    goods: FromGoods | None = None
    """The text is an item number; what is registered of the item takes its place, before the functions."""
    steps: tuple[Function, ...] = ()
    """Applied to the text in this order."""
    reads_numbers: bool = False
    """Take a number or word of the source as written, because a function checks it or the element is a number."""
    otherwise: "Origin | None" = None
    """Used when there is no text."""
    when: tuple[Condition, ...] = ()
    """There is no text, and nothing instead, unless all of these hold."""

    def chain(self) -> Iterator["Origin"]:
        """Yield this origin, and those used when it has no text."""
        one: Origin | None = self
        while one is not None:
            yield one
            one = one.otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """An element that contains a text, or an attribute (`@guid`)."""

    name: str
    name_zh: str
    origin: Origin
    optional: bool = False
    markup: bool = False
    """Its text is XML, and written as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayMembers:
    """Once for each member of the array there."""

    at: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class RowGroups:
    """Once for each group of rows that are alike in these columns; without any, once for each row."""

    by: tuple[Places, ...] = ()
    sheet: str = ""
    """The rows are those of this sheet; empty: those of the item."""
    key: tuple[Places, ...] = ()
    """Columns of that sheet which have to hold the same as those of the item."""
    outer: tuple[Places, ...] = ()
    """These columns, in the sheet of the item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """An element that contains elements."""

    name: str
    name_zh: str
    parts: tuple["Leaf | Branch", ...]
    """In the order of the schema."""
    attributes: tuple[Leaf, ...] = ()
    optional: bool = False
    repeats: bool = False
    """Whether the schema allows several, so that its path has a position."""
    most: int | None = 1
    """Most occurrences; None: no limit."""
    each: ArrayMembers | RowGroups | None = None
    """What it is written for; None: written once."""
    when: tuple[Condition, ...] = ()
    """An item for which these do not all hold is passed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMapping:
    """One checked mapping."""

    name: str
    sha256: str
    """Hex digest of its text, and of the tables and files that it looks things up in."""
    text: str = field(repr=False)
    """The TOML that it was made from."""
    files: Mapping[str, bytes] = field(repr=False)
    """The files beside it that it looks things up in, by name."""
    tables: Mapping[str, str]
    """The code tables that it looks things up in, by name → hex digest of their rows."""
    edition: str
    """The edition whose schemas it was checked against."""
    about: str
    source: SourceKind
    delimiter: str
    """Of CSV; empty: told by the head row."""
    sheet: str
    """The sheet to read; empty: the first that has the heads."""
    money: str
    """`yuan`, `fen`; empty: no amount comes from the source."""
    columns: tuple[ColumnHeads, ...]
    """Of a table."""
    when: tuple[Condition, ...]
    """Rows of a table, or declarations of a tree, for which these do not all hold are passed over."""
    kind: MessageType
    root: Branch

    @property
    def uses_goods(self) -> bool:
        """Whether it looks anything up in registered goods."""
        return any(one.goods is not None for leaf in leaves(self.root) for one in leaf.origin.chain())

    @property
    def body(self) -> Branch:
        """The branch of a declaration."""
        return next(
            part for part in self.root.parts if isinstance(part, Branch) and part.name == self.kind.body
        )

    def places(self) -> Iterator[Place]:
        """Yield every place that it reads."""
        yield from _of_conditions(self.when)
        yield from references(self.root)


def leaves(branch: Branch) -> Iterator[Leaf]:
    """Yield every leaf of a branch and of everything below it."""
    for part in (*branch.attributes, *branch.parts):
        if isinstance(part, Branch):
            yield from leaves(part)
        else:
            yield part


def references(branch: Branch) -> Iterator[Place]:
    """Yield every place that a branch and everything below it reads."""
    yield from _of_conditions(branch.when)
    match branch.each:
        case ArrayMembers(at=at):
            yield from at
        case RowGroups(by=by, key=key, outer=outer):
            for places in (*outer, *key, *by):
                yield from places
    for part in (*branch.attributes, *branch.parts):
        if isinstance(part, Branch):
            yield from references(part)
        else:
            yield from of_origin(part.origin)


def of_origin(origin: Origin) -> Iterator[Place]:
    """Yield every place that an origin reads."""
    for one in origin.chain():
        yield from _of_conditions(one.when)
        match one.source:
            case Copied(pieces=pieces):
                for piece in pieces:
                    yield from () if isinstance(piece, str) else piece
            case Guid(key=key):
                for places in key:
                    yield from places


def _of_conditions(conditions: tuple[Condition, ...]) -> Iterator[Place]:
    for condition in conditions:
        yield from condition.at
