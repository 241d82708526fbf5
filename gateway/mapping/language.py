"""The mapping language as values: a tree that follows the schema, each leaf with where its text comes from.

`gateway.mapping.compile` makes these of a TOML file and checks them; `gateway.mapping.write` walks them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from gateway.mapping.functions import Function
from gateway.mapping.source import Reference
from gateway.model import MessageType


class SourceKind(StrEnum):
    """What a mapping reads."""

    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """The texts at these places, joined; places without one are passed over."""

    at: tuple[Reference, ...]
    between: str = ""
    default: str | None = None
    """In place of a text where there is none."""
    steps: tuple[Function, ...] = ()
    """Done to the text, in this order; never to the default."""
    reads_numbers: bool = False
    """A number or word of the source is taken as it is written: a function judges it, or the element is a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """Always the same."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The number of the item among those that repeat, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guid:
    """A UUID made of the texts at these places; of none: of the whole source and the place of the element."""

    key: tuple[Reference, ...]


Origin = Copied | Constant | Position | Guid


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """An element that holds a text, or an attribute (`@guid`)."""

    name: str
    name_zh: str
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """An element that holds elements."""

    name: str
    name_zh: str
    parts: tuple["Leaf | Branch", ...]
    """In the order of the schema."""
    attributes: tuple[Leaf, ...] = ()
    optional: bool = False
    repeats: bool = False
    """Whether the schema lets it stand several times, so that its path has a position."""
    most: int | None = 1
    """Times it may stand; None: no bound."""
    each: tuple[Reference, ...] | None = None
    """Once for each of the items there; None: once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMapping:
    """One mapping, checked."""

    name: str
    sha256: str
    """Hex, of the file."""
    about: str
    source: SourceKind
    delimiter: str
    """Of CSV."""
    kind: MessageType
    root: Branch
    wanted: tuple[str, ...]
    """References as written, each once: of CSV, the columns that must be there."""

    @property
    def body(self) -> Branch:
        """The part that is a declaration."""
        return next(
            part for part in self.root.parts if isinstance(part, Branch) and part.name == self.kind.body
        )


def references(branch: Branch) -> Iterator[Reference]:
    """Give every reference below a branch, and its own."""
    yield from branch.each or ()
    for part in (*branch.attributes, *branch.parts):
        match part:
            case Branch():
                yield from references(part)
            case Leaf(origin=Copied(at=at)) | Leaf(origin=Guid(key=at)):
                yield from at
            case Leaf():
                continue
