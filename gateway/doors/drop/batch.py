"""Submits messages from folders and queues: one commit for a batch, and for each message the answer HTTP would give.

Two HTTP answers are not given here: where a platform would be asked to retry later (503, 429), its message
simply stays where it is until the gateway can accept it.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from msgspec import structs

from gateway.doors.http.responses import to_response
from gateway.doors.http.services import HttpResponse, ProblemError, problem_response
from gateway.model import Advice, Enterprise
from gateway.observe.defects import defect
from gateway.observe.log import log
from gateway.observe.role_metrics import ACCEPTED, DUPLICATE, count_door_message
from gateway.ports import Arrival, Clock
from gateway.submission.commit import BatchCommit
from gateway.submission.intake import AcceptedSubmission, ExaminedSubmission, Intake, SubmissionResult
from gateway.submission.pipeline import Refusal
from gateway.upkeep.watermarks import Gauge
from spool.entry import Conflict, Duplicate, MessageView, Submission
from spool.errors import SpoolError
from spool.store import Spool

_Result = SubmissionResult | Exception
_TURN_S: Final = 1.0
"""Longest time to check one batch; the rest waits for the next turn of its door."""
_LATER: Final = frozenset({"unavailable", "quota-exceeded"})
"""Problems that end by themselves."""


class BatchSubmitter:
    """Submits batches; one for each process."""

    def __init__(
        self,
        *,
        intake: Intake,
        judge: Callable[[bytes, Enterprise], ExaminedSubmission | Refusal],
        advise: Callable[[MessageView], tuple[Advice, ...] | None],
        commit: BatchCommit,
        spool: Spool,
        gauge: Gauge,
        size_bytes: int,
        refuse_wait_s: float,
        clock: Clock = time.monotonic,
    ) -> None:
        """Store the settings.

        `intake` writes to `commit`; `judge` always returns, whatever it gets; `advise` gives the advice on
        a message accepted before; `size_bytes`: largest message.
        """
        self._judge = judge
        self._advise = advise
        self._clock = clock
        self._intake = intake
        self._commit = commit
        self._spool = spool
        self._gauge = gauge
        self._refuse_wait_s = refuse_wait_s
        self.size_bytes = size_bytes

    def closed(self) -> str:
        """Return why nothing may be accepted now; empty: it may."""
        try:
            return "; ".join(fault.message for fault in self._gauge.refusals())
        except SpoolError as error:
            return str(error)

    def judge(self, arrivals: Sequence[Arrival], caller: Enterprise, door: str) -> list[HttpResponse | None]:
        """Check all arrivals, commit them at once, and return an answer for each in order; None: not now, try again.

        `door`: its kind.
        """
        results = self._results(arrivals, caller)
        if len(arrivals) > 1:
            for index, arrival in enumerate(arrivals):
                if _is_lasting(results[index]):  # perhaps caused by one of the others
                    results[index] = self._results([arrival], caller)[0]
        answers = []
        for arrival, result in zip(arrivals, results, strict=True):
            answer, outcome = self._answer(result, arrival, caller)
            answers.append(answer)
            if answer is not None:
                count_door_message(caller.id, door, outcome)
        return answers

    def _results(self, arrivals: Sequence[Arrival], caller: Enterprise) -> list[_Result]:
        unheard: _Result = SpoolError("the commit told nothing of this message")
        results = [unheard] * len(arrivals)
        try:
            known = self._known(arrivals, caller)
        except Exception as error:  # noqa: BLE001 (it is answered for, like what a commit raises)
            return [error] * len(arrivals)
        until = self._clock() + _TURN_S
        for index, arrival in enumerate(arrivals):
            if index and self._clock() > until:  # other doors wait for their turn
                results[index:] = [ProblemError("unavailable")] * (len(arrivals) - index)
                break
            on_done = partial(results.__setitem__, index)
            try:
                reply = known.get(index)
                if reply is None:
                    self._submit(arrival, caller, on_done)
                else:
                    on_done(self._intake.recalled(reply, arrival.body, caller))
                results[index] = self._advised(results[index], caller)
            except Exception as error:  # noqa: BLE001 (the others are judged; this one is answered for)
                on_done(error)
        self._commit.commit()
        return results

    def _advised(self, result: _Result, caller: Enterprise) -> _Result:
        """Add to the result of known bytes the advice that their first answer had. Raises SpoolError."""
        if not isinstance(result, AcceptedSubmission) or result.advice is not None:
            return result
        view = self._spool.message(result.uid, owner=caller.id)
        return result if view is None else structs.replace(result, advice=self._advise(view))

    def _known(self, arrivals: Sequence[Arrival], caller: Enterprise) -> dict[int, Duplicate | Conflict]:
        """Return by position, in one look-up, which arrivals were accepted before.

        These are not checked again (see `gateway.submission.known_bytes`).
        """
        bodies = {index: one.body for index, one in enumerate(arrivals) if len(one.body) <= self.size_bytes}
        asked = [Submission(owner=caller.id, sha256=sha256(body).digest()) for body in bodies.values()]
        replies = zip(bodies, self._spool.taken(asked), strict=True)
        return {index: reply for index, reply in replies if reply is not None}

    def _submit(self, arrival: Arrival, caller: Enterprise, on_done: Callable[[_Result], None]) -> None:
        """Judge one and take it in; `on_done` gets the outcome, the commit's with the commit."""
        if len(arrival.body) > self.size_bytes:
            log("message.refused", enterprise=caller.id, problem="too-large", rules=["too_large"])
            on_done(ProblemError("too-large"))
            return
        judged = self._judge(arrival.body, caller)
        self._intake.take(judged, arrival.body, caller, on_done)

    def _answer(
        self, result: _Result, arrival: Arrival, caller: Enterprise
    ) -> tuple[HttpResponse | None, str]:
        """Return the answer, and the name under which it is counted."""
        instance = quote(arrival.name, errors="replace")
        try:
            answer = to_response(result, caller, self._spool, self._refuse_wait_s)
        except ProblemError as problem:
            if problem.problem in _LATER:
                return None, ""
            return problem_response(problem.problem, instance, problem.faults), problem.problem
        except SpoolError as error:
            log("spool.unavailable", enterprise=caller.id, error=str(error))
            return None, ""
        except Exception as error:  # noqa: BLE001 (the sender gets an answer, the log the reason)
            defect("request.failed", error, enterprise=caller.id)
            return problem_response("internal-error", instance), "internal-error"
        return answer, ACCEPTED if answer.status == HTTPStatus.ACCEPTED else DUPLICATE


def is_taken(answer: HttpResponse) -> bool:
    """Say whether an answer means that the gateway accepted the message."""
    return answer.status < 300  # noqa: PLR2004


def _is_lasting(result: _Result) -> bool:
    """Say whether a message could not be checked or stored, and waiting alone may not help."""
    if isinstance(result, SpoolError):
        return not result.temporary
    return isinstance(result, Exception) and not isinstance(result, ProblemError)
