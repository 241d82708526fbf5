"""A row of a sheet as an item whose references are heads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.mapping.sources.item import NoTextError, Reference, SourceItem, Spot
from gateway.mapping.sources.lossy_numbers import lost
from gateway.mapping.sources.table import Bare, Row


@dataclass(frozen=True, slots=True)
class SheetRow:
    """See SourceItem."""

    row: Row
    columns: Mapping[str, int]

    def text(self, at: Reference, *, as_written: bool = False) -> str | None:
        """See SourceItem."""
        place = self.columns[at.written]
        cell = self.row.cells[place] if place < len(self.row.cells) else ""
        text = cell.strip()
        if text and not as_written and (rule := lost(text, bare=isinstance(cell, Bare))):
            raise NoTextError(rule, self.spot(at), text)
        return text or None

    def spot(self, at: Reference | None = None) -> Spot:
        """See SourceItem."""
        line, column = self.row.place(self.columns[at.written] if at else 0)
        where = f", column {at.written}" if at else ""
        return Spot(text=f"row {self.row.number}{where}", line=line, column=column)

    def each(self, over: tuple[Reference, ...]) -> Sequence[SourceItem]:
        """See SourceItem: a row has no items."""
        raise NoTextError("not_an_array", self.spot(over[0] if over else None))
