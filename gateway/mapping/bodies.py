"""Declarations of a source, as a translation yields them."""

from dataclasses import dataclass, field

from gateway.mapping.faults import SourceFault
from gateway.mapping.reading import RowSpan


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
    written: object = field(repr=False, compare=False)
    """For the translation that made it."""


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
