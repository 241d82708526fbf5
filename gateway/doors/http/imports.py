"""Sources of many declarations over HTTP: handed in, looked at, cancelled (docs/imports.md)."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from gateway.config.gateway_toml import ImportsConfig
from gateway.doors.http.forms import FORM_OF, charset_of, media_type, other_form, unknown_mapping
from gateway.doors.http.operations import IMPORT_PAGE, IMPORT_PAGE_AT_MOST, MAPPINGS_AT_MOST, PART_BYTES
from gateway.doors.http.query_parameters import (
    check_media_type,
    flag,
    message_id,
    number,
    text_if_there,
    time_given,
)
from gateway.doors.http.request_body import header, shown
from gateway.doors.http.request_signature import OTHER_BODY
from gateway.doors.http.responses import over_quota
from gateway.doors.http.services import (
    RETRY_AFTER_S,
    HttpServices,
    ProblemError,
    check_announced,
    ok_response,
    too_large,
)
from gateway.imports.facts import ROWS_OF_A_FILE, ImportFacts, NamedMapping, journal_detail
from gateway.imports.outcomes import BodyOutcome, outcomes
from gateway.imports.taking import ComingSource
from gateway.imports.views import detail_view, import_view, imports_view, result_view
from gateway.mapping.language import SourceMapping
from gateway.mapping.sources.item import shortened
from gateway.mapping.sources.table import MEDIA, Form
from gateway.mapping.translate import usual_form
from gateway.mapping.translation import FORMS
from gateway.model import Enterprise, Fault
from gateway.observe.log import log
from gateway.submission.quotas import Cost
from spool.entry import Note
from spool.imports import CHUNK_BYTES, ImportJob
from spool.store import Spool

PATH: Final = "/v1/imports"
_AT_A_TIME: Final = 8
"""Sources of all enterprises that come at the same time; of one enterprise: `_OF_ONE`."""
_OF_ONE: Final = 2
_UNSAID: Final = ("application/octet-stream", "application/vnd.ms-excel")
"""Media types that programs give to sheets of any form: the first bytes say what it is."""
_ZIP: Final = b"PK\x03\x04"
_UNDER_WAY: Final = Fault(
    rule="imports_under_way",
    message="other sources are being handed in at the moment; nothing was taken",
    message_zh="正在接收其他导入文件，本次未接收",
    fix="send it again in a few seconds, and fewer at the same time",
    fix_zh="请几秒后重新提交，并减少同时提交的数量",
)


class ImportHandlers:
    """The handlers; one instance, in the event loop."""

    def __init__(self) -> None:
        self._coming: dict[str, int] = {}
        """Owner → sources that are coming."""

    async def post(self, request: Request, services: HttpServices, caller: Enterprise) -> Response:
        """Take a source in; it is durable when this answers."""
        content_type = header(request, b"content-type")
        mappings = _mappings(request, services)
        check_media_type(content_type, (*FORM_OF, *_UNSAID))
        app_time = time_given("app_time", request.query_params.get("app_time"))
        whole = flag("all_or_nothing", request.query_params.get("all_or_nothing"))
        charset = text_if_there(request, "charset") or charset_of(content_type)
        self._see_room(request, services, caller)
        with self._turn(caller):
            coming = ComingSource(services.uploads, caller.id)
            try:
                await _receive(request, coming, services.imports.size_bytes)
                form = _form(content_type, coming.head, mappings)
                services.intake.quotas.charge(caller, Cost(size_bytes=coming.size))
                facts = ImportFacts(
                    mappings=tuple([NamedMapping(name=one.name, sha256=one.sha256) for one in mappings]),
                    form=form.value,
                    charset=charset,
                    app_time=app_time,
                    all_or_nothing=whole,
                )
                uid, first = await coming.finish(facts)
            finally:
                coming.give_up()
        job = _found(await services.uploads.run(lambda spool: spool.import_job(uid, owner=caller.id)))
        return _json(import_view(job), 202 if first else 200, {"Location": f"{PATH}/{uid}"})

    async def list(self, request: Request, services: HttpServices, caller: Enterprise) -> Response:
        """Return a page of the caller's imports."""
        before = number(request, "before", least=0, most=10**18 - 1) or 0
        limit = number(request, "limit", least=1, most=IMPORT_PAGE_AT_MOST) or IMPORT_PAGE
        return _json(imports_view(services.spool.imports(caller.id, before=before, limit=limit), limit))

    async def get(self, request: Request, services: HttpServices, caller: Enterprise) -> Response:
        """Say how an import stands, with a page of what was made and one of what was refused."""
        accepted = number(request, "accepted_after", least=0, most=10**18 - 1) or 0
        refused = number(request, "refused_after", least=0, most=10**18 - 1) or 0
        limit = number(request, "limit", least=1, most=IMPORT_PAGE_AT_MOST) or IMPORT_PAGE
        job = _job(request, services, caller)
        return _json(
            detail_view(
                job,
                services.spool.import_parts(job.number, after=accepted, limit=limit),
                services.spool.import_refusals(job.number, after=refused, limit=limit),
                accepted_after=accepted,
                refused_after=refused,
            )
        )

    async def delete(self, request: Request, services: HttpServices, caller: Enterprise) -> Response:
        """Cancel what is not made yet; an import that is over stays as it is."""
        job = _job(request, services, caller)
        note = Note(
            event="import.ended",
            uid=job.uid,
            detail=journal_detail(enterprise=caller.id, state="cancelled", refused=job.refused, problem=""),
        )
        if services.spool.cancel_import(caller.id, job.uid, notes=[note]):
            log(
                "import.ended",
                enterprise=caller.id,
                import_id=job.uid,
                state="cancelled",
                refused=job.refused,
                problem="",
            )
        return _json(import_view(_job(request, services, caller)))

    async def source(self, request: Request, services: HttpServices, caller: Enterprise) -> Response:
        """Return a part of the source, byte for byte."""
        job, part = _job(request, services, caller), _part(request)
        if part * PART_BYTES >= max(job.size_bytes, 1):
            raise ProblemError("not-found")
        chunks = PART_BYTES // CHUNK_BYTES
        body = await services.reports.run(
            lambda spool: b"".join(
                spool.import_source(job.number, start=part * chunks, end=(part + 1) * chunks)
            )
        )
        return Response(body, media_type="application/octet-stream")

    async def outcomes(self, request: Request, services: HttpServices, caller: Enterprise) -> Response:
        """Return a page of what became of each declaration."""
        after = number(request, "after", least=0, most=10**18 - 1) or 0
        limit = number(request, "limit", least=1, most=IMPORT_PAGE_AT_MOST) or IMPORT_PAGE
        job = _job(request, services, caller)

        def made(spool: Spool) -> list[BodyOutcome]:
            return list(islice(outcomes(spool, job, services.rules.codes, after), limit))

        return _json(result_view(await services.reports.run(made), after))

    async def refused(self, request: Request, services: HttpServices, caller: Enterprise) -> Response:
        """Return the refused rows as they came, with a column that says why."""
        job, part = _job(request, services, caller), _part(request)
        if part and part * ROWS_OF_A_FILE >= job.refused:
            raise ProblemError("not-found")
        from gateway.imports.sheets import refused_sheet  # noqa: PLC0415 (what writes sheets is loaded by the first)

        body = await services.reports.run(
            lambda spool: refused_sheet(spool, job, part, folder=services.folder)
        )
        return Response(body, media_type=MEDIA[Form.XLSX])

    async def result(self, request: Request, services: HttpServices, caller: Enterprise) -> Response:
        """Return every row with what customs said of it."""
        job, part = _job(request, services, caller), _part(request)
        if part and part * ROWS_OF_A_FILE >= job.refused + job.bodies:
            raise ProblemError("not-found")

        from gateway.imports.sheets import result_sheet  # noqa: PLC0415

        def made(spool: Spool) -> bytes:
            return result_sheet(spool, job, part, rules=services.rules, folder=services.folder)

        return Response(await services.reports.run(made), media_type=MEDIA[Form.XLSX])

    def _see_room(self, request: Request, services: HttpServices, caller: Enterprise) -> None:
        """Refuse, before the body is read, what there is no room for. Raises ProblemError."""
        refusals = services.gauge.refusals()
        if refusals:
            raise ProblemError("unavailable", *refusals, headers={"Retry-After": RETRY_AFTER_S})
        told = header(request, b"content-length")
        check_announced(told, services.imports.size_bytes)
        announced = int(told) if told.isdigit() else 0
        held, bounds = services.spool.open_imports(caller.id), services.imports
        if held.jobs >= bounds.jobs_per_enterprise or held.size_bytes + announced > bounds.kept_bytes:
            full = held.jobs < bounds.jobs_per_enterprise
            raise ProblemError("quota-exceeded", _too_many(bounds, full=full), headers={"Retry-After": "60"})
        if caller.quota is not None:
            over = services.intake.quotas.over(caller, Cost(size_bytes=announced, declarations=1))
            if over is not None:
                raise over_quota(over)

    @contextmanager
    def _turn(self, caller: Enterprise) -> Iterator[None]:
        """Bound how many sources are on their way. Raises ProblemError."""
        mine = self._coming.get(caller.id, 0)
        if mine >= _OF_ONE or sum(self._coming.values()) >= _AT_A_TIME:
            raise ProblemError("unavailable", _UNDER_WAY, headers={"Retry-After": RETRY_AFTER_S})
        self._coming[caller.id] = mine + 1
        try:
            yield
        finally:
            self._coming[caller.id] -= 1
            if not self._coming[caller.id]:
                del self._coming[caller.id]


async def _receive(request: Request, coming: ComingSource, limit: int) -> None:
    """Take in the body as it comes; refuse one that is not the signed one. Raises ProblemError."""
    async for part in request.stream():
        if coming.size + len(part) > limit:
            raise too_large()
        await coming.add(part)
    await coming.flush()
    signature = shown(request).signature
    promised = "" if signature is None else signature.content_sha256
    if promised and coming.sha256.hex() != promised:
        raise ProblemError("unauthorised", OTHER_BODY)


def _mappings(request: Request, services: HttpServices) -> tuple[SourceMapping, ...]:
    """Return the mappings that are named, each once. Raises ProblemError."""
    names = [one for one in (text_if_there(request, "mapping") or "").split(",") if one]
    if not names or len(names) > MAPPINGS_AT_MOST or len(set(names)) < len(names):
        raise ProblemError(
            "bad-request",
            Fault(
                path="mapping",
                rule="mappings",
                message=f"mapping must name 1 to {MAPPINGS_AT_MOST} mappings, each once",
                message_zh=f"mapping须指定1至{MAPPINGS_AT_MOST}个映射，且不得重复",
                fix="ask with ?mapping=NAME, or ?mapping=NAME,NAME for several message types of one sheet",
                fix_zh="请使用?mapping=NAME；一个表格生成多种报文时，请使用?mapping=NAME,NAME",
            ),
        )
    found = [services.mappings.get(name) for name in names]
    missing = [name for name, one in zip(names, found, strict=True) if one is None]
    if missing:
        raise ProblemError("unknown-mapping", *[unknown_mapping(shortened(name)) for name in missing])
    return tuple([one for one in found if one is not None])


def _form(content_type: str, head: bytes, mappings: tuple[SourceMapping, ...]) -> Form:
    """Say how the source is written, and that every mapping reads that. Raises ProblemError."""
    form = FORM_OF.get(media_type(content_type)) or (
        Form.XLSX if head.startswith(_ZIP) else usual_form(mappings[0])
    )
    for mapping in mappings:
        if form not in FORMS[mapping.source]:
            raise ProblemError("unsupported-media-type", other_form(mapping))
    return form


def _too_many(bounds: ImportsConfig, *, full: bool) -> Fault:
    if full:
        size = bounds.kept_bytes // 1024**2
        return Fault(
            rule="imports_kept",
            message=f"the sources of your imports that are kept would take more than {size} MB; nothing was taken",
            message_zh=f"已保存的导入文件总量将超过{size} MB，本次未接收",
            fix="wait until older ones are deleted, or ask the operator for more room",
            fix_zh="请等待较早的文件删除后再提交，或联系网关运营方",
        )
    most = bounds.jobs_per_enterprise
    return Fault(
        rule="imports_open",
        message=f"{most} of your imports are not over yet; nothing was taken",
        message_zh=f"已有{most}个导入任务未完成，本次未接收",
        fix="wait until one of them is over, or cancel one",
        fix_zh="请等待其中一个完成，或取消其中一个",
    )


def _job(request: Request, services: HttpServices, caller: Enterprise) -> ImportJob:
    """Return the import that the path names, if it is the caller's. Raises ProblemError."""
    return _found(services.spool.import_job(message_id(request), owner=caller.id))


def _found(job: ImportJob | None) -> ImportJob:
    if job is None:
        raise ProblemError("not-found")
    return job


def _part(request: Request) -> int:
    return number(request, "part", least=0, most=10**6) or 0


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    answer = ok_response(value, status)
    return Response(answer.body, status_code=status, media_type=answer.media_type, headers=headers)
