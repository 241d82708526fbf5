"""One claimed import: from its position on, step by step, each step one commit."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from msgspec import structs

from gateway.errors import Refused
from gateway.goods.register import GoodsOfDay, OwnTables
from gateway.imports.facts import (
    ImportFacts,
    ImportFault,
    ImportFindings,
    ImportPlace,
    PartFacts,
    RefusedBody,
    decoded,
    encoded,
    findings_of,
    journal_detail,
    kept_body,
    kept_fault,
    refused_body,
    said,
    spans,
    values_name,
)
from gateway.imports.portion import JudgedPortion
from gateway.imports.source_file import source_file
from gateway.imports.step_commit import StepCommit
from gateway.mapping.language import SourceMapping
from gateway.mapping.sources.table import Form, SourceLimits
from gateway.mapping.translation import Portion, Source, Translation, open_translation
from gateway.model import BEIJING, Enterprise
from gateway.observe.log import log
from gateway.observe.role_metrics import count_import, count_import_declarations
from gateway.processes.heartbeat import beat
from gateway.submission.intake import (
    AcceptedSubmission,
    Busy,
    ConflictingSubmission,
    ExaminedSubmission,
    Intake,
    SubmissionResult,
)
from gateway.submission.pipeline import Refusal
from gateway.submission.quotas import OverQuota
from spool.entry import Conflict, Note
from spool.imports import ClaimedImport, ClaimLostError, ImportPart, ImportRefusal, ImportStep, JobState
from spool.store import Spool

LEASE_S: Final = 60.0
CLAIMS_AT_MOST: Final = 3
"""A job that was claimed so many times without a step is given up: it may be what kills its holders."""
_BUSY_S: Final = 5.0
"""How long an import whose key has too long a queue is left alone."""
_TOO_EXPENSIVE: Final = ImportFault(
    rule="too_expensive",
    message=f"this source was begun {CLAIMS_AT_MOST} times and never got on: it takes more time or memory than one may",
    message_zh=f"该文件已尝试处理{CLAIMS_AT_MOST}次均无进展：所需时间或内存超过上限",
    fix="split it into several files, and save it anew with the program that it comes from",
    fix_zh="请拆分为多个文件，并用原软件重新保存后提交",
)
_CHANGED: Final = ImportFault(
    rule="mapping_changed",
    message="a mapping that this source was handed in under has been changed or taken away since",
    message_zh="提交该文件时所用的映射已被修改或删除",
    fix="hand the rest in again; what was made stays",
    fix_zh="请重新提交剩余部分；已生成的报文继续有效",
)


class Went(NamedTuple):
    """How a step went."""

    over: bool = False
    """The import has ended, or is no longer ours."""
    wait_s: float = 0.0
    """Nothing was made, and nothing can be made before."""


_ON: Final = Went()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportTools:
    """What all imports of one process are made with."""

    spool: Spool
    intake: Intake
    commit: StepCommit
    """Where `intake` puts what it takes."""
    judge: Callable[[bytes, Enterprise], ExaminedSubmission | Refusal]
    own: Callable[[str], OwnTables | None]
    mappings: Mapping[str, SourceMapping]
    limits: SourceLimits
    folder: Path
    """Where sources are files while they are read."""
    clock: Callable[[], float] = time.monotonic


@dataclass(slots=True, kw_only=True)
class OpenImport:
    """A claimed import with its source open."""

    claimed: ClaimedImport
    caller: Enterprise
    tools: ImportTools
    place: ImportPlace = field(init=False)
    facts: ImportFacts = field(init=False)
    findings: ImportFindings = field(init=False)
    opened_at: float = field(init=False)
    _file: BinaryIO | None = None
    _translation: Translation | None = None
    _portions: Iterator[Portion] | None = None
    _waiting: Portion | None = None
    """Taken from `_portions`, and not committed yet."""
    _renew_at: float = 0.0
    _refused: int = 0

    def __post_init__(self) -> None:
        self.facts = decoded(self.claimed.facts, ImportFacts)
        self.findings = findings_of(self.claimed.findings)
        self.place = decoded(self.claimed.at, ImportPlace)
        self.opened_at = self._renewed()
        self._refused = self.claimed.refused

    @property
    def suspect(self) -> bool:
        """Whether it was begun before and has not got on since."""
        return self.claimed.claims > 1

    def step(self) -> Went:
        """Do one step. Raises SpoolError, ClaimLostError among them: the import is not ours any more."""
        if self.claimed.claims > CLAIMS_AT_MOST:
            return self._fail("too-expensive", _TOO_EXPENSIVE)
        if any(self._mapping(number) is None for number in range(len(self.facts.mappings))):
            return self._fail("unknown-mapping", _CHANGED)
        try:
            return self._read() if self.place.phase == "read" else self._go_on()
        except Refused as refused:
            return self._fail(refused.problem, *map(kept_fault, refused.faults))

    def alive(self) -> None:
        """Show that it goes on: to the supervisor, and to others who would take the job."""
        beat()
        if self.tools.clock() < self._renew_at:
            return
        if not self.tools.spool.renew_import(self.claimed.job, self.claimed.claim, lease_s=LEASE_S):
            raise ClaimLostError("the import has ended, or another process works on it")
        self._renewed()

    def release(self, due: datetime | None = None) -> None:
        """Give the job back. Raises SpoolError."""
        self.close()
        self.tools.spool.release_import(self.claimed.job, self.claimed.claim, due=due)

    def close(self) -> None:
        """Close the source."""
        self._close_translation()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _close_translation(self) -> None:
        if self._translation is not None:
            self._translation.close()
        self._portions = self._translation = None

    def _renewed(self) -> float:
        now = self.tools.clock()
        self._renew_at = now + LEASE_S / 3
        return now

    def _mapping(self, number: int) -> SourceMapping | None:
        """Return one of the mappings; None when it is not what it was when the source was handed in."""
        named = self.facts.mappings[number]
        found = self.tools.mappings.get(named.name)
        return found if found is not None and found.sha256 == named.sha256 else None

    def _opened(self) -> Translation:
        """Return the source under the present mapping, opened. Raises Refused."""
        mapping = self._mapping(self.place.mapping)
        assert mapping is not None  # noqa: S101 (`step` has looked)
        if self._file is None:
            chunks = self.tools.spool.import_source(self.claimed.job)
            self._file = source_file(chunks, self.tools.folder, self.alive)
        if self._translation is None:
            source = Source(
                content=self._file,
                form=Form(self.facts.form),
                charset=self.facts.charset,
                app_time=self.facts.app_time,
            )
            tables = self.tools.own(self.caller.id)
            goods = None if tables is None else tables.goods
            self._translation = open_translation(
                mapping,
                source,
                None if goods is None else GoodsOfDay(goods, datetime.now(BEIJING).strftime("%Y%m%d")),
                limits=self.tools.limits,
            )
        return self._translation

    def _read(self) -> Went:
        """Read the source once: what it holds, and whether the same was handed in before."""
        translation = self._opened()
        values = translation.values_sha256
        self.findings = structs.replace(self.findings, rows=translation.rows, values_sha256=values)
        self.place = ImportPlace(phase="check" if self.facts.all_or_nothing else "make")
        self._commit(self._step(values=values_name(self.facts, values)))
        job = self.tools.spool.import_job(self.claimed.uid)
        if job is not None and job.state is JobState.DUPLICATE:
            self._ended(JobState.DUPLICATE)
            return Went(over=True)
        return _ON

    def _go_on(self) -> Went:
        translation = self._opened()
        if self._portions is None:
            self._portions = translation.portions(self.place.body)
        portion = self._waiting or next(self._portions, None)
        if portion is None:
            return self._next_mapping(translation)
        self._waiting = portion
        went = (
            self._check(translation, portion)
            if self.place.phase == "check"
            else self._make(translation, portion)
        )
        if not went.wait_s:
            self._waiting = None
        return went

    def _next_mapping(self, translation: Translation) -> Went:
        """Go on with the source under the next mapping, in the next phase, or end."""
        self._told(translation)
        self._close_translation()
        if self.place.mapping + 1 < len(self.facts.mappings):
            self.place = ImportPlace(phase=self.place.phase, mapping=self.place.mapping + 1)
            self._commit(self._step())
        elif self.place.phase == "make":
            return self._end(JobState.DONE)
        elif self._refused:
            return self._end(JobState.REFUSED)
        else:
            self.place = ImportPlace(phase="make")
            self._commit(self._step())
        return _ON

    def _told(self, translation: Translation) -> None:
        """Remember what the source was understood as, and what no mapping reads."""
        notes = dict.fromkeys((*self.findings.notes, *said(translation.notes)))
        unread = translation.unconsumed
        if self.place.mapping:
            unread = [one for one in self.findings.unconsumed if one in set(unread)]
        self.findings = structs.replace(self.findings, notes=tuple(notes), unconsumed=tuple(unread))

    def _judged(self, translation: Translation, portion: Portion) -> JudgedPortion:
        judged = JudgedPortion(
            translation=translation, caller=self.caller, judge=self.tools.judge, bodies=portion.bodies
        )
        judged.refused += [(body, body.faults) for body in portion.refused]
        judged.look()
        return judged

    def _check(self, translation: Translation, portion: Portion) -> Went:
        """Judge a portion and keep nothing of it but what is wrong."""
        judged = self._judged(translation, portion)
        while judged.ready is not None:
            (reply,) = self.tools.spool.judge([judged.ready.new])
            if not isinstance(reply, Conflict):
                break
            judged.contradicted(reply)
        self._commit(self._past(portion, judged))
        return _ON

    def _make(self, translation: Translation, portion: Portion) -> Went:
        """Put what is sound of a portion into the spool, in one message, and account for the rest."""
        judged = self._judged(translation, portion)
        while judged.ready is not None and judged.made is not None:
            results: list[SubmissionResult | Exception] = []
            ready = structs.replace(
                judged.ready, new=structs.replace(judged.ready.new, origin=self._origin(judged))
            )
            self.tools.intake.take(ready, judged.made.document, self.caller, results.append)
            if results:
                self.tools.commit.drop()
                return _not_now(results[0])
            self._commit(self._past(portion, judged, made=True))
            (result,) = results
            match result:
                case AcceptedSubmission():
                    return _ON
                case ConflictingSubmission(conflict=conflict):
                    judged.contradicted(conflict)
                case Exception():
                    raise result
                case _:
                    raise RuntimeError(f"a judged message was not taken: {result}")
        self._commit(self._past(portion, judged))
        return _ON

    def _origin(self, judged: JudgedPortion) -> dict[str, str]:
        """Say in the journal from which rows of which source a message was made, and how: all that repeats it."""
        assert judged.made is not None  # noqa: S101 (a message was made)
        told = {
            **judged.made.origin,
            "source_sha256": self.claimed.sha256.hex(),
            "values_sha256": self.findings.values_sha256,
            "import": self.claimed.uid,
            "bodies": spans([body.ordinal for body in judged.bodies]),
        }
        return {name: text for name, text in told.items() if text}

    def _past(self, portion: Portion, judged: JudgedPortion, *, made: bool = False) -> ImportStep:
        """Return the step behind a portion; `made`: with its message."""
        refused = sorted(judged.refused, key=lambda one: one[0].ordinal)
        step = self._step(
            ImportPlace(phase=self.place.phase, mapping=self.place.mapping, body=portion.end),
            refusals=[refused_body(self.place.mapping, body, faults) for body, faults in refused],
        )
        if not made or judged.ready is None:
            return step
        bodies = tuple([kept_body(body) for body in judged.bodies])
        facts = encoded(PartFacts(mapping=self.place.mapping, bodies=bodies))
        part = ImportPart(uid=judged.ready.new.uid, bodies=len(bodies), facts=facts)
        return structs.replace(step, parts=(part,))

    def _step(
        self,
        place: ImportPlace | None = None,
        *,
        refusals: list[RefusedBody] | None = None,
        values: str = "",
        state: JobState = JobState.WORKING,
    ) -> ImportStep:
        return ImportStep(
            job=self.claimed.job,
            claim=self.claimed.claim,
            at=encoded(place or self.place).decode(),
            refusals=tuple([ImportRefusal(facts=encoded(one)) for one in refusals or ()]),
            values=values,
            findings=None if place is not None else encoded(self.findings),
            state=state,
            lease_s=LEASE_S,
        )

    def _commit(self, step: ImportStep, *notes: Note) -> None:
        """Commit a step; the import stands behind it then, unless a conflict made the step void."""
        if not self.tools.commit.commit(step, *notes):
            return
        self._renewed()
        self.claimed = structs.replace(self.claimed, claims=1)
        self.place = decoded(step.at, ImportPlace)
        self._refused += len(step.refusals)
        made = sum(part.bodies for part in step.parts)
        count_import_declarations(made, len(step.refusals))

    def _end(self, state: JobState) -> Went:
        detail = journal_detail(
            enterprise=self.caller.id, state=state.value, refused=self._refused, problem=self.findings.problem
        )
        self._commit(self._step(state=state), Note(event="import.ended", uid=self.claimed.uid, detail=detail))
        self._ended(state)
        return Went(over=True)

    def _fail(self, problem: str, *faults: ImportFault) -> Went:
        self.findings = structs.replace(self.findings, problem=problem, faults=faults)
        return self._end(JobState.FAILED)

    def _ended(self, state: JobState) -> None:
        self.close()
        count_import(state.value)
        log(
            "import.ended",
            enterprise=self.caller.id,
            import_id=self.claimed.uid,
            state=state.value,
            refused=self._refused,
            problem=self.findings.problem,
        )


def _not_now(result: SubmissionResult | Exception) -> Went:
    """Return how long to wait when a message was not taken for now."""
    match result:
        case OverQuota():
            return Went(wait_s=result.wait_s)
        case Busy():
            return Went(wait_s=_BUSY_S)
        case Exception():
            raise result
        case _:
            raise RuntimeError(f"a judged message was not taken: {result}")
