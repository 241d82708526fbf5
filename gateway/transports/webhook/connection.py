"""HTTP/1.1 client for one server over one kept connection, with a deadline and a limit on the answer's size.

The deadline is for the whole request, whatever the other side does: each wait on the socket gets the time that is left.
Only status and headers matter; the rest of the answer is read for a moment, so that the connection can be used again.
"""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult

import httptools

from gateway.errors import DeliveryError
from gateway.ports import Clock
from gateway.transports.progress import ended_amid
from gateway.transports.webhook.addresses import Address
from spool.lease import ENDLESS, Lease

LARGEST_BYTES: Final = 64 * 1024
"""Size of an answer, head and body, at most."""
_LEFTOVER_S: Final = 0.5
"""Time limit for the rest of an answer."""
_CHUNK: Final = 16 * 1024
_FINAL: Final = 200
"""Answers below are preliminary (RFC 9110, section 15.2)."""


@dataclass(slots=True)
class WebhookResponse:
    """The response of a server; filled by the parser."""

    status: int = 0
    """0: not yet."""
    headers: dict[str, str] = field(default_factory=dict)
    """Names in lower case; the last one if a name is repeated."""
    whole: bool = False
    keep: bool = False
    """Whether the server accepts another request on this connection."""


class _Listener:
    """Fills a WebhookResponse from the callbacks of `httptools.HttpResponseParser`."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.reply = WebhookResponse()
        self._headers: dict[str, str] = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if status >= _FINAL and not self.reply.status:
            self.reply.status, self.reply.headers = status, self._headers
        self._headers = {}

    def on_message_complete(self) -> None:
        if self.reply.status and not self.reply.whole:
            self.reply.whole, self.reply.keep = True, self.parser.should_keep_alive()


class WebhookConnection:
    """A connection to one server, opened when needed."""

    def __init__(
        self,
        url: SplitResult,
        *,
        addresses: Callable[[float], list[Address]],
        context: ssl.SSLContext | None,
        clock: Clock = time.monotonic,
    ) -> None:
        """`addresses` returns the server's addresses within so many seconds; `context`: None means plain HTTP."""
        self._host = url.hostname or ""
        self._authority = url.netloc
        self._path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self._addresses = addresses
        self._context = context
        self._clock = clock
        self._socket: socket.socket | None = None

    def post(
        self, headers: Mapping[str, str], body: bytes, *, timeout_s: float, lease: Lease = ENDLESS
    ) -> WebhookResponse:
        """Send one request, but no bytes once the lease is over, and return the response. Raises DeliveryError."""
        deadline = self._clock() + timeout_s
        request = self._request(headers, body)
        kept = self._socket is not None
        try:
            try:
                return self._exchange(request, deadline, lease)
            except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                if not kept:
                    raise
                self.close()  # the server had closed the idle connection without an answer
                return self._exchange(request, deadline, lease)
        except DeliveryError:
            self.close()
            raise
        except (OSError, httptools.HttpParserError) as error:
            self.close()
            raise self._explained(error, timeout_s) from error

    def connect(self, *, timeout_s: float) -> None:
        """Connect if there is no connection. Raises DeliveryError."""
        try:
            self._connected(self._clock() + timeout_s)
        except OSError as error:
            raise self._explained(error, timeout_s) from error

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _request(self, headers: Mapping[str, str], body: bytes) -> bytes:
        lines = [f"POST {self._path} HTTP/1.1", f"Host: {self._authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode("latin-1") + body

    def _exchange(self, request: bytes, deadline: float, lease: Lease) -> WebhookResponse:
        connection = self._connected(deadline)
        rest = memoryview(request)
        while rest:
            connection.settimeout(self._left(deadline))
            if lease.over:
                raise ended_amid(self._authority)
            rest = rest[connection.send(rest) :]
        listener = _Listener()
        size = 0
        while not listener.reply.status:
            size += self._read(connection, listener, deadline)
            if size > LARGEST_BYTES:
                raise DeliveryError(
                    f"the head of the answer has more than {LARGEST_BYTES} bytes", where=self._authority
                )
        self._finish(connection, listener, size, min(deadline, self._clock() + _LEFTOVER_S))
        return listener.reply

    def _finish(self, connection: socket.socket, listener: _Listener, size: int, until: float) -> None:
        """Read the rest of the answer, up to a time and a size; close the connection unless the answer is complete."""
        with contextlib.suppress(OSError, httptools.HttpParserError):
            while not listener.reply.whole and size <= LARGEST_BYTES and self._clock() < until:
                size += self._read(connection, listener, until)
        if not (listener.reply.whole and listener.reply.keep):
            self.close()

    def _read(self, connection: socket.socket, listener: _Listener, deadline: float) -> int:
        connection.settimeout(self._left(deadline))
        received = connection.recv(_CHUNK)
        if not received:
            raise ConnectionResetError("the server closed the connection before it had answered")
        listener.parser.feed_data(received)
        return len(received)

    def _connected(self, deadline: float) -> socket.socket:
        if self._socket is None:
            self._socket = self._connect(deadline)
        return self._socket

    def _connect(self, deadline: float) -> socket.socket:
        failure: OSError | None = None
        for family, address in self._addresses(self._left(deadline)):
            plain = socket.socket(family, socket.SOCK_STREAM)
            try:
                plain.settimeout(self._left(deadline))
                plain.connect(address)
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._context is None:
                    return plain
                return self._context.wrap_socket(plain, server_hostname=self._host)
            except OSError as error:
                plain.close()
                failure = error
        raise failure or OSError("the server has no address")

    def _left(self, deadline: float) -> float:
        left = deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        return left

    def _explained(self, error: Exception, timeout_s: float) -> DeliveryError:
        match error:
            case TimeoutError():
                what, fix = f"no answer within {timeout_s:g} s", "see why the receiver is slow"
            case ssl.SSLCertVerificationError():
                what = f"its certificate is not trusted: {error.verify_message}"
                fix = "renew the certificate, or name its authority with ca_file"
            case httptools.HttpParserError():
                what, fix = "what it answers is not HTTP", "see that the url is that of a web server"
            case _:
                reason = getattr(error, "strerror", None) or error
                what, fix = f"the receiver cannot be reached: {reason}", "see that it runs and can be reached"
        return DeliveryError(what, where=self._authority, fix=fix)
