"""Envelopes over AMQP 1.0: pipelined within the peer's credit, delivered only when the peer has accepted."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.config.links import Amqp
from gateway.errors import DeliveryError
from gateway.ports import Arrival, Delivery, Parcel
from gateway.transports.amqp10.engine import pointer_of
from gateway.transports.amqp10.session import AmqpSession, check_url, load_proton
from gateway.transports.amqp10.wire import decode, encode_head
from spool.lease import Lease

PASSING = frozenset({"amqp:resource-limit-exceeded", "amqp:resource-locked", "amqp:internal-error"})
"""Conditions of a rejection that concern the peer's state, not the message."""
GOODBYE_S = 1.0


class AmqpTransport:
    """`gateway.ports.Transport` to `send_address`."""

    def __init__(self, config: Amqp) -> None:
        """Raises ConfigError for a wrong URL and when Proton is not installed; connects on first use."""
        load_proton()
        check_url(config.url)
        self._config = config
        self._link: _Outlet | None = None

    def send(self, parcels: Sequence[Parcel]) -> Iterator[Delivery]:
        """See `gateway.ports.Transport.send`; the time-out counts from the last progress.

        A rejection with a reason is final (`temporary=False`). After a rejection without one, which brokers give
        when a queue is full, and after a release, another attempt may follow.
        """
        waiting = deque(parcels)
        flying: dict[str, int] = {}
        try:
            link = self._open()
            while waiting or flying:
                while waiting and link.has_room:
                    parcel = waiting.popleft()
                    late = parcel.too_late()
                    if late is not None:
                        yield Delivery(entry=parcel.entry, error=late)
                        continue
                    head = encode_head(parcel)
                    size_bytes = len(head) + len(parcel.body)
                    if link.takes(size_bytes):
                        flying[link.put(head, parcel.body, parcel.lease)] = parcel.entry
                    else:
                        yield Delivery(entry=parcel.entry, error=_too_large(size_bytes, link.where))
                if not flying and not waiting:  # none was sent
                    break
                for tag, error in link.settled(self._config.timeout_s, or_room=bool(waiting)):
                    yield Delivery(entry=flying.pop(tag), error=error)
        except DeliveryError as error:
            begun, flying = [*flying.values()], {}
            self._drop()
            yield from (Delivery(entry=entry, error=error) for entry in begun)
            yield from (Delivery(entry=one.entry, error=one.too_late() or error) for one in waiting)
        finally:
            if flying:  # the caller has stopped iterating: later calls must not meet these verdicts
                self._drop()

    def close(self) -> None:
        """Close the connection cleanly."""
        if self._link is not None:
            self._link.session.say_goodbye(time.monotonic() + GOODBYE_S)
            self._link = None

    def _open(self) -> "_Outlet":
        """Return the link; reconnects when the other side has closed it since the last call."""
        if self._link is not None:
            try:
                self._link.session.pump(lambda: False, 0)
            except DeliveryError:
                self._drop()
        if self._link is None:
            self._link = _Outlet(AmqpSession(self._config, self._deadline()), self._config.send_address)
        return self._link

    def _drop(self) -> None:
        if self._link is not None:
            self._link.session.close()
            self._link = None

    def _deadline(self) -> float:
        return time.monotonic() + self._config.timeout_s


class AmqpFeed:
    """`gateway.ports.Feed` from `receive_address`; at most `prefetch` arrivals are not `done` at a time."""

    def __init__(self, config: Amqp) -> None:
        """Raises ConfigError for a wrong URL and when Proton is not installed; connects on first use."""
        load_proton()
        check_url(config.url)
        self._config = config
        self._link: _Inlet | None = None

    def receive(self, *, limit: int, timeout_s: float) -> Sequence[Arrival]:
        """See `gateway.ports.Feed.receive`; connecting takes up to the configured time-out on top."""
        try:
            return self._open().take(limit, time.monotonic() + timeout_s)
        except DeliveryError:
            self._drop()
            raise

    def done(self, arrivals: Sequence[Arrival]) -> None:
        """See `gateway.ports.Feed.done`; returns when the acceptances are written to the socket."""
        if not arrivals:
            return
        link = self._link
        tokens = [arrival.token for arrival in arrivals]
        mine = [token for token in tokens if isinstance(token, _Token) and token.link is link]
        try:
            if link is not None:
                link.accept(mine, time.monotonic() + self._config.timeout_s)
        except DeliveryError:
            self._drop()
            raise
        if len(mine) != len(tokens):
            raise DeliveryError(
                "the connection was lost before these receipts were acknowledged",
                where=self._config.url,
                fix="nothing to do: they come again, and the second copy is recognised",
            )

    def idle(self) -> None:
        """See `gateway.ports.Feed.idle`; sends the heartbeats that the peer's idle time-out requires."""
        try:
            self._beat()
        except DeliveryError:
            self._drop()
            raise

    def close(self) -> None:
        """See `gateway.ports.Feed.close`; releases arrivals that are not `done`."""
        if self._link is not None:
            self._link.release()
            self._link.session.say_goodbye(time.monotonic() + GOODBYE_S)
            self._link = None

    def _beat(self) -> None:
        """Move bytes that can be moved without waiting. Raises DeliveryError."""
        if self._link is not None:
            self._link.session.pump(lambda: False, 0)

    def _open(self) -> "_Inlet":
        try:
            self._beat()
        except DeliveryError:
            self._drop()
        if self._link is None:
            session = AmqpSession(self._config, time.monotonic() + self._config.timeout_s)
            self._link = _Inlet(session, self._config.receive_address, self._config.prefetch)
        return self._link

    def _drop(self) -> None:
        if self._link is not None:
            self._link.session.close()
            self._link = None


class _Outlet:
    """A sending link and the verdicts received on it."""

    def __init__(self, session: AmqpSession, address: str) -> None:
        self.session = session
        self.where = f"{session.where} {address}"
        self._link = session.attach(address, sending=True)
        self._sender = pointer_of(self._link)
        self._engine = session.engine
        self._lib = session.engine.lib
        self._verdicts: deque[tuple[str, DeliveryError | None]] = deque()
        self._sent = 0
        session.on_delivery = self._heard
        session.takes_back = True

    @property
    def has_room(self) -> bool:
        """Whether more may be put now: the peer has given credit, and little is unsent."""
        return bool(self._lib.pn_link_credit(self._sender) > 0 and not self.session.is_full)

    def takes(self, size_bytes: int) -> bool:
        """Return whether the peer accepts a message of this size."""
        largest = self._lib.pn_link_remote_max_message_size(self._sender)
        return bool(largest == 0 or size_bytes <= largest)

    def put(self, head: bytes, body: bytes, lease: Lease) -> str:
        """Write one message and return its tag; nothing is sent before `settled`."""
        self._sent += 1
        tag = str(self._sent)
        if not self._engine.send(self._sender, tag, head, body):
            raise self.session.lost("the link takes nothing more")
        self.session.keep_to(lease)
        return tag

    def settled(self, timeout_s: float, *, or_room: bool) -> Iterator[tuple[str, DeliveryError | None]]:
        """Block until there are verdicts (or room to send more) and yield those that came.

        The time-out counts from the last byte that the peer took.
        """
        self.session.wait_while_moving(lambda: bool(self._verdicts) or (or_room and self.has_room), timeout_s)
        while self._verdicts:
            yield self._verdicts.popleft()

    def _heard(self, delivery: Any) -> None:
        lib = self._lib
        state = lib.pn_delivery_remote_state(delivery)
        final = state in (lib.PN_ACCEPTED, lib.PN_REJECTED, lib.PN_RELEASED, lib.PN_MODIFIED)
        if not lib.pn_delivery_updated(delivery) or not (final or lib.pn_delivery_settled(delivery)):
            return
        refusal = None if state == lib.PN_ACCEPTED else self._refusal(delivery)
        self._verdicts.append((self._engine.tag(delivery), refusal))
        lib.pn_delivery_settle(delivery)

    def _refusal(self, pointer: Any) -> DeliveryError:
        delivery = self.session.proton.Delivery.wrap(pointer)
        if delivery.remote_state != self.session.proton.Delivery.REJECTED:
            return DeliveryError(
                "the queue gave the envelope back without taking it",
                where=self.where,
                fix="see that the queue exists, is not full and has somebody who reads it",
            )
        condition = delivery.remote.condition
        reason = (condition.description or condition.name) if condition is not None else "no reason given"
        return DeliveryError(
            f"the queue rejected the envelope: {reason}",
            where=self.where,
            fix="mend what the reason names, then retry the entry",
            temporary=condition is None or condition.name in PASSING,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Token:
    """What is needed to settle an arrival; valid only on the connection by which it came."""

    link: "_Inlet"
    delivery: Any


class _Inlet:
    """A receiving link: the arrivals, and those handed out but not settled."""

    def __init__(self, session: AmqpSession, address: str, prefetch: int) -> None:
        self.session = session
        self._link = session.attach(address, sending=False)
        self._receiver = pointer_of(self._link)
        self._arrived: deque[Arrival] = deque()
        self._handed_out: set[_Token] = set()
        session.on_delivery = self._heard
        session.engine.lib.pn_link_flow(self._receiver, prefetch)

    def take(self, limit: int, deadline: float) -> list[Arrival]:
        """Wait for the first arrival, then return those that are there, at most `limit`."""
        self.session.pump(lambda: bool(self._arrived), deadline)
        taken = [self._arrived.popleft() for _ in range(min(limit, len(self._arrived)))]
        self._handed_out.update(_token(arrival) for arrival in taken)
        return taken

    def accept(self, tokens: Sequence[_Token], deadline: float) -> None:
        """Settle arrivals as accepted and give the peer as much new credit."""
        known = [token for token in tokens if token in self._handed_out]
        lib = self.session.engine.lib
        for token in known:
            lib.pn_delivery_update(token.delivery, lib.PN_ACCEPTED)
            lib.pn_delivery_settle(token.delivery)
        self._handed_out.difference_update(known)
        lib.pn_link_flow(self._receiver, len(known))
        self.session.flush(deadline)

    def release(self) -> None:
        """Release all arrivals that are not settled."""
        lib = self.session.engine.lib
        for token in (*self._handed_out, *map(_token, self._arrived)):
            lib.pn_delivery_update(token.delivery, lib.PN_RELEASED)
            lib.pn_delivery_settle(token.delivery)
        self._handed_out.clear()
        self._arrived.clear()

    def _heard(self, delivery: Any) -> None:
        lib = self.session.engine.lib
        if not lib.pn_delivery_readable(delivery) or lib.pn_delivery_partial(delivery):
            return
        raw = self.session.engine.receive(self._receiver, delivery)
        if lib.pn_delivery_aborted(delivery):
            lib.pn_delivery_settle(delivery)
            lib.pn_link_flow(self._receiver, 1)
            return
        body, name = decode(raw, self.session.proton)
        self._arrived.append(Arrival(body=body, name=name, token=_Token(self, delivery)))


def _token(arrival: Arrival) -> _Token:
    token = arrival.token
    assert isinstance(token, _Token)  # noqa: S101  # made by _heard, three lines above
    return token


def _too_large(size_bytes: int, place: str) -> DeliveryError:
    return DeliveryError(
        f"the envelope makes a message of {size_bytes} bytes, more than the queue takes",
        where=place,
        fix="ask for a larger limit on this queue, or hand in messages of fewer declarations",
        temporary=False,
    )
