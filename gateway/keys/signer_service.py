"""`gateway signer`: sign bytes with keys of this machine, over HTTPS with mutual TLS (docs/signer.md).

It needs neither the spool nor the supervisor, so that it can run on the machine with the USB key.
"""

import asyncio
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import unquote, urlsplit

from msgspec import Meta

from gateway.config.files import absolute, read_section
from gateway.config.keys import KeyConfig, check_keys, check_names
from gateway.config.links import Port
from gateway.config.sections import Count, Seconds, Section
from gateway.errors import ConfigError
from gateway.keys.backlog import HEALTH
from gateway.keys.events import log_key_change
from gateway.keys.keyring import Loader
from gateway.keys.signer_http import (
    SignerBounds,
    SignerClient,
    SignerDoor,
    SignerRequest,
    SignerResponse,
    problem,
)
from gateway.observe.defects import RateLimit
from gateway.observe.log import log
from signing.errors import KeyUnavailable, SigningError, WrongPin
from signing.keys.pool import SigningKey
from signing.keys.queue import SigningQueue

_LOOK_S: Final = 0.5
_BODY: Final = "application/octet-stream"


class SignerTable(Section, kw_only=True):
    """`[signer]`: the HTTPS door."""

    host: str = "127.0.0.1"
    port: Port = 8443
    certificate: Path
    """PEM, with the chain if there is one; the server certificate for clients."""
    key: Path
    ca_file: Path
    """Issuer of the certificates of clients; all others are refused."""
    clients: tuple[str, ...] = ()
    """Common names that may use the keys without `clients` of their own."""
    state_dir: Path
    """Folder for the record of refused PINs."""
    size_bytes: Count = 1024 * 1024
    """Most bytes of a request."""
    wait_s: Seconds = 4.0
    """Longest time that a request waits in the queue, then 503. Must be shorter than the time-out of clients."""
    line: Annotated[int, Meta(ge=1, le=1000)] = 32
    """Most requests that wait for one key; further ones get 503 at once."""
    connections: Count = 100
    """Most connections of all clients; `connections_of_address` limits those of one address."""
    connections_of_address: Count = 32


class SignerConfig(Section, kw_only=True):
    """The whole of signer.toml."""

    signer: SignerTable
    key: tuple[KeyConfig, ...]


def load_signer_config(file: Path) -> SignerConfig:
    """Read and check signer.toml; paths in the result are absolute. Raises ConfigError."""
    config = absolute(read_section(file, SignerConfig), file.resolve().parent)
    check_names("key", [key.name for key in config.key], file)
    check_keys(config.key, file, lease_s=240.0)
    for key in config.key:
        if not key.clients and not config.signer.clients:
            raise ConfigError(
                f"nobody may use key {key.name}",
                where=f"{file}, key {key.name}",
                fix='clients = ["gateway-1"], the common names of their certificates, there or in [signer]',
            )
    return config


class SignerService:
    """The signer; its event loop runs in its own thread until it is stopped."""

    def __init__(self, config: SignerConfig, *, operator: bool = False) -> None:
        """Load the keys and listen. Raises ConfigError, and OSError when the port is in use.

        `operator`: PINs that a device refused may be tried again, once.
        """
        self.config = config.signer
        loader = Loader(health_dir=config.signer.state_dir / HEALTH, operator=operator)
        self.keys: Mapping[str, SigningKey] = loader.load_all(config.key).keys
        self._clients = {key.name: frozenset(key.clients or config.signer.clients) for key in config.key}
        self.lines: dict[str, SigningQueue[tuple[bytes, str]]] = {
            name: SigningQueue(
                key,
                hold_s=self.config.wait_s,
                depth=self.config.line,
                changed=log_key_change,
                opened=_nobody_waits,
            )
            for name, key in self.keys.items()
        }
        self._limit = RateLimit()
        tls = _tls(self.config)
        family = socket.AF_INET6 if ":" in self.config.host else socket.AF_INET
        listener = socket.create_server((self.config.host, self.config.port), family=family, backlog=128)
        self.port = int(listener.getsockname()[1])
        bounds = SignerBounds(
            connections=self.config.connections,
            connections_of_address=self.config.connections_of_address,
            size_bytes=self.config.size_bytes,
        )
        self._door = SignerDoor(listener, tls, self._answer, bounds)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="signer", daemon=True)

    def start(self) -> None:
        """Start the thread that serves."""
        self._thread.start()
        log("signer.listening", address=f"https://{self.config.host}:{self.port}", keys=sorted(self.keys))

    def stop(self) -> None:
        """Stop listening; requests in progress are answered with 503. Blocks until the thread has ended."""
        for line in self.lines.values():
            line.close()
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._door.serve(self._stop))
        finally:
            self._loop.close()

    async def _answer(self, request: SignerRequest) -> SignerResponse:
        """Answer a request: list the keys that the client may use, describe one, or sign with it."""
        match [request.method, *(unquote(part) for part in urlsplit(request.target).path.split("/") if part)]:
            case ["GET", "v1", "keys"]:
                mine = [self.view(name) for name in sorted(self.keys) if self._may(request.peer, name)]
                return SignerResponse(status=HTTPStatus.OK, document={"keys": mine})
            case ["GET", "v1", "keys", name] if name in self.keys:
                return self._refusal(request, name) or SignerResponse(
                    status=HTTPStatus.OK, document=self.view(name)
                )
            case ["POST", "v1", "keys", name, "sign"] if name in self.keys:
                return self._refusal(request, name) or await self._signed(request, name)
            case _:
                return problem(HTTPStatus.NOT_FOUND, "not-found", "there is no such key")

    def _may(self, peer: SignerClient, name: str) -> bool:
        return not self._clients[name].isdisjoint(peer.names)

    def _refusal(self, request: SignerRequest, name: str) -> SignerResponse | None:
        if self._may(request.peer, name):
            return None
        self._log_refused(request.peer, name, "not-allowed")
        return problem(HTTPStatus.FORBIDDEN, "not-allowed", f"this client may not use key {name}")

    async def _signed(self, request: SignerRequest, name: str) -> SignerResponse:
        if request.content_type != _BODY:
            return problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", f"send {_BODY}")
        try:
            signature, serial = await self.sign(name, request.body)
        except SigningError as error:
            code, answer = _failure(error)
            self._log_refused(request.peer, name, code)
            return answer
        digest = sha256(request.body).hexdigest()
        log(
            "signer.signed",
            client=request.peer.client,
            address=request.peer.address,
            key_name=name,
            certificate=serial,
            sha256=digest,
        )
        document = {"signature": b64encode(signature).decode(), "serial": serial}
        return SignerResponse(status=HTTPStatus.OK, document=document)

    def _log_refused(self, peer: SignerClient, name: str, reason: str) -> None:
        if times := self._limit.times(f"{peer.client} {name} {reason}"):
            log(
                "signer.refused",
                client=peer.client,
                address=peer.address,
                key_name=name,
                reason=reason,
                times=times,
            )

    async def sign(self, name: str, data: bytes) -> tuple[bytes, str]:
        """Return the signature and the serial number of the signing certificate.

        Takes at most about `wait_s` plus the time-out of the key's device. Raises KeyUnavailable, and SigningError
        for bytes that the key cannot sign.
        """
        line = self.lines[name]
        if line.room() == 0:
            raise self._no_room(name)
        work = line.put(lambda signer: (signer.sign(data), signer.key_name))
        future = asyncio.wrap_future(work)
        while not (await asyncio.wait({future}, timeout=_LOOK_S))[0]:
            line.tend()
        return future.result()

    def view(self, name: str) -> dict[str, Any]:
        """Return the facts of one key that a client needs, and whether it can sign now."""
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
        """Make the error for a key that accepts no job now, from the member that will be usable first."""
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


def _failure(error: SigningError) -> tuple[str, SignerResponse]:
    """Return the problem's code and the answer for an error of signing."""
    match error:
        case WrongPin():
            code, status, wait_s = "key-locked", HTTPStatus.SERVICE_UNAVAILABLE, error.retry_after_s
        case KeyUnavailable():
            code, status, wait_s = "key-unavailable", HTTPStatus.SERVICE_UNAVAILABLE, error.retry_after_s
        case _:
            code, status, wait_s = "not-signable", HTTPStatus.UNPROCESSABLE_ENTITY, 0.0
    return code, problem(status, code, error.what, wait_s)


def _tls(config: SignerTable) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    tls.verify_mode = ssl.CERT_REQUIRED
    try:
        tls.load_cert_chain(config.certificate, config.key)
        tls.load_verify_locations(cafile=str(config.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the files of the TLS door cannot be used: {error}",
            where="signer",
            fix="certificate and key belong together, ca_file holds PEM certificates",
        ) from error
    return tls


def _nobody_waits() -> None:
    """Do nothing: each request asks for room itself."""
