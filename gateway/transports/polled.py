"""A feed over a directory of whole files: list, read, and remove once they are safe with us.

A directory gives no signal that a portable program could wait for (SFTP has none at all), so an empty one
is looked at again after a short wait, bounded by the caller's time-out.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from gateway.errors import DeliveryError
from gateway.ports import Arrival, Clock

LISTED = 10_000
"""Names kept from one listing at most, so that memory does not grow with the backlog."""
LARGEST_BYTES = 64 * 1024 * 1024
"""A larger file is no receipt; it is left where it lies, and reported once nothing else is waiting."""


class Drop(Protocol):
    """A directory that another program fills. Every method raises DeliveryError."""

    def names(self) -> Sequence[str]:
        """Return up to `LISTED` names of whole files, oldest first."""
        ...

    def read(self, names: Sequence[str]) -> Iterable[tuple[str, bytes | DeliveryError]]:
        """Return the bytes of those files that are there, not empty and not being written.

        A file that cannot be taken comes with the error, so that it does not hold up the others.
        """
        ...

    def remove(self, names: Sequence[str]) -> None:
        """Remove files; one that is not there any more counts as removed."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


def pause(seconds: float) -> None:
    """Wait that long on a signal that nobody gives."""
    threading.Event().wait(seconds)


class PolledFeed:
    """`gateway.ports.Feed` over a `Drop`; what is handed out is not listed again until `done` or an error."""

    def __init__(
        self,
        drop: Drop,
        *,
        poll_s: float,
        wait: Callable[[float], None] = pause,
        clock: Clock = time.monotonic,
    ) -> None:
        self._drop = drop
        self._poll_s = poll_s
        self._wait = wait
        self._clock = clock
        self._waiting: deque[str] = deque()
        self._handed_out: set[str] = set()

    def receive(self, *, limit: int, timeout_s: float) -> Sequence[Arrival]:
        """See `gateway.ports.Feed.receive`; looks every `poll_s` seconds.

        A file that cannot be taken is reported by DeliveryError, but only when nothing else has come.
        """
        end = self._clock() + timeout_s
        while True:
            try:
                arrivals, problem = self._take(limit)
            except DeliveryError:
                self._forget()
                raise
            left_s = end - self._clock()
            if problem and not arrivals and left_s <= 0:
                raise problem
            if arrivals or left_s <= 0:
                return arrivals
            self._wait(min(left_s, self._poll_s))

    def done(self, arrivals: Sequence[Arrival]) -> None:
        """See `gateway.ports.Feed.done`; removes the files."""
        names = [str(arrival.token) for arrival in arrivals]
        try:
            self._drop.remove(names)
        except DeliveryError:
            self._forget()
            raise
        self._handed_out.difference_update(names)

    def close(self) -> None:
        """See `gateway.ports.Feed.close`; files not `done` stay where they are."""
        self._forget()
        self._drop.close()

    def _take(self, limit: int) -> tuple[list[Arrival], DeliveryError | None]:
        if not self._waiting:
            self._waiting.extend(name for name in self._drop.names() if name not in self._handed_out)
        arrivals: list[Arrival] = []
        problem = None
        while self._waiting and not arrivals:
            names = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
            for name, body in self._drop.read(names):
                if isinstance(body, DeliveryError):
                    problem = body
                else:
                    arrivals.append(Arrival(body=body, name=name, token=name))
        self._handed_out.update(arrival.name for arrival in arrivals)
        return arrivals, problem

    def _forget(self) -> None:
        self._waiting.clear()
        self._handed_out.clear()


def too_large(name: str, where: str) -> DeliveryError:
    """Build the error for a file over `LARGEST_BYTES`."""
    return DeliveryError(
        f"a file in the receive folder is larger than {LARGEST_BYTES // 2**20} MiB and is left there: {name}",
        where=where,
        fix="look at it and move it away",
    )
