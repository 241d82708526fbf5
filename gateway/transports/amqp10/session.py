"""One AMQP 1.0 connection over a plain socket: Proton handles the protocol, this file the I/O.

Proton's engine does no I/O of its own, so everything happens inside the caller's call: no thread, no
callback later, and a deadline on every wait.
"""

import importlib
import select
import socket
import ssl
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from gateway.config.links import Amqp
from gateway.errors import ConfigError, DeliveryError
from gateway.transports.amqp10.engine import Engine, pointer_of
from gateway.transports.progress import (
    UNSENT_BYTES,
    cut_off,
    ended_amid,
    hold_little,
    is_ready_while_moving,
    queued,
)
from spool.lease import ENDLESS, Lease, earlier

PORTS = {"amqp": 5672, "amqps": 5671}
FIXES = {
    "amqp:unauthorized-access": "check destination.amqp.user and password_file, and the user's rights there",
    "amqp:not-found": "check send_address and receive_address; the queue must exist",
    "amqp:not-allowed": "ask the other side whether this user may use this queue",
}
USUAL_FIX = "see that the broker runs and that the network lets us reach it; tried again by itself"


def load_proton() -> Any:
    """Import Proton; raises ConfigError when it is not installed."""
    try:
        return importlib.import_module("proton")
    except ImportError as error:
        raise ConfigError(
            "AMQP needs the library python-qpid-proton, which is not installed",
            where="destination.amqp",
            fix="pip install 'customs-exchange-gateway[amqp]' (needs a C compiler and OpenSSL's headers)",
        ) from error


def check_url(url: str) -> tuple[str, str, int]:
    """Split a URL into scheme, host and port; raises ConfigError."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError):
        parts, port = urlsplit(""), 0
    if not parts.hostname or parts.username is not None:
        raise ConfigError(
            "the address of the broker is not amqp://host:port or amqps://host:port",
            where="destination.amqp.url",
            fix='for example url = "amqps://mq.example.com:5671"; the user goes into `user`, its password '
            "into `password_file`",
        )
    return parts.scheme, parts.hostname, port


class AmqpSession:
    """An open connection with one session; every method may raise DeliveryError, after which it is closed."""

    def __init__(self, config: Amqp, deadline: float) -> None:
        """Connect and log in; blocks until `deadline` (monotonic seconds) at most."""
        self.proton = load_proton()
        self.where = f"{config.url} {config.user}".rstrip()
        self.name = f"gateway-{uuid.uuid4()}"
        self.on_delivery: Callable[[Any], None] = lambda _delivery: None
        """Called with a pointer to each delivery, see `Engine`."""
        self._fault: DeliveryError | None = None
        self._lease = ENDLESS
        """The lease of the unsent messages that ends first."""
        self.takes_back = False
        """Whether `close` discards unsent bytes: messages not yet settled will be sent again."""
        scheme, host, port = check_url(config.url)
        password = _password(config)
        try:
            self._socket = socket.create_connection((host, port), max(0.001, deadline - time.monotonic()))
        except OSError as error:
            raise self.lost(str(error)) from error
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            hold_little(self._socket)
            self._poll = select.poll()
            self._poll.register(self._socket, 0)
            self._build(config, scheme, host, password)
            self.wait(self._opened, deadline)
        except BaseException:
            self.close()
            raise

    def attach(self, address: str, *, sending: bool) -> Any:
        """Open a link and return it; if the other side refuses, the next `pump` raises."""
        link = (
            self._session.sender(f"{self.name}-out") if sending else self._session.receiver(f"{self.name}-in")
        )
        end = link.target if sending else link.source
        end.address = address
        # IBM MQ treats an address as a topic unless a queue is requested; other brokers do not need this.
        end.capabilities.put_array(False, self.proton.Data.SYMBOL)
        end.capabilities.enter()
        end.capabilities.put_symbol(self.proton.symbol("queue"))
        end.capabilities.exit()
        link.snd_settle_mode = self.proton.Link.SND_UNSETTLED
        link.rcv_settle_mode = self.proton.Link.RCV_FIRST
        link.open()
        return link

    def pump(self, ready: Callable[[], bool], deadline: float) -> bool:
        """Move bytes until `ready()` or the deadline; what can be moved at once is moved in any case."""
        while True:
            self._turn()
            if ready():
                return True
            left_s = max(0.0, deadline - time.monotonic())
            if not self._move(left_s) and time.monotonic() >= deadline:
                return False

    def wait(self, ready: Callable[[], bool], deadline: float) -> None:
        """As `pump`, but missing the deadline is an error."""
        if not self.pump(ready, deadline):
            self.close()
            raise self.lost("no answer in time")

    def wait_while_moving(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """As `wait`, but the time counts from the last byte that the other side took."""
        try:
            in_time = is_ready_while_moving(
                partial(self.pump, ready), lambda: self.engine.written - queued(self._socket), timeout_s
            )
        except OSError as error:
            self.close()
            raise self.lost(str(error)) from error
        if not in_time:
            self.close()
            raise self.lost("no answer in time")

    @property
    def is_full(self) -> bool:
        """Whether so much is unsent that writing should wait: a written message counts as begun."""
        return bool(self.engine.lib.pn_session_outgoing_bytes(self._session_pointer) >= UNSENT_BYTES)

    def keep_to(self, lease: Lease) -> None:
        """Stop sending the bytes that are unsent now when this lease is over."""
        self._lease = earlier(self._lease, lease)

    def flush(self, deadline: float) -> None:
        """Pass all written bytes to the operating system."""
        self.wait(lambda: not self.engine.writes, deadline)

    def close(self) -> None:
        """Cut the connection; may be called twice."""
        if self.takes_back:
            cut_off(self._socket)
        self._socket.close()

    def say_goodbye(self, deadline: float) -> None:
        """Close the protocol cleanly if the other side answers in time, then close the connection."""
        with suppress(DeliveryError):
            self._connection.close()
            if self.pump(lambda: bool(self._connection.state & self.proton.Endpoint.REMOTE_CLOSED), deadline):
                self.takes_back = False
        self.close()

    def _build(self, config: Amqp, scheme: str, host: str, password: str) -> None:
        proton = self.proton
        self._collector = proton.Collector()
        self._connection = proton.Connection()
        self._connection.collect(self._collector)
        self._connection.container, self._connection.hostname = self.name, host
        self._transport = proton.Transport()
        sasl = self._transport.sasl()
        sasl.allow_insecure_mechs = True
        sasl.allowed_mechs("PLAIN" if config.user else "ANONYMOUS")
        if config.user:
            self._connection.user, self._connection.password = config.user, password
        self._transport.bind(self._connection)
        self.engine = Engine(self._transport, self._collector)
        if scheme == "amqps":
            self._encrypt(config, host)
        self._connection.open()
        self._session = self._connection.session()
        self._session_pointer = pointer_of(self._session)
        self._session.open()

    def _encrypt(self, config: Amqp, host: str) -> None:
        authorities = str(config.ca_file or ssl.get_default_verify_paths().cafile or "")
        try:
            domain = self.proton.SSLDomain(self.proton.SSLDomain.MODE_CLIENT)
            domain.set_trusted_ca_db(authorities)
            domain.set_peer_authentication(self.proton.SSLDomain.VERIFY_PEER_NAME)
        except self.proton.ProtonException as error:
            raise DeliveryError(
                f"TLS cannot be set up: {error}",
                where=authorities or self.where,
                fix="destination.amqp.ca_file must name a readable PEM file with the broker's authority",
            ) from error
        self._transport_tls = self.proton.SSL(self._transport, domain)
        self._transport_tls.peer_hostname = host

    def _opened(self) -> bool:
        return bool(self._connection.state & self.proton.Endpoint.REMOTE_ACTIVE)

    def _turn(self) -> None:
        """Handle the engine's events; raises the first fault after all of them are handled."""
        self.engine.listen(self.on_delivery, self._handle)
        if self._fault is not None:
            self.close()
            raise self._fault

    def _handle(self, event: Any) -> None:
        kind, events = event.type, self.proton.Event
        if kind is events.CONNECTION_REMOTE_CLOSE:
            if self._connection.state & self.proton.Endpoint.LOCAL_ACTIVE:
                self._fail(event.connection.remote_condition, "the broker closed the connection")
        elif kind in (events.LINK_REMOTE_CLOSE, events.LINK_REMOTE_DETACH):
            self._fail(event.link.remote_condition, "the broker closed the link")
        elif kind is events.SESSION_REMOTE_CLOSE:
            self._fail(event.session.remote_condition, "the broker closed the session")
        elif kind is events.TRANSPORT_ERROR:
            self._fail(event.transport.condition, "the connection failed")
        elif kind is events.TRANSPORT_TAIL_CLOSED:
            self._fail(None, "the broker cut the connection")

    def _fail(self, condition: Any, usual: str) -> None:
        """Record the first fault: later ones are mostly its consequences."""
        if self._fault is None:
            said, name = usual, ""
            if condition is not None:
                name = str(condition.name)
                said = f"{usual}: {condition.description or name}"
            self._fault = DeliveryError(said, where=self.where, fix=FIXES.get(name, USUAL_FIX))

    def _move(self, wait_s: float) -> bool:
        """Write pending bytes; if there are none, wait for the socket up to `wait_s`. False when nothing moved."""
        engine, now = self.engine, time.monotonic()
        tick = engine.tick(now)
        if tick:
            wait_s = max(0.0, min(wait_s, tick - now))
        try:
            # querying the engine may create events
            if self._write() or engine.has_events:
                return True
            reads = engine.reads
            self._poll.modify(
                self._socket, (select.POLLIN if reads else 0) | (select.POLLOUT if engine.writes else 0)
            )
            happened = self._poll.poll(wait_s * 1000)
            if not happened:
                return False
            if reads and happened[0][1] & (select.POLLIN | select.POLLERR | select.POLLHUP):
                return engine.read(self._socket)
            return self._write()
        except OSError as error:
            self.close()
            raise self.lost(str(error)) from error

    def _write(self) -> bool:
        if self._lease.over:
            self.close()
            raise ended_amid(self.where)
        moved = self.engine.write(self._socket)
        if not self.engine.writes:
            self._lease = ENDLESS
        return moved

    def lost(self, said: str) -> DeliveryError:
        """Return the error for a failed connection."""
        return DeliveryError(f"the AMQP connection failed: {said}", where=self.where, fix=USUAL_FIX)


def _password(config: Amqp) -> str:
    if not config.user:
        return ""
    try:
        return config.password_file.read_text(encoding="utf-8").rstrip("\r\n") if config.password_file else ""
    except (OSError, UnicodeDecodeError) as error:
        raise DeliveryError(
            f"the password file cannot be read: {error}",
            where=str(config.password_file),
            fix="destination.amqp.password_file must name a text file that holds the password alone",
        ) from error
