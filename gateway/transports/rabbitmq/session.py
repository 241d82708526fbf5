"""One AMQP 0-9-1 connection with one channel over a plain socket: pamqp encodes and decodes, this file keeps the state.

Everything happens inside the caller's call: no thread, no callback later, and a deadline on every wait.
Heartbeats are sent only during such calls; a connection unused for longer must be replaced (`is_stale`).
"""

import select
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from pamqp import commands, header
from pamqp.base import Frame
from pamqp.common import FieldTable

from gateway.config.links import Rabbitmq
from gateway.errors import DeliveryError
from gateway.transports.progress import (
    UNSENT_BYTES,
    cut_off,
    ended_amid,
    hold_little,
    is_ready_while_moving,
    queued,
)
from gateway.transports.rabbitmq.faults import USUAL_FIX, closed, lost, untrusted
from gateway.transports.rabbitmq.hosts import Host, password, tls_context
from gateway.transports.rabbitmq.wire import (
    CHANNEL,
    HEARTBEAT,
    PROTOCOL,
    Piece,
    RabbitmqProtocolError,
    cut,
    method,
)
from spool.lease import ENDLESS, Lease, earlier

READ_BYTES = 256 * 1024
FRAME_BYTES = 128 * 1024
"""Largest frame that we offer to accept; RabbitMQ's default."""
ABOUT: FieldTable = {
    "product": "customs-exchange-gateway",
    "capabilities": {
        "publisher_confirms": True,
        "basic.nack": True,
        "consumer_cancel_notify": True,
        "connection.blocked": True,
        "authentication_failure_close": True,
    },
}
F = TypeVar("F", bound=Frame)


class RabbitmqSession:
    """An open connection; every method may raise DeliveryError, after which it is closed."""

    def __init__(self, config: Rabbitmq, host: Host, deadline: float) -> None:
        """Connect and log in; blocks until `deadline` (monotonic seconds) at most."""
        self.where = f"{host} {config.vhost} {config.user}".rstrip()
        self.blocked = ""
        """Why the broker accepts no messages now; empty when it does."""
        self.on_method: Callable[[Frame], None] = lambda _method: None
        self.on_content: Callable[[Frame, commands.Basic.Properties, bytes], None] = lambda *_content: None
        self.frame_bytes = FRAME_BYTES
        self._beat_s = 0.0
        self._fault: DeliveryError | None = None
        self._received, self._unsent = bytearray(), bytearray(PROTOCOL)
        self._replies: list[Frame] = []
        self._content: _Content | None = None
        self._sent_at = self._heard_at = time.monotonic()
        self._written = 0
        self._lease = ENDLESS
        """The lease of the unsent messages that ends first."""
        self.takes_back = False
        """Whether `close` discards unsent bytes: messages not yet settled will be sent again."""
        self._socket = self._connect(config, host, deadline)
        try:
            self._log_in(config, deadline)
            self.call(commands.Channel.Open(), commands.Channel.OpenOk, deadline)
        except BaseException:
            self.close()
            raise

    @property
    def is_full(self) -> bool:
        """Whether so much is unsent that writing should wait."""
        return len(self._unsent) >= UNSENT_BYTES

    @property
    def is_stale(self) -> bool:
        """Whether we sent nothing for so long that the broker may be about to close the connection."""
        return bool(self._beat_s) and time.monotonic() - self._sent_at > self._beat_s

    def write(self, frames: bytes, lease: Lease = ENDLESS) -> None:
        """Append frames to the unsent bytes; nothing is sent before `pump`, and nothing once the lease is over."""
        self._unsent += frames
        self._lease = earlier(self._lease, lease)

    def call(self, question: Frame, answer: type[F], deadline: float) -> F:
        """Send a method and wait for its answer."""
        self._replies.clear()
        self.write(method(question))
        return self._reply(answer, deadline)

    def pump(self, ready: Callable[[], bool], deadline: float) -> bool:
        """Move bytes until `ready()` or the deadline; what can be moved at once is moved in any case."""
        self._move(0)
        while not ready():
            if self._fault is not None:
                self.close()
                raise self._fault
            left_s = max(0.0, deadline - time.monotonic())
            if not self._move(left_s) and time.monotonic() >= deadline and self._fault is None:
                return False
        return True

    def wait(self, ready: Callable[[], bool], deadline: float) -> None:
        """As `pump`, but missing the deadline is an error."""
        if not self.pump(ready, deadline):
            raise self._too_slow()

    def wait_while_moving(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """As `wait`, but the time counts from the last byte that the other side took."""
        try:
            in_time = is_ready_while_moving(
                partial(self.pump, ready), lambda: self._written - queued(self._socket), timeout_s
            )
        except OSError as error:
            self.close()
            raise lost(str(error), self.where) from error
        if not in_time:
            raise self._too_slow()

    def _too_slow(self) -> DeliveryError:
        self.close()
        said = f"the broker takes no messages now: {self.blocked}" if self.blocked else ""
        return lost(said or "no answer in time", self.where)

    def flush(self, deadline: float) -> None:
        """Pass all written bytes to the operating system; raises if the connection has failed."""
        self.wait(lambda: not self._unsent, deadline)
        if self._fault is not None:
            self.close()
            raise self._fault

    def refuse(self, what: str, fix: str = USUAL_FIX) -> None:
        """Mark the connection as failed for the caller's reason; the next wait raises it."""
        self._fail(DeliveryError(what, where=self.where, fix=fix))

    def close(self) -> None:
        """Cut the connection; may be called twice."""
        if self.takes_back:
            cut_off(self._socket)
        self._socket.close()

    def say_goodbye(self, deadline: float) -> None:
        """Close the protocol cleanly if the other side answers in time, then close the connection."""
        with suppress(DeliveryError):
            self._replies.clear()
            self.write(method(commands.Connection.Close(200, "goodbye", 0, 0), 0))
            self._reply(commands.Connection.CloseOk, deadline)
            self.takes_back = False
        self.close()

    def _connect(self, config: Rabbitmq, host: Host, deadline: float) -> socket.socket:
        context = tls_context(config) if host.encrypted else None
        left_s = max(0.001, deadline - time.monotonic())
        try:
            made = socket.create_connection((host.name, host.port), left_s)
        except OSError as error:
            raise lost(str(error), self.where) from error
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            hold_little(made)
            if context is not None:
                made = context.wrap_socket(made, server_hostname=host.name)
            made.setblocking(False)
        except OSError as error:
            made.close()
            raise (
                untrusted(error, self.where)
                if isinstance(error, ssl.SSLError)
                else lost(str(error), self.where)
            ) from error
        return made

    def _log_in(self, config: Rabbitmq, deadline: float) -> None:
        start = self._reply(commands.Connection.Start, deadline)
        wanted = "PLAIN" if config.user else "EXTERNAL"
        offered = str(start.mechanisms).split()
        if wanted not in offered:
            raise DeliveryError(
                f"the broker does not offer the login {wanted}, only: {' '.join(offered)}",
                where=self.where,
                fix="for EXTERNAL it needs its plugin rabbitmq_auth_mechanism_ssl; otherwise give user and "
                "password_file",
            )
        response = f"\0{config.user}\0{password(config)}" if config.user else ""
        self.write(method(commands.Connection.StartOk(ABOUT, wanted, response, "en_US"), 0))
        tune = self._reply(commands.Connection.Tune, deadline)
        self.frame_bytes = min(tune.frame_max or FRAME_BYTES, FRAME_BYTES)
        self._beat_s = float(min(tune.heartbeat or config.heartbeat_s, config.heartbeat_s))
        answer = commands.Connection.TuneOk(tune.channel_max, self.frame_bytes, int(self._beat_s))
        self.write(method(answer, 0) + method(commands.Connection.Open(config.vhost), 0))
        self._reply(commands.Connection.OpenOk, deadline)

    def _reply(self, answer: type[F], deadline: float) -> F:
        self.wait(lambda: any(isinstance(reply, answer) for reply in self._replies), deadline)
        found = next(reply for reply in self._replies if isinstance(reply, answer))
        self._replies.remove(found)
        return found

    def _move(self, wait_s: float) -> bool:
        """Wait for the socket up to `wait_s` and move bytes both ways; False when nothing moved."""
        now = time.monotonic()
        if self._beat_s:
            if now - self._sent_at >= self._beat_s / 2 and not self._unsent:
                self._unsent += HEARTBEAT
            wait_s = min(wait_s, self._beat_s / 2)
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        happened = poll.poll(wait_s * 1000)
        events = happened[0][1] if happened else 0
        try:
            moved = bool(events & ~select.POLLOUT) and self._receive()
            moved |= bool(events & select.POLLOUT) and self._send()
        except OSError as error:
            self._fail(
                untrusted(error, self.where)
                if isinstance(error, ssl.SSLError)
                else lost(str(error), self.where)
            )
            return True
        if self._beat_s and not moved and time.monotonic() - self._heard_at > 2 * self._beat_s:
            self._fail(lost("the broker has fallen silent", self.where))
        return moved

    def _send(self) -> bool:
        if self._lease.over:
            self._fail(ended_amid(self.where))
            return False
        try:
            count = self._socket.send(self._unsent)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        del self._unsent[:count]
        self._written += count
        if not self._unsent:
            self._lease = ENDLESS
        self._sent_at = time.monotonic()
        return count > 0

    def _receive(self) -> bool:
        """Read everything available: TLS may buffer bytes that `poll` does not see."""
        took = False
        with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while self._fault is None:
                received = self._socket.recv(READ_BYTES)
                took = True
                if not received:
                    self._fail(lost("the broker cut the connection", self.where))
                    break
                self._heard_at = time.monotonic()
                self._received += received
                self._take_in()
        return took

    def _take_in(self) -> None:
        try:
            for piece in cut(self._received, self.frame_bytes):
                self._handle(piece)
        except RabbitmqProtocolError as error:
            self._fail(lost(str(error), self.where, fix="see that hosts names the broker's AMQP 0-9-1 port"))

    def _handle(self, piece: Piece) -> None:
        if piece is None:
            return
        if isinstance(piece, Frame):
            self._obey(piece)
            return
        if self._content is None:
            raise RabbitmqProtocolError("a content that nothing announced")
        self._content.add(piece)
        if self._content.whole:
            content, self._content = self._content, None
            self.on_content(content.method, content.properties, b"".join(content.pieces))

    def _obey(self, said: Frame) -> None:
        match said:
            case commands.Connection.Close():
                self._closed(said.reply_code, said.reply_text, commands.Connection.CloseOk(), 0)
            case commands.Channel.Close():
                self._closed(said.reply_code, said.reply_text, commands.Channel.CloseOk(), CHANNEL)
            case commands.Connection.Blocked():
                self.blocked = said.reason or "no reason given"
            case commands.Connection.Unblocked():
                self.blocked = ""
            case commands.Basic.Deliver() | commands.Basic.Return() | commands.Basic.GetOk():
                self._content = _Content(said)
            case commands.Basic.Ack() | commands.Basic.Nack() | commands.Basic.Cancel():
                self.on_method(said)
            case _:
                self._replies.append(said)

    def _closed(self, code: int | None, text: str, answer: Frame, channel: int) -> None:
        with suppress(OSError):
            self._socket.send(method(answer, channel))
        self._fail(closed(code or 0, text, self.where))

    def _fail(self, fault: DeliveryError) -> None:
        """Record the first fault: later ones are mostly its consequences."""
        if self._fault is None:
            self._fault = fault


class _Content:
    """An incoming message, assembled piece by piece."""

    def __init__(self, announced_by: Frame) -> None:
        self.method = announced_by
        self.properties = commands.Basic.Properties()
        self.pieces: list[bytes] = []
        self._missing: int | None = None

    @property
    def whole(self) -> bool:
        return self._missing is not None and self._missing <= 0

    def add(self, piece: bytes | header.ContentHeader) -> None:
        if isinstance(piece, header.ContentHeader):
            self.properties, self._missing = piece.properties, piece.body_size
        elif self._missing is None:
            raise RabbitmqProtocolError("a body without its header")
        else:
            self.pieces.append(piece)
            self._missing -= len(piece)
