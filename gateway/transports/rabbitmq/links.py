"""The publishing and the consuming side of a RabbitMQ channel, and the connection to the first broker that answers."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Generic, Protocol, TypeVar

from pamqp import commands
from pamqp.base import Frame

from gateway.config.links import Rabbitmq
from gateway.errors import DeliveryError
from gateway.ports import Arrival, Parcel
from gateway.transports.rabbitmq.faults import not_taken, refused, returned
from gateway.transports.rabbitmq.hosts import check
from gateway.transports.rabbitmq.session import RabbitmqSession
from gateway.transports.rabbitmq.wire import encode, message_name, method

WINDOW = 500
"""Messages published and not confirmed, at most."""
GOODBYE_S = 1.0


class BrokerLink(Protocol):
    """The publishing or consuming side on a connection."""

    session: RabbitmqSession

    @property
    def is_worn(self) -> bool:
        """Whether it must be replaced before it is used again."""
        ...


L = TypeVar("L", bound=BrokerLink)


class BrokerConnection(Generic[L]):
    """A link to the first broker of the list that answers; reconnects when it is lost."""

    def __init__(self, config: Rabbitmq, attach: Callable[[RabbitmqSession, float], L]) -> None:
        """Raises ConfigError for an unusable configuration; connects on first use."""
        self._config = config
        self._hosts = check(config)
        self._at = 0
        self._attach = attach
        self.link: L | None = None

    def open(self) -> L:
        """Return the link; raises DeliveryError when no broker accepts the connection."""
        if self.link is not None and (self.link.is_worn or not self._is_alive()):
            self.drop()
        if self.link is None:
            self.link = self._connect(self.deadline())
        return self.link

    def drop(self, *, failed: bool = False) -> None:
        """Cut the connection; after a failure, the next connection goes to the next broker."""
        if self.link is not None:
            self.link.session.close()
            self.link = None
            if failed:
                self._turn()

    def close(self) -> None:
        """Close the connection cleanly."""
        if self.link is not None:
            self.link.session.say_goodbye(time.monotonic() + GOODBYE_S)
            self.link = None

    def deadline(self) -> float:
        """Return the deadline of an operation that begins now, in monotonic seconds."""
        return time.monotonic() + self._config.timeout_s

    def beat(self) -> None:
        """Move bytes without waiting, heartbeats too; raises DeliveryError when the connection is lost."""
        if self.link is not None:
            self.link.session.pump(lambda: False, 0)

    def _is_alive(self) -> bool:
        try:
            self.beat()
        except DeliveryError:
            return False
        return True

    def _connect(self, deadline: float) -> L:
        """Try each broker once, with an even share of the time."""
        errors: list[DeliveryError] = []
        for tried in range(len(self._hosts)):
            now = time.monotonic()
            until = now + max(0.0, deadline - now) / (len(self._hosts) - tried)
            try:
                return self._attach(RabbitmqSession(self._config, self._hosts[self._at], until), until)
            except DeliveryError as error:
                errors.append(error)
                self._turn()
        raise refused(errors)

    def _turn(self) -> None:
        self._at = (self._at + 1) % len(self._hosts)


class PublishLink:
    """The publishing side of a channel, and the verdicts received on it."""

    def __init__(self, session: RabbitmqSession, deadline: float) -> None:
        self.session = session
        self._flying: dict[int, tuple[str, str]] = {}
        """Delivery tag → CopMsgId and place, in the order of publishing."""
        self._names: dict[str, int] = {}
        self._returned: dict[int, DeliveryError] = {}
        self._verdicts: deque[tuple[int, DeliveryError | None]] = deque()
        self._last_tag = 0
        self._refused = False
        session.on_method, session.on_content = self._confirmed, self._came_back
        session.takes_back = True
        session.call(commands.Confirm.Select(), commands.Confirm.SelectOk, deadline)

    @property
    def is_worn(self) -> bool:
        """Whether the broker may be about to close the connection, or may refuse without reason.

        The outcome of messages published while it closes would be unknown. And RabbitMQ keeps refusing on a channel
        that has met a quorum queue without a leader, even when the queue has one again (3.10).
        """
        return self.session.is_stale or self._refused

    @property
    def has_room(self) -> bool:
        """Whether more may be published now."""
        return len(self._flying) < WINDOW and not self.session.is_full and not self.session.blocked

    def takes(self, parcel: Parcel) -> bool:
        """Return whether this parcel may be published now.

        Not while another with its name is not yet settled: a return identifies its publish only by the message id.
        """
        return self.has_room and parcel.cop_msg_id not in self._names

    def put(self, parcel: Parcel, exchange: str, routing_key: str) -> int:
        """Write one message and return its delivery tag; nothing is sent before `settled`."""
        frames = encode(parcel, exchange, routing_key, self.session.frame_bytes)
        self.session.write(frames, parcel.lease)
        self._last_tag += 1
        place = f"{self.session.where}, exchange {exchange!r}, routing key {routing_key!r}"
        self._flying[self._last_tag] = parcel.cop_msg_id, place
        self._names[parcel.cop_msg_id] = self._last_tag
        return self._last_tag

    def settled(self, timeout_s: float, *, or_room: bool) -> Iterator[tuple[int, DeliveryError | None]]:
        """Block until there are verdicts (or room to send more) and yield those that came.

        The time-out counts from the last byte that the broker took.
        """
        self.session.wait_while_moving(
            lambda: bool(self._verdicts) or not (self._flying or (or_room and not self.has_room)), timeout_s
        )
        while self._verdicts:
            yield self._verdicts.popleft()

    def _confirmed(self, said: Frame) -> None:
        match said:
            case commands.Basic.Ack(delivery_tag=last, multiple=many):
                self._settle(last, many=many, taken=True)
            case commands.Basic.Nack(delivery_tag=last, multiple=many):
                self._settle(last, many=many, taken=False)
            case _:
                pass

    def _settle(self, last: int, *, many: bool, taken: bool) -> None:
        self._refused |= not taken
        tags = list(takewhile(lambda tag: tag <= last, self._flying)) if many else [last]
        for tag in tags:
            if tag not in self._flying:
                self.session.refuse(f"the broker confirmed a message that was not sent: {tag}")
                return
            name, place = self._flying.pop(tag)
            del self._names[name]
            error = self._returned.pop(tag, None)
            self._verdicts.append((tag, error or (None if taken else not_taken(place))))

    def _came_back(self, said: Frame, properties: commands.Basic.Properties, _body: bytes) -> None:
        """Record a return: the confirm that follows it then means a failure."""
        tag = self._names.get(message_name(properties))
        if not isinstance(said, commands.Basic.Return) or tag is None:
            self.session.refuse("the broker returned a message that was not sent")
            return
        self._returned[tag] = returned(said.reply_text or str(said.reply_code), self._flying[tag][1])


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """What is needed to acknowledge an arrival; valid only on the connection by which it came."""

    link: "ConsumeLink"
    tag: int


class ConsumeLink:
    """The consumers of a channel: the arrivals, and those not acknowledged."""

    def __init__(self, session: RabbitmqSession, config: Rabbitmq, deadline: float) -> None:
        self.session = session
        self._arrived: deque[Arrival] = deque()
        self._open: dict[int, None] = {}
        """Delivery tags not acknowledged, in the order in which they came."""
        session.on_method, session.on_content = self._cancelled, self._heard
        session.call(commands.Basic.Qos(0, config.prefetch), commands.Basic.QosOk, deadline)
        for queue in config.receive_queues:
            # The consumer tag is the queue's name, so that a cancel names the queue.
            session.call(commands.Basic.Consume(0, queue, queue[:255]), commands.Basic.ConsumeOk, deadline)

    @property
    def is_worn(self) -> bool:
        """Never: arrivals handed out can only be acknowledged on this connection."""
        return False

    def take(self, limit: int, deadline: float) -> list[Arrival]:
        """Wait for the first arrival, then return those that are there, at most `limit`."""
        self.session.pump(lambda: bool(self._arrived), deadline)
        return [self._arrived.popleft() for _ in range(min(limit, len(self._arrived)))]

    def acknowledge(self, tags: set[int], deadline: float) -> None:
        """Acknowledge arrivals: all from the oldest up to the first gap with one method, later ones one by one."""
        left = tags & self._open.keys()
        together = 0
        for tag in self._open:
            if tag not in left:
                break
            together = tag
        if together:
            self.session.write(method(commands.Basic.Ack(together, multiple=True)))
        for tag in sorted(left):
            del self._open[tag]
            if tag > together:
                self.session.write(method(commands.Basic.Ack(tag)))
        self.session.flush(deadline)

    def _heard(self, said: Frame, properties: commands.Basic.Properties, body: bytes) -> None:
        if isinstance(said, commands.Basic.Deliver):
            tag = said.delivery_tag or 0
            self._open[tag] = None
            token = Token(self, tag)
            self._arrived.append(Arrival(body=body, name=message_name(properties), token=token))

    def _cancelled(self, said: Frame) -> None:
        if isinstance(said, commands.Basic.Cancel):
            self.session.refuse(
                f"the broker ended our reading of queue {said.consumer_tag}: it was deleted or moved",
                "see that the queue exists; tried again by itself",
            )
