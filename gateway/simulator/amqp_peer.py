"""One AMQP connection of the simulator, and the queue of receipts that all connections share."""

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import proton

CREDIT = 512
READ_BYTES = 256 * 1024


class NotNow(Exception):  # noqa: N818  # what the script says, not something gone wrong
    """Raised by `on_message` to release an envelope unprocessed: another attempt may succeed."""


@dataclass(frozen=True, slots=True)
class QueuedReceipt:
    """One receipt that waits for a client."""

    number: int
    body: bytes
    name: str


class ReceiptQueue:
    """Receipts in the order in which they were added; thread-safe."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.came_back = False
        """Set when receipts were put back that another client may take."""
        self._lock = threading.Lock()
        self._waiting: deque[QueuedReceipt] = deque()
        self._offered = 0

    def add(self, body: bytes, name: str) -> None:
        """Append a receipt."""
        with self._lock:
            self._offered += 1
            self._waiting.append(QueuedReceipt(self._offered, body, name))

    def take(self) -> QueuedReceipt | None:
        """Remove and return the first receipt; None when there is none."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def put_back(self, receipts: list[QueuedReceipt]) -> None:
        """Queue receipts again, at the front and in their old order."""
        if receipts:
            with self._lock:
                self._waiting.extendleft(sorted(receipts, key=lambda receipt: receipt.number, reverse=True))
                self.came_back = True


class AmqpPeer:
    """The server's end of one connection; runs only in the server's thread."""

    def __init__(
        self,
        connection: socket.socket,
        receipts: ReceiptQueue,
        on_message: Callable[[bytes, str], None],
        *,
        idle_timeout_s: float,
    ) -> None:
        self.connection = connection
        self._receipts = receipts
        self._on_message = on_message
        self._broken = False
        self._outlets: list[Any] = []
        self._unsettled: dict[tuple[str, str], QueuedReceipt] = {}
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._collector = proton.Collector()
        self._engine = proton.Connection()
        self._engine.collect(self._collector)
        self._transport = proton.Transport(proton.Transport.SERVER)
        self._transport.idle_timeout = idle_timeout_s
        self._transport.sasl().allowed_mechs("ANONYMOUS")
        self._transport.bind(self._engine)

    @property
    def gone(self) -> bool:
        """True when nothing more can be read or written."""
        return self._broken or (self._transport.pending() < 0 and self._transport.capacity() < 0)

    def wanted(self) -> int:
        """Return the `selectors` events to wait for on the socket."""
        writing = selectors.EVENT_WRITE if self._transport.pending() > 0 else 0
        return selectors.EVENT_READ | writing

    def next_tick_s(self) -> float | None:
        """Return the seconds until a heartbeat is due; None when there are no heartbeats."""
        now = time.monotonic()
        tick = self._transport.tick(now)
        return max(0.0, tick - now) if tick else None

    def read(self) -> None:
        """Read what the socket has; does not block."""
        try:
            received = self.connection.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._broken = True
            return
        with suppress(proton.TransportException):  # the engine closes the transport by itself
            if not received:
                self._transport.close_tail()
            while received and (room := self._transport.capacity()) > 0:
                self._transport.push(received[:room])
                received = received[room:]
                self._listen()

    def think(self) -> None:
        """Handle what was read, send receipts, write pending bytes; does not block."""
        self._listen()
        for link in self._outlets:
            self._hand_out(link)
        try:
            while (pending := self._transport.pending()) > 0:
                self._transport.pop(self.connection.send(self._transport.peek(pending) or b""))
        except BlockingIOError:
            return
        except OSError:
            self._broken = True

    def cut(self) -> None:
        """Close the socket; receipts that the client has not accepted go back to the queue."""
        self.connection.close()
        self._receipts.put_back(list(self._unsettled.values()))
        self._unsettled.clear()

    def _listen(self) -> None:
        while (event := self._collector.peek()) is not None:
            self._handle(event)
            self._collector.pop()

    def _handle(self, event: Any) -> None:
        kind, events = event.type, proton.Event
        if kind is events.DELIVERY:
            if event.link.is_receiver:
                self._incoming(event.link, event.delivery)
            else:
                self._outgoing(event.link, event.delivery)
        elif kind is events.CONNECTION_REMOTE_OPEN:
            event.connection.open()
        elif kind is events.SESSION_REMOTE_OPEN:
            event.session.open()
        elif kind is events.LINK_REMOTE_OPEN:
            self._attach(event.link)
        elif kind in (events.LINK_REMOTE_CLOSE, events.LINK_REMOTE_DETACH):
            self._detach(event.link)
        elif kind is events.SESSION_REMOTE_CLOSE:
            event.session.close()
        elif kind is events.CONNECTION_REMOTE_CLOSE:
            event.connection.close()

    def _attach(self, link: Any) -> None:
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        link.open()
        if link.is_receiver:
            link.flow(CREDIT)
        elif link.remote_source.address == self._receipts.address:
            self._outlets.append(link)
        else:
            link.condition = proton.Condition("amqp:not-found", f"no queue {link.remote_source.address}")
            link.close()

    def _detach(self, link: Any) -> None:
        if link in self._outlets:
            self._outlets.remove(link)
            mine = [key for key in self._unsettled if key[0] == link.name]
            self._receipts.put_back([self._unsettled.pop(key) for key in mine])
        link.close()

    def _incoming(self, link: Any, delivery: Any) -> None:
        if not delivery.readable or delivery.partial:
            return
        raw = link.recv(delivery.pending) or b""
        link.advance()
        if not delivery.aborted:
            self._judge(delivery, raw, link.remote_target.address or "")
        delivery.settle()
        if link.credit <= CREDIT // 2:
            link.flow(CREDIT - link.credit)

    def _judge(self, delivery: Any, raw: bytes, address: str) -> None:
        try:
            self._on_message(_body(raw), address)
        except NotNow:
            delivery.update(proton.Delivery.RELEASED)
        except Exception as error:  # noqa: BLE001  # the script behind on_message refuses by raising anything
            delivery.local.condition = proton.Condition("amqp:precondition-failed", str(error))
            delivery.update(proton.Delivery.REJECTED)
        else:
            delivery.update(proton.Delivery.ACCEPTED)

    def _hand_out(self, link: Any) -> None:
        while link.credit > 0 and (receipt := self._receipts.take()) is not None:
            message = proton.Message(
                body=receipt.body, inferred=True, durable=True, id=receipt.name, content_type="text/xml"
            )
            tag = str(receipt.number)
            self._unsettled[link.name, tag] = receipt
            link.delivery(tag)
            link.stream(message.encode())
            link.advance()

    def _outgoing(self, link: Any, delivery: Any) -> None:
        kinds = proton.Delivery
        final = (kinds.ACCEPTED, kinds.REJECTED, kinds.RELEASED, kinds.MODIFIED)
        if not delivery.updated or not (delivery.settled or delivery.remote_state in final):
            return
        receipt = self._unsettled.pop((link.name, delivery.tag), None)
        if receipt is not None and delivery.remote_state not in (kinds.ACCEPTED, kinds.REJECTED):
            self._receipts.put_back([receipt])
        delivery.settle()


def _body(raw: bytes) -> bytes:
    message = proton.Message()
    message.decode(raw)
    body = message.body
    if not isinstance(body, bytes | memoryview):
        raise TypeError("the body of the message is not one binary data section")
    return bytes(body)
