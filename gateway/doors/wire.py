"""Submissions on the wire: read by uvicorn's own parser, handed over whole, answered in one write.

All other requests go to the application as uvicorn does it. For a submission that would be a task, a scope, a
request and two writes, which take several times what reading it takes. What is kept of uvicorn: keep-alive,
pipelining, Expect, back-pressure both ways, and the orderly end (`shutdown`).
"""

import asyncio
from typing import Any, Final
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.doors.counter import Answer, denied
from gateway.doors.shown import Peer, peer_of, shown_by
from gateway.doors.submissions import Admitted, Head, Submissions
from gateway.doors.verdict import PATH
from gateway.model import Fault

_PLAIN: Final = PATH.encode("ascii")
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class _NobodyWaits:
    """Stands where a task would wait for more of its request."""

    def set(self) -> None:
        """Wake nobody."""


class _Submission:
    """One submission on its connection; with the attributes that uvicorn's protocol asks its cycles for."""

    message_event: Final = _NobodyWaits()

    def __init__(self, protocol: "DoorProtocol", head: Head, *, keep_alive: bool, expects: bool) -> None:
        self._protocol = protocol
        self._submissions = protocol.submissions
        self._head = head
        self._expects = expects
        """The caller waits for `100 Continue`."""
        self._admitted: Admitted | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._whole = False
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False

    def begin(self) -> None:
        """Look at the head; everything before it on this connection has been answered."""
        admitted = self._submissions.admit(self._head)
        if isinstance(admitted, Answer):
            self._tell_in(admitted.delay_s, admitted)
            return
        self._admitted = admitted
        protocol = self._protocol
        if self._expects and not self._parts and not protocol.transport.is_closing():
            protocol.transport.write(_CONTINUE)
        protocol.flow.resume_reading()
        self._go_on()

    def more(self, part: bytes) -> None:
        """Take in what has come of the body; before `begin` that is no more than one read of the socket."""
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._submissions.size_bytes:
            self._go_on()

    def ended(self) -> None:
        """Know that the body is whole."""
        self._whole = True
        self._go_on()

    def _go_on(self) -> None:
        if self._admitted is None or self.response_complete:
            return
        if self._size > self._submissions.size_bytes:
            self._parts.clear()
            self._tell(self._submissions.too_large())
        elif self._whole:
            parts = self._parts
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            self._parts = []
            self._submissions.take(self._admitted, body, self._tell)

    def _tell_in(self, seconds: float, answer: Answer) -> None:
        """Answer now, or after a while in which nothing more is read of this connection."""
        if not seconds:
            self._tell(answer)
            return
        self._parts.clear()
        self._protocol.flow.pause_reading()
        self._protocol.loop.call_later(seconds, self._tell, answer)

    def _tell(self, answer: Answer) -> None:
        if self.disconnected or self.response_complete:
            return
        if self._protocol.flow.write_paused:
            self._protocol.later(self._tell_later(answer))
        else:
            self._write(answer)

    async def _tell_later(self, answer: Answer) -> None:
        """Wait for a caller that is slow to read what it was told before."""
        await self._protocol.flow.drain()
        if not self.disconnected:
            self._write(answer)

    def _write(self, answer: Answer) -> None:
        protocol = self._protocol
        lines = [STATUS_LINE[answer.status]]
        for name, value in protocol.server_state.default_headers:
            lines += (name, b": ", value, b"\r\n")
        text = "".join([f"{name.lower()}: {value}\r\n" for name, value in answer.headers.items()])
        text += f"content-length: {len(answer.body)}\r\ncontent-type: {answer.media_type}\r\n"
        if "Connection" in answer.headers:
            self.keep_alive = False
        elif not self.keep_alive:
            text += "connection: close\r\n"
        text += "\r\n"
        lines += (text.encode("latin-1"), answer.body)
        self.response_complete = True
        protocol.transport.write(b"".join(lines))
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()


class DoorProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which takes submissions out of the stream of requests."""

    submissions: Submissions
    cycle: Any
    """A cycle of uvicorn's, or a _Submission; None before the first."""
    peer: Peer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Look at who is there, once for all requests of the connection."""
        super().connection_made(transport)
        self.peer = peer_of(transport, self.client)
        self.app_state = {**self.app_state, "peer": self.peer}

    def on_message_begin(self) -> None:
        """Begin a request; what only an application needs of it is made when it turns out to be for one."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        """Hand a submission to its own, anything else to the application."""
        query = _query_of_submission(self.url) if self.parser.get_method() == b"POST" else None
        if query is None:
            url, headers, expects = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            self.url, self.expect_100_continue = url, expects
            self.headers += headers
            super().on_headers_complete()
            return
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        before, self.cycle = self.cycle, _Submission(
            self, _head(self.headers, query, self.peer, self.url), keep_alive=keep_alive, expects=self.expect_100_continue
        )  # fmt: skip
        if before is None or before.response_complete:
            self.cycle.begin()
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if isinstance(cycle, _Submission):  # one after the other, not one inside the other
            self.loop.call_soon(cycle.begin)
        else:
            super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Take in a part of the body."""
        if not isinstance(self.cycle, _Submission):
            super().on_body(body)
        elif not self.cycle.response_complete:
            self.cycle.more(body)

    def on_message_complete(self) -> None:
        """Know that a request is whole."""
        if not isinstance(self.cycle, _Submission):
            super().on_message_complete()
        elif not self.cycle.response_complete:
            self.cycle.ended()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP as anything else that cannot be done, and end the connection."""
        answer = denied("bad-request", "", (_no_http(msg),))
        lines = [STATUS_LINE[answer.status]]
        for name, value in self.server_state.default_headers:
            lines += (name, b": ", value, b"\r\n")
        text = f"content-length: {len(answer.body)}\r\ncontent-type: {answer.media_type}\r\nconnection: close\r\n\r\n"
        self.transport.write(b"".join((*lines, text.encode("ascii"), answer.body)))
        self.transport.close()

    def later(self, act: Any) -> None:
        """Do something that has to wait; the server waits for it when it ends."""
        task: asyncio.Task[None] = self.loop.create_task(act)
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)


def _no_http(message: str) -> Fault:
    return Fault(
        rule="no_http",
        message=message,
        message_zh="不是有效的 HTTP 请求",
        fix="speak plain HTTP to this port; TLS belongs to the proxy before it",
    )


def _query_of_submission(url: bytes) -> str | None:
    """Return the query of the request when it is for the path of submissions, however that is written."""
    if url == _PLAIN:
        return ""
    parts = httptools.parse_url(url)
    path = (parts.path or b"").decode("ascii")
    if (unquote(path) if "%" in path else path) != PATH:
        return None
    return str(parts.query or b"", "latin-1")


def _head(headers: list[tuple[bytes, bytes]], query: str, peer: Peer, url: bytes) -> Head:
    first = dict(reversed(headers))  # of several with one name the first counts

    def value(name: bytes) -> str:
        return str(first.get(name, b""), "latin-1")

    return Head(
        shown=shown_by(first, headers, peer, method="POST", url=url),
        content_type=value(b"content-type"),
        content_length=value(b"content-length"),
        idempotency_key=value(b"idempotency-key"),
        query=query,
    )
