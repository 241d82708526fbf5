"""The queue door: acknowledges a message once it is on disk and its answer is in the reply queue.

The answer is the document that HTTP would have sent. Its correlation id is the message id of what it answers;
its own id is derived from both, so that a repeated answer can be recognised.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, overload

from gateway.config.doors import AmqpDoor, RabbitmqDoor
from gateway.config.links import Amqp, AmqpBroker, Rabbitmq, RabbitmqBroker
from gateway.doors.drop.batch import is_taken
from gateway.doors.drop.loop import Answered, Reported
from gateway.errors import DeliveryError
from gateway.observe.log import log
from gateway.ports import Arrival, Feed, Parcel, Transport


class QueueDropAdapter:
    """`gateway.doors.drop.loop.DropAdapter` over a queue and a reply queue."""

    def __init__(self, feed: Feed, replies: Transport, *, enterprise: str) -> None:
        self._feed = feed
        self._replies = replies
        self._enterprise = enterprise
        self._one_by_one = False
        """Whether sending answers failed last time: some brokers then cut a connection with several in progress."""

    def receive(self, *, limit: int, timeout_s: float) -> Sequence[Arrival]:
        """See `DropAdapter.receive`."""
        return self._feed.receive(limit=limit, timeout_s=timeout_s)

    def tell(self, answered: Sequence[Answered]) -> Reported:
        """See `DropAdapter.tell`; an answer that the reply queue will never take is logged and given up.

        The message itself is settled by then; receiving it again would not help.
        """
        told: list[Answered] = []
        for some in [[one] for one in answered] if self._one_by_one else [answered]:
            failed = self._send(some, told)
            if failed is not None:
                self._one_by_one = True
                return Reported(told, failed)
        self._one_by_one = False
        return Reported(told)

    def _send(self, answered: Sequence[Answered], told: list[Answered]) -> DeliveryError | None:
        """Send answers and add the sent ones to `told`; returns the error if others have to be sent later."""
        failed: DeliveryError | None = None
        for delivery in self._replies.send(list(_parcels(answered))):
            if delivery.error is not None and delivery.error.temporary:
                failed = failed or delivery.error
                continue
            if delivery.error is not None:
                log("door.answer_lost", enterprise=self._enterprise, error=str(delivery.error))
            told.append(answered[delivery.entry])
        return failed

    def done(self, answered: Sequence[Answered]) -> None:
        """See `DropAdapter.done`; acknowledges."""
        self._feed.done([one.arrival for one in answered])

    def idle(self) -> None:
        """See `DropAdapter.idle`; heartbeats go on."""
        self._feed.idle()

    def close(self) -> None:
        """See `DropAdapter.close`."""
        self._feed.close()
        self._replies.close()


def _parcels(answered: Sequence[Answered]) -> Iterator[Parcel]:
    for number, (arrival, answer) in enumerate(answered):
        asked = arrival.name or hashlib.sha256(arrival.body).hexdigest()
        identity = hashlib.sha256(asked.encode("utf-8", "replace") + b"\0" + answer.body).hexdigest()[:32]
        yield Parcel(
            entry=number,
            cop_msg_id=identity,
            correlation_id=asked,
            message_type="accepted" if is_taken(answer) else "refused",
            media_type=answer.media_type,
            body=answer.body,
            file_name="",
        )


@overload
def link_of(door: RabbitmqDoor) -> Rabbitmq: ...
@overload
def link_of(door: AmqpDoor) -> Amqp: ...
def link_of(door: RabbitmqDoor | AmqpDoor) -> Rabbitmq | Amqp:
    """Return the link that receives from the queue of a door and sends into its reply queue."""
    match door:
        case RabbitmqDoor():
            common = _common(door, RabbitmqBroker)
            return Rabbitmq(**common, send_queue=door.reply_queue, receive_queues=(door.queue,))
        case AmqpDoor():
            common = _common(door, AmqpBroker)
            return Amqp(**common, send_address=door.reply_queue, receive_address=door.queue)


def _common(door: RabbitmqDoor | AmqpDoor, base: type[RabbitmqBroker] | type[AmqpBroker]) -> dict[str, Any]:
    return {name: getattr(door, name) for name in base.__struct_fields__}
