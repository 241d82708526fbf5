"""The drop loop of one door of one enterprise: receive, commit, report, move away or acknowledge, repeat.

After a crash in between, a step is at worst repeated: what was committed is recognised by its bytes.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from gateway.doors.http.services import HttpResponse
from gateway.errors import DeliveryError
from gateway.model import Enterprise
from gateway.observe.log import log
from gateway.observe.role_metrics import set_door_in_order
from gateway.ports import Arrival, Clock
from gateway.processes.stop import Stop
from spool.retry import backoff_s

_BATCH: Final = 16
"""Most messages in hand at a time: this limits memory to so many times the largest message."""
_REST_S: Final = 1.0
"""How long what cannot be taken now is left alone."""
_AGAIN_S: Final = 0.5
_SLOWEST_S: Final = 30.0


class Answered(NamedTuple):
    """An arrival, and the answer for its sender."""

    arrival: Arrival
    answer: HttpResponse


class Reported(NamedTuple):
    """The arrivals whose senders have their answer now, and the error that prevented others."""

    answered: Sequence[Answered]
    failed: DeliveryError | None = None


class DropAdapter(Protocol):
    """Access to the place where one enterprise drops messages.

    Every method but `tell` and `close` raises DeliveryError; arrivals that are not done come again then.
    """

    def receive(self, *, limit: int, timeout_s: float) -> Sequence[Arrival]:
        """Receive as `gateway.ports.Feed.receive`."""
        ...

    def tell(self, answered: Sequence[Answered]) -> Reported:
        """Report the answers to the senders, durably; may be called again for the same ones, with the same result.

        After a failure nothing comes again by itself: the arrivals stay in hand.
        """
        ...

    def done(self, answered: Sequence[Answered]) -> None:
        """Move away or acknowledge what was reported."""
        ...

    def idle(self) -> None:
        """Keep the connection alive while nothing is received."""
        ...

    def close(self) -> None:
        """Close the connections; what is not done comes again."""
        ...


class Submitter(Protocol):
    """Judges what was dropped."""

    @property
    def closed(self) -> Callable[[], str]:
        """Say why nothing may be accepted now; empty: it may."""

    def judge(
        self, arrivals: Sequence[Arrival], caller: Enterprise, door: str, /
    ) -> list[HttpResponse | None]:
        """Return an answer for each arrival; None: not now, ask again."""
        ...


class DropLoop:
    """Runs one door."""

    def __init__(
        self,
        *,
        caller: Enterprise,
        kind: str,
        adapter: DropAdapter,
        submitter: Submitter,
        clock: Clock = time.monotonic,
    ) -> None:
        self._caller = caller
        self._kind = kind
        self._adapter = adapter
        self._submitter = submitter
        self._clock = clock
        self._left: Sequence[Arrival] = ()
        """Arrivals in hand that could not be accepted yet."""
        self._untold: Sequence[Answered] = ()
        """Answers, on disk where the message was accepted, that are not reported yet."""
        self._rest_until = float("-inf")
        self._failures = 0
        self._closed = ""

    def step(self, timeout_s: float) -> bool:
        """Process one batch; wait at most `timeout_s` for its first arrival. Returns False if there is nothing to do.

        A failing door pauses, longer each time, and never delays another door.
        """
        if self._clock() < self._rest_until:
            return False
        try:
            busy = self._step(timeout_s)
        except DeliveryError as error:
            self._left = ()  # comes again
            self._failed(error)
            return False
        if self._untold:
            return False
        self._failures = 0
        self._stands(in_order=not self._closed)
        return busy

    def _step(self, timeout_s: float) -> bool:
        if not self._tell():
            return False
        if self._is_closed():
            self._adapter.idle()
            self._rest(_REST_S)
            return False
        arrivals = [*self._left]
        if len(arrivals) < _BATCH:
            wait_s = 0.0 if arrivals else timeout_s
            arrivals += self._adapter.receive(limit=_BATCH - len(arrivals), timeout_s=wait_s)
        if not arrivals:
            return False
        pairs = list(zip(arrivals, self._submitter.judge(arrivals, self._caller, self._kind), strict=True))
        self._left = [arrival for arrival, answer in pairs if answer is None]
        self._untold = [Answered(arrival, answer) for arrival, answer in pairs if answer is not None]
        if self._tell() and self._left:
            self._adapter.idle()
            self._rest(_REST_S)
        return True

    def _tell(self) -> bool:
        """Report answers and finish their arrivals; failed reports are retried later. Says whether all were reported.

        Unreported arrivals stay in hand meanwhile, and the connection is kept alive: a broker counts how often it
        delivers the same message again.
        """
        if not self._untold:
            return True
        told, failed = self._adapter.tell(self._untold)
        if told:
            self._failures = 0
            tokens = {one.arrival.token for one in told}
            self._untold = [one for one in self._untold if one.arrival.token not in tokens]
            self._adapter.done(told)
        if failed is None:
            return True
        self._failed(failed)
        self._adapter.idle()
        return False

    def _failed(self, error: DeliveryError) -> None:
        self._failures += 1
        log(
            "door.failed",
            enterprise=self._caller.id,
            door=self._kind,
            attempt=self._failures,
            error=str(error),
        )
        self._rest(backoff_s(self._failures, first_s=_AGAIN_S, ceiling_s=_SLOWEST_S))
        self._stands(in_order=False)

    def _is_closed(self) -> bool:
        """Check the watermarks; a change is logged."""
        before, self._closed = self._closed, self._submitter.closed()
        if self._closed and not before:
            log("door.closed", enterprise=self._caller.id, door=self._kind, reason=self._closed)
        elif before and not self._closed:
            log("door.opened", enterprise=self._caller.id, door=self._kind)
        return bool(self._closed)

    def _stands(self, *, in_order: bool) -> None:
        set_door_in_order(self._caller.id, self._kind, in_order=in_order)

    def _rest(self, seconds: float) -> None:
        self._rest_until = self._clock() + seconds

    def close(self) -> None:
        """Close the door."""
        self._adapter.close()


def run_drop_loops(loops: Sequence[DropLoop], stop: Stop, *, wait_s: float, pause_s: float) -> None:
    """Run the doors in turn until asked to stop; arrivals in hand then are finished.

    `wait_s`: longest wait at one door; `pause_s`: pause after a round without arrivals.
    """
    while not stop():
        busy = False
        for loop in loops:
            if not stop():
                busy |= loop.step(wait_s)
        if not busy:
            stop.pause(pause_s)
    for loop in loops:
        loop.close()
