"""A key behind a remote signer: HTTPS with mutual TLS, `docs/signer.md`."""

import http.client
import json
import ssl
import threading
from base64 import b64decode
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from signing.errors import KeyUnavailable, SigningError
from signing.keys.device import Identity

_ANSWER_BYTES: Final = 1 << 16
_RETRY_AT_MOST_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The address of the signer, and the certificates of the connection."""

    url: str
    """`https://host:port`."""
    key: str
    """The signer's name for the key."""
    ca_file: Path
    """Issuer of the signer's certificate; no other is trusted."""
    client_certificate: Path
    client_key: Path
    timeout_s: float = 5.0


class RemoteSigner:
    """Client of a remote signer; one connection per thread, kept open."""

    def __init__(self, endpoint: Endpoint, identity: Identity) -> None:
        """Open no connection yet. Raises SigningError for a bad address or a file that cannot be used."""
        self._endpoint = endpoint
        self._identity = identity
        parts = urlsplit(endpoint.url)
        if parts.scheme != "https" or not parts.hostname:
            raise SigningError("not an https:// address", where=endpoint.url, fix='url = "https://host:8443"')
        self._host, self._port = parts.hostname, parts.port or 443
        self._path = f"/v1/keys/{quote(endpoint.key, safe='')}"
        try:
            self._tls = ssl.create_default_context(cafile=str(endpoint.ca_file))
            self._tls.load_cert_chain(endpoint.client_certificate, endpoint.client_key)
        except (OSError, ssl.SSLError) as error:
            raise SigningError(
                f"the files of the TLS connection cannot be used: {error}", where=endpoint.url
            ) from error
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._own = threading.local()

    def sign(self, data: bytes) -> bytes:
        """Send these bytes to the signer and return the signature. Blocks. Raises KeyUnavailable."""
        told = self._ask("POST", f"{self._path}/sign", data)
        return self._bytes(told, "signature")

    def probe(self) -> None:
        """Check that the signer answers, can use the key, and has our certificate for it. Raises KeyUnavailable."""
        told = self._ask("GET", self._path, None)
        if self._bytes(told, "certificate") != self._identity.certificate_der:
            raise KeyUnavailable(
                "the signer has another certificate for this key than the configured one",
                where=self._where,
                fix="copy the signer's certificate here",
                retry_after_s=60.0,
            )
        if told.get("open") is not True:
            raise KeyUnavailable(f"the signer says: {told.get('why') or 'out of order'}", where=self._where)

    def certificate(self) -> bytes:
        """Return the certificate that the signer has for the key, DER. Raises KeyUnavailable."""
        return self._bytes(self._ask("GET", self._path, None), "certificate")

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._own, "connection", None)
        if connection is not None:
            connection.close()
            self._own.connection = None

    @property
    def _where(self) -> str:
        return f"key {self._endpoint.key} at {self._endpoint.url}"

    def _ask(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        """Send a request over the kept connection or, if that was closed, over a new one. Raises KeyUnavailable."""
        try:
            return self._twice(method, path, body)
        except TimeoutError as error:
            self.close()
            raise self._silent(f"gave no answer within {self._endpoint.timeout_s:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._silent(f"cannot be asked: {error or type(error).__name__}") from error

    def _twice(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        kept = getattr(self._own, "connection", None)
        if kept is not None:
            try:
                return self._once(kept, method, path, body)
            except (
                ConnectionError,
                http.client.BadStatusLine,
                http.client.CannotSendRequest,
                ssl.SSLEOFError,
            ):
                self.close()  # the idle connection was closed; signing twice does no harm
        fresh = http.client.HTTPSConnection(
            self._host, self._port, timeout=self._endpoint.timeout_s, context=self._tls
        )
        self._own.connection = fresh
        return self._once(fresh, method, path, body)

    def _once(
        self, connection: http.client.HTTPSConnection, method: str, path: str, body: bytes | None
    ) -> dict[str, Any]:
        headers = {} if body is None else {"Content-Type": "application/octet-stream"}
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        raw = response.read(_ANSWER_BYTES)
        try:
            told = json.loads(raw)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise self._silent(f"gave an answer that is not understood, status {response.status}")
        if response.status != HTTPStatus.OK:
            raise self._refused(response.status, told, response.headers.get("Retry-After", ""))
        return told

    def _refused(self, status: int, told: dict[str, Any], retry_after: str) -> KeyUnavailable:
        said = f"the signer refused, status {status}: {told.get('detail') or told.get('title') or ''}"
        wait_s = min(_RETRY_AT_MOST_S, float(retry_after)) if retry_after.isdigit() else 1.0
        return KeyUnavailable(said, where=self._where, fix="see the log of the signer", retry_after_s=wait_s)

    def _silent(self, what: str) -> KeyUnavailable:
        return KeyUnavailable(f"the signer {what}", where=self._where, fix="see that it runs")

    def _bytes(self, told: dict[str, Any], name: str) -> bytes:
        try:
            return b64decode(told[name], validate=True)
        except (KeyError, ValueError, TypeError) as error:
            raise self._silent(f"gave an answer without {name}") from error
