"""Envelopes over AMQP 0-9-1: published in a pipeline, delivered only when the broker has confirmed.

A confirm means that the broker has the message on disk (persistent, in a durable or quorum queue). Queues belong
to the site: nothing is declared here, and `mandatory` reports a missing one.
"""

import re
import time
from collections import deque
from collections.abc import Iterator, Sequence

from gateway.config.links import Rabbitmq
from gateway.errors import DeliveryError
from gateway.ports import Arrival, Delivery, Parcel
from gateway.transports.rabbitmq.hosts import route_of
from gateway.transports.rabbitmq.links import BrokerConnection, ConsumeLink, PublishLink, Token

LARGEST = re.compile(r"message size \d+ .*max size (\d+)")
"""The text with which RabbitMQ closes the channel after a message over its `max_message_size`."""


class RabbitmqTransport:
    """`gateway.ports.Transport` to `exchange` and `send_queue`."""

    def __init__(self, config: Rabbitmq) -> None:
        """Raises ConfigError for an unusable configuration; connects on first use."""
        self._config = config
        self._line = BrokerConnection(config, PublishLink)

    def send(self, parcels: Sequence[Parcel]) -> Iterator[Delivery]:
        """See `gateway.ports.Transport.send`; the time-out counts from the last progress."""
        waiting = deque(parcels)
        flying: dict[int, Parcel] = {}
        try:
            link = self._line.open()
            while waiting or flying:
                yield from self._publish(link, waiting, flying)
                for tag, error in link.settled(self._config.timeout_s, or_room=bool(waiting)):
                    yield Delivery(entry=flying.pop(tag).entry, error=error)
        except DeliveryError as error:
            left, flying = [*flying.values(), *waiting], {}
            self._line.drop(failed=True)
            begun = len(left) - len(waiting)
            for place, one in enumerate(left):
                late = None if place < begun else one.too_late()
                yield Delivery(entry=one.entry, error=late or _blame(one, error))
        finally:
            if flying:  # the caller has stopped iterating: later calls must not meet these verdicts
                self._line.drop()

    def close(self) -> None:
        """See `gateway.ports.Transport.close`."""
        self._line.close()

    def _publish(
        self, link: PublishLink, waiting: deque[Parcel], flying: dict[int, Parcel]
    ) -> Iterator[Delivery]:
        while waiting and link.takes(waiting[0]):
            parcel = waiting.popleft()
            late = parcel.too_late()
            if late is not None:
                yield Delivery(entry=parcel.entry, error=late)
                continue
            try:
                routing_key = route_of(self._config.send_queue, parcel)
                flying[link.put(parcel, self._config.exchange, routing_key)] = parcel
            except DeliveryError as error:  # concerns only this parcel, of which nothing was sent
                yield Delivery(entry=parcel.entry, error=error)


class RabbitmqFeed:
    """`gateway.ports.Feed` from `receive_queues`; at most `prefetch` arrivals a queue are not `done`."""

    def __init__(self, config: Rabbitmq) -> None:
        """Raises ConfigError for an unusable configuration; connects on first use."""
        self._config = config
        self._line = BrokerConnection(
            config, lambda session, deadline: ConsumeLink(session, config, deadline)
        )

    def receive(self, *, limit: int, timeout_s: float) -> Sequence[Arrival]:
        """See `gateway.ports.Feed.receive`; connecting takes up to the configured time-out on top."""
        try:
            return self._line.open().take(limit, time.monotonic() + timeout_s)
        except DeliveryError:
            self._line.drop(failed=True)
            raise

    def done(self, arrivals: Sequence[Arrival]) -> None:
        """See `gateway.ports.Feed.done`; returns when the acknowledgements are written to the socket."""
        if not arrivals:
            return
        link = self._line.link
        tokens = [arrival.token for arrival in arrivals]
        mine = {token.tag for token in tokens if isinstance(token, Token) and token.link is link}
        try:
            if link is not None:
                link.acknowledge(mine, self._line.deadline())
        except DeliveryError:
            self._line.drop(failed=True)
            raise
        if len(mine) != len(tokens):
            raise DeliveryError(
                "the connection was lost before these receipts were acknowledged",
                where=", ".join(self._config.hosts),
                fix="nothing to do: they come again, and the second copy is recognised",
            )

    def idle(self) -> None:
        """See `gateway.ports.Feed.idle`; sends heartbeats."""
        try:
            self._line.beat()
        except DeliveryError:
            self._line.drop(failed=True)
            raise

    def close(self) -> None:
        """See `gateway.ports.Feed.close`; arrivals that are not `done` go back into their queues."""
        self._line.close()


def _blame(parcel: Parcel, error: DeliveryError) -> DeliveryError:
    """Return the error for a parcel; not temporary if the parcel is larger than the broker accepts."""
    largest = LARGEST.search(error.what)
    if largest is None or len(parcel.body) <= int(largest[1]):
        return error
    return DeliveryError(
        f"the envelope has {len(parcel.body)} bytes, more than the broker takes",
        where=error.where,
        fix="ask for a larger max_message_size there, or hand in messages of fewer declarations",
        temporary=False,
    )
