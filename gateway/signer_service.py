"""`gateway signer`: "sign these bytes" over HTTPS with mutual TLS, beside keys of this machine (docs/signer.md).

It needs neither the spool nor the supervisor, so that it can stand on the machine that the USB key is in.
"""

import json
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Final, cast
from urllib.parse import unquote, urlsplit

from msgspec import Meta

from gateway.config import Port
from gateway.config_keys import Key as KeyTable
from gateway.config_keys import check_keys, check_names
from gateway.errors import ConfigError
from gateway.key_events import tell
from gateway.keyring import Loader
from gateway.observe import log
from gateway.queues import HEALTH
from gateway.section import Count, Seconds, Section
from gateway.section_files import absolute, read_section
from signing.errors import KeyUnavailable, SigningError, WrongPin
from signing.line import Line
from signing.pool import Key

_LOOK_S: Final = 0.5
_IDLE_S: Final = 75.0
"""A client keeps its connection that long without a request."""
_BODY: Final = "application/octet-stream"


class SignerTable(Section, kw_only=True):
    """`[signer]`: the HTTPS door."""

    host: str = "127.0.0.1"
    port: Port = 8443
    certificate: Path
    """PEM, with the chain if there is one; what clients know us by."""
    key: Path
    ca_file: Path
    """Who issues the certificates of clients; no other gets in."""
    clients: tuple[str, ...] = ()
    """Common names that may sign; empty: whoever the CA has issued a certificate to."""
    state_dir: Path
    """Where it is kept whether a PIN was refused."""
    size_bytes: Count = 1024 * 1024
    """A request may have at most."""
    wait_s: Seconds = 4.0
    """A request waits so long for its turn; then 503. Shorter than the time-out of clients."""
    line: Annotated[int, Meta(ge=1, le=1000)] = 32
    """Requests that wait for one key at most; further ones get 503 at once."""


class SignerConfig(Section, kw_only=True):
    """The whole of signer.toml."""

    signer: SignerTable
    key: tuple[KeyTable, ...]


def load_signer_config(file: Path) -> SignerConfig:
    """Read and check signer.toml; paths in the result are absolute. Raises ConfigError."""
    config = absolute(read_section(file, SignerConfig), file.resolve().parent)
    check_names("key", [key.name for key in config.key], file)
    check_keys(config.key, file, lease_s=240.0)
    return config


class SignerService:
    """Serves until it is stopped; a thread for each connection."""

    def __init__(self, config: SignerConfig, *, operator: bool = False) -> None:
        """Load the keys and listen. Raises ConfigError, OSError when the port is taken.

        `operator`: PINs that a device refused may be tried again, once.
        """
        self.config = config.signer
        loader = Loader(health_dir=config.signer.state_dir / HEALTH, operator=operator)
        self.keys: Mapping[str, Key] = loader.load_all(config.key).keys
        self.lines: dict[str, Line[tuple[bytes, str]]] = {
            name: Line(
                key, hold_s=self.config.wait_s, depth=self.config.line, changed=tell, opened=_nobody_waits
            )
            for name, key in self.keys.items()
        }
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, name="signer", daemon=True)

    @property
    def port(self) -> int:
        """TCP port it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Serve, in threads of its own."""
        self._thread.start()
        log("signer.listening", address=f"https://{self.config.host}:{self.port}", keys=sorted(self.keys))

    def stop(self) -> None:
        """Stop listening; answer what is in hand with 503."""
        self._server.shutdown()
        self._server.hang_up()
        for line in self.lines.values():
            line.close()
        self._server.server_close()

    def sign(self, name: str, data: bytes) -> tuple[bytes, str]:
        """Return the signature and the serial number of the certificate it is by.

        Blocks until the key has signed, at most about `wait_s` and the time-out of its device. Raises
        KeyUnavailable; SigningError for bytes that the key cannot sign.
        """
        line = self.lines[name]
        if line.room() == 0:
            raise self._no_room(name)
        future: Future[tuple[bytes, str]] = line.put(lambda signer: (signer.sign(data), signer.key_name))
        while True:
            try:
                return future.result(_LOOK_S)
            except NotYet:
                line.tend()

    def view(self, name: str) -> dict[str, Any]:
        """Describe one key: what a client has to know, and whether it is in order."""
        key = self.keys[name]
        signer = key.current(datetime.now(UTC))[0].signer
        in_order, why = True, ""
        if not key.in_memory:
            in_order = self.lines[name].room() > 0
            why = "" if in_order else str(self._no_room(name))
        return {
            "name": name,
            "suite": signer.suite.name,
            "serial": signer.key_name,
            "certificate": b64encode(signer.certificate_der).decode(),
            "open": in_order,
            "why": why,
        }

    def _no_room(self, name: str) -> KeyUnavailable:
        """Say why a key takes nothing now: that of its members which will be back first."""
        errors: list[KeyUnavailable] = []
        for member in self.keys[name].current(datetime.now(UTC)):
            if member.health is None:
                continue
            try:
                standing = member.health.standing()
            except KeyUnavailable as error:
                errors.append(error)
                continue
            if standing.suspect:
                said = member.health.read().why
                errors.append(KeyUnavailable(said, retry_after_s=max(1.0, standing.wait_s)))
            else:
                return KeyUnavailable(f"too many wait for key {name}", retry_after_s=1.0)
        soonest = min(errors, key=lambda one: one.retry_after_s, default=None)
        return soonest or KeyUnavailable(f"key {name} is out of order")


class _Server(ThreadingHTTPServer):
    """The listening socket; TLS is shaken hands over in the thread of the connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, service: SignerService) -> None:
        self.service = service
        config = service.config
        self.address_family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        try:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
            self._tls.verify_mode = ssl.CERT_REQUIRED
            self._tls.load_cert_chain(config.certificate, config.key)
            self._tls.load_verify_locations(cafile=str(config.ca_file))
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"the files of the TLS door cannot be used: {error}",
                where="signer",
                fix="certificate and key belong together, ca_file holds PEM certificates",
            ) from error
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((config.host, config.port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept without the handshake: a slow stranger must not keep others out."""
        connection, address = super().get_request()
        connection.settimeout(_IDLE_S)
        wrapped = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._open.add(wrapped)
        return wrapped, address

    def close_request(self, request: Any) -> None:
        """Forget a connection that has ended."""
        with self._lock:
            self._open.discard(request)
        super().close_request(request)

    def hang_up(self) -> None:
        """End every connection."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of strangers whose handshake failed, or of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "signer"
    sys_version = ""
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Shake hands first; raises ssl.SSLError for who has no certificate of the CA."""
        cast("ssl.SSLSocket", self.request).do_handshake()
        super().setup()

    def do_GET(self) -> None:
        """Describe a key, or all."""
        service = cast("_Server", self.server).service
        if not self._may():
            return
        parts = self._parts()
        if parts == ["v1", "keys"]:
            self._say(HTTPStatus.OK, {"keys": [service.view(name) for name in sorted(service.keys)]})
        elif len(parts) == 3 and parts[:2] == ["v1", "keys"] and parts[2] in service.keys:  # noqa: PLR2004
            self._say(HTTPStatus.OK, service.view(parts[2]))
        else:
            self._problem(HTTPStatus.NOT_FOUND, "not-found", "there is no such key")

    def do_POST(self) -> None:
        """Sign the body."""
        service = cast("_Server", self.server).service
        body = self._body(service.config.size_bytes)
        if body is None or not self._may():
            return
        parts = self._parts()
        known = len(parts) == 4 and parts[:2] == ["v1", "keys"] and parts[3] == "sign"  # noqa: PLR2004
        if not known or parts[2] not in service.keys:
            self._problem(HTTPStatus.NOT_FOUND, "not-found", "there is no such key")
            return
        try:
            signature, serial = service.sign(parts[2], body)
        except WrongPin as error:
            self._problem(HTTPStatus.SERVICE_UNAVAILABLE, "key-locked", error.what, error.retry_after_s)
        except KeyUnavailable as error:
            self._problem(HTTPStatus.SERVICE_UNAVAILABLE, "key-unavailable", error.what, error.retry_after_s)
        except SigningError as error:
            self._problem(HTTPStatus.UNPROCESSABLE_ENTITY, "not-signable", error.what)
        else:
            self._say(HTTPStatus.OK, {"signature": b64encode(signature).decode(), "serial": serial})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the library's name)
        """Log nothing for each request: the gateways do."""

    def _may(self) -> bool:
        """See that the client is one of those that may; answers if not."""
        allowed = cast("_Server", self.server).service.config.clients
        certificate = cast("ssl.SSLSocket", self.request).getpeercert() or {}
        names = [
            value
            for part in cast("tuple[Any, ...]", certificate.get("subject", ()))
            for name, value in part
            if name == "commonName"
        ]
        if allowed and not set(names) & set(allowed):
            self._problem(HTTPStatus.FORBIDDEN, "not-allowed", "this client may not use the signer")
            return False
        return True

    def _parts(self) -> list[str]:
        return [unquote(part) for part in urlsplit(self.path).path.split("/") if part]

    def _body(self, limit: int) -> bytes | None:
        """Read the body; answers, and closes the connection, when there is none of an allowed size and kind."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > limit:
            self.close_connection = True
            self._problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", f"send 1 to {limit} bytes")
            return None
        body = self.rfile.read(int(length))
        if self.headers.get("Content-Type", "") != _BODY:
            self._problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", f"send {_BODY}")
            return None
        return body

    def _problem(self, status: HTTPStatus, code: str, detail: str, retry_after_s: float = 0.0) -> None:
        """Answer with a problem document (RFC 9457)."""
        document = {"code": code, "title": status.phrase, "status": status.value, "detail": detail}
        self._say(status, document, retry_after_s, kind="application/problem+json")

    def _say(
        self,
        status: HTTPStatus,
        document: Mapping[str, Any],
        retry_after_s: float = 0.0,
        *,
        kind: str = "application/json",
    ) -> None:
        raw = json.dumps(document, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        if retry_after_s:
            self.send_header("Retry-After", str(ceil(retry_after_s)))
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(raw)


def _nobody_waits() -> None:
    """Requests ask for room themselves."""
