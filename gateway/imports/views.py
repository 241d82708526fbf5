"""What the HTTP API says of imports, as typed values."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from gateway.imports.facts import (
    ImportFacts,
    ImportFault,
    ImportPlace,
    KeptBody,
    NamedMapping,
    PartFacts,
    RefusedBody,
    SaidNote,
    decoded,
    findings_of,
)
from gateway.imports.outcomes import BodyOutcome
from spool.imports import ACTIVE, ImportJob, MadePart, MadeRefusal

_PHASES: Mapping[str, str] = {"read": "reading", "check": "checking", "make": "making"}


class ImportView(Struct, frozen=True, kw_only=True):
    """A source of many declarations, and how far it is made into messages."""

    id: str
    state: str
    """`waiting`, `working`; `done`: every declaration is in a message or refused; `refused`: with `all_or_nothing` not all
    was sound and nothing was made; `duplicate`: an earlier import has the same values; `failed`; `cancelled`."""
    phase: str
    """While `working`: `reading`, `checking` (with `all_or_nothing`), `making`; else empty."""
    mappings: tuple[NamedMapping, ...]
    form: str
    """`csv`, `xlsx`, `json` or `ndjson`."""
    charset: str
    app_time: str
    all_or_nothing: bool
    size_bytes: int
    sha256: str
    """Hex, of the source as handed in."""
    values_sha256: str
    """Hex, of what it says, whatever its form; empty until it has been read."""
    rows: int | None
    """Rows of data; null: not known yet, or no table."""
    position: int
    """Declarations that are looked at, under the present mapping."""
    mapping: int
    """Number of the present mapping, from 0."""
    messages: int
    declarations: int
    """In these messages."""
    refused: int
    """Declarations that are in no message."""
    created_at: datetime
    updated_at: datetime
    duplicate_of: str
    """Id of the earlier import with the same values."""
    problem: str
    """Why it failed, by its code; empty: it did not."""
    faults: tuple[ImportFault, ...]
    """Why it failed."""
    notes: tuple[SaidNote, ...]
    """What was understood in a certain way: formulas, hidden sheets, totals rows."""
    unconsumed: tuple[str, ...]
    """Columns and fields that no mapping reads."""


class RowsView(Struct, frozen=True, kw_only=True):
    """Consecutive rows of a sheet."""

    sheet: str
    first: int
    last: int


class SourceBodyView(Struct, frozen=True, kw_only=True):
    """Where a declaration is in the source."""

    number: int
    """Among all declarations under the mapping, from 1."""
    place: str
    """`row 17`, `/orders/3`."""
    rows: tuple[RowsView, ...]
    """Of a table."""


class MadeMessageView(Struct, frozen=True, kw_only=True):
    """A message that was made of a source."""

    number: int
    message_id: str
    cop_msg_id: str
    mapping: str
    declarations: tuple[SourceBodyView, ...]
    """In the order in which they are in the message."""


class RefusedView(Struct, frozen=True, kw_only=True):
    """A declaration of a source that is in no message."""

    number: int
    mapping: str
    declaration: SourceBodyView
    faults: tuple[ImportFault, ...]


class ImportDetailView(Struct, frozen=True, kw_only=True):
    """An import, with a page of what was made and a page of what was refused."""

    summary: ImportView
    accepted: tuple[MadeMessageView, ...]
    accepted_after: int
    """For the next page of `accepted`."""
    refused: tuple[RefusedView, ...]
    refused_after: int
    """For the next page of `refused`."""


class ImportsView(Struct, frozen=True, kw_only=True):
    """A page of imports, newest first."""

    imports: tuple[ImportView, ...]
    before: int
    """For the next page; 0: this is the last."""


class OutcomeView(Struct, frozen=True, kw_only=True):
    """What became of one declaration of a source, in Chinese; empty where there is nothing to say."""

    place: str
    """In the source: `row 17`, `/orders/3`."""
    rows: tuple[RowsView, ...]
    """Of a table."""
    outcome: str
    declaration: str
    """Message type and business key, as `GET /v1/declarations` takes them."""
    message_id: str
    status: str
    """Code of what customs said last."""
    meaning: str
    """Of that code; of a refused declaration, why it was refused."""
    info: str
    """What customs wrote beside the code."""
    time: str


class ResultView(Struct, frozen=True, kw_only=True):
    """A page of the declarations of a source: what was made in order, then what was refused."""

    declarations: tuple[OutcomeView, ...]
    after: int
    """For the next page; more may be made in the meantime."""


def import_view(job: ImportJob) -> ImportView:
    """Return an import as it stands."""
    facts, found = decoded(job.facts, ImportFacts), findings_of(job.findings)
    place = decoded(job.at, ImportPlace)
    return ImportView(
        id=job.uid,
        state=job.state.value,
        phase=_PHASES[place.phase] if job.state in ACTIVE else "",
        mappings=facts.mappings,
        form=facts.form,
        charset=facts.charset,
        app_time=facts.app_time,
        all_or_nothing=facts.all_or_nothing,
        size_bytes=job.size_bytes,
        sha256=job.sha256.hex(),
        values_sha256=found.values_sha256,
        rows=found.rows,
        position=place.body,
        mapping=place.mapping,
        messages=job.messages,
        declarations=job.bodies,
        refused=job.refused,
        created_at=job.created_at,
        updated_at=job.updated_at,
        duplicate_of=job.first,
        problem=found.problem,
        faults=found.faults,
        notes=found.notes,
        unconsumed=found.unconsumed,
    )


def detail_view(
    job: ImportJob,
    parts: Sequence[MadePart],
    refusals: Sequence[MadeRefusal],
    *,
    accepted_after: int,
    refused_after: int,
) -> ImportDetailView:
    """Return an import with these pages, which came after these numbers."""
    names = [one.name for one in decoded(job.facts, ImportFacts).mappings]
    return ImportDetailView(
        summary=import_view(job),
        accepted=tuple([_made(part, names) for part in parts]),
        accepted_after=parts[-1].number if parts else accepted_after,
        refused=tuple([_refused(one, names) for one in refusals]),
        refused_after=refusals[-1].number if refusals else refused_after,
    )


def imports_view(jobs: Sequence[ImportJob], limit: int) -> ImportsView:
    """Return a page of imports."""
    return ImportsView(
        imports=tuple(map(import_view, jobs)), before=jobs[-1].number if len(jobs) == limit else 0
    )


def result_view(found: Sequence[BodyOutcome], after: int) -> ResultView:
    """Return a page of outcomes, the first of which is that of declaration `after`, from 0."""
    return ResultView(declarations=tuple(map(_outcome, found)), after=after + len(found))


def _outcome(one: BodyOutcome) -> OutcomeView:
    return OutcomeView(
        place=one.body.place,
        rows=_rows(one.body),
        outcome=one.outcome,
        declaration=one.declaration,
        message_id=one.message_id,
        status=one.status,
        meaning=one.meaning,
        info=one.info,
        time=one.time,
    )


def _made(part: MadePart, names: Sequence[str]) -> MadeMessageView:
    facts = decoded(part.facts, PartFacts)
    return MadeMessageView(
        number=part.number,
        message_id=part.uid,
        cop_msg_id=part.uid,  # what comes without an envelope travels under its id
        mapping=names[facts.mapping],
        declarations=tuple(map(_body, facts.bodies)),
    )


def _refused(refusal: MadeRefusal, names: Sequence[str]) -> RefusedView:
    facts = decoded(refusal.facts, RefusedBody)
    return RefusedView(
        number=refusal.number,
        mapping=names[facts.mapping],
        declaration=_body(facts.body),
        faults=facts.faults,
    )


def _body(body: KeptBody) -> SourceBodyView:
    return SourceBodyView(number=body.ordinal + 1, place=body.place, rows=_rows(body))


def _rows(body: KeptBody) -> tuple[RowsView, ...]:
    return tuple([RowsView(sheet=sheet, first=first, last=last) for sheet, first, last in body.rows])
