"""The HTTPS door of `gateway signer`: one event loop, and a limit for everything from an unauthenticated caller.

Until its handshake is done, a connection is unauthenticated: it has a few seconds, and when there are too many, the
oldest is closed, so that silent ones cannot lock out others. Afterwards it belongs to a client certified by the CA.
"""

import asyncio
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from math import ceil
from typing import Any, Final, TypeAlias, cast

import h11
from msgspec import Struct

from gateway.observe.defects import RateLimit, defect
from gateway.observe.log import log

STRANGERS: Final = 128
"""Most connections in their handshake."""
STRANGERS_OF_ADDRESS: Final = 32
_HANDSHAKE_S: Final = 5.0
_IDLE_S: Final = 75.0
"""Longest time between two requests of a connection, the head of the next included."""
_BODY_S: Final = 10.0
_ANSWER_S: Final = 10.0
"""For the client to read an answer, and for requests in progress when the door closes."""
_HEAD_BYTES: Final = 16 * 1024
_CHUNK: Final = 16 * 1024
_REST_S: Final = 0.1
"""Pause after a failed accept, for example for lack of descriptors."""
_PROBLEM: Final = "application/problem+json"


class SignerClient(Struct, frozen=True, kw_only=True):
    """The client of a connection."""

    address: str
    names: tuple[str, ...]
    """Common names of the client's certificate."""

    @property
    def client(self) -> str:
        """Its name in the log."""
        return ", ".join(self.names)[:100]


class SignerRequest(Struct, frozen=True, kw_only=True):
    """One completely read request."""

    peer: SignerClient
    method: str
    target: str
    content_type: str
    body: bytes


class SignerResponse(Struct, frozen=True, kw_only=True):
    """One answer, as JSON."""

    status: HTTPStatus
    document: Mapping[str, Any]
    retry_after_s: float = 0.0
    kind: str = "application/json"


def problem(status: HTTPStatus, code: str, detail: str, retry_after_s: float = 0.0) -> SignerResponse:
    """Make a problem document (RFC 9457)."""
    document = {"code": code, "title": status.phrase, "status": status.value, "detail": detail}
    return SignerResponse(status=status, document=document, retry_after_s=retry_after_s, kind=_PROBLEM)


class SignerBounds(Struct, frozen=True, kw_only=True):
    """Limits for clients that have a certificate of the CA."""

    connections: int
    connections_of_address: int
    size_bytes: int


Answering: TypeAlias = Callable[[SignerRequest], Awaitable[SignerResponse]]
_Connections: TypeAlias = dict["asyncio.Task[None]", str]
"""Task of a connection → its address, the oldest first."""


class SignerDoor:
    """Serves one listening socket, and closes it at the end."""

    def __init__(
        self, listener: socket.socket, tls: ssl.SSLContext, answer: Answering, bounds: SignerBounds
    ) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._tls = tls
        self._answer = answer
        self._bounds = bounds
        self._strangers: _Connections = {}
        self._clients: _Connections = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._limit = RateLimit()

    async def serve(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; requests in progress then still get their answer, if it takes only seconds."""
        accepting = asyncio.create_task(self._accept())
        await stop.wait()
        self._stopping = True
        if self._answering:
            await asyncio.wait(self._answering, timeout=_ANSWER_S)
        everybody = [accepting, *self._strangers, *self._clients]
        for task in everybody:
            task.cancel()
        await asyncio.gather(*everybody, return_exceptions=True)
        self._listener.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, whence = await loop.sock_accept(self._listener)
            except OSError as error:
                self._refuse("", f"cannot accept: {error.strerror}")
                await asyncio.sleep(_REST_S)
                continue
            address = str(whence[0])
            self._make_room(address)
            task = asyncio.create_task(self._meet(connection, address))
            self._strangers[task] = address
            await asyncio.sleep(0)  # many connections in the socket's queue must not delay the other tasks

    def _make_room(self, address: str) -> None:
        """Close the oldest connection in its handshake if there are too many: one of the same address first."""
        same = [task for task, theirs in self._strangers.items() if theirs == address]
        if len(same) >= STRANGERS_OF_ADDRESS:
            self._let_go(same[0])
        elif len(self._strangers) >= STRANGERS:
            self._let_go(next(iter(self._strangers)))

    def _let_go(self, stranger: "asyncio.Task[None]") -> None:
        address = self._strangers.pop(stranger)
        stranger.cancel()
        self._refuse(address, "too many connections before their handshake")

    async def _meet(self, connection: socket.socket, address: str) -> None:
        """Handle one connection, from the handshake to its end."""
        task = cast("asyncio.Task[None]", asyncio.current_task())
        try:
            reader, writer = await self._shake_hands(connection)
        except OSError as error:  # ssl.SSLError and TimeoutError are subclasses
            self._refuse(address, f"handshake: {getattr(error, 'reason', None) or error}"[:200])
            return
        finally:
            self._strangers.pop(task, None)
        peer = SignerClient(address=address, names=_names(writer))
        try:
            if self._is_full(address):
                self._refuse(address, "too many connections", client=peer.client)
                return
            self._clients[task] = address
            await self._talk(reader, writer, peer)
        except (OSError, TimeoutError):
            return  # the client disconnected or took too long
        except Exception as error:  # noqa: BLE001 (the connection ends, the others go on)
            defect("request.failed", error, client=peer.client)
        finally:
            self._clients.pop(task, None)
            writer.transport.abort()

    def _is_full(self, address: str) -> bool:
        of_address = sum(theirs == address for theirs in self._clients.values())
        return (
            len(self._clients) >= self._bounds.connections
            or of_address >= self._bounds.connections_of_address
        )

    async def _shake_hands(
        self, connection: socket.socket
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Do the TLS handshake; raises OSError if the client has no certificate of the CA or is too slow."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_CHUNK)
        protocol = asyncio.StreamReaderProtocol(reader)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, connection, ssl=self._tls, ssl_handshake_timeout=_HANDSHAKE_S
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: SignerClient
    ) -> None:
        """Answer the requests of one connection. Raises OSError, TimeoutError."""
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
        while True:
            try:
                asked = await self._request(http, reader, peer)
            except h11.RemoteProtocolError as error:
                self._refuse(peer.address, f"request: {error}"[:200], client=peer.client)
                asked = problem(HTTPStatus(error.error_status_hint), "bad-request", str(error))
            if asked is None:
                return
            with self._in_hand():
                await _say(
                    http, writer, await self._answer(asked) if isinstance(asked, SignerRequest) else asked
                )
            if self._stopping or {http.our_state, http.their_state} != {h11.DONE}:
                await _end(writer)
                return
            http.start_next_cycle()

    @contextmanager
    def _in_hand(self) -> Iterator[None]:
        """Mark this connection as having a request in progress."""
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._answering.add(task)
        try:
            yield
        finally:
            self._answering.discard(task)

    async def _request(
        self, http: h11.Connection, reader: asyncio.StreamReader, peer: SignerClient
    ) -> SignerRequest | SignerResponse | None:
        """Read a request; None when no request comes, an answer when its body is refused unread."""
        async with asyncio.timeout(_IDLE_S):
            head = await _event(http, reader)
        if not isinstance(head, h11.Request):
            return None
        headers = {bytes(name): bytes(value).decode("latin-1") for name, value in head.headers}
        length = headers.get(b"content-length", "0" if head.method == b"GET" else "")
        if not length.isdecimal() or int(length) > self._bounds.size_bytes:
            limit = self._bounds.size_bytes
            return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", f"send 1 to {limit} bytes")
        body = bytearray()
        async with asyncio.timeout(_BODY_S):
            while isinstance(event := await _event(http, reader), h11.Data):
                body += event.data
        if not isinstance(event, h11.EndOfMessage):
            return None
        return SignerRequest(
            peer=peer,
            method=head.method.decode("latin-1"),
            target=head.target.decode("latin-1"),
            content_type=headers.get(b"content-type", ""),
            body=bytes(body),
        )

    def _refuse(self, address: str, reason: str, *, client: str = "") -> None:
        kind = f"{client or address} {reason.partition(':')[0]}"
        if times := self._limit.times(kind):
            log("signer.refused", address=address, client=client, reason=reason, times=times)


async def _event(http: h11.Connection, reader: asyncio.StreamReader) -> object:
    """Return the next event of a connection. Raises OSError, h11.RemoteProtocolError."""
    while (event := http.next_event()) is h11.NEED_DATA:
        http.receive_data(await reader.read(_CHUNK))
    return event


async def _say(http: h11.Connection, writer: asyncio.StreamWriter, answer: SignerResponse) -> None:
    """Send a complete answer. Raises OSError, and TimeoutError when the client does not read it."""
    raw = json.dumps(answer.document, ensure_ascii=False).encode()
    headers = [("Content-Type", answer.kind), ("Content-Length", str(len(raw)))]
    if answer.retry_after_s:
        headers.append(("Retry-After", str(ceil(answer.retry_after_s))))
    if http.their_state is h11.SEND_BODY:  # the rest of the request is not read
        headers.append(("Connection", "close"))
    response = h11.Response(
        status_code=answer.status.value, headers=headers, reason=answer.status.phrase.encode()
    )
    for event in (response, h11.Data(data=raw), h11.EndOfMessage()):
        writer.write(http.send(event) or b"")
    async with asyncio.timeout(_ANSWER_S):
        await writer.drain()


async def _end(writer: asyncio.StreamWriter) -> None:
    """Close the connection after everything written has been sent."""
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_ANSWER_S):
            await writer.wait_closed()


def _names(writer: asyncio.StreamWriter) -> tuple[str, ...]:
    """Return the common names in a client's certificate."""
    certificate: Mapping[str, Any] = writer.get_extra_info("peercert") or {}
    subject = cast("tuple[Any, ...]", certificate.get("subject", ()))
    return tuple(value for part in subject for name, value in part if name == "commonName")
