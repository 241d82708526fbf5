"""The HTTP door (DESIGN.md 7): bodies in, answers out; every handler is short because the work is elsewhere."""

import asyncio
import hashlib
import hmac
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.doors import openapi, views
from gateway.doors.bell import Bell
from gateway.errors import EnvelopeError
from gateway.evidence.bundle import encode as encode_evidence
from gateway.evidence.gather import NotSealedError, Office
from gateway.metrics import MEDIA_TYPE, Meter
from gateway.model import Enterprise, Fault
from gateway.observe import log
from gateway.pipeline import Refusal
from gateway.problems import PROBLEMS, problem_document
from gateway.queues import KeyQueue
from gateway.roles.accept import Accepted, Busy, Contradicted, Intake, Outcome
from gateway.roles.watermarks import Gauge
from gateway.rules import Rules
from gateway.stages.collected import cut_to, open_collected, unseal_collected
from spool.archive import Archive
from spool.entry import Clash
from spool.errors import SpoolError
from spool.store import Spool

_WAIT_AT_MOST_S = 60.0
_PAGE = 100
_PAGE_AT_MOST = 1000
_RETRY_AFTER_S = "5"
_REFUSED_FOR_S = "15"
"""At a watermark: room is not made in a moment."""
_SEALED_WITHIN_S = "60"
_FORMS = ("application/xml", "text/xml", "application/octet-stream", "")
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """What the handlers need; one for the life of the process."""

    intake: Intake
    spool: Spool
    rules: Rules
    size_bytes: int
    refuse_wait_s: float
    """`signing.refuse_wait_s`."""
    callers: Mapping[str, Enterprise]
    """Hex SHA-256 of a token → whose it is. Found by digest, so the time it takes tells nothing of a token."""
    bell: Bell
    gauge: Gauge
    meter: Meter
    office: Office
    archive: Archive
    metrics_token: str
    """What `/metrics` asks for; empty: nothing."""


class Problem(Exception):  # noqa: N818 (it is an answer)
    """An RFC 9457 answer on its way out."""

    def __init__(self, problem: str, *faults: Fault, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.faults = faults
        self.headers = headers


Handler = Callable[[Request, Counter, Enterprise], Awaitable[Response]]


def build(counter: Counter) -> "Front":
    """Build the application; `counter.spool` is used by its event loop alone."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with counter.bell.ringing():
            yield

    def at(path: str, handler: Handler, method: str) -> Route:
        return Route(path, _guarded(handler, counter, f"{method} {path}"), methods=[method])

    pages = Starlette(
        lifespan=lifespan,
        exception_handlers={404: _elsewhere, 405: _elsewhere},
        routes=[
            at("/v1/messages", _post_message, "POST"),  # for its 405; submissions never come this far
            at("/v1/messages/{id}", _get_message, "GET"),
            at("/v1/messages/{id}/content", _get_content, "GET"),
            at("/v1/messages/{id}/evidence", _get_evidence, "GET"),
            at("/v1/declarations", _get_declaration, "GET"),
            at("/v1/receipts", _get_receipts, "GET"),
            at("/v1/receipts/{id:int}/content", _get_receipt_content, "GET"),
            at("/v1/receipts/ack", _post_ack, "POST"),
            Route("/healthz", lambda _: _json(views.HealthView(status="alive")), methods=["GET"]),
            Route("/readyz", lambda _: _ready(counter), methods=["GET"]),
            Route("/metrics", _figures(counter), methods=["GET"]),
            Route("/openapi.json", lambda _: _json(openapi.document()), methods=["GET"]),
            Route("/docs", lambda _: HTMLResponse(openapi.page()), methods=["GET"]),
        ],
    )
    return Front(pages, _guarded(_post_message, counter, "POST /v1/messages"))


class Front:
    """Hands submissions straight to their handler, the rest to the router.

    Of all requests they are the many, and routing one takes more than reading it.
    """

    def __init__(self, pages: Starlette, submission: Callable[[Request], Awaitable[Response]]) -> None:
        self._pages = pages
        self._submission = submission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] == "http" and scope["path"] == "/v1/messages" and scope["method"] == "POST":
            response = await self._submission(Request(scope, receive))
            await response(scope, receive, send)
        else:
            await self._pages(scope, receive, send)


async def _elsewhere(request: Request, error: Exception) -> Response:
    """Answer for what has no handler: no such path, or another method."""
    known = isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    headers = error.headers if isinstance(error, HTTPException) else None
    return _problem("method-not-allowed" if known else "not-found", (), request, headers=headers)


def _guarded(handler: Handler, counter: Counter, operation: str) -> Callable[[Request], Awaitable[Response]]:
    answered = counter.meter.answered

    async def guarded(request: Request) -> Response:
        try:
            response = await handler(request, counter, _caller(request, counter))
        except Problem as problem:
            answered(operation, problem.problem)
            return _problem(problem.problem, problem.faults, request, headers=problem.headers)
        except SpoolError as error:
            log("spool.unavailable", path=request.url.path, error=str(error))
            answered(operation, "unavailable")
            return _problem("unavailable", (), request, headers={"Retry-After": _RETRY_AFTER_S})
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:  # noqa: BLE001 (the caller gets an answer, the log the reason)
            log("request.failed", path=request.url.path, error=f"{type(error).__name__}: {error}")
            traceback.print_exc(file=sys.stderr)
            answered(operation, "internal-error")
            return _problem("internal-error", (), request)
        answered(operation)
        return response

    return guarded


def _header(request: Request, name: bytes) -> str:
    """Read one header, its name in lower case; empty when it is not there."""
    for key, value in request.scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return ""


def _caller(request: Request, counter: Counter) -> Enterprise:
    scheme, _, token = _header(request, b"authorization").partition(" ")
    digest = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).hexdigest()
    found = counter.callers.get(digest)
    if scheme.lower() != "bearer" or not token or found is None or found.disabled:
        raise Problem("unauthorised", headers={"WWW-Authenticate": 'Bearer realm="gateway"'})
    return found


async def _post_message(request: Request, counter: Counter, caller: Enterprise) -> Response:
    began = time.monotonic()
    form = _header(request, b"content-type").partition(";")[0].strip().lower()
    if form not in _FORMS:
        raise Problem("unsupported-media-type")
    dry_run = request.query_params.get("dry_run") == "true"
    refusals = () if dry_run else counter.gauge.refusals()
    if refusals:
        raise Problem("unavailable", *refusals, headers={"Retry-After": _REFUSED_FOR_S})
    body = await _read(request, counter.size_bytes)
    if dry_run:
        verdict = counter.intake.examine(body, caller)
        if isinstance(verdict, Refusal):
            raise Problem(verdict.problem, *verdict.faults)
        return _json(views.first_view("", verdict, hashlib.sha256(body).hexdigest(), state="valid"))
    outcome = await counter.intake.submit(
        body, caller, request_key=_header(request, b"idempotency-key")[:255]
    )
    if isinstance(outcome, Accepted):
        counter.meter.accepted(caller.id, time.monotonic() - began, first=outcome.first)
    return _answer(outcome, counter, caller)


def _answer(outcome: Outcome, counter: Counter, caller: Enterprise) -> Response:
    """Say what became of a submission."""
    match outcome:
        case Refusal():
            raise Problem(outcome.problem, *outcome.faults)
        case Busy(queue=queue):
            raise Problem(
                "unavailable", _busy_fault(queue), headers={"Retry-After": _retry_after(counter, queue)}
            )
        case Contradicted(clash=clash):
            raise Problem(outcome.problem, _clash_fault(clash))
        case Accepted():
            where = {"Location": f"/v1/messages/{outcome.uid}"}
            if outcome.first:
                return _json(
                    views.first_view(outcome.uid, outcome.message, outcome.sha256), status=202, headers=where
                )
            view = counter.spool.message(outcome.uid, owner=caller.id)
            if view is None:
                raise SpoolError("an accepted message is not in the spool", where=outcome.uid)
            return _json(views.accepted_view(view), headers=where)


def _retry_after(counter: Counter, queue: KeyQueue) -> str:
    """Say when the queue will be short enough, if it goes on as it is: whole seconds, one hour at most."""
    return str(max(1, min(3600, ceil(min(3600.0, queue.wait_s - counter.refuse_wait_s)))))


def _busy_fault(queue: KeyQueue) -> Fault:
    return Fault(
        rule="key_busy",
        message=f"{queue.entries} messages wait for the signing key; nothing was taken",
        message_zh=f"签名密钥前有{queue.entries}份报文等待签名，报文未接收",
        fix="send the same again later, or hand it in signed",
    )


async def _read(request: Request, limit: int) -> bytes:
    """Read the body, never more than the limit."""
    announced = _header(request, b"content-length")
    if announced.isdigit() and int(announced) > limit:
        raise Problem("too-large", headers={"Connection": "close"})
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise Problem("too-large", headers={"Connection": "close"})
        parts.append(part)
    return b"".join(parts)


_CLASHES = {
    "version": (
        "a message with this declaration, appType and appTime was accepted before, with other bytes",
        "同一业务主键、报送类型和报送时间的单证此前已接收，且内容不同",
        "declare a change with a newer appTime",
    ),
    "cop_msg_id": (
        "this CopMsgId belongs to another message, so answers to the two could not be told apart",
        "该 CopMsgId 已用于其他报文，无法区分两者的回执",
        "give each DxpMsg a CopMsgId that nobody else uses, a UUID for instance",
    ),
}


def _clash_fault(clash: Clash) -> Fault:
    message, message_zh, fix = _CLASHES[clash.reason]
    named = f": {', '.join(clash.identities)}" if clash.identities else ""
    earlier = f" (message {clash.uid})" if clash.uid else ""
    earlier_zh = f"（报文{clash.uid}）" if clash.uid else ""
    return Fault(
        rule=f"conflict_{clash.reason}",
        message=f"{message}{earlier}{named}",
        message_zh=f"{message_zh}{earlier_zh}{named}",
        fix=fix,
    )


async def _get_message(request: Request, counter: Counter, caller: Enterprise) -> Response:
    ways = counter.spool.ways(request.path_params["id"].upper())
    if not ways or ways[0].owner != caller.id:
        raise Problem("not-found")
    return _json(views.status_view(ways[0], ways))


async def _get_content(request: Request, counter: Counter, caller: Enterprise) -> Response:
    uid = request.path_params["id"].upper()
    body = counter.spool.body(uid) if counter.spool.message(uid, owner=caller.id) else None
    if body is None:
        raise Problem("not-found")
    return Response(body, media_type="application/octet-stream")


async def _get_evidence(request: Request, counter: Counter, caller: Enterprise) -> Response:
    uid = request.path_params["id"].upper()
    there = counter.spool.message(uid)
    mine = there is not None and there.owner == caller.id
    found = counter.spool.export(uid) if mine else None
    if there is None and (shelved := counter.archive.get(uid)) is not None:
        found = shelved.message
    if found is None or found.ways[0].owner != caller.id:
        raise Problem("not-found")
    try:
        bundle = counter.office.bundle(found, redact=request.query_params.get("redact") == "true")
    except NotSealedError as error:
        raise Problem("unavailable", headers={"Retry-After": _SEALED_WITHIN_S}) from error
    return Response(encode_evidence(bundle), media_type="application/json")


async def _get_declaration(request: Request, counter: Counter, caller: Enterprise) -> Response:
    message_type = request.query_params.get("type", "")
    key = request.query_params.get("key", "")
    text = key if key.startswith(f"{message_type} ") else f"{message_type} {key}"
    rows = counter.spool.timeline(caller.id, text)
    if not rows and not any(found.owner == caller.id for found in counter.spool.find([text])):
        raise Problem("not-found")
    return _json(
        views.TimelineView(type=message_type, key=key, answers=views.answer_views(rows, counter.rules.codes))
    )


async def _get_receipts(request: Request, counter: Counter, caller: Enterprise) -> Response:
    after = _number(request, "after", counter.spool.acknowledged(caller.id))
    limit = min(max(1, _number(request, "limit", _PAGE)), _PAGE_AT_MOST)
    loop = asyncio.get_running_loop()
    until = loop.time() + min(_number(request, "wait", 0), _WAIT_AT_MOST_S)
    while True:
        notices = counter.spool.notices(caller.id, after=after, limit=limit)
        left = until - loop.time()
        if notices or left <= 0 or counter.bell.silent:
            return _json(views.receipts_view(notices, counter.rules.codes, after=after))
        await counter.bell.heard(left)


async def _get_receipt_content(request: Request, counter: Counter, caller: Enterprise) -> Response:
    number = request.path_params["id"]
    own = {row.digest for row in counter.spool.filed_for(caller.id, number)}
    mail = not own and counter.spool.addressed(caller.id, number)
    raw = counter.spool.arrival(number) if own or mail else None
    if raw is None:
        raise Problem("not-found")
    try:
        if mail:  # to this enterprise as a whole: nothing in it is another's
            return Response(unseal_collected(raw.body).dxp_msg, media_type="application/xml")
        opened = open_collected(raw.body, counter.rules.catalogue)
    except EnvelopeError as error:
        raise Problem("not-found") from error
    keep = frozenset(answer.index for answer in opened.answers if answer.digest in own)
    body = opened.business if len(keep) == len(opened.answers) else cut_to(opened.business, keep)
    return Response(body, media_type="application/xml")


async def _post_ack(request: Request, counter: Counter, caller: Enterprise) -> Response:
    try:
        wanted = msgspec.json.decode(await _read(request, 1024), type=views.CursorView)
    except msgspec.DecodeError as error:
        raise Problem(
            "bad-request",
            Fault(rule="bad_json", message=str(error), message_zh="请求正文无效", fix='send {"cursor": 42}'),
        ) from error
    cursor = counter.spool.acknowledge(caller.id, wanted.cursor)
    log("notice.delivered", enterprise=caller.id, cursor=cursor)
    return _json(views.CursorView(cursor=cursor))


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18:  # noqa: PLR2004 (fits 63 bits)
        raise Problem(
            "bad-request",
            Fault(rule="not_a_number", message=f"{name} is not a number", message_zh=f"{name} 不是数字"),
        )
    return int(text)


def _ready(counter: Counter) -> Response:
    try:
        counter.spool.acknowledged("")
        reasons = tuple(fault.message for fault in counter.gauge.refusals())
    except SpoolError as error:
        reasons = (str(error),)
    if reasons:
        return _json(views.HealthView(status="not ready", reasons=reasons), status=503)
    return _json(views.HealthView(status="ready"))


def _figures(counter: Counter) -> Callable[[Request], Awaitable[Response]]:
    wanted = hashlib.sha256(f"Bearer {counter.metrics_token}".encode()).digest()

    async def figures(request: Request) -> Response:
        """Write the figures, in a thread: a deep spool takes a while to read, and requests must not wait."""
        header = request.headers.get("authorization", "").encode("utf-8", "surrogateescape")
        if counter.metrics_token and not hmac.compare_digest(wanted, hashlib.sha256(header).digest()):
            return _problem(
                "unauthorised", (), request, headers={"WWW-Authenticate": 'Bearer realm="metrics"'}
            )
        return Response(await asyncio.to_thread(counter.meter.text), media_type=MEDIA_TYPE)

    return figures


def _json(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(_encode(value), status_code=status, media_type="application/json", headers=headers)


def _problem(
    problem: str, faults: tuple[Fault, ...], request: Request, *, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(
        _encode(problem_document(problem, faults, instance=request.url.path)),
        status_code=PROBLEMS[problem].status,
        media_type="application/problem+json",
        headers=headers,
    )
