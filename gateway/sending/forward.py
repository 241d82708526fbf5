"""The forward role: claim, sign, check that nothing else changed, wrap, send, settle."""

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

from gateway.config.gateway_toml import Config, Destination
from gateway.errors import DeliveryError, EnvelopeError, LeaseEndedError
from gateway.keys.keyring import Keyring
from gateway.observe.log import gathered, log
from gateway.observe.role_metrics import entry_counter
from gateway.ports import Clock, Delivery, Parcel, Transport
from gateway.processes.heartbeat import beat
from gateway.processes.stop import Stop
from gateway.sending.attempts import Attempts
from gateway.sending.breaker import Breaker
from gateway.sending.claims import take_up_claims
from gateway.sending.device_signing import DeviceSigning, Prepared, ReadyParcel
from gateway.sending.envelope_builder import EnvelopeBuilder
from gateway.sending.records import note_keys
from gateway.sending.resend import policy_of
from signing.errors import KeyUnavailable, SigningError
from spool.entry import Claimed, Settlement
from spool.store import Spool, Topic

_SETTLE_EVERY = 64
_SETTLE_WITHIN_S = 1.0
"""Confirmed entries are settled in groups, but at the latest with the next confirmation after this time: on a slow line
each at once, so that none is sent again because the lease of its batch has ended."""
_GATHER_S = 0.1
"""Pause after a batch that was not full, so that the next one fills up: a batch costs two commits and a round trip."""
_IDLE_S = 5.0
"""Longest wait without a signal, because a signal may get lost."""


_STOPPING: Final = KeyUnavailable(
    "the process was asked to stop before its key had signed", retry_after_s=0.0
)
_UNREACHABLE: Final = KeyUnavailable("the destination was down when the key had signed", retry_after_s=0.0)


class Forward:
    """One process that sends the entries of one destination."""

    def __init__(
        self,
        *,
        spool: Spool,
        transport: Transport,
        destination: Destination,
        keyring: Keyring,
        config: Config,
        claimant: str,
        linger_s: float = 0.0,
        chance: Callable[[], float] = random.random,
        clock: Clock = time.monotonic,
    ) -> None:
        """`linger_s`: pause after a signal, where few signals are for this destination."""
        self._linger_s = linger_s
        self._spool = spool
        self._transport = transport
        self._destination = destination
        self._keyring = keyring
        self._signers = keyring.in_memory()
        self._builder = EnvelopeBuilder(destination, config)
        self._device_signing = DeviceSigning(
            keyring.devices(),
            default_key=config.signing.default_key,
            lease_s=config.lease_s,
            batch=destination.batch,
            work=self._builder.prepare,
        )
        self._config = config
        self._claimant = claimant
        self._attempts = Attempts(
            policy=policy_of(config, destination), chance=chance, counter=entry_counter(destination.name)
        )
        self._breaker = Breaker(destination.batch, clock=clock, chance=chance)
        self._clock = clock

    def run(self, stop: Stop) -> None:
        """Send entries until asked to stop; claimed entries are finished first."""
        note_keys(self._spool, self._keyring.signers())
        take_up_claims(self._spool, self._claimant)
        with self._spool.listen(Topic.ENTRIES) as waiter:
            while not stop():
                wanted = self._breaker.allowance()
                carried = self.step()
                if not carried:
                    stop.pause(self._wait_s(), [waiter.fileno(), *self.descriptors()])
                    stop.pause(self._linger_s)
                    waiter.wait(0.0)
                elif carried < wanted:
                    stop.pause(_GATHER_S)
        self._spool.settle(
            [self._attempts.postponed(one.entry, _STOPPING) for one in self._device_signing.close()]
        )

    def descriptors(self) -> tuple[int, ...]:
        """Return descriptors that are readable when a device has signed something, or may sign again."""
        return self._device_signing.descriptors()

    def _wait_s(self) -> float:
        times = [_IDLE_S]
        if (look_s := self._device_signing.wait_s()) is not None:
            times.append(look_s)
        if self._breaker.wait_s() > 0:
            times.append(self._breaker.wait_s())
        else:
            full = {name for name, room in self._device_signing.room().items() if room == 0}
            due = self._spool.next_due(self._destination.name, full=full)
            if due is not None:
                times.append((due - datetime.now(UTC)).total_seconds())
        return max(0.001, min(times))

    def step(self) -> int:
        """Send one batch; returns how many entries it had, 0 while the breaker is open."""
        allowance = self._breaker.allowance()
        signed = self._device_signing.take()
        limit = allowance - len(signed)
        claimed = (
            self._spool.claim(
                self._claimant,
                self._destination.name,
                limit=limit,
                lease_s=self._config.lease_s,
                room=self._device_signing.room(),
            )
            if limit > 0
            else []
        )
        if claimed or signed:
            with gathered():
                self._carry(claimed, signed, reachable=allowance > 0)
        return len(claimed) + len(signed)

    def _carry(self, claimed: Sequence[Claimed], signed: Sequence[ReadyParcel], *, reachable: bool) -> None:
        """Send the entries claimed just now and those that a device has signed meanwhile; settle all of them."""
        done: list[Settlement] = []
        ready: dict[int, tuple[Claimed, Prepared]] = {}
        parcels: list[Parcel] = []
        for one in signed:
            if not reachable and one.result.exception() is None:
                done.append(self._attempts.postponed(one.entry, _UNREACHABLE))
            else:
                self._collect(one.entry, one.result.result, parcels, ready, done)
        prepare = self._builder.prepare
        for entry in claimed:
            beat()  # signing a batch of the largest messages takes a while
            if not self._device_signing.takes(entry):
                self._collect(entry, partial(prepare, entry, self._signers), parcels, ready, done)
        delivered = failed = late = 0
        cause, settled_at = "", self._clock()
        for delivery in self._transport.send(parcels) if parcels else ():
            beat()
            delivered += delivery.error is None
            if isinstance(delivery.error, LeaseEndedError):
                late += 1
            elif delivery.error is not None and delivery.error.temporary:
                failed += 1
                cause = str(delivery.error)
            done.append(self._judge(delivery, *ready.pop(delivery.entry)))
            if len(done) >= _SETTLE_EVERY or self._clock() - settled_at >= _SETTLE_WITHIN_S:
                self._spool.settle(done)
                done.clear()
                settled_at = self._clock()
        for entry, _ in ready.values():
            silence = DeliveryError(
                "the transport did not say what became of it", where=self._destination.name
            )
            done.append(self._attempts.failed(entry, silence))
            cause = cause or str(silence)
        self._spool.settle(done)
        self._report(delivered, failed + len(ready), late, cause)

    def _collect(
        self,
        entry: Claimed,
        made: Callable[[], Prepared],
        parcels: list[Parcel],
        ready: dict[int, tuple[Claimed, Prepared]],
        done: list[Settlement],
    ) -> None:
        """Add the parcel of an entry to the batch, or settle the entry if there is none."""
        try:
            prepared = made()
        except KeyUnavailable as error:
            done.append(self._attempts.postponed(entry, error))
        except (DeliveryError, SigningError, EnvelopeError) as error:
            done.append(self._attempts.failed(entry, error))
        else:
            parcels.append(prepared.parcel)
            ready[entry.entry] = (entry, prepared)

    def _report(self, delivered: int, failed: int, late: int, cause: str) -> None:
        was_down = self._breaker.down
        self._breaker.report(delivered=delivered, failed=failed, late=late)
        if self._breaker.down and not was_down:
            log(
                "destination.down",
                destination=self._destination.name,
                error=cause,
                wait_s=round(self._breaker.wait_s(), 1),
            )
        elif was_down and not self._breaker.down:
            log("destination.up", destination=self._destination.name)

    def _judge(self, delivery: Delivery, entry: Claimed, prepared: Prepared) -> Settlement:
        if isinstance(delivery.error, LeaseEndedError):
            return self._attempts.postponed(entry, delivery.error)
        if delivery.error is not None:
            return self._attempts.failed(entry, delivery.error)
        return self._attempts.sent(entry, prepared.digest, prepared.record)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()
