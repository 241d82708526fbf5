"""Answers waiting for their time: in order of instant, put together into messages when they go out."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from gateway.simulator.receipts import SimulatedReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRoute:
    """Where an answer goes, and what must be alike for two answers to share a message."""

    origin: str
    """Transport on which the declaration came, a name of the caller's."""
    receiver_id: str
    node: str = ""
    """8-digit node of the asker when it sent a DxpMsgSv: then it gets one back."""
    bare: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyMessage:
    """An answer that is finished bytes already: a DxpRep, a CEB900, garbage."""

    message_type: str
    body: bytes
    status: str = ""
    about: str = ""
    """CopMsgId of the envelope it answers."""
    owner: str = ""
    guid: str = ""
    """Root guid of a CEB900; empty for what goes out without an envelope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """One answer, to be sent at `due`, seconds on the clock of the customs side."""

    due: float
    route: AnswerRoute
    answer: SimulatedReceipt | ReadyMessage


class Postbox:
    """A heap of posted answers; equal instants keep the order of posting. Not thread-safe."""

    def __init__(self) -> None:
        """Begin empty."""
        self._heap: list[tuple[float, int, Posted]] = []
        self._serial = count()

    def __len__(self) -> int:
        """Number of answers not yet taken."""
        return len(self._heap)

    def post(self, posted: Posted) -> None:
        """Put one answer in."""
        heapq.heappush(self._heap, (posted.due, next(self._serial), posted))

    def next_due(self) -> float | None:
        """Instant of the next answer; None when there is none."""
        return self._heap[0][0] if self._heap else None

    def take(self, now: float) -> Iterator[Posted]:
        """Remove and give everything due by `now`."""
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)[2]
