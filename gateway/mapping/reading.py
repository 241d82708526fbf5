"""What a translation asks of a source, whatever its kind: its declarations one by one, each with its places."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol

from gateway.mapping.bound import Binding, BoundBranch, Item
from gateway.mapping.sources.table import SourceNote
from gateway.mapping.write import Wrong


@dataclass(frozen=True, slots=True)
class RowSpan:
    """Consecutive rows of a sheet, by their numbers in it; both ends belong to it."""

    sheet: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class SourceDeclaration(Generic[Item]):
    """A declaration as it stands in the source."""

    item: Item
    wrong: tuple[Wrong, ...] = ()
    """What is wrong with it as a whole."""
    lost: bool = False
    """It is nothing that could be written."""


class SourceReader(Protocol[Item]):
    """One source, opened for one mapping. Everything may be read again, and is the same again."""

    @property
    def binding(self) -> Binding[Item]:
        """Return what the mapping is bound by."""

    @property
    def notes(self) -> Sequence[SourceNote]:
        """Return what was understood in a certain way; complete when all has been read once."""

    @property
    def unconsumed(self) -> Sequence[str]:
        """Return the columns or paths that no rule reads; may read the source."""

    @property
    def values_sha256(self) -> str:
        """Return the digest of all values; may read the source."""

    @property
    def rows(self) -> int | None:
        """Return how many rows of data there are; may read the source. None: a tree."""

    def found(self, body: BoundBranch[Item], start: int = 0) -> Iterator[SourceDeclaration[Item]]:
        """Yield the declarations from this one on, counted from 0. Raises Refused."""

    def around(self, items: Sequence[Item]) -> Item:
        """Return what stands beside these declarations in the source; of none of them, what stands there anyhow."""

    def spans(self, item: Item, /) -> tuple[RowSpan, ...]:
        """Return the rows of a declaration; empty: a tree."""

    def close(self) -> None:
        """Let go of temporary files."""
