"""A source and a mapping, body by body: what may be a million declarations is read, written and told of in constant memory.

`open_translation` gives a `Translation`. `gateway.mapping.translate.translate` is its use for one message.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from gateway.mapping.faults import SourceFault
from gateway.mapping.language import SourceMapping
from gateway.mapping.sources.table import Form, Note
from gateway.mapping.translate import Translated
from gateway.model import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a platform handed in, and what the request says of it."""

    content: bytes | BinaryIO
    """A file has to be seekable; it is read several times, and stays open while it is translated."""
    form: Form
    charset: str = ""
    """Of CSV; empty: told by the bytes (UTF-8, UTF-16 with its mark), else UTF-8."""
    delimiter: str = ""
    """Of CSV; empty: as the mapping says, or told by the head row."""
    app_time: str = ""
    """YYYYMMDDhhmmss, Beijing time: what `given = "app_time"` yields; empty: not given."""


@dataclass(frozen=True, slots=True)
class RowSpan:
    """Consecutive rows of a sheet, by their numbers in it; both ends belong to it."""

    sheet: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One declaration of a source, written or found wanting."""

    ordinal: int
    """From 0, among all bodies of the source, refused ones too."""
    rows: tuple[RowSpan, ...]
    """Of a table: its rows, in the order of their sheets."""
    place: str
    """Of the whole body in the source: `row 17`, `/orders/3`, `line 17, /orders/3`."""
    line: int
    """Line in the source, from 1; of XLSX the number of the row."""
    faults: tuple[SourceFault, ...]
    """What could not be written; each with sheet, row and column, or JSON path. Of personal fields no value is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """Consecutive bodies of a source that go into one message, and those between them that could not be written."""

    bodies: tuple[Body, ...]
    """Without faults; at most as many as a message may have. Empty: nothing but refused ones were left."""
    refused: tuple[Body, ...]
    start: int
    """Ordinal of its first body, written or refused."""
    end: int
    """One more than the ordinal of its last body: where the next portion starts."""


class Translation(Protocol):
    """One source under one mapping. Reading again gives the same; nothing is random and nothing reads the clock."""

    @property
    def mapping(self) -> SourceMapping:
        """Return the mapping."""

    @property
    def notes(self) -> Sequence[Note]:
        """Return what was understood in a certain way; complete when all bodies have been read once."""

    @property
    def unconsumed(self) -> Sequence[str]:
        """Return every column (`sheet!head` where several are read) or JSON path (`/orders/*/vip`) that no rule read.

        Of a tree: as far as it has been read.
        """

    @property
    def values_sha256(self) -> str:
        """Return the digest of sheet names, heads and values, the same in every form and encoding; reads the source."""

    @property
    def rows(self) -> int | None:
        """Return how many rows of data there are, for progress; None: a tree."""

    def bodies(self, start: int = 0) -> Iterator[Body]:
        """Yield the bodies from this ordinal on; those before are read and not written.

        Raises Refused where the source cannot be read any further; what came before is sound as it is.
        """

    def message(self, bodies: Sequence[Body]) -> Translated:
        """Write one document of these bodies, which must be without faults and fit into one message; deterministic."""

    def portions(self, start: int = 0, most: int = 100) -> Iterator[Portion]:
        """Yield consecutive bodies that fit into one message: as many as it may have, with the same texts beside them.

        Where the portions begin depends on `start`: to go on, start at the `end` of a portion. Raises as `bodies`.
        """

    def body_of(self, fault: Fault, bodies: Sequence[Body]) -> Body | None:
        """Return the one of the bodies of a message that a fault of its document is about; None: of none in particular."""
