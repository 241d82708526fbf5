"""The heads of a sheet: which row has them, and which column of it is which column of a mapping."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import takewhile
from typing import Final

from gateway.errors import FAULTS_COUNTED, Refused
from gateway.mapping.faults import CellSpot, SourceFault
from gateway.mapping.language import ColumnHeads, SheetColumn, SourceMapping
from gateway.mapping.sources.item import shortened
from gateway.mapping.sources.table import Row, Sheet
from gateway.rules.texts import Fact, filled

LOOKED_AT: Final = 10
"""Rows in which the heads are looked for."""
_NEAR: Final = 3
_SHOWN: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetLayout:
    """One sheet, with its columns as the mapping calls them."""

    sheet: Sheet
    shown: str
    """Its name, as places name it; empty: there is only one."""
    head: Row
    columns: Mapping[str, tuple[int, ...]]
    """Name in the mapping → the columns with one of its heads, from the left, counted from 0."""

    def at(self, column: SheetColumn) -> int | None:
        """Return which column it is, counted from 0; None: it is not there."""
        found = self.columns.get(column.name, ())
        return found[column.nth - 1] if len(found) >= column.nth else None

    def spot(self, row: Row, column: SheetColumn | None = None) -> CellSpot:
        """Return the place of a row, or of a cell of it; of a column that is not there, that of the row."""
        at = None if column is None else self.at(column)
        begins = (row.line, row.column) if row.scan is not None else (row.number, 1)
        line, place = row.place(at) if at else begins
        head = "" if column is None else column.head
        sheet = f"sheet {self.shown}, " if self.shown else ""
        text = f"{sheet}row {row.number}" + (f", column {head}" if head else "")
        return CellSpot(text=text, line=line, column=place, sheet=self.shown, row=row.number, head=head)

    def rows(self) -> Iterator[Row]:
        """Yield the rows under the heads."""
        first = self.head.number
        return (row for row in self.sheet.rows() if row.number > first)

    def unread(self, used: Iterable[SheetColumn]) -> list[str]:
        """Return the heads of the columns that are not among `used`."""
        read = {self.at(one) for one in used}
        return [
            shortened(cell.strip(), _SHOWN)
            for at, cell in enumerate(self.head.cells)
            if at not in read and cell.strip()
        ]


def compared(head: str) -> str:
    """Return a head as heads are compared: NFKC, lower case, without white space, `*`, and a colon at the end."""
    plain = "".join(unicodedata.normalize("NFKC", head).lower().split())
    return plain.replace("*", "").removesuffix(":")


def find_layout(
    sheet: Sheet, mapping: SourceMapping, used: Sequence[SheetColumn], shown: str
) -> SheetLayout | None:
    """Find the head row of a sheet, of which the mapping uses these columns; None: there is none."""
    wanted = _wanted(mapping, used)
    names = _names(wanted)
    required = {one.name for one in wanted if one.required}
    needed = min(2, len(wanted))
    for row in _first_rows(sheet):
        there = _columns(row, names).keys()
        enough = 2 * len(there & required) >= len(required) if required else len(there) >= needed
        if enough and there:
            layout = SheetLayout(sheet=sheet, shown=shown, head=row, columns=_columns(row, names))
            return _checked(layout, wanted, used)
    return None


def missing_heads(sheet: Sheet, mapping: SourceMapping, used: Sequence[SheetColumn], shown: str) -> Refused:
    """Return the refusal of a sheet in which no head row was found: what is missing in the row that is nearest to one."""
    wanted = _wanted(mapping, used)
    names = _names(wanted)
    first = [Row(1, ()), *_first_rows(sheet)]
    nearest = max(first, key=lambda row: len(_columns(row, names)))
    nearest = first[1] if not _columns(nearest, names) and len(first) > 1 else nearest
    needed = [one.name for one in wanted if one.required] or [one.name for one in wanted]
    there = _columns(nearest, names)
    layout = SheetLayout(sheet=sheet, shown=shown, head=nearest, columns=there)
    return refused_heads(layout, [name for name in needed if name not in there])


def refused_heads(layout: SheetLayout, names: Sequence[str]) -> Refused:
    """Return the refusal of a sheet in which these columns are missing."""
    return _refused(layout, _missing(names, layout.head))


def _wanted(mapping: SourceMapping, used: Sequence[SheetColumn]) -> list[ColumnHeads]:
    """Return the columns that are used of one sheet."""
    names = {one.name for one in used}
    return [one for one in mapping.columns if one.name in names]


def _names(wanted: Iterable[ColumnHeads]) -> dict[str, str]:
    """Return every head, as heads are compared → the column that it stands for."""
    return {compared(head): one.name for one in wanted for head in (one.name, *one.also)}


def _first_rows(sheet: Sheet) -> Iterator[Row]:
    return takewhile(lambda one: one.number <= LOOKED_AT, sheet.rows())


def _columns(head: Row, names: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    columns: dict[str, tuple[int, ...]] = {}
    for at, cell in enumerate(head.cells):
        if (name := names.get(compared(cell))) is not None:
            columns[name] = (*columns.get(name, ()), at)
    return columns


def _checked(layout: SheetLayout, wanted: Sequence[ColumnHeads], used: Sequence[SheetColumn]) -> SheetLayout:
    """Return the layout. Raises Refused when a column is missing or cannot be told from another."""
    counted = {one.name: max(each.nth for each in used if each.name == one.name) for one in wanted}
    wrong = [
        *_unclear(layout, counted),
        *_missing(
            [one.name for one in wanted if one.required and one.name not in layout.columns], layout.head
        ),
    ]
    if wrong:
        raise _refused(layout, wrong)
    return layout


_Wrong = tuple[str, int, str, Mapping[str, Fact]]
"""Rule, column from 0, head, facts."""


def _unclear(layout: SheetLayout, counted: Mapping[str, int]) -> Iterator[_Wrong]:
    """Yield the columns that have several heads, or more of one than the mapping counts."""
    for name, found in layout.columns.items():
        heads = [layout.head.cells[at].strip() for at in found]
        if len({compared(head) for head in heads}) > 1:
            yield "ambiguous_column", found[1], heads[1], {"name": name, "heads": ", ".join(heads)}
        elif len(found) > counted[name]:
            facts: dict[str, Fact] = {"name": name, "count": len(found), "limit": counted[name]}
            yield "duplicate_column", found[counted[name]], heads[-1], facts


def _missing(names: Iterable[str], head: Row) -> Iterator[_Wrong]:
    heads = [cell.strip() for cell in head.cells if cell.strip()]
    for name in names:
        near = get_close_matches(name, heads, _NEAR, cutoff=0.5) or heads[:_NEAR]
        yield "missing_column", 0, name, {"name": name, "near": shortened(", ".join(near))}


def _refused(layout: SheetLayout, wrong: Iterable[_Wrong]) -> Refused:
    return Refused("untranslatable", [_fault(layout, *one) for one in wrong][:FAULTS_COUNTED])


def _fault(layout: SheetLayout, rule: str, at: int, head: str, facts: Mapping[str, Fact]) -> SourceFault:
    line, column = layout.head.place(at)
    words = filled(f"source.{rule}", facts)
    sheet = f"sheet {layout.shown}, " if layout.shown else ""
    return SourceFault(
        source=f"{sheet}row {layout.head.number}, column {shortened(head, _SHOWN)}",
        sheet=layout.shown,
        row=layout.head.number,
        head=shortened(head, _SHOWN),
        line=line,
        column=column,
        value=shortened(head),
        rule=rule,
        message=words.message,
        message_zh=words.message_zh,
        fix=words.fix,
        fix_zh=words.fix_zh,
    )
