"""A platform's webhook receiver: a real HTTP server on loopback that behaves as it is told, and keeps what it took."""

import base64
import hashlib
import hmac
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from gateway.simulator.world import free_port
from tests.waiting import PATIENCE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One request that was answered 2xx."""

    id: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


Behaviour = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One connection to the receiver."""

    protocol_version = "HTTP/1.1"
    server: "_Server"
    body: bytes = b""

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers["Content-Length"]))
        receiver = self.server.receiver
        receiver.asked(self)
        receiver.behaviour(self)

    def take(self, status: int = 204) -> None:
        """Keep the delivery and say so."""
        self.server.receiver.keep(self)
        self.say(status)

    def say(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """The test says what it wants to know."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: "Receiver"

    def handle_error(self, *_: object) -> None:
        """Whoever is cut off in the middle is no news."""


class Receiver:
    """Starts at once; `behaviour` may be changed at any time. A context manager that stops it."""

    def __init__(
        self, folder: Path, behaviour: Behaviour = Handler.take, *, tls: tuple[Path, Path] | None = None
    ) -> None:
        """`tls`: certificate and key, for https."""
        self.behaviour = behaviour
        self.taken: list[Taken] = []
        self.requests: list[str] = []
        """The id of every request, whatever became of it."""
        self.connections = 0
        self._changed = threading.Condition()
        self._tls = tls
        self.secret_file = folder / f"{os.urandom(4).hex()}.secret"
        self.secret = os.urandom(32)
        self.secret_file.write_text(f"whsec_{base64.b64encode(self.secret).decode()}\n", "ascii")
        self.port = free_port()
        self.start()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/customs?from=gateway"

    def start(self) -> None:
        """Listen, on the port it had before."""
        receiver = self

        class Connection(Handler):
            def setup(self) -> None:
                receiver.connections += 1
                super().setup()

        self._server = _Server(("127.0.0.1", self.port), Connection)
        self._server.receiver = self
        if self._tls is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*self._tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections from now on; those that there are live on until they are asked again."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def asked(self, handler: Handler) -> None:
        with self._changed:
            self.requests.append(handler.headers["webhook-id"])
            self._changed.notify_all()

    def keep(self, handler: Handler) -> None:
        one = Taken(
            id=handler.headers["webhook-id"], headers=dict(handler.headers.items()), body=handler.body
        )
        with self._changed:
            self.taken.append(one)
            self._changed.notify_all()

    def wait_until(self, what: Callable[["Receiver"], bool], timeout_s: float = PATIENCE_S) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: what(self), timeout_s), (
                f"{self.url}: {len(self.taken)} taken of {len(self.requests)} requests"
            )

    def verifies(self, one: Taken) -> bool:
        """Check the signature by hand: docs/delivery.md says how."""
        head = {name.lower(): value for name, value in one.headers.items()}
        signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + one.body
        wanted = base64.b64encode(hmac.new(self.secret, signed, hashlib.sha256).digest()).decode()
        return f"v1,{wanted}" in head["webhook-signature"].split(" ")

    def toml(self, name: str = "erp", **settings: object) -> str:
        """The `[[deliver]]` of an enterprise whose receiver this is."""
        given = {"url": self.url, "secret_file": str(self.secret_file), "allow_private": True, **settings}
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in given.items())
        return f'\n[[deliver]]\nname = "{name}"\n[deliver.webhook]\n{lines}'


def answers(status: int, **headers: str) -> Behaviour:
    """Refuse everything with this status."""
    return lambda handler: handler.say(status, **headers)


def hangs(release: threading.Event) -> Behaviour:
    """Read the request and never answer, until released: then take it."""

    def behave(handler: Handler) -> None:
        release.wait(120)
        handler.take()

    return behave


def takes_but_never_ends(release: threading.Event) -> Behaviour:
    """Take it, begin an answer of any length, and leave the connection open."""

    def behave(handler: Handler) -> None:
        handler.server.receiver.keep(handler)
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nwait")
        release.wait(120)
        handler.close_connection = True

    return behave


def trickles(release: threading.Event) -> Behaviour:
    """Answer one byte of the head now and then: each read succeeds, the answer never comes."""

    def behave(handler: Handler) -> None:
        handler.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(2400):  # two minutes, as the others
            if release.wait(0.05):
                break
            handler.wfile.write(b"z")
            handler.wfile.flush()
        handler.close_connection = True

    return behave
