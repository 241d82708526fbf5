"""The mapping language as values: a tree that follows the schema; each leaf says where its text comes from.

`gateway.mapping.compile` makes and checks these from a TOML file; `gateway.mapping.write` walks them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from gateway.mapping.functions import Function
from gateway.mapping.registered import FromGoods
from gateway.mapping.sources.item import Reference
from gateway.model import MessageType


class SourceKind(StrEnum):
    """The format that a mapping reads."""

    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """The texts at these places, joined; places without a text are skipped."""

    at: tuple[Reference, ...]
    between: str = ""
    default: str | None = None
    """Used when there is no text."""
    goods: FromGoods | None = None
    """The text is an item number; what is registered of the item takes its place, before the functions."""
    steps: tuple[Function, ...] = ()
    """Applied to the text in this order, but never to the default."""
    reads_numbers: bool = False
    """Take a number or word of the source as written, because a function checks it or the element is a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A constant text."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The number of the item among those that repeat, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guid:
    """A UUID made from the texts at these places; if empty, from the whole source and the element's path."""

    key: tuple[Reference, ...]


Origin = Copied | Constant | Position | Guid


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """An element that contains a text, or an attribute (`@guid`)."""

    name: str
    name_zh: str
    origin: Origin


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
    each: tuple[Reference, ...] | None = None
    """Written once for each item there; None: written once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMapping:
    """One checked mapping."""

    name: str
    sha256: str
    """SHA-256 of the file, hex."""
    about: str
    source: SourceKind
    delimiter: str
    """For CSV only."""
    kind: MessageType
    root: Branch
    wanted: tuple[str, ...]
    """References as written, each once: for CSV, the columns that must be present."""

    @property
    def uses_goods(self) -> bool:
        """Whether it looks anything up in registered goods."""
        return any(
            isinstance(one.origin, Copied) and one.origin.goods is not None for one in leaves(self.root)
        )

    @property
    def body(self) -> Branch:
        """The branch of a declaration."""
        return next(
            part for part in self.root.parts if isinstance(part, Branch) and part.name == self.kind.body
        )


def leaves(branch: Branch) -> Iterator[Leaf]:
    """Yield every leaf of a branch and of everything below it."""
    for part in (*branch.attributes, *branch.parts):
        if isinstance(part, Branch):
            yield from leaves(part)
        else:
            yield part


def references(branch: Branch) -> Iterator[Reference]:
    """Yield every reference of a branch and of everything below it."""
    yield from branch.each or ()
    for part in (*branch.attributes, *branch.parts):
        match part:
            case Branch():
                yield from references(part)
            case Leaf(origin=Copied(at=at)) | Leaf(origin=Guid(key=at)):
                yield from at
            case Leaf():
                continue
