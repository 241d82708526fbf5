"""One connection of the HTTP door: requests one after the other, each answered before the next is parsed.

Nothing of a request is parsed before the answer to the previous one is being sent. So a connection holds one head or
one body and at most one socket read beyond it, answers keep the order of requests, and what an unauthenticated caller
sends is bounded. Submissions go to their commit and back without a task; all other requests go to the application
(ADR 0026).
"""

import asyncio
from typing import Final

from gateway.doors.http.asgi_request import AppRequest
from gateway.doors.http.connection import NEVER, Connection, Phase
from gateway.doors.http.connection_slots import ConnectionSlot
from gateway.doors.http.framing import Framing, LengthFraming, framing
from gateway.doors.http.request_head import END, MalformedHead, RequestHead, look_at_beginning, read_head
from gateway.doors.http.response_bytes import answer_bytes
from gateway.doors.http.responses import PATH
from gateway.doors.http.service import Service
from gateway.doors.http.services import HttpResponse, problem_response
from gateway.doors.http.submission_request import SubmissionRequest, submission_head
from gateway.model import Fault

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class DoorProtocol(Connection):
    """The requests of one connection, one after the other."""

    def __init__(self, service: Service, place: ConnectionSlot, held: bytes = b"") -> None:
        """`held`: bytes that the previous process has read but not parsed."""
        super().__init__(service, place)
        self._held = held
        self._framing: Framing = LengthFraming(0)
        self._request: SubmissionRequest | AppRequest | None = None
        self._keep_alive = True
        self._bodiless = False
        """The answer has no body (HEAD)."""
        self._began = 0.0
        self._slow = False
        """The caller reads its answer slowly."""
        self._draining = False

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Continue with the bytes read before."""
        super().connection_made(transport)
        self._service.connections.add(self)
        if self._held:
            self._loop.call_soon(self._next)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the name of the Protocol)
        """Drop everything that was begun."""
        self._phase = Phase.CLOSED
        self._service.connections.discard(self)
        self._service.places.leave(self.place)
        self._has_read()
        request, self._request = self._request, None
        if request is not None:
            request.gone()

    def data_received(self, data: bytes) -> None:
        """Process input, depending on the phase."""
        match self._phase:
            case Phase.WAITING | Phase.HEAD:
                self._held = self._held + data if self._held else data
                if not self._slow:
                    self._read()
            case Phase.BODY:
                self._take_in(data)
            case Phase.ANSWERING:
                self._held += data
                self._pause()
            case Phase.LINGERING:
                self._received += len(data)
                if self._received > self._service.submissions.size_bytes:
                    self.abort()
            case Phase.CLOSED:
                pass

    def eof_received(self) -> bool:
        """Still answer a complete request when no more input will come."""
        if self._phase is not Phase.ANSWERING or isinstance(self._request, AppRequest) or self.secured:
            return False
        self._keep_alive = False
        self._held = b""
        return True

    def pause_writing(self) -> None:
        """Wait for a slow reader: no further request is parsed."""
        self._slow = True
        if self._phase in (Phase.WAITING, Phase.HEAD):
            self._await_next()

    def resume_writing(self) -> None:
        """Continue with the next request."""
        self._slow = False
        self._has_read()
        if self._phase in (Phase.WAITING, Phase.HEAD):
            self._await_next()

    # what the door calls

    @property
    def between_requests(self) -> bool:
        """Whether this process holds nothing of the connection but bytes read too early."""
        return (
            self._phase in (Phase.WAITING, Phase.HEAD)
            and not self.transport.get_write_buffer_size()
            and not self.transport.is_closing()
        )

    def check(self, now: float) -> None:
        """End what has taken too long; a caller in the middle of a request gets an answer."""
        if now < self._due:
            return
        if self._phase in (Phase.HEAD, Phase.BODY) and not self._slow:
            self._refuse(_too_slow())
        elif self._phase is Phase.WAITING and not self.transport.get_write_buffer_size():
            self._close()
        else:
            self.abort()

    def drain(self) -> None:
        """Prepare to leave this process: after the next answer, or between two requests when `leave` is called."""
        self._draining = True
        if self._phase is Phase.WAITING:
            self._due = min(self._due, self._loop.time() + self._service.bounds.silent_s)

    def leave(self) -> bool:
        """Pass the connection on to the successor process; False when that cannot be done now."""
        if self.between_requests and self._service.pass_on(self, self._held):
            self.abort()
            return True
        return False

    # one request

    def _read(self) -> None:
        """Begin the next request if its head is complete."""
        held = self._held.lstrip(b"\r\n") if self._held[:1] in {b"\r", b"\n"} else self._held
        try:
            end = held.find(END)
            if end < 0:
                self._held = held
                self._await_head()
                return
            head = read_head(held[: end + len(END)])
        except MalformedHead as error:
            self._refuse(error)
            return
        self._held = held[end + len(END) :]
        self._begin(head)

    def _await_head(self) -> None:
        if self._held:
            look_at_beginning(self._held)
            if self._phase is Phase.WAITING:
                self._phase = Phase.HEAD
                self._due = self._loop.time() + self._service.bounds.head_s
        self._resume()

    def _begin(self, head: RequestHead) -> None:
        self._keep_alive = head.keep_alive
        self._bodiless = head.method == "HEAD"
        self._framing = framing(head.length)
        self._began = self._loop.time()
        self._received = 0
        if head.method == "POST" and head.path == PATH:
            self._begin_submission(head)
        else:
            self._begin_other(head)

    def _begin_submission(self, head: RequestHead) -> None:
        service = self._service
        admitted = service.submissions.admit(submission_head(head, self.peer))
        if isinstance(admitted, HttpResponse):
            self._pass_over()
            self._answer_in(admitted.delay_s, admitted)
            return
        service.know(self.place, admitted.caller.id)
        self._request = SubmissionRequest(service, admitted, self.answer)
        self._take_in_held()
        if self._phase is Phase.BODY:
            self._proceed(head)

    def _begin_other(self, head: RequestHead) -> None:
        service = self._service
        self._request = AppRequest(
            head,
            self.peer,
            tell=self.answer,
            failed=service.log_failure,
            known=lambda owner: service.know(self.place, owner),
            flow=self._let_flow,
            proceed=lambda: self._proceed(head),
        )
        self._request.start(service.app)
        self._take_in_held()

    def _take_in_held(self) -> None:
        """Process the bytes of the body that are there already."""
        self._phase = Phase.BODY
        self._due = self._began + self._service.bounds.body_s
        held, self._held = self._held, b""
        self._take_in(held)
        if self._phase is Phase.BODY:
            self._resume()

    def _proceed(self, head: RequestHead) -> None:
        """Send `100 Continue` if the caller waits for it."""
        if head.expects and not self._received and self._phase is Phase.BODY:
            self.transport.write(_CONTINUE)

    def _take_in(self, data: bytes) -> None:
        """Process a part of the body."""
        try:
            part, rest = self._framing.take(data)
        except MalformedHead as error:
            self._refuse(error)
            return
        self._received += len(part)
        if not self._framing.whole:
            self._due = self._began + self._service.bounds.due_s(self._received)
            self._give(part, last=False)
            return
        self._phase = Phase.ANSWERING
        self._due = NEVER
        self._held = rest
        (self._pause if rest else self._resume)()
        self._give(part, last=True)

    def _give(self, part: bytes, *, last: bool) -> None:
        if self._request is not None:
            self._request.more(part, last=last)

    def _pass_over(self) -> None:
        """Check whether the whole body of a refused request is here; the rest of it is not read."""
        try:
            _, rest = self._framing.take(self._held)
        except MalformedHead:
            rest = b""
        self._held = rest
        self._phase = Phase.ANSWERING if self._framing.whole else Phase.BODY
        self._due = NEVER

    def _answer_in(self, seconds: float, answer: HttpResponse) -> None:
        """Answer now, or after a delay in which nothing more is read of this connection."""
        if not seconds:
            self.answer(answer)
            return
        self._pause()
        self._loop.call_later(seconds, self.answer, answer)

    def _refuse(self, error: MalformedHead) -> None:
        """Answer with the problem and end the connection."""
        request, self._request = self._request, None
        if request is not None:
            request.gone()
        fault = Fault(
            rule="http",
            message=error.message,
            message_zh=error.message_zh,
            fix=error.fix,
            fix_zh=error.fix_zh,
        )
        self._keep_alive = False
        self.answer(problem_response(error.problem, "", (fault,)))

    # its answer

    def answer(self, answer: HttpResponse) -> None:
        """Answer the present request; does nothing once the caller has gone."""
        if self._phase in (Phase.LINGERING, Phase.CLOSED) or self.transport.is_closing():
            return
        if not self._bodiless and not self._has_room(len(answer.body)):
            answer = self._service.too_much_unread()
        whole = self._phase is Phase.ANSWERING
        self._request = None
        keep_alive = (
            self._keep_alive
            and whole
            and "Connection" not in answer.headers
            and not (self._draining and self.secured)
        )
        self.transport.write(
            answer_bytes(answer, self._service.common, keep_alive=keep_alive, bodiless=self._bodiless)
        )
        self._bodiless = False
        if not self._slow:
            self._has_read()
        if keep_alive:
            self._phase = Phase.WAITING
            self._await_next()
        elif whole and not self._held:
            self._close()
        else:
            self._linger()

    def _await_next(self) -> None:
        bounds = self._service.bounds
        if self._slow:
            self._due = self._loop.time() + bounds.due_s(self.transport.get_write_buffer_size())
            self._pause()
            return
        self._due = self._loop.time() + (bounds.silent_s if self._draining else bounds.idle_s)
        if self._draining and self.leave():
            return
        if self._held:
            self._loop.call_soon(self._next)
        else:
            self._resume()

    def _next(self) -> None:
        if self._phase in (Phase.WAITING, Phase.HEAD) and not self._slow and not self.transport.is_closing():
            self._read()

    def _let_flow(self, wanted: bool) -> None:
        if self._phase is Phase.BODY:
            (self._resume if wanted else self._pause)()


def _too_slow() -> MalformedHead:
    return MalformedHead(
        "too-slow",
        "the request did not come within the time that there is for it",
        "请求未在规定时间内传完",
        "send the whole request at once, over a connection that is fast enough",
        "请通过速度足够的连接一次传完整个请求",
    )
