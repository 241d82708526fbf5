"""Submissions on the wire: what a caller may do with its connection, and what it gets back."""

import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, cast

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.doors.http.asgi_request import AsgiApp
from gateway.doors.http.bounds import HttpBounds
from gateway.doors.http.connection_slots import ConnectionSlot, ConnectionSlots
from gateway.doors.http.handover import Handover
from gateway.doors.http.protocol import DoorProtocol
from gateway.doors.http.service import Service
from gateway.doors.http.services import HttpResponse
from gateway.doors.http.submissions import Admitted, Head, Submissions, Tell
from gateway.model import Enterprise, EnterpriseId
from gateway.observe.metrics import Meter
from tests.waiting import PATIENCE_S

LIMIT = 1000
BOUNDS = HttpBounds()
DATE = formatdate(0, usegmt=True)
ME = Enterprise(id=EnterpriseId("me"), name="Me", cop_codes=frozenset(), dxp_ids=frozenset())


@dataclass
class PlayedSubmissions(Submissions):
    """Takes everything from whoever has a token, and answers when it is told to."""

    size_bytes: int = LIMIT
    at_once: bool = True
    delay_s: float = 0.0
    heads: list[Head] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    waiting: list[Tell] = field(default_factory=list)

    def admit(self, head: Head) -> Admitted | HttpResponse:
        self.heads.append(head)
        if not head.shown.authorization:
            return HttpResponse(401, b"who?", "text/plain", {"WWW-Authenticate": "Bearer"}, self.delay_s)
        return Admitted(ME, 0.0, head.idempotency_key, False)

    def too_large(self) -> HttpResponse:
        return HttpResponse(413, b"", "text/plain", {"Connection": "close"})

    def take(self, admitted: Admitted, body: bytes, tell: Tell) -> None:
        assert admitted.caller is ME
        self.bodies.append(body)
        self.waiting.append(tell)
        if self.at_once:
            self.answer(len(self.bodies) - 1)

    def answer(self, number: int) -> None:
        self.waiting[number](HttpResponse(202, b"taken %d" % number, "application/json", {"Location": "/x"}))


class Handshake:
    """What TLS knows of a connection."""

    def getpeercert(self, *, binary_form: bool) -> bytes | None:
        return None if binary_form else b""


class Line(asyncio.Transport):
    """A connection without a network."""

    def __init__(self, *, secured: bool, real: socket.socket | None) -> None:
        super().__init__({"socket": real, "ssl_object": Handshake() if secured else None})
        self.written: list[bytes] = []
        self.closed = False
        self.reading = True
        self.wrote = asyncio.Event()
        self.ended = False
        self.aborted = False
        self.unread = 0

    def abort(self) -> None:
        self.aborted = True
        self.close()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def get_write_buffer_size(self) -> int:
        return self.unread

    def set_read_buffer_limits(self, high: int) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def write(self, data: Any) -> None:
        self.wrote.set()
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    @property
    def text(self) -> str:
        return b"".join(self.written).decode()


@dataclass
class World:
    submitter: PlayedSubmissions
    line: Line
    protocol: DoorProtocol
    service: Service

    def send(self, data: bytes) -> None:
        self.protocol.data_received(data)

    @property
    def statuses(self) -> list[str]:
        return re.findall(r"HTTP/1\.1 ([0-9]{3}) [A-Z]", self.line.text)


async def _page(request: Request) -> Response:
    return PlainTextResponse(f"{request.method} {request.url.path} {len(await request.body())}")


def world(
    submitter: PlayedSubmissions,
    *,
    bounds: HttpBounds = BOUNDS,
    handover: Handover | None = None,
    secured: bool = False,
    real: socket.socket | None = None,
) -> World:
    service = Service(
        submissions=submitter,
        app=cast("AsgiApp", Starlette(routes=[Route("/{rest:path}", _page, methods=["GET", "POST", "PUT"])])),
        bounds=bounds,
        places=ConnectionSlots(most=10, most_of_address=10, exempt=lambda _: False),
        meter=Meter(),
        handover=handover,
    )
    line = Line(secured=secured, real=real)
    protocol = DoorProtocol(service, ConnectionSlot("", line.abort))
    service.common = f"date: {DATE}\r\n".encode()
    service.places.enter(protocol.place)
    protocol.connection_made(line)
    return World(submitter=submitter, line=line, protocol=protocol, service=service)


def head(path: str = "/v1/messages", *more: str, length: int | None = None, token: bool = True) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", *(["Authorization: Bearer t"] if token else []), *more]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join((*lines, "", "")).encode()


def request(body: bytes, **asked: Any) -> bytes:
    return head(length=len(body), **asked) + body


def run(act: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(act(), PATIENCE_S))


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_answer_is_one_write_with_its_headers() -> None:
    async def act() -> None:
        here = world(PlayedSubmissions())
        here.send(request(b"<a/>"))
        assert here.line.written == [
            f"HTTP/1.1 202 Accepted\r\ndate: {DATE}\r\nlocation: /x\r\ncontent-length: 7\r\n"
            "content-type: application/json\r\n\r\ntaken 0".encode()
        ]
        assert here.submitter.bodies == [b"<a/>"]
        assert not here.line.closed, "kept alive"

    run(act)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_request_may_come_in_any_pieces(size: int) -> None:
    async def act() -> None:
        here = world(PlayedSubmissions())
        whole = request(b"x" * 300) + request(b"y" * 20)
        for start in range(0, len(whole), size):
            here.send(whole[start : start + size])
        assert here.submitter.bodies == [b"x" * 300, b"y" * 20]
        assert here.statuses == ["202", "202"]

    run(act)


def test_body_may_come_in_chunks() -> None:
    async def act() -> None:
        here = world(PlayedSubmissions())
        here.send(head("/v1/messages", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert here.submitter.bodies == [b"abcde"]

    run(act)


@pytest.mark.parametrize(
    "path", ["/v1/messages?dry_run=true", "/v1/message%73?dry_run=true", "http://x/v1/messages?dry_run=true"]
)
def test_path_may_be_written_in_other_ways(path: str) -> None:
    async def act() -> None:
        here = world(PlayedSubmissions())
        here.send(head(path, length=0))
        assert [one.query for one in here.submitter.heads] == ["dry_run=true"]

    run(act)


def test_other_requests_of_the_connection_go_to_the_application() -> None:
    async def act() -> None:
        here = world(PlayedSubmissions())
        here.send(request(b"<a/>"))
        here.send(b"PUT /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        await settle()
        here.send(head("/v1/receipts/ack", length=2) + b"{}")
        await settle()
        here.send(request(b"<b/>"))
        assert here.statuses == ["202", "200", "200", "202"]
        assert "PUT /v1/messages 3" in here.line.text
        assert "POST /v1/receipts/ack 2" in here.line.text
        assert here.submitter.bodies == [b"<a/>", b"<b/>"]

    run(act)


def test_requests_that_do_not_wait_for_answers_are_answered_in_their_order() -> None:
    async def act() -> None:
        here = world(PlayedSubmissions(at_once=False))
        get = b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n"
        here.send(request(b"one") + get + request(b"two") + request(b"three", token=False))
        await settle()
        assert here.line.text == ""
        assert not here.line.reading, "no more is read than one read of the socket"
        here.submitter.answer(0)
        await settle()
        assert here.statuses == ["202", "200"]
        assert here.submitter.bodies == [b"one", b"two"]
        here.submitter.answer(1)
        await settle()
        assert here.statuses == ["202", "200", "202", "401"]
        assert here.line.reading

    run(act)


def test_many_refusals_in_one_packet_are_all_said() -> None:
    async def act() -> None:
        here = world(PlayedSubmissions(at_once=False))
        here.send(request(b"one") + head(length=0, token=False) * 3000)
        here.submitter.answer(0)
        for _ in range(4000):
            await asyncio.sleep(0)
        assert here.statuses == ["202", *(["401"] * 3000)]

    run(act)


def test_caller_that_expects_it_is_told_to_go_on_or_is_refused_before() -> None:
    async def act() -> None:
        here = world(PlayedSubmissions())
        here.send(head("/v1/messages", "Expect: 100-continue", length=4))
        assert here.line.text == "HTTP/1.1 100 Continue\r\n\r\n"
        here.send(b"<a/>")
        assert here.statuses == ["100", "202"]
        here.send(head("/v1/messages", "Expect: 100-continue", length=4, token=False))
        assert here.statuses == ["100", "202", "401"]

    run(act)


def test_refused_body_that_is_here_is_passed_over_and_the_connection_goes_on() -> None:
    async def act() -> None:
        here = world(PlayedSubmissions())
        here.send(request(b"x" * 900, token=False) + request(b"<b/>"))
        await settle()
        assert here.statuses == ["401", "202"]
        assert here.submitter.bodies == [b"<b/>"]

    run(act)


def test_refused_body_that_is_not_here_yet_ends_the_connection() -> None:
    async def act() -> None:
        here = world(PlayedSubmissions())
        here.send(head(length=900, token=False) + b"x" * 10)
        assert here.statuses == ["401"], "before the body"
        assert "connection: close\r\n" in here.line.text
        assert (here.line.ended, here.line.closed) == (True, False), (
            "what is on its way must not reset the answer"
        )
        here.send(b"x" * 890 + request(b"<b/>"))
        assert here.statuses == ["401"]
        assert here.submitter.bodies == []
        here.send(b"x" * LIMIT)
        assert here.line.aborted, "but no more than a message is passed over"

    run(act)


def test_refusal_that_is_held_back_holds_up_its_own_connection_alone() -> None:
    async def act() -> None:
        knocking, other = world(PlayedSubmissions(delay_s=0.05)), world(PlayedSubmissions())
        knocking.send(request(b"x" * LIMIT, token=False))
        assert knocking.statuses == []
        assert not knocking.line.reading, "what it sends meanwhile stays in its socket"
        knocking.send(request(b"<b/>"))  # as if read in one go with the first
        other.send(request(b"<a/>"))
        assert (other.statuses, knocking.statuses) == (["202"], [])
        await knocking.line.wrote.wait()
        await settle()
        assert knocking.statuses == ["401", "202"]
        assert knocking.line.reading
        assert knocking.submitter.bodies == [b"<b/>"]

    run(act)


def test_caller_that_goes_while_its_refusal_is_held_back_is_not_written_to() -> None:
    async def act() -> None:
        here = world(PlayedSubmissions(delay_s=0.01))
        told = asyncio.Event()
        here.send(head(length=0, token=False))
        here.protocol.connection_lost(None)
        asyncio.get_running_loop().call_later(0.02, told.set)
        await told.wait()
        assert here.line.written == []

    run(act)


def test_head_carries_what_shows_who_is_asking() -> None:
    async def act() -> None:
        here = world(PlayedSubmissions())
        here.send(
            head("/v1/messages", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-For: 10.0.0.2, 10.0.0.3", length=0)
        )
        here.send(head("http://x/v1/messages?a=1&dry_run=true", "X-Gateway-Key: shop-1", length=0))
        plain, signed = (one.shown for one in here.submitter.heads)
        assert (plain.authorization, plain.signature) == ("Bearer t", None)
        assert plain.forwarded == "10.0.0.1,10.0.0.2, 10.0.0.3"
        assert signed.signature is not None
        assert (signed.signature.method, signed.signature.target) == ("POST", "/v1/messages?a=1&dry_run=true")
        assert (signed.signature.key, signed.signature.nonce) == ("shop-1", "")

    run(act)


@pytest.mark.parametrize("first", [True, False])
def test_body_beyond_the_limit_ends_the_connection(first: bool) -> None:
    async def act() -> None:
        here = world(PlayedSubmissions(at_once=False))
        if not first:
            here.send(request(b"one"))
        here.send(head("/v1/messages", "Transfer-Encoding: chunked") + b"1f4\r\n" + b"x" * 500 + b"\r\n")
        assert here.statuses == []
        here.send(b"1f5\r\n" + b"x" * 501 + b"\r\n")
        if not first:
            here.submitter.answer(0)
            await settle()
        assert here.statuses == [*([] if first else ["202"]), "413"]
        assert here.line.text.endswith("content-length: 0\r\ncontent-type: text/plain\r\n\r\n")
        assert "connection: close\r\n" in here.line.text
        assert here.line.ended

    run(act)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_connection_ends_when_the_caller_asks_for_it(version: str) -> None:
    async def act() -> None:
        here = world(PlayedSubmissions())
        asked = [] if version == "1.0" else ["Connection: close"]
        here.send(head("/v1/messages", *asked, length=0).replace(b"HTTP/1.1", f"HTTP/{version}".encode(), 1))
        assert "connection: close\r\n" in here.line.text
        assert here.line.closed

    run(act)


def test_connection_of_a_door_that_ends_is_passed_on_between_two_requests() -> None:
    async def act() -> None:
        pair = Handover.make()
        with closing(pair.giving), closing(pair.taking), socket.socket() as real:
            here, idle = (world(PlayedSubmissions(at_once=False), handover=pair, real=real) for _ in range(2))
            here.send(request(b"one") + b"POST /v1")
            idle.send(b"GET /hea")
            for one in (here, idle):
                one.protocol.drain()
                one.protocol.leave()
            assert (here.line.closed, idle.line.closed) == (False, True)
            here.submitter.answer(0)
            assert here.statuses == ["202"]
            assert "connection: close" not in here.line.text, "its caller notices nothing"
            assert here.line.closed
            passed = [pair.take() for _ in range(3)]
            found = [None if one is None else (one.held, one.owner) for one in passed]
            assert found == [(b"GET /hea", ""), (b"POST /v1", ME.id), None]
            for connection in [one.connection for one in passed if one is not None]:
                connection.close()

    run(act)


def test_connection_that_cannot_be_passed_on_is_answered_once_more_and_closed_when_it_stays_silent() -> None:
    async def act() -> None:
        here, silent = world(PlayedSubmissions(), secured=True), world(PlayedSubmissions(), secured=True)
        for one in (here, silent):
            one.protocol.drain()
            assert not one.line.closed
        here.send(request(b"one"))
        assert here.statuses == ["202"]
        assert "connection: close\r\n" in here.line.text
        assert here.line.closed
        now = asyncio.get_running_loop().time()
        silent.protocol.check(now + 4.9)
        assert not silent.line.closed
        silent.protocol.check(now + 5.1)
        assert silent.line.closed

    run(act)


def test_next_request_of_a_caller_that_is_slow_to_read_waits() -> None:
    async def act() -> None:
        here = world(PlayedSubmissions(at_once=False))
        here.send(request(b"one"))
        here.protocol.pause_writing()
        here.submitter.answer(0)
        here.send(request(b"two"))
        await settle()
        assert (here.statuses, here.submitter.bodies, here.line.reading) == (["202"], [b"one"], False)
        here.protocol.resume_writing()
        await settle()
        assert here.submitter.bodies == [b"one", b"two"]
        assert here.line.reading

    run(act)


def test_caller_that_never_reads_its_answer_is_cut_off() -> None:
    async def act() -> None:
        here = world(PlayedSubmissions(), bounds=HttpBounds(body_s=20, least_bytes_per_s=1000))
        here.send(request(b"one"))
        here.line.unread = 5000
        here.protocol.pause_writing()
        now = asyncio.get_running_loop().time()
        here.protocol.check(now + 10)
        assert not here.line.closed
        here.protocol.check(now + 26)
        assert here.line.aborted

    run(act)


def test_caller_that_went_away_is_not_written_to() -> None:
    async def act() -> None:
        here = world(PlayedSubmissions(at_once=False))
        here.send(request(b"one"))
        here.line.closed = True
        here.protocol.connection_lost(ConnectionResetError())
        here.submitter.answer(0)
        await settle()
        assert here.line.written == []
        assert len(here.service.places) == 0

    run(act)


def test_caller_that_has_said_all_is_still_answered() -> None:
    async def act() -> None:
        here = world(PlayedSubmissions(at_once=False))
        here.send(request(b"one"))
        assert here.protocol.eof_received(), "its half is closed, ours is not"
        here.submitter.answer(0)
        assert here.statuses == ["202"]
        assert here.line.closed

    run(act)


@pytest.mark.parametrize(
    ("begun", "bound"), [(b"", 10), (b"GET / HT", 10), (head(length=100) + b"x" * 50, 20 + 50 / 4096)]
)
def test_what_comes_too_slowly_is_ended(begun: bytes, bound: float) -> None:
    async def act() -> None:
        here = world(PlayedSubmissions())
        if begun:
            here.send(begun)
        now = asyncio.get_running_loop().time()
        here.protocol.check(now + bound - 0.1)
        assert (here.line.written, here.line.closed) == ([], False)
        here.protocol.check(now + bound + 0.1)
        assert here.statuses == (["408"] if begun else [])
        assert here.line.ended or here.line.closed

    run(act)


def test_bodies_under_way_are_bounded_in_all_and_of_one_enterprise() -> None:
    async def act() -> None:
        here = world(PlayedSubmissions(), bounds=HttpBounds(under_way_bytes=1200))
        here.send(head(length=900) + b"x" * 600)
        assert here.statuses == []
        here.send(b"x")
        assert here.statuses == ["503"]
        assert "retry-after: " in here.line.text
        assert here.line.ended
        assert here.service.under_way.grow("me", 600), "and nothing is counted of what was let go"

    run(act)


def test_what_is_no_http_is_400() -> None:
    async def act() -> None:
        here = world(PlayedSubmissions())
        here.send(b"POST /v1/messages\x00 HTTP/1.1\r\n\r\n")
        assert here.statuses == ["400"]
        assert here.line.ended
        headers, _, body = here.line.text.partition("\r\n\r\n")
        assert "content-type: application/problem+json" in headers
        assert (json.loads(body)["code"], len(body.encode())) == (
            "bad-request",
            int(headers.partition("content-length: ")[2].split()[0]),
        )

    run(act)


def test_refusal_after_the_answer_to_a_head_request_has_its_body() -> None:
    async def act() -> None:
        here = world(PlayedSubmissions())
        here.send(b"HEAD /page HTTP/1.1\r\nHost: x\r\n\r\n")
        await settle()
        here.send(b"NONSENSE\r\n\r\n")
        assert here.statuses == ["200", "400"]
        assert json.loads(here.line.written[-1].partition(b"\r\n\r\n")[2])["code"] == "bad-request"

    run(act)
