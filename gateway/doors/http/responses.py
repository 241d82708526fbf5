"""Turns the result of a submission into the answer to its sender, the same at every door."""

from math import ceil
from typing import Final

from gateway.doors.http.services import HttpResponse, ProblemError, ok_response
from gateway.keys.backlog import KeyBacklog
from gateway.model import Enterprise, Fault
from gateway.submission.intake import (
    AcceptedSubmission,
    Busy,
    ConflictingSubmission,
    SubmissionResult,
    conflict_fault,
)
from gateway.submission.pipeline import Refusal
from gateway.submission.quotas import OverQuota
from gateway.views import api
from spool.errors import SpoolError
from spool.store import Spool

PATH: Final = "/v1/messages"


def to_response(
    outcome: SubmissionResult | Exception, caller: Enterprise, spool: Spool, refuse_wait_s: float
) -> HttpResponse:
    """Return the answer: 202 with the id, or 200 when the message had been accepted before.

    Raises ProblemError when the message was not accepted, or the exception in `outcome`.
    """
    match outcome:
        case AcceptedSubmission():
            where = {"Location": f"{PATH}/{outcome.uid}"}
            if outcome.header is not None:
                view = api.first_view(
                    outcome.uid,
                    outcome.header,
                    outcome.sha256,
                    outcome.advice,
                    notice=outcome.edition_notice,
                )
                return ok_response(view, 202, headers=where)
            known = spool.message(outcome.uid, owner=caller.id)
            if known is None:
                raise SpoolError("an accepted message is not in the spool", where=outcome.uid)
            return ok_response(api.accepted_view(known, outcome.advice), headers=where)
        case Refusal():
            raise ProblemError(outcome.problem, *outcome.faults)
        case Busy(queue=queue):
            after = {"Retry-After": _retry_after(queue.wait_s - refuse_wait_s)}
            raise ProblemError("unavailable", _busy_fault(queue), headers=after)
        case OverQuota():
            raise over_quota(outcome)
        case ConflictingSubmission(conflict=conflict):
            raise ProblemError(outcome.problem, conflict_fault(conflict))
        case Exception():
            raise outcome


def over_quota(over: OverQuota) -> ProblemError:
    """Return the problem of an exceeded quota, with Retry-After."""
    return ProblemError("quota-exceeded", over.fault, headers={"Retry-After": over.retry_after})


def _retry_after(wait_s: float) -> str:
    """Return when the queue will be short enough, at its present speed: whole seconds, one hour at most."""
    return str(max(1, min(3600, ceil(min(3600.0, wait_s)))))


def _busy_fault(queue: KeyBacklog) -> Fault:
    return Fault(
        rule="key_busy",
        message=f"{queue.entries} messages wait for the signing key; nothing was taken",
        message_zh=f"签名密钥前有{queue.entries}份报文等待签名，报文未接收",
        fix="send the same again later, or hand it in signed",
        fix_zh="请稍后重新发送，或提交已加签的报文",
    )
