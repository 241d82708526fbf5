"""One sheet of an XLSX file: its rows, and the merges among them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.mapping.sources.refusing import refused
from gateway.mapping.sources.table import Row, SourceLimits, SourceNote, column_at
from gateway.mapping.sources.xlsx.archive import WorkbookArchive
from gateway.mapping.sources.xlsx.cell_texts import CellTexts
from gateway.mapping.sources.xlsx.rows import RowReading

_MERGE: Final = re.compile(
    rb"""<(?:[A-Za-z]\w*:)?mergeCell\s+[^<>]*?\bref\s*=\s*["']([A-Z]{1,3}[0-9]{1,7}):([A-Z]{1,3}[0-9]{1,7})["']"""
)
_MERGE_BYTES: Final = 256
"""Longest tag of a merge."""
_MERGES: Final = 1000
"""Merges in the rows of titles that are kept."""
TITLE_ROWS: Final = 10
"""Rows in which titles may stand: the head row is among them."""
_REFERENCE: Final = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})")


@dataclass(frozen=True, slots=True)
class _Merge:
    name: str
    first: tuple[int, int]
    """Row from 1, column from 0."""
    last: tuple[int, int]


@dataclass(slots=True)
class XlsxSheet:
    """One worksheet."""

    archive: WorkbookArchive
    part: str
    name: str
    hidden: bool
    texts: CellTexts
    limits: SourceLimits
    notes: Sequence[SourceNote] = ()
    _merges: list[_Merge] | None = field(default=None, init=False)

    def rows(self) -> Iterator[Row]:
        """See Sheet. Raises Refused `not-xlsx`, `too-large`."""
        merges = self._title_merges()
        reading = RowReading(self.archive, self.part, self.name, self.texts, self.limits)
        for row in reading.rows():
            if row.number <= TITLE_ROWS:
                _check_title(row, merges, self.name)
            yield row
        self.notes = tuple(reading.notes())

    def verify(self) -> None:
        """Inflate all of it once: its checksum holds, and no data cells are merged. Raises Refused.

        Merges stand behind the rows; whoever reads rows has to know that none is among them before taking any.
        """
        self._title_merges()

    def _title_merges(self) -> Sequence[_Merge]:
        if self._merges is None:
            self._merges = list(self._found_merges())
        return self._merges

    def _found_merges(self) -> Iterator[_Merge]:
        count = 0
        with self.archive.opened(self.part) as chunks:
            before = b""
            for chunk in chunks:
                text = before + chunk
                end = 0
                for found in _MERGE.finditer(text):
                    end = found.end()
                    merge = _merge(found[1].decode(), found[2].decode())
                    count += 1
                    if merge.last[0] > TITLE_ROWS or count > _MERGES:
                        raise refused("not-xlsx", "merged", sheet=self.name, range=merge.name)
                    yield merge
                before = text[max(end, len(text) - _MERGE_BYTES) :]


def _merge(first: str, last: str) -> _Merge:
    return _Merge(f"{first}:{last}", _place(first), _place(last))


def _place(reference: str) -> tuple[int, int]:
    found = _REFERENCE.fullmatch(reference)
    return (0, 0) if found is None else (int(found[2]), column_at(found[1]))


def _check_title(row: Row, merges: Sequence[_Merge], sheet: str) -> None:
    """Raise Refused if cells are merged in a row that has more than titles: all its texts stand in merged cells."""
    touching = [one for one in merges if one.first[0] <= row.number <= one.last[0]]
    if not touching:
        return
    for at, cell in enumerate(row.cells):
        if cell and not any(one.first[1] <= at <= one.last[1] for one in touching):
            raise refused("not-xlsx", "merged", sheet=sheet, range=touching[0].name)
