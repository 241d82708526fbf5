"""Queue of answers ordered by due time; they are put together into messages when they go out."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from gateway.simulator.receipts import SimulatedReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRoute:
    """Where an answer goes; only answers with equal routes can share a message."""

    origin: str
    """Transport by which the declaration came; the caller chooses the name."""
    receiver_id: str
    node: str = ""
    """8-digit node of a sender that used a DxpMsgSv: it is answered with one."""
    bare: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyMessage:
    """An answer of finished bytes: a DxpRep, a CEB900, garbage."""

    message_type: str
    body: bytes
    status: str = ""
    about: str = ""
    """CopMsgId of the envelope it answers."""
    owner: str = ""
    guid: str = ""
    """Root guid of a CEB900; empty for an answer sent without an envelope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """One answer, to be sent at `due`, seconds on the clock of the customs side."""

    due: float
    route: AnswerRoute
    answer: SimulatedReceipt | ReadyMessage


class Postbox:
    """A heap of posted answers; equal times keep the order of posting. Not thread-safe."""

    def __init__(self) -> None:
        """Create an empty postbox."""
        self._heap: list[tuple[float, int, Posted]] = []
        self._serial = count()

    def __len__(self) -> int:
        """Return the number of answers not yet taken."""
        return len(self._heap)

    def post(self, posted: Posted) -> None:
        """Add one answer."""
        heapq.heappush(self._heap, (posted.due, next(self._serial), posted))

    def next_due(self) -> float | None:
        """Return the time of the next answer; None when there is none."""
        return self._heap[0][0] if self._heap else None

    def take(self, now: float) -> Iterator[Posted]:
        """Remove and yield everything due by `now`."""
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)[2]
