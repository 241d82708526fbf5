"""An endpoint in memory with the same contract as the real ones, for tests of the code that uses them."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.errors import DeliveryError
from gateway.ports import Arrival, Delivery, Parcel


def _accept(_parcel: Parcel) -> DeliveryError | None:
    return None


@dataclass(slots=True, kw_only=True)
class MemoryEndpoint:
    """State that both ends share; `judge` returns the outcome of a parcel, `up`: whether the endpoint answers."""

    judge: Callable[[Parcel], DeliveryError | None] = _accept
    up: bool = True
    arrived: list[Parcel] = field(default_factory=list)
    waiting: list[tuple[int, str, bytes]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    _offered: int = 0

    def offer(self, body: bytes, name: str) -> None:
        """Make a receipt available; wakes a waiting feed."""
        with self.changed:
            self._offered += 1
            self.waiting.append((self._offered, name, body))
            self.changed.notify_all()


class MemoryTransport:
    """`gateway.ports.Transport` to a `MemoryEndpoint`."""

    def __init__(self, endpoint: MemoryEndpoint) -> None:
        self._endpoint = endpoint

    def send(self, parcels: Sequence[Parcel]) -> Iterator[Delivery]:
        """See `gateway.ports.Transport.send`."""
        for parcel in parcels:
            error = parcel.too_late() or (self._endpoint.judge(parcel) if self._endpoint.up else _gone())
            if error is None:
                self._endpoint.arrived.append(parcel)
            yield Delivery(entry=parcel.entry, error=error)

    def close(self) -> None:
        """Do nothing: there is no connection."""


class MemoryFeed:
    """`gateway.ports.Feed` from a `MemoryEndpoint`."""

    def __init__(self, endpoint: MemoryEndpoint) -> None:
        self._endpoint = endpoint
        self._handed_out: set[int] = set()

    def receive(self, *, limit: int, timeout_s: float) -> Sequence[Arrival]:
        """See `gateway.ports.Feed.receive`."""
        with self._endpoint.changed:
            self._check()
            self._endpoint.changed.wait_for(self._fresh, timeout_s)
            self._check()
            taken = self._fresh()[:limit]
        self._handed_out.update(number for number, _, _ in taken)
        return [Arrival(body=body, name=name, token=number) for number, name, body in taken]

    def done(self, arrivals: Sequence[Arrival]) -> None:
        """See `gateway.ports.Feed.done`."""
        with self._endpoint.changed:
            self._check()
            tokens = {arrival.token for arrival in arrivals}
            self._endpoint.waiting = [item for item in self._endpoint.waiting if item[0] not in tokens]

    def idle(self) -> None:
        """See `gateway.ports.Feed.idle`."""
        self._check()

    def close(self) -> None:
        """See `gateway.ports.Feed.close`."""
        self._handed_out.clear()

    def _fresh(self) -> list[tuple[int, str, bytes]]:
        return [item for item in self._endpoint.waiting if item[0] not in self._handed_out]

    def _check(self) -> None:
        if not self._endpoint.up:
            self._handed_out.clear()
            raise _gone()


def _gone() -> DeliveryError:
    return DeliveryError("nobody is there", where="memory", fix="set `up`")
