"""One door of one enterprise, kept open: take in what came, commit, tell, put away, and again.

What dies in between is at worst done once more: what was committed is known by its bytes.
"""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from gateway.doors.drop.batch import BatchSubmitter
from gateway.doors.http.services import HttpResponse
from gateway.errors import DeliveryError
from gateway.model import Enterprise
from gateway.observe.log import log
from gateway.ports import Arrival, Clock
from gateway.processes.stop import Stop
from spool.retry import backoff_s

_BATCH: Final = 16
"""Messages in hand at a time: at most so many times the size that one may have are in memory."""
_REST_S: Final = 1.0
"""How long what cannot be taken now is left alone."""
_AGAIN_S: Final = 0.5
_SLOWEST_S: Final = 30.0


class Answered(NamedTuple):
    """What came, and what its sender is told."""

    arrival: Arrival
    answer: HttpResponse


class Reported(NamedTuple):
    """Whose senders know their answer now, and why others could not be told."""

    answered: Sequence[Answered]
    failed: DeliveryError | None = None


class DropAdapter(Protocol):
    """Where one enterprise hands in.

    Every method but `tell` and `close` raises DeliveryError; what was handed out and is not done comes again then.
    """

    def receive(self, *, limit: int, timeout_s: float) -> Sequence[Arrival]:
        """As `gateway.ports.Feed.receive`."""
        ...

    def tell(self, answered: Sequence[Answered]) -> Reported:
        """Let the senders know, durably; may be called again for the same, and then tells the same.

        After a failure nothing comes again by itself: what was handed out is still in hand.
        """
        ...

    def done(self, answered: Sequence[Answered]) -> None:
        """Put away what was told."""
        ...

    def idle(self) -> None:
        """Keep up the connection while nothing is taken in."""
        ...

    def close(self) -> None:
        """Let go of connections; what is not done comes again."""
        ...


class DropLoop:
    """Keeps one door."""

    def __init__(
        self,
        *,
        caller: Enterprise,
        kind: str,
        adapter: DropAdapter,
        submitter: BatchSubmitter,
        clock: Clock = time.monotonic,
    ) -> None:
        self._caller = caller
        self._kind = kind
        self._adapter = adapter
        self._submitter = submitter
        self._clock = clock
        self._left: Sequence[Arrival] = ()
        """In hand, and could not be taken."""
        self._untold: Sequence[Answered] = ()
        """Decided, on disk where it was taken, and its sender does not know."""
        self._rest_until = float("-inf")
        self._failures = 0
        self._closed = ""

    def step(self, timeout_s: float) -> bool:
        """Take in one batch; wait so long for its first. Returns False when there is nothing to do now.

        A door that fails is left alone for a while, longer each time, and never holds up another.
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
        """Tell and put away; what could not be told is told again. Returns whether all was told.

        What is in hand meanwhile stays there, and its connection is kept up: a broker counts how often it
        delivers the same again.
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
        """Ask the watermarks; log when that changes."""
        before, self._closed = self._closed, self._submitter.closed()
        if self._closed and not before:
            log("door.closed", enterprise=self._caller.id, door=self._kind, reason=self._closed)
        elif before and not self._closed:
            log("door.opened", enterprise=self._caller.id, door=self._kind)
        return bool(self._closed)

    def _stands(self, *, in_order: bool) -> None:
        self._submitter.figures.stands(self._caller.id, self._kind, in_order=in_order)

    def _rest(self, seconds: float) -> None:
        self._rest_until = self._clock() + seconds

    def close(self) -> None:
        """Let go of the door."""
        self._adapter.close()


def run_drop_loops(loops: Sequence[DropLoop], stop: Stop, *, wait_s: float, pause_s: float) -> None:
    """Go from door to door until asked to stop; what is in hand then is finished.

    `wait_s`: how long one door may be waited at; `pause_s`: how long after a round in which nothing came.
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
