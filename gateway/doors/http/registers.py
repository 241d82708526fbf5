"""PUT, GET and DELETE of an enterprise's own goods and switches of books (docs/goods.md)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from gateway.doors.http.forms import charset_of, media_type
from gateway.doors.http.query_parameters import check_media_type, text_if_there
from gateway.doors.http.request_body import header, read_body
from gateway.doors.http.responses import over_quota
from gateway.doors.http.services import RETRY_AFTER_S, HttpResponse, HttpServices, ProblemError, ok_response
from gateway.goods.cache import stored_books, stored_goods
from gateway.goods.columns import BOOKS, GOODS, RegisterName
from gateway.goods.form import FORMS, SIZE_BYTES
from gateway.goods.handing_in import hand_in, take_back
from gateway.goods.register import BooksRegister, GoodsRegister, Register, entries
from gateway.judges.judge import JudgeVerdict, ReadRegister
from gateway.judges.waiting import verdict_of
from gateway.model import Enterprise, Fault
from gateway.observe.log import log
from gateway.submission.pipeline import Refusal
from gateway.submission.quotas import Cost
from gateway.views import api

PATHS: Final[Mapping[str, RegisterName]] = {"/v1/goods": GOODS, "/v1/goods/books": BOOKS}
AT_A_TIME: Final = 4
"""Registers of all enterprises that are handed in at the same time; of one enterprise: one."""
_FULL: Final[Mapping[str, str]] = {"Retry-After": RETRY_AFTER_S}
_UNDER_WAY = Fault(
    rule="registers_under_way",
    message="other registers are being handed in at the moment; nothing was taken",
    message_zh="正在接收其他备案数据，本次未接收",
    fix="send it again in a few seconds, and one at a time",
    fix_zh="请几秒后重新提交，且每次只提交一份",
)
_BUSY = Fault(
    rule="judges_busy",
    message="too much of yours waits to be checked; nothing was taken",
    message_zh="等待检查的内容过多，未接收",
    fix="send the same again later, and less at the same time",
    fix_zh="请稍后原样重新提交，并减少同时提交的数量",
)


class RegisterHandlers:
    """The handlers of one register; one for each, in the event loop."""

    def __init__(self, name: RegisterName, under_way: set[str]) -> None:
        """`under_way`: the enterprises that are handing in a register, of whatever name."""
        self._name: RegisterName = name
        self._handing_in = under_way

    async def put(self, request: Request, services: HttpServices, caller: Enterprise) -> Response:
        """Replace the register: all of it, or nothing and every fault."""
        content_type = header(request, b"content-type")
        check_media_type(content_type, FORMS)
        form = media_type(content_type) or FORMS[0]
        refusals = services.gauge.refusals()
        if refusals:
            raise ProblemError("unavailable", *refusals, headers=_FULL)
        with self._turn(caller):
            body = await read_body(request, SIZE_BYTES)
            over = services.intake.quotas.spend(caller, Cost(size_bytes=len(body))) if caller.quota else None
            if over is not None:
                raise over_quota(over)
            charset = charset_of(content_type)
            case = ReadRegister(body=body, caller=caller.id, name=self._name, form=form, charset=charset)
            register = _read(await _judged(services, case))
            kept_as = f"{form}; charset={charset}" if charset else form
            version = hand_in(services.spool, caller.id, self._name, register, body=body, form=kept_as)
        services.registers.look_again()
        log(
            "goods.replaced",
            enterprise=caller.id,
            register=self._name,
            version=version,
            rows=register.rows,
            sha256=register.sha256,
        )
        return _json(
            api.RegisteredView(
                register=self._name, version=version, rows=register.rows, sha256=register.sha256
            )
        )

    async def get(self, request: Request, services: HttpServices, caller: Enterprise) -> Response:
        """Say what is in force."""
        item = text_if_there(request, "item_no") if self._name == GOODS else None
        found = services.spool.register(caller.id, self._name)
        if found is None:
            raise ProblemError("not-found")
        register = stored_goods(found) if self._name == GOODS else stored_books(found)
        return _json(
            api.RegisterView(
                register=self._name,
                version=found.version,
                rows=register.rows,
                sha256=register.sha256,
                form=found.form,
                at=found.at,
                entries=entries(register, item),
            )
        )

    async def content(self, _request: Request, services: HttpServices, caller: Enterprise) -> Response:
        """Return what was handed in, byte for byte."""
        body = services.spool.register_body(caller.id, self._name)
        if body is None:
            raise ProblemError("not-found")
        return Response(body, media_type="application/octet-stream")

    async def delete(self, _request: Request, services: HttpServices, caller: Enterprise) -> Response:
        """Take the register back."""
        if not take_back(services.spool, caller.id, self._name):
            raise ProblemError("not-found")
        services.registers.look_again()
        log("goods.dropped", enterprise=caller.id, register=self._name)
        return _json(api.DroppedView(register=self._name))

    @contextmanager
    def _turn(self, caller: Enterprise) -> Iterator[None]:
        """Bound how much is held of registers on their way. Raises ProblemError."""
        if caller.id in self._handing_in or len(self._handing_in) >= AT_A_TIME:
            raise ProblemError("unavailable", _UNDER_WAY, headers=_FULL)
        self._handing_in.add(caller.id)
        try:
            yield
        finally:
            self._handing_in.discard(caller.id)


async def _judged(services: HttpServices, case: ReadRegister) -> JudgeVerdict:
    """Have a case judged by a process that may be killed. Raises ProblemError when none will have it."""
    verdict = await verdict_of(services.pool, case)
    if verdict is None:
        raise ProblemError("unavailable", _BUSY, headers=_FULL)
    return verdict


def _read(verdict: JudgeVerdict) -> Register:
    match verdict:
        case GoodsRegister() | BooksRegister():
            return verdict
        case Refusal():
            raise ProblemError(verdict.problem, *verdict.faults)
        case _:
            raise RuntimeError(f"a judge has failed: {verdict}")


def _json(value: object) -> Response:
    answer: HttpResponse = ok_response(value)
    return Response(answer.body, status_code=answer.status, media_type=answer.media_type)
