"""POST /v1/messages from head to answer, without a task of its own: most requests are submissions.

Everything up to the commit is done when the last byte is there, everything after it when the commit is on disk.
"""

import hashlib
import time
from collections.abc import Callable
from typing import Final

from msgspec import Struct, structs

from gateway.doors.http.credentials import Credentials
from gateway.doors.http.forms import BodyForm, form_of, needs_mapping
from gateway.doors.http.operations import MESSAGE_FORMS
from gateway.doors.http.query_parameters import check_media_type, check_query, flag, in_query, request_name
from gateway.doors.http.responses import PATH, over_quota, to_response
from gateway.doors.http.services import (
    RETRY_AFTER_S,
    HttpResponse,
    HttpServices,
    ProblemError,
    caller_of,
    check_announced,
    check_promised,
    log_failure,
    ok_response,
    too_large,
)
from gateway.judges.judge import Examine, Judge, JudgeVerdict, Translate, on_message
from gateway.judges.pool import Pool
from gateway.model import Enterprise, Fault
from gateway.submission.intake import AcceptedSubmission, ExaminedSubmission, SubmissionResult, blocked_by
from gateway.submission.known_bytes import Recall
from gateway.submission.mail_limit import Full
from gateway.submission.pipeline import Refusal
from gateway.submission.quotas import Cost
from gateway.views import api
from spool.entry import Conflict, Duplicate, Submission
from spool.errors import SpoolError

_OPERATION: Final = f"POST {PATH}"
_REFUSED_FOR_S: Final = "15"
"""Retry-After at a watermark: freeing space takes a while."""
_BUSY: Final = Fault(
    rule="judges_busy",
    message="too many of your messages wait to be checked; nothing was taken",
    message_zh="等待检查的报文过多，报文未接收",
    fix="send the same again later, and fewer at the same time",
    fix_zh="请稍后重新发送，并减少同时提交的数量",
)

Tell = Callable[[HttpResponse], None]


class Head(Struct, frozen=True, kw_only=True):
    """The parts of request line and headers that a submission needs; a missing header is empty."""

    shown: Credentials
    content_type: str
    content_length: str
    idempotency_key: str
    query: str


class Admitted(Struct, frozen=True):
    """A submission whose body may come."""

    caller: Enterprise
    began: float
    """By the monotonic clock, in seconds."""
    request_key: str
    dry_run: bool
    promised: str = ""
    """Hex SHA-256 of the body that a signed request announces; empty: none."""
    form: BodyForm | None = None
    """How the body is translated; None: it is a message already."""


class Submissions:
    """Handles submissions; for one event loop."""

    def __init__(self, services: HttpServices, *, judge: Judge, pool: Pool, full: Full) -> None:
        """Store the services.

        `judge` checks short cases at once; all others go to the pool. `full`: says whose mailbox is full.
        """
        self._services = services
        self._judge = judge
        self._pool = pool
        self._full = full
        self._recall = Recall(services.spool)
        self.size_bytes = services.size_bytes

    def admit(self, head: Head) -> Admitted | HttpResponse:
        """Check a head before the body is read; an HttpResponse says why the body is not needed. Never raises."""
        try:
            return self._admit(head)
        except Exception as error:  # noqa: BLE001 (the caller gets an answer, the log the reason)
            return self._failed(error)

    def _admit(self, head: Head) -> Admitted:
        began = time.monotonic()
        caller = caller_of(head.shown, self._services)
        if head.query:
            check_query(head.query, _OPERATION)
        form = form_of(head.content_type, head.query, self._services) if head.query else None
        if form is None:
            check_media_type(head.content_type, MESSAGE_FORMS, *needs_mapping(head.content_type))
        request_key = request_name(head.idempotency_key)
        dry_run = bool(head.query) and flag("dry_run", in_query(head.query, "dry_run"))
        refusals = () if dry_run else self._services.gauge.refusals()
        if refusals:
            raise ProblemError("unavailable", *refusals, headers={"Retry-After": _REFUSED_FOR_S})
        check_announced(head.content_length, self.size_bytes)
        if caller.quota is not None:
            self._see_quota(caller, head, dry_run=dry_run)
        promised = "" if head.shown.signature is None else head.shown.signature.content_sha256
        return Admitted(caller, began, request_key, dry_run, promised, form)

    def _see_quota(self, caller: Enterprise, head: Head, *, dry_run: bool) -> None:
        """Refuse, before the body is read, what exceeds a quota whatever the body is. Raises ProblemError."""
        announced = int(head.content_length) if head.content_length.isdigit() else 0
        cost = Cost(size_bytes=announced, declarations=0 if dry_run else 1)
        over = self._services.intake.quotas.over(caller, cost)
        if over is not None:
            raise over_quota(over)

    def too_large(self) -> HttpResponse:
        """Answer a body that has come to more than `size_bytes`."""
        return self._failed(too_large())

    def take(self, admitted: Admitted, body: bytes, tell: Tell) -> None:
        """Judge a body and put it on disk; `tell` gets the answer, now or later, once. Never raises itself."""
        self._try(lambda: self._take(admitted, body, tell), tell)

    def _try(self, step: Callable[[], None], tell: Tell) -> None:
        """Do one step, which answers with `tell` now or later; what it raises is answered for here. Never raises itself."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 (the caller gets an answer, the log the reason)
            tell(self._failed(error))

    def _take(self, admitted: Admitted, body: bytes, tell: Tell) -> None:
        """Judge at once what can be judged at once, else by a judge.

        What is not found sound at once may have been taken before, and is not judged then: its certificate may have
        ended since. Raises ProblemError.
        """
        sha256 = check_promised(body, admitted.promised) if admitted.promised else None
        form, caller = admitted.form, admitted.caller
        full = self._full.to(caller.id)
        own = self._services.registers.of(caller.id)
        if form is not None:
            source = Translate(
                body=body,
                caller=caller.id,
                mapping=form.mapping.name,
                form=form.form,
                charset=form.charset,
                app_time=form.app_time,
                full=full,
                own=own,
            )
            self._ask_judge(source, admitted, body, tell)
            return
        judged = self._judge.at_once(body, caller, full, own)
        question = Examine(body=body, caller=caller.id, full=full, own=own)

        def go_on(reply: Duplicate | Conflict | Exception | None = None) -> None:
            if reply is not None:
                self._tell(self._recalled(reply, admitted, body), admitted, tell)
            elif judged is None:
                self._ask_judge(question, admitted, body, tell)
            else:
                self._take_judged(judged, admitted, body, tell)

        if admitted.dry_run or isinstance(judged, ExaminedSubmission):
            go_on()
            return
        asked = Submission(
            owner=caller.id, sha256=sha256 or hashlib.sha256(body).digest(), request_key=admitted.request_key
        )
        self._recall.ask(asked, lambda reply: self._try(lambda: go_on(reply), tell))

    def _recalled(
        self, reply: Duplicate | Conflict | Exception, admitted: Admitted, body: bytes
    ) -> SubmissionResult:
        """Return the result of a body that was accepted before."""
        if isinstance(reply, Exception):
            raise reply
        return self._services.intake.recalled(reply, body, admitted.caller)

    def _tell(self, outcome: SubmissionResult | Exception, admitted: Admitted, tell: Tell) -> None:
        """Answer a submission; known bytes get their advice again, which may take a judge. Raises SpoolError."""
        if not isinstance(outcome, AcceptedSubmission) or outcome.advice is not None:
            tell(self._answer(outcome, admitted))
            return
        view = self._services.spool.message(outcome.uid, owner=admitted.caller.id)
        if view is None:
            raise SpoolError("an accepted message is not in the spool", where=outcome.uid)
        self._services.advising.ask(
            view, lambda advice: tell(self._answer(structs.replace(outcome, advice=advice), admitted))
        )

    def _ask_judge(self, question: Examine | Translate, admitted: Admitted, body: bytes, tell: Tell) -> None:
        """Hand it to a judge that may be killed. Raises ProblemError when none will have it."""

        def judged(verdict: JudgeVerdict | Exception) -> None:
            self._try(lambda: self._take_judged(on_message(verdict), admitted, body, tell), tell)

        if not self._pool.judge(question, judged):
            raise ProblemError("unavailable", _BUSY, headers={"Retry-After": RETRY_AFTER_S})

    def _take_judged(
        self, judged: ExaminedSubmission | Refusal, admitted: Admitted, body: bytes, tell: Tell
    ) -> None:
        if admitted.dry_run:
            tell(self._dry_run(judged, body, admitted.caller))
            return
        self._services.intake.take(
            judged,
            body,
            admitted.caller,
            lambda outcome: self._try(lambda: self._tell(outcome, admitted, tell), tell),
            request_key=admitted.request_key,
        )

    def _dry_run(self, judged: ExaminedSubmission | Refusal, body: bytes, caller: Enterprise) -> HttpResponse:
        self._services.intake.charge(body, caller)
        if not isinstance(judged, Refusal):
            judged = blocked_by(judged, caller) or judged
        if isinstance(judged, Refusal):
            raise ProblemError(judged.problem, *judged.faults)
        self._services.meter.answered(_OPERATION)
        view = api.first_view(
            "",
            judged.header,
            judged.new.sha256.hex(),
            judged.advice,
            state="valid",
            notice=judged.edition_notice,
        )
        return ok_response(view)

    def _answer(self, outcome: SubmissionResult | Exception, admitted: Admitted) -> HttpResponse:
        """Return the answer to a submission, and count it. Never raises."""
        meter = self._services.meter
        try:
            if isinstance(outcome, AcceptedSubmission):
                meter.accepted(admitted.caller.id, time.monotonic() - admitted.began, first=outcome.first)
            answer = to_response(outcome, admitted.caller, self._services.spool, self._services.refuse_wait_s)
        except Exception as error:  # noqa: BLE001 (the caller gets an answer, the log the reason)
            return self._failed(error)
        meter.answered(_OPERATION)
        return answer

    def _failed(self, error: Exception) -> HttpResponse:
        return log_failure(error, PATH, _OPERATION, self._services.meter)
