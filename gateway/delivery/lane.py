"""State of one channel while the notify role runs: deliveries in progress, health, and when to check it again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import zip_longest
from math import inf
from typing import Final

from gateway.config.channels import Channel, Deliver
from gateway.config.gateway_toml import Config
from gateway.delivery.notices import NOUN
from gateway.errors import DeliveryError, GatewayError, LeaseEndedError, ReceiverGoneError
from gateway.observe.role_metrics import notice_counter
from gateway.ports import Clock, Parcel, Transport
from gateway.sending.attempts import Attempts
from gateway.sending.breaker import Breaker
from gateway.sending.resend import policy_of
from spool.entry import Claimed

_SLOW_S: Final = 2.0
_STREAK: Final = 2
"""After so many failures in a row the channel counts as down; a single failure may be due to what was delivered."""
BATCH: Final = 32
"""Entries sent together where one connection carries several."""
_WEBHOOK_BATCH: Final = 1

RenderedDelivery = tuple[Claimed, tuple[Parcel, ...]]
Build = Callable[[Deliver], Transport]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryResult:
    """Result of one delivery: `error` is None exactly when the other side confirmed all of it."""

    entry: Claimed
    error: DeliveryError | None
    sha256: bytes = b""
    """Of the last parcel, when it was delivered."""
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Results of the deliveries that one thread carried."""

    lane: "Lane"
    outcomes: tuple[DeliveryResult, ...]
    took_s: float
    transport: Transport | None
    """To be used again."""


class Lane:
    """State of one channel in one process; used by the role's own thread only, except `_carry`."""

    def __init__(
        self,
        channel: Channel,
        *,
        config: Config,
        build: Build,
        reached: int,
        clock: Clock,
        chance: Callable[[], float],
    ) -> None:
        """`build` makes the transport; `reached`: cursor up to which the channel's notices are in the spool."""
        webhook = channel.deliver.webhook
        self.channel = channel
        self.name = channel.lane
        self.attempts = Attempts(
            policy=policy_of(config, channel.deliver), chance=chance, counter=notice_counter(), noun=NOUN
        )
        self.batch = BATCH if webhook is None else _WEBHOOK_BATCH
        self._hands = 1 if webhook is None else webhook.parallel
        self._clock = clock
        self._breaker = Breaker(self._hands * self.batch, clock=clock, chance=chance)
        self._build = build
        self._transports: list[Transport] = []
        self._rounds = 0
        self._in_hand = 0
        self._streak = 0
        self.reached = reached
        self.open = 0
        """Approximate number of unfinished entries."""
        self.look_at = 0.0
        """When to look for entries, by the clock."""
        self.slow = True
        """True until a delivery was fast."""
        self.gone = False
        """The other side wants no further deliveries."""

    @property
    def down(self) -> bool:
        """Whether the last round failed as a whole (`Breaker.down`)."""
        return self._breaker.down

    def allowance(self) -> int:
        """Return how many entries may be claimed now."""
        if self.gone or self._rounds >= self._hands:
            return 0
        free = (self._hands - self._rounds) * self.batch
        return max(0, min(free, self._breaker.allowance() - self._in_hand))

    def wait_s(self) -> float:
        """Return seconds until the next check makes sense; infinity: another event has to come first."""
        rest_s = self._breaker.wait_s()
        if rest_s <= 0 and not self.allowance():
            return inf
        return inf if self.gone else max(self.look_at - self._clock(), rest_s)

    def work(self, deliveries: Sequence[RenderedDelivery]) -> Callable[[], Round]:
        """Reserve the channel for these deliveries; returns the work for a thread."""
        self._rounds += 1
        self._in_hand += len(deliveries)
        transport = self._transports.pop() if self._transports else None
        return lambda: self._carry(deliveries, transport)

    def finish(self, done: Round) -> tuple[bool, bool]:
        """Learn from a round; returns whether the channel was down before it, and is now."""
        was_down = self.down
        self._rounds -= 1
        self._in_hand -= len(done.outcomes)
        if done.transport is not None:
            self._transports.append(done.transport)
        delivered = sum(one.error is None for one in done.outcomes)
        late = sum(isinstance(one.error, LeaseEndedError) for one in done.outcomes)
        failed = sum(one.error is not None and one.error.temporary for one in done.outcomes) - late
        self.gone = self.gone or any(isinstance(one.error, ReceiverGoneError) for one in done.outcomes)
        self._streak = 0 if delivered else self._streak + failed
        self.slow = bool(failed) or done.took_s > _SLOW_S
        if delivered or late or self._streak >= _STREAK or was_down:
            self._breaker.report(delivered=delivered, failed=failed, late=late)
        self.look_at = self._clock()
        return was_down, self.down

    def close(self) -> None:
        """Close the connections; no delivery may be in progress."""
        for transport in self._transports:
            transport.close()
        self._transports.clear()

    def _carry(self, deliveries: Sequence[RenderedDelivery], transport: Transport | None) -> Round:
        """Deliver, one parcel of each delivery after the other; runs in a thread of the worker pool."""
        began = self._clock()
        errors: dict[int, DeliveryError | None] = {}
        try:
            transport = transport or self._build(self.channel.deliver)
            errors = _send(transport, deliveries)
        except GatewayError as error:  # for instance a secret or a key file that cannot be read
            lost = error if isinstance(error, DeliveryError) else DeliveryError(str(error))
            _put_down(transport)
            transport = None
        except Exception as error:  # noqa: BLE001 (a defect in one channel must not end the others)
            lost = DeliveryError(f"the delivery met a defect: {type(error).__name__}: {error}")
            _put_down(transport)
            transport = None
        else:
            lost = DeliveryError("the transport did not say what became of it")
        return Round(
            lane=self,
            outcomes=tuple(
                _outcome(entry, parcels, errors.get(entry.entry, lost)) for entry, parcels in deliveries
            ),
            took_s=self._clock() - began,
            transport=transport,
        )


def _send(transport: Transport, deliveries: Sequence[RenderedDelivery]) -> dict[int, DeliveryError | None]:
    """Send the first parcel of each delivery, then the second of those whose first was confirmed."""
    errors: dict[int, DeliveryError | None] = {}
    for parcels in zip_longest(*(parcels for _, parcels in deliveries)):
        able = [one for one in parcels if one is not None and errors.get(one.entry) is None]
        errors |= {one.entry: DeliveryError("the transport did not say what became of it") for one in able}
        errors |= {delivery.entry: delivery.error for delivery in transport.send(able)}
    return errors


def _outcome(entry: Claimed, parcels: tuple[Parcel, ...], error: DeliveryError | None) -> DeliveryResult:
    if error is not None:
        return DeliveryResult(entry=entry, error=error)
    return DeliveryResult(
        entry=entry, error=None, sha256=sha256(parcels[-1].body).digest(), size=len(parcels[-1].body)
    )


def _put_down(transport: Transport | None) -> None:
    if transport is not None:
        transport.close()
