"""Read the places that a mapping names: JSON paths, or columns of a table that it lists."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Annotated, Final

from msgspec import Meta

from gateway.mapping.language import ColumnHeads, Place, Places, SheetColumn
from gateway.mapping.lookups import LookupTables
from gateway.mapping.sources.item import Reference
from gateway.rules.tables import TablePlace

OneOrMore = str | Annotated[tuple[str, ...], Meta(min_length=1)]
"""One place, or several of which the first that is there counts."""
_NTH: Final = re.compile(r"(.+)#([2-9])", re.DOTALL)
_UP: Final = "../"


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """The items that a place is read inside."""

    sheets: tuple[str, ...] = ("",)
    """The sheet of each enclosing item, the whole source first; of a tree all empty."""

    @property
    def depth(self) -> int:
        """Number of enclosing items, without the whole source."""
        return len(self.sheets) - 1

    def inside(self, sheet: str | None) -> "Within":
        """Return the items with one more; None: an item of the same sheet."""
        return replace(self, sheets=(*self.sheets, self.sheets[-1] if sheet is None else sheet))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceReading:
    """The settings common to all elements of a mapping."""

    mapping: str
    table: bool
    """It reads a table, not a tree."""
    columns: Mapping[str, ColumnHeads] | None
    """The columns that it lists, by name; None: it lists none, and may name any."""
    money: str
    trim: bool
    literal: bool
    tables: LookupTables
    place: TablePlace
    """The file."""

    def places(self, written: OneOrMore, place: TablePlace, key: str, at: Within) -> Places:
        """Read one place or several alternatives. Raises RulesError."""
        texts = (written,) if isinstance(written, str) else written
        return tuple([self.one(text, place, key, at) for text in texts])

    def one(self, text: str, place: TablePlace, key: str, at: Within) -> Place:
        """Read a JSON path or a column. Raises RulesError."""
        return self._column(text, place, key, at) if self.table else _path(text, place, key, at.depth)

    def _column(self, text: str, place: TablePlace, key: str, at: Within) -> SheetColumn:
        name, ups = text, 0
        while name.startswith(_UP):
            name, ups = name[len(_UP) :], ups + 1
        if not name.strip():
            raise place.error("a column without a name", key=key, example='from = "order_no"')
        if ups > at.depth:
            raise place.error(
                f"{text} goes up {ups} items, there are {at.depth}", key=key, example='from = "order_no"'
            )
        found = _NTH.fullmatch(name.strip())
        name, nth = (found[1], int(found[2])) if found else (name.strip(), 1)
        self._listed(name, place, key)
        return SheetColumn(name=name, nth=nth, ups=ups, sheet=at.sheets[len(at.sheets) - 1 - ups])

    def _listed(self, name: str, place: TablePlace, key: str) -> None:
        if self.columns is None or name in self.columns:
            return
        near = get_close_matches(name, self.columns, n=1)
        example = f'{key} = "{near[0]}"' if near else f'[columns] "{name}" = {{}}'
        raise place.error(f"{name} is no column that [columns] lists", key=key, example=example)


def _path(text: str, place: TablePlace, key: str, depth: int) -> Reference:
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
