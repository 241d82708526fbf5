"""The HTTP door (docs/http-api.md) but for submissions; every handler is short because the work is elsewhere."""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from msgspec import structs
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gateway.config.in_force import ConfigState
from gateway.doors.http import openapi, operations
from gateway.doors.http.import_page import import_page, import_page_headers
from gateway.doors.http.imports import PATH as IMPORTS
from gateway.doors.http.imports import ImportHandlers
from gateway.doors.http.page import PAGE_HEADERS, page
from gateway.doors.http.query_parameters import (
    beyond,
    check_key,
    check_query,
    cursor_in,
    flag,
    message_id,
    number,
    one_number,
    receipt_id,
    text,
)
from gateway.doors.http.registers import PATHS, RegisterHandlers
from gateway.doors.http.request_body import read_body, shown
from gateway.doors.http.services import (
    RETRY_AFTER_S,
    HttpResponse,
    HttpServices,
    ProblemError,
    caller_of,
    log_failure,
    ok_response,
    problem_response,
)
from gateway.errors import EnvelopeError
from gateway.evidence.bundle import encode as encode_evidence
from gateway.evidence.exporter import NotSealedError
from gateway.evidence.kept_translation import KeptTranslation
from gateway.facts import message_facts
from gateway.identity import spellings
from gateway.judges.judge import Retranslate
from gateway.judges.waiting import verdict_of
from gateway.model import Enterprise, Fault
from gateway.observe.defects import RateLimit
from gateway.observe.log import log
from gateway.observe.metrics import MEDIA_TYPE
from gateway.provenance.repeat import RepeatedTranslation
from gateway.receipts.content import content_for
from gateway.views import api
from gateway.views.causes import Cause, Phrase, phrase
from gateway.views.parcels import matching_of, own_documents, parcel_view
from gateway.views.standing import standings
from spool.errors import SpoolError

_UNAVAILABLE: Final = RateLimit()
_SEALED_WITHIN_S = "5"
"""A log is sealed every few seconds while there is something to seal, and at least once a minute."""
_UNSEALED = Fault(
    rule="not_sealed",
    message="the log does not cover the last events of this message yet",
    message_zh="日志尚未覆盖该报文的最新事件",
    fix="ask again in a few seconds; it takes a minute at most",
    fix_zh="请几秒后再查询，最多一分钟",
)
_JUDGES_BUSY = Fault(
    rule="judges_busy",
    message="too much of yours waits to be checked",
    message_zh="等待检查的内容过多",
    fix="ask again in a few seconds, and for less at the same time",
    fix_zh="请几秒后再查询，并减少同时查询的数量",
)
_ASKED: Final[Mapping[str, str]] = MappingProxyType({"WWW-Authenticate": 'Bearer realm="metrics"'})
_NO_TOKEN = Fault(
    rule="metrics_token",
    message="the figures name enterprises, and no token is set for callers from elsewhere",
    message_zh="指标中含企业名称，尚未为外部访问设置令牌",
    fix="write a random token into a file, name it in [metrics] token_file and reload the gateway",
    fix_zh="请将随机令牌写入文件，在[metrics]的token_file中指定该文件，然后重新加载网关配置",
)
_POLLS = Fault(
    rule="polls_at_once",
    message="too many requests of this enterprise wait for receipts at the same time",
    message_zh="本企业同时等待回执的请求过多",
    fix="let one request wait and the others ask without wait=",
    fix_zh="请只保留一个等待的请求，其他请求不带wait=参数",
)

_ADVISED: Final = 3
"""Most declarations of one timeline that advice is given on: each may take judging a message of the largest size."""

Handler = Callable[[Request, HttpServices, Enterprise], Awaitable[Response]]


def build(services: HttpServices) -> Starlette:
    """Build the application that answers everything but submissions; only its event loop uses `services.spool`."""

    def at(path: str, handler: Handler, method: str) -> Route:
        return Route(path, _guarded(handler, services, f"{method} {path}"), methods=[method])

    def registers() -> Iterator[Route]:
        under_way: set[str] = set()
        for path, name in PATHS.items():
            one = RegisterHandlers(name, under_way)
            handlers = {"GET": one.get, "PUT": one.put, "DELETE": one.delete}
            ready = {
                method: _guarded(handler, services, f"{method} {path}")
                for method, handler in handlers.items()
            }
            yield Route(path, _by_method(ready), methods=list(ready))
            yield at(f"{path}/content", one.content, "GET")

    def imports() -> Iterator[Route]:
        one, path = ImportHandlers(), IMPORTS
        job = f"{path}/{{id}}"
        for where, handlers in (
            (path, {"GET": one.list, "POST": one.post}),
            (job, {"GET": one.get, "DELETE": one.delete}),
        ):
            ready = {
                method: _guarded(handler, services, f"{method} {where}")
                for method, handler in handlers.items()
            }
            yield Route(where, _by_method(ready), methods=list(ready))
        yield at(f"{job}/result", one.outcomes, "GET")
        yield at(f"{job}/source", one.source, "GET")
        yield at(f"{job}/refused.xlsx", one.refused, "GET")
        yield at(f"{job}/result.xlsx", one.result, "GET")

    app = Starlette(
        exception_handlers={404: _elsewhere, 405: _elsewhere},
        routes=[  # tried in this order: the most frequent first
            at("/v1/receipts", _get_receipts, "GET"),
            at("/v1/receipts/ack", _post_ack, "POST"),
            Route("/v1/messages", _never, methods=["POST"]),  # only for its 405
            at("/v1/messages/{id}", _get_message, "GET"),
            at("/v1/messages/{id}/content", _get_content, "GET"),
            at("/v1/messages/{id}/evidence", _get_evidence, "GET"),
            at("/v1/declarations", _get_declaration, "GET"),
            at("/v1/parcels", _get_parcel, "GET"),
            at("/v1/receipts/{id}/content", _get_receipt_content, "GET"),
            *registers(),
            *imports(),
            at("/v1/mappings", _get_mappings, "GET"),
            _open("/healthz", lambda: _alive(services)),
            _open("/readyz", lambda: _ready(services)),
            Route("/metrics", _figures(services), methods=["GET"]),
            _open("/openapi.json", lambda: _json(openapi.document())),
            _open("/docs", lambda: HTMLResponse(page(), headers=PAGE_HEADERS)),
            _open("/import", lambda: HTMLResponse(import_page(), headers=import_page_headers())),
        ],
    )
    app.router.redirect_slashes = False  # a redirect would go to the host that the caller named itself
    return app


async def _never(_request: Request) -> Response:
    raise AssertionError(
        "submissions are taken out of the stream of requests before"
    )  # by doors.http.protocol


async def _elsewhere(request: Request, error: Exception) -> Response:
    """Answer requests without a handler: unknown path, or another method."""
    known = isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    headers = error.headers if isinstance(error, HTTPException) else None
    problem = "method-not-allowed" if known else "not-found"
    return _response(problem_response(problem, request.url.path, headers=headers))


def _guarded(
    handler: Handler, services: HttpServices, operation: str
) -> Callable[[Request], Awaitable[Response]]:
    async def guarded(request: Request) -> Response:
        try:
            caller = caller_of(shown(request), services)
            request.scope["state"]["known"](caller.id)
            check_query(_query(request), operation)
            response = await handler(request, services, caller)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:  # noqa: BLE001 (the caller gets an answer, the log the reason)
            answer = log_failure(error, request.url.path, operation, services.meter)
            if answer.delay_s:
                await asyncio.sleep(answer.delay_s)  # a timer of this request only
            return _response(answer)
        services.meter.answered(operation)
        return response

    return guarded


def _by_method(
    handlers: Mapping[str, Callable[[Request], Awaitable[Response]]],
) -> Callable[[Request], Awaitable[Response]]:
    """Let the method of a request say who answers it; HEAD is answered as GET."""

    async def answer(request: Request) -> Response:
        return await handlers.get(request.method, handlers["GET"])(request)

    return answer


def _open(path: str, answer: Callable[[], Response]) -> Route:
    """Route an operation that needs no authentication."""

    def asked(request: Request) -> Response:
        try:
            check_query(_query(request), f"GET {path}")
        except ProblemError as problem:
            return _response(problem_response(problem.problem, path, problem.faults))
        return answer()

    return Route(path, asked, methods=["GET"])


def _query(request: Request) -> str:
    return str(request.scope["query_string"], "latin-1")


async def _get_message(request: Request, services: HttpServices, caller: Enterprise) -> Response:
    ways = services.spool.ways(message_id(request))
    if not ways or ways[0].owner != caller.id:
        raise ProblemError("not-found")
    return _json(api.status_view(ways[0], ways, await services.advising.advice_on(ways[0])))


async def _get_content(request: Request, services: HttpServices, caller: Enterprise) -> Response:
    uid = message_id(request)
    body = services.spool.body(uid) if services.spool.message(uid, owner=caller.id) else None
    if body is None:
        raise ProblemError("not-found")
    return Response(body, media_type="application/octet-stream")


async def _get_evidence(request: Request, services: HttpServices, caller: Enterprise) -> Response:
    uid, redact = message_id(request), flag("redact", request.query_params.get("redact"))
    there = services.spool.message(uid)
    mine = there is not None and there.owner == caller.id
    found = services.spool.export(uid) if mine else None
    if found is None and (shelved := services.archive.get(uid)) is not None:  # looked up for any owner
        found = shelved.message
    if found is None or found.ways[0].owner != caller.id:
        raise ProblemError("not-found")
    kept = services.exporter.kept(found)
    repeated = None if kept is None else await _repeated(services, caller, kept)
    try:
        bundle = services.exporter.bundle(found, redact=redact, for_owner=True, kept=kept, repeated=repeated)
    except NotSealedError as error:
        raise ProblemError("not-yet", _UNSEALED, headers={"Retry-After": _SEALED_WITHIN_S}) from error
    return Response(encode_evidence(bundle), media_type="application/json")


async def _repeated(
    services: HttpServices, caller: Enterprise, kept: KeptTranslation
) -> RepeatedTranslation | None:
    """Have a translation repeated by a judge; None: what it takes is not there, or too much. Raises ProblemError."""
    asked = None if kept.source is None else kept.recorded(kept.source)
    if asked is None or kept.source is None or kept.size > services.pool.room_bytes:
        return None
    case = Retranslate(
        body=kept.source, caller=caller.id, origin=asked.origin, record=asked.record, goods=asked.goods
    )
    verdict = await verdict_of(services.pool, case)
    if verdict is None:
        raise ProblemError("unavailable", _JUDGES_BUSY, headers={"Retry-After": RETRY_AFTER_S})
    return verdict if isinstance(verdict, RepeatedTranslation) else None


async def _get_declaration(request: Request, services: HttpServices, caller: Enterprise) -> Response:
    message_type, key = text(request, "type"), text(request, "key")
    asked = key if key.startswith(f"{message_type} ") else f"{message_type} {key}"
    texts = spellings(asked, services.rules.catalogue)
    known = next(services.spool.find(texts, owner=caller.id), None)
    if known is None:
        check_key(message_type, key, services.rules.catalogue)
        raise ProblemError("not-found")
    named, now = known.found_by, datetime.now(UTC)
    declarations = {one.declaration for one in services.spool.find([named], owner=caller.id)}
    rows = services.spool.timeline(caller.id, named)
    stand = standings(services.spool, services.rules, caller.id, named, now, lanes=caller.lanes)
    return _json(
        api.TimelineView(
            type=message_type,
            key=key,
            answers=api.answer_views(rows, services.rules.codes, services.cures),
            declarations=(
                *[await _advised(one, services, caller) for one in stand[:_ADVISED]],
                *stand[_ADVISED:],
            ),
            matching=matching_of(services.parcels, declarations, caller, now),
        )
    )


async def _get_parcel(request: Request, services: HttpServices, caller: Enterprise) -> Response:
    named = one_number(request)
    own = own_documents(services.parcels, services.spool, caller, **named)
    if not own:
        raise ProblemError("not-found")
    return _json(
        parcel_view(
            services.parcels, services.spool, services.rules, own, lanes=caller.lanes, now=datetime.now(UTC)
        )
    )


async def _advised(
    standing: api.StandingView, services: HttpServices, caller: Enterprise
) -> api.StandingView:
    """Add the advice on a declaration in the newest message about it."""
    view = services.spool.message(standing.messages[0].id, owner=caller.id)
    if view is None:
        return standing
    declarations = message_facts(view.facts).declarations
    numbers = frozenset(
        number
        for number, one in enumerate(declarations, start=1)
        if one.key == standing.key or len(declarations) == 1
    )
    advice = await services.advising.advice_on(view, numbers) if numbers else None
    return structs.replace(standing, advice=api.advice_views(advice, declarations))


async def _get_mappings(_request: Request, services: HttpServices, _caller: Enterprise) -> Response:
    return _json(api.mappings_view(services.mappings.values()))


async def _get_receipts(request: Request, services: HttpServices, caller: Enterprise) -> Response:
    asked = number(request, "after", least=0, most=api.CURSOR_AT_MOST)
    limit = number(request, "limit", least=1, most=operations.PAGE_AT_MOST) or operations.PAGE
    wait_s = number(request, "wait", least=0, most=operations.WAIT_AT_MOST_S) or 0
    after = services.spool.acknowledged(caller.id) if asked is None else asked
    loop = asyncio.get_running_loop()
    until = loop.time() + wait_s
    while True:
        notices = services.spool.notices(caller.id, after=after, limit=limit)
        left = until - loop.time()
        if notices or left <= 0 or services.long_poll.silent:
            return _json(api.receipts_view(notices, services.rules.codes, after=after, cures=services.cures))
        if services.long_poll.full(caller.id):
            raise ProblemError("quota-exceeded", _POLLS, headers={"Retry-After": RETRY_AFTER_S})
        await services.long_poll.heard(caller.id, after, left)


async def _get_receipt_content(request: Request, services: HttpServices, caller: Enterprise) -> Response:
    try:
        body = content_for(caller.id, receipt_id(request), services.spool, services.rules.catalogue)
    except EnvelopeError as error:
        raise ProblemError("not-found") from error
    if body is None:
        raise ProblemError("not-found")
    return Response(body, media_type="application/xml")


async def _post_ack(request: Request, services: HttpServices, caller: Enterprise) -> Response:
    wanted = cursor_in(await read_body(request, operations.ACKNOWLEDGEMENT_BYTES))
    newest = services.spool.newest_notices([caller.id]).get(caller.id, 0)
    if wanted > newest and wanted > services.spool.acknowledged(caller.id):  # old ones may have been purged
        raise beyond(newest)
    cursor = services.spool.acknowledge(caller.id, wanted)
    log("notice.delivered", enterprise=caller.id, cursor=cursor)
    return _json(api.CursorView(cursor=cursor))


def _alive(services: HttpServices) -> Response:
    """Answer as alive, with what prevents the process from working: a restart would not help."""
    return _health("alive", _held_up(services, "/healthz"))


def _health(
    status: str, reasons: Sequence[Phrase], warnings: Sequence[Phrase] = (), *, code: int = 200
) -> Response:
    view = api.HealthView(
        status=status,
        reasons=tuple([one.en for one in reasons]),
        reasons_zh=tuple([one.zh for one in reasons]),
        warnings=tuple([one.en for one in warnings]),
        warnings_zh=tuple([one.zh for one in warnings]),
    )
    return _json(view, status=code)


def _held_up(services: HttpServices, path: str) -> list[Phrase]:
    """Return whether another process prevents writing to the spool; the log names it."""
    held_up = services.spool.held_up()
    if held_up is None:
        return []
    if times := _UNAVAILABLE.times("held up"):
        log("spool.unavailable", path=path, error=str(held_up), times=times)
    return [phrase(Cause.SPOOL_HELD)]


def _ready(services: HttpServices) -> Response:
    """Say whether the gateway can accept messages; anybody may ask, so it reports counts but no names."""
    warnings = list(_not_in_force(services.config_state))
    try:
        services.spool.acknowledged("")
        reasons = [Phrase(fault.message, fault.message_zh) for fault in services.gauge.refusals()]
        reasons += _held_up(services, "/readyz")
    except SpoolError as error:
        if times := _UNAVAILABLE.times(type(error).__name__):
            log("spool.unavailable", path="/readyz", error=str(error), times=times)
        reasons = [phrase(Cause.SPOOL_AWAY)]
    if reasons:
        return _health("not ready", reasons, warnings, code=503)
    return _health("ready", reasons, warnings)


def _not_in_force(state: ConfigState) -> Iterator[Phrase]:
    """Return which parts of the configuration are not in force; the log and the metrics name them."""
    failed_at = state.last_reload.failed_at
    if failed_at is not None:
        yield phrase(Cause.NOT_RELOADED, at=failed_at)
    if state.left_out:
        yield phrase(Cause.LEFT_OUT, count=len(state.left_out))


def _figures(services: HttpServices) -> Callable[[Request], Awaitable[Response]]:
    wanted = hashlib.sha256(f"Bearer {services.metrics_token}".encode()).digest()

    async def figures(request: Request) -> Response:
        """Render the metrics in a thread: a deep spool takes a while to read, and requests must not wait."""
        if not services.metrics_token and not (services.near and "x-forwarded-for" not in request.headers):
            return _response(problem_response("unauthorised", request.url.path, (_NO_TOKEN,), _ASKED))
        header = request.headers.get("authorization", "").encode("utf-8", "surrogateescape")
        if services.metrics_token and not hmac.compare_digest(wanted, hashlib.sha256(header).digest()):
            return _response(problem_response("unauthorised", request.url.path, headers=_ASKED))
        try:
            check_query(_query(request), "GET /metrics")
        except ProblemError as problem:
            return _response(problem_response(problem.problem, request.url.path, problem.faults))
        return Response(await asyncio.to_thread(services.meter.text), media_type=MEDIA_TYPE)

    return figures


def _json(value: object, *, status: int = 200) -> Response:
    return _response(ok_response(value, status))


def _response(answer: HttpResponse) -> Response:
    return Response(
        answer.body, status_code=answer.status, media_type=answer.media_type, headers=answer.headers
    )
