"""Rows of a source given back as a sheet: the refused ones with the reason, or every one with what customs said of it."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from openpyxl import Workbook as NewWorkbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.worksheet._write_only import WriteOnlyWorksheet

from gateway.facts import message_facts
from gateway.identity import lookup_text
from gateway.imports.facts import (
    ROWS_OF_A_FILE,
    ImportFacts,
    ImportFault,
    KeptBody,
    PartFacts,
    RefusedBody,
    decoded,
)
from gateway.imports.source_file import source_file
from gateway.mapping.sources.opening import open_table
from gateway.mapping.sources.table import Form, Sheet, SourceLimits
from gateway.model import Layer
from gateway.rules.codes import TAX_BILLS, Codes
from gateway.rules.loading import Rules
from gateway.views.api import AnswerView, answer_views
from spool.entry import MessageView
from spool.imports import ImportJob
from spool.lifecycle import State
from spool.store import Spool

_PAGE: Final = 1000
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
_STATES: Final[Mapping[State, str]] = {
    State.READY: "待发送",
    State.SENDING: "发送中",
    State.SENT: "已发往海关，暂无回执",
    State.HELD: "已暂停发送",
    State.DEAD: "发送失败，待运营方处理",
    State.DISCARDED: "已放弃发送",
}
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
    for refused in _refused_bodies(spool, job, after=part * ROWS_OF_A_FILE, limit=ROWS_OF_A_FILE):
        said.add(refused.body, _why(refused.faults))
    return _written(spool, job, said, folder)


def result_sheet(spool: Spool, job: ImportJob, part: int, *, rules: Rules, folder: Path) -> bytes:
    """Return a part of all declarations as they came, with what became of each. Raises SpoolError."""
    said = _Said(_RESULT)
    start = part * ROWS_OF_A_FILE
    for body, cells in islice(_results(spool, job, rules.codes, start), ROWS_OF_A_FILE):
        said.add(body, cells)
    return _written(spool, job, said, folder)


def _results(spool: Spool, job: ImportJob, codes: Codes, start: int) -> Iterator[tuple[KeptBody, Cells]]:
    """Yield what was made and then what was refused, from the declaration `start` on, each with what became of it."""
    passed = 0
    for uid, bodies, facts in _parts(spool, job):
        if passed + bodies <= start:
            passed += bodies
            continue
        view = spool.message(uid, owner=job.owner)
        for place, body in enumerate(decoded(facts, PartFacts).bodies):
            if passed >= start:
                yield body, _outcome(spool, view, uid, place, codes)
            passed += 1
    for refused in _refused_bodies(spool, job, after=max(0, start - passed), limit=ROWS_OF_A_FILE):
        yield refused.body, ("未接收", "", "", _texts(one.message_zh for one in refused.faults), "", "")


def _parts(spool: Spool, job: ImportJob) -> Iterator[tuple[str, int, bytes]]:
    after = 0
    while page := spool.import_parts(job.number, after=after, limit=_PAGE):
        for one in page:
            yield one.uid, one.bodies, one.facts
        after = page[-1].number


def _refused_bodies(spool: Spool, job: ImportJob, *, after: int, limit: int) -> Iterator[RefusedBody]:
    end = after + limit
    while after < end and (
        page := spool.import_refusals(job.number, after=after, limit=min(_PAGE, end - after))
    ):
        for one in page:
            yield decoded(one.facts, RefusedBody)
        after = page[-1].number


def _outcome(spool: Spool, view: MessageView | None, uid: str, place: int, codes: Codes) -> Cells:
    """Say in Chinese how one declaration of a message stands."""
    if view is None:
        return "已归档", uid, "", "", "", ""
    declared = message_facts(view.facts).declarations
    name = lookup_text(view.kind, declared[place].key.items()) if place < len(declared) else ""
    told = answer_views(spool.timeline(view.owner, name), codes) if name else ()
    answers = [one for one in told if one.message_type not in TAX_BILLS]
    if not answers:
        return _STATES[view.state], uid, "", "", "", ""
    last = max(answers, key=_weight)
    return "已有回执", uid, last.status, last.meaning.zh, last.info, last.time


def _weight(answer: AnswerView) -> tuple[bool, str]:
    """Order answers: customs' own before those of the exchange, later before earlier."""
    return answer.layer != Layer.TRANSPORT, answer.time


def _why(faults: Sequence[ImportFault]) -> Cells:
    zh = _texts(f"{one.message_zh}；{one.fix_zh}" if one.fix_zh else one.message_zh for one in faults)
    en = _texts(f"{one.message}; {one.fix}" if one.fix else one.message for one in faults)
    return zh, en, _texts(one.source for one in faults)


def _texts(texts: Iterable[str]) -> str:
    return "\n".join(dict.fromkeys(text for text in texts if text))


def _joined(earlier: Cells, cells: Cells) -> Cells:
    return tuple([_texts((one, other)) for one, other in zip(earlier, cells, strict=True)])


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

    def look(bodies: Iterable[KeptBody]) -> None:
        for body in bodies:
            for sheet, first, _ in body.rows:
                found[sheet] = min(first, found.get(sheet, first))

    for _, _, facts in _parts(spool, job):
        look(decoded(facts, PartFacts).bodies)
    look(one.body for one in _refused_bodies(spool, job, after=0, limit=job.refused))
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
