"""Rows of a source given back as a sheet: the refused ones with the reason, or every one with what customs said of it."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from openpyxl import Workbook as NewWorkbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.worksheet._write_only import WriteOnlyWorksheet

from gateway.imports.facts import (
    ROWS_OF_A_FILE,
    ImportFacts,
    ImportFault,
    KeptBody,
    decoded,
)
from gateway.imports.outcomes import bodies_of, joined_texts, outcomes, refused_bodies
from gateway.imports.source_file import source_file
from gateway.mapping.sources.opening import open_table
from gateway.mapping.sources.table import Form, Sheet, SourceLimits
from gateway.rules.loading import Rules
from spool.imports import ImportJob
from spool.store import Spool

_HEAD_ROWS: Final = 10
"""Heads are in the first rows, and these hold no more than so many."""
_TITLE_CHARS: Final = 31
_REASON: Final = ("网关：未接收原因", "Gateway: why it was refused", "网关：位置")
_RESULT: Final = (
    "网关：处理结果",
    "网关：报文编号",
    "网关：回执状态",
    "网关：回执说明",
    "网关：回执信息",
    "网关：回执时间",
)
Cells = tuple[str, ...]


@dataclass(slots=True)
class _Said:
    """What is written beside rows: sheet → row → the cells of the further columns, and what belongs to no row."""

    heads: Cells
    of_rows: dict[str, dict[int, Cells]] = field(default_factory=dict)
    of_places: list[tuple[str, Cells]] = field(default_factory=list)

    def add(self, body: KeptBody, cells: Cells) -> None:
        if not body.rows:
            self.of_places.append((body.place, cells))
        for sheet, first, last in body.rows:
            rows = self.of_rows.setdefault(sheet, {})
            for row in range(first, last + 1):
                earlier = rows.get(row)
                rows[row] = cells if earlier is None else _joined(earlier, cells)


def refused_sheet(spool: Spool, job: ImportJob, part: int, *, folder: Path) -> bytes:
    """Return a part of the refused declarations as they came, with why. Raises SpoolError."""
    said = _Said(_REASON)
    for refused in refused_bodies(spool, job, after=part * ROWS_OF_A_FILE, limit=ROWS_OF_A_FILE):
        said.add(refused.body, _why(refused.faults))
    return _written(spool, job, said, folder)


def result_sheet(spool: Spool, job: ImportJob, part: int, *, rules: Rules, folder: Path) -> bytes:
    """Return a part of all declarations as they came, with what became of each. Raises SpoolError."""
    said = _Said(_RESULT)
    for one in islice(outcomes(spool, job, rules.codes, part * ROWS_OF_A_FILE), ROWS_OF_A_FILE):
        said.add(one.body, (one.outcome, one.message_id, one.status, one.meaning, one.info, one.time))
    return _written(spool, job, said, folder)


def _why(faults: Sequence[ImportFault]) -> Cells:
    zh = joined_texts(f"{one.message_zh}；{one.fix_zh}" if one.fix_zh else one.message_zh for one in faults)
    en = joined_texts(f"{one.message}; {one.fix}" if one.fix else one.message for one in faults)
    return zh, en, joined_texts(one.source for one in faults)


def _joined(earlier: Cells, cells: Cells) -> Cells:
    return tuple([joined_texts((one, other)) for one, other in zip(earlier, cells, strict=True)])


# ---- writing ----


def _written(spool: Spool, job: ImportJob, said: _Said, folder: Path) -> bytes:
    """Write the rows that something is said of, under their heads."""
    book = NewWorkbook(write_only=True)
    facts = decoded(job.facts, ImportFacts)
    if said.of_rows:
        starts = _starts(spool, job)
        with source_file(spool.import_source(job.number), folder, _unwatched) as file:
            table = open_table(
                file, Form(facts.form), charset=facts.charset, limits=SourceLimits(size_bytes=job.size_bytes)
            )
            visible = [sheet for sheet in table.sheets if not sheet.hidden]
            for sheet in visible:
                shown = sheet.name if len(visible) > 1 else ""  # as places of a source are told
                if shown in said.of_rows:
                    _write_sheet(book, sheet, said.of_rows[shown], said.heads, starts.get(shown, 1))
    if said.of_places or not said.of_rows:
        _write_places(book, said)
    kept = io.BytesIO()
    book.save(kept)
    return kept.getvalue()


def _unwatched() -> None:
    """Do nothing: no process is watched by how far this is."""


def _starts(spool: Spool, job: ImportJob) -> dict[str, int]:
    """Return by sheet the first row that belongs to a declaration: the heads are above it."""
    found: dict[str, int] = {}
    for body in bodies_of(spool, job):
        for sheet, first, _ in body.rows:
            found[sheet] = min(first, found.get(sheet, first))
    return found


def _write_sheet(
    book: NewWorkbook, sheet: Sheet, wanted: Mapping[int, Cells], further: Cells, start: int
) -> None:
    """Write the heads of a sheet, and those of its rows that something is said of."""
    written = book.create_sheet((sheet.name or "Sheet1")[:_TITLE_CHARS])
    last, heads = max(wanted), list[Sequence[str]]()
    width = 0
    for row in sheet.rows():
        if row.number > last:
            break
        if row.number < start and len(heads) < _HEAD_ROWS:
            heads.append(row.cells)
            width = max(width, len(row.cells))
            continue
        if heads:
            _write_heads(written, heads, width, further)
            heads = []
        if row.number in wanted:
            _append(written, row.cells, width, wanted[row.number])


def _write_heads(
    written: WriteOnlyWorksheet, heads: Sequence[Sequence[str]], width: int, further: Cells
) -> None:
    """Write what stands above the rows; the further heads are in the line of the heads, which is the last."""
    for cells in heads[:-1]:
        _append(written, cells, width, ())
    _append(written, heads[-1], width, further)


def _write_places(book: NewWorkbook, said: _Said) -> None:
    written = book.create_sheet("Sheet1" if not said.of_rows else "其他")
    _append(written, ("位置",), 1, said.heads)
    for place, cells in said.of_places:
        _append(written, (place,), 1, cells)


def _append(written: WriteOnlyWorksheet, cells: Sequence[str], width: int, further: Cells) -> None:
    padded = [*cells[:width], *[""] * (width - len(cells)), *further]
    written.append([_cell(written, text) for text in padded])


def _cell(written: WriteOnlyWorksheet, text: str) -> Any:
    """Return a cell that is a text whatever it looks like: `=…` is no formula, and long numbers keep their digits."""
    if not text:
        return None
    cell = WriteOnlyCell(written, ILLEGAL_CHARACTERS_RE.sub("\ufffd", str(text)))
    cell.data_type = "s"
    cell.number_format = "@"
    return cell
