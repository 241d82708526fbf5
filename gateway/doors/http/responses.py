"""Turns the result of a submission into the answer to its sender, the same at every door."""

from math import ceil
from typing import Final

from gateway.doors.http.services import HttpResponse, ProblemError, ok_response
from gateway.keys.backlog import KeyBacklog
from gateway.model import Enterprise, Fault
from gateway.submission.intake import AcceptedSubmission, Busy, ConflictingSubmission, SubmissionResult
from gateway.submission.pipeline import Refusal
from gateway.submission.quotas import OverQuota
from gateway.views import api
from spool.entry import Conflict
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
                return ok_response(
                    api.first_view(outcome.uid, outcome.header, outcome.sha256, outcome.advice),
                    202,
                    headers=where,
                )
            view = spool.message(outcome.uid, owner=caller.id)
            if view is None:
                raise SpoolError("an accepted message is not in the spool", where=outcome.uid)
            return ok_response(api.accepted_view(view, outcome.advice), headers=where)
        case Refusal():
            raise ProblemError(outcome.problem, *outcome.faults)
        case Busy(queue=queue):
            after = {"Retry-After": _retry_after(queue.wait_s - refuse_wait_s)}
            raise ProblemError("unavailable", _busy_fault(queue), headers=after)
        case OverQuota():
            raise over_quota(outcome)
        case ConflictingSubmission(conflict=conflict):
            raise ProblemError(outcome.problem, _conflict_fault(conflict))
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
    )


_CONFLICTS: Final = {
    "version": (
        "a message with this declaration, appType and appTime was accepted before, with other bytes",
        "同一业务主键、报送类型和报送时间的单证此前已接收，且内容不同",
        "declare a change with a newer appTime",
    ),
    "cop_msg_id": (
        "this CopMsgId belongs to another message under the same SenderId, so answers to the two could not be told apart",
        "该 CopMsgId 已用于同一 SenderId 的其他报文，无法区分两者的回执",
        "give each DxpMsg a CopMsgId that nobody else uses under your DXP id, a UUID for instance",
    ),
    "request_key": (
        "a message came before under this Idempotency-Key, with other bytes; this one was not taken",
        "此前已有其他内容的报文使用该 Idempotency-Key，本报文未接收",
        "send each message under a key of its own, and the same bytes under the same key only",
    ),
}


def _conflict_fault(conflict: Conflict) -> Fault:
    message, message_zh, fix = _CONFLICTS[conflict.reason]
    named = f": {', '.join(conflict.identities)}" if conflict.identities else ""
    earlier = f" (message {conflict.uid})" if conflict.uid else ""
    earlier_zh = f"（报文{conflict.uid}）" if conflict.uid else ""
    return Fault(
        rule=f"conflict_{conflict.reason}",
        message=f"{message}{earlier}{named}",
        message_zh=f"{message_zh}{earlier_zh}{named}",
        fix=fix,
    )
