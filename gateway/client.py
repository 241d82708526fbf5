"""Client of the HTTP API for platforms: keeps one connection and retries while the gateway restarts.

Everything may be sent again: the same bytes under the same Idempotency-Key are the same message
(docs/http-api.md, Submit), so a lost answer never makes two messages out of one.
"""

import hashlib
import http.client
import io
import secrets
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final, Literal, TypeVar
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import msgspec
from msgspec import Struct
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_before_delay
from tenacity.wait import wait_random_exponential

from gateway.doors.http.request_signature import RequestSignature, signed_headers
from gateway.errors import ConfigError, DeliveryError
from gateway.imports.views import ImportDetailView, ImportView
from gateway.model import HmacKey
from gateway.views.api import (
    AcceptedView,
    AcknowledgementView,
    CursorView,
    ReceiptsView,
    StatusView,
    TimelineView,
)

V = TypeVar("V")
_PATIENT: Final = frozenset({429, 503})
_LONGEST_PAUSE_S: Final = 30.0
_PIECE_BYTES: Final = 1024 * 1024
_backoff = wait_random_exponential(multiplier=0.2, max=5.0)


class ProblemView(Struct, frozen=True, kw_only=True):
    """An RFC 9457 problem document of the gateway: why it refused a request."""

    status: int
    code: str = ""
    title: str = ""
    title_zh: str = ""
    detail: str = ""
    detail_zh: str = ""
    faults: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """The gateway has accepted the message and will deliver it."""

    message: AcceptedView
    first: bool
    """False when the same message was accepted before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    status: int
    body: bytes
    retry_after_s: float


class _NotNow(Exception):  # noqa: N818 (not an error, a reason to wait)
    """The request failed for now; a retry may help."""

    def __init__(self, what: str, pause_s: float = 0.0) -> None:
        super().__init__(what)
        self.pause_s = pause_s


class GatewayClient:
    """One caller of one gateway; for one thread. Methods block, at most `patience_s` and one time-out longer.

    They raise DeliveryError when the gateway cannot be reached in that time, and for an answer that is none.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        hmac_key: HmacKey | None = None,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = 30.0,
        patience_s: float = 60.0,
    ) -> None:
        """Store the settings; the connection is made on first use.

        `url` is `http://host:port` or `https://…`. The caller is proved by the token, by signing each request with
        `hmac_key`, or by the client certificate in `tls`; for `https`, `tls` also says which certificates are
        trusted. Raises ConfigError.
        """
        self._url = _checked(url)
        self._token = token
        self._hmac_key = hmac_key
        self._tls = tls
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._connection: http.client.HTTPConnection | None = None

    def submit(self, body: bytes) -> Submitted | ProblemView:
        """Submit a message, XML of customs or a DxpMsg; exactly these bytes are sent."""
        reply = self._ask("POST", "/v1/messages", body, {
            "Content-Type": "application/xml",
            "Idempotency-Key": hashlib.sha256(body).hexdigest(),
        })  # fmt: skip
        view = self._read(reply, AcceptedView)
        if isinstance(view, ProblemView):
            return view
        return Submitted(message=view, first=reply.status == http.HTTPStatus.ACCEPTED)

    def dry_run(self, body: bytes) -> AcceptedView | ProblemView:
        """Check a message as `submit` would, storing nothing: its `id` is empty, its `state` is `valid`."""
        headers = {"Content-Type": "application/xml"}
        return self._read(self._ask("POST", "/v1/messages?dry_run=true", body, headers), AcceptedView)

    def submit_import(
        self,
        source: BinaryIO,
        form: str,
        mappings: Sequence[str],
        *,
        charset: str = "",
        app_time: str = "",
        all_or_nothing: bool = False,
    ) -> ImportView | ProblemView:
        """Hand in a source of many declarations; the same again is the same import. `form`: its media type.

        `source` is read from its beginning, again for each attempt, and is never in memory as a whole.
        """
        asked = {"mapping": ",".join(mappings), "charset": charset, "app_time": app_time}
        asked = {name: text for name, text in asked.items() if text}
        if all_or_nothing:
            asked["all_or_nothing"] = "true"
        path = f"/v1/imports?{urlencode(asked)}"
        return self._read(self._ask("POST", path, source, {"Content-Type": form}), ImportView)

    def import_detail(
        self, uid: str, *, accepted_after: int = 0, refused_after: int = 0, limit: int = 100
    ) -> ImportDetailView | ProblemView:
        """Say how an import stands, with a page of what was made of it and one of what was refused."""
        asked = urlencode({"accepted_after": accepted_after, "refused_after": refused_after, "limit": limit})
        return self._read(self._ask("GET", f"/v1/imports/{quote(uid, safe='')}?{asked}"), ImportDetailView)

    def import_sheet(
        self, uid: str, name: Literal["refused", "result"], part: int = 0
    ) -> bytes | ProblemView:
        """Return a part of the refused rows with the reasons, or of all rows with what customs said."""
        return self._bytes(f"/v1/imports/{quote(uid, safe='')}/{name}.xlsx?part={part}")

    def message(self, uid: str) -> StatusView | ProblemView:
        """Return the state of a message."""
        return self._read(self._ask("GET", f"/v1/messages/{quote(uid, safe='')}"), StatusView)

    def content(self, uid: str) -> bytes | ProblemView:
        """Return the accepted bytes of a message."""
        return self._bytes(f"/v1/messages/{quote(uid, safe='')}/content")

    def evidence(self, uid: str, *, redact: bool = False) -> bytes | ProblemView:
        """Return the evidence file of a message; waits until the log covers it, at most `patience_s`."""
        asked = "?redact=true" if redact else ""
        return self._bytes(f"/v1/messages/{quote(uid, safe='')}/evidence{asked}")

    def declaration(self, message_type: str, key: str) -> TimelineView | ProblemView:
        """Return all answers about a declaration; `key` as `agentCode=X copNo=Y`."""
        return self._read(
            self._ask("GET", f"/v1/declarations?{urlencode({'type': message_type, 'key': key})}"),
            TimelineView,
        )

    def receipts(
        self, *, after: int | None = None, limit: int = 100, wait_s: int = 0
    ) -> ReceiptsView | ProblemView:
        """Fetch the receipts after a cursor (default: the last one acknowledged); waits up to `wait_s`."""
        asked = {"limit": limit, "wait": wait_s} | ({} if after is None else {"after": after})
        return self._read(self._ask("GET", f"/v1/receipts?{urlencode(asked)}", wait_s=wait_s), ReceiptsView)

    def pages(
        self, *, after: int | None = None, limit: int = 100, wait_s: int = 30, once: bool = False
    ) -> Iterator[ReceiptsView]:
        """Yield every page that has receipts, without end; with `once`, until a page is empty.

        Store a page, then `acknowledge` its cursor: a page that was not acknowledged comes again. Raises
        DeliveryError, also for a problem document.
        """
        while True:
            page = self.receipts(after=after, limit=limit, wait_s=wait_s)
            if isinstance(page, ProblemView):
                raise DeliveryError(
                    f"the gateway gives no receipts: {page.status} {page.title}",
                    where=self._url.geturl(),
                    fix=page.detail or "see the gateway's log",
                    temporary=False,
                )
            if page.receipts:
                yield page
            elif once:
                return
            after = page.cursor

    def receipt_content(self, receipt: str) -> bytes | ProblemView:
        """Return the bytes of a receipt, by its id."""
        return self._bytes(f"/v1/receipts/{quote(receipt, safe='')}/content")

    def acknowledge(self, cursor: int) -> CursorView | ProblemView:
        """Confirm that all receipts up to the cursor are stored at the caller."""
        body = msgspec.json.encode(AcknowledgementView(cursor=cursor))
        return self._read(
            self._ask("POST", "/v1/receipts/ack", body, {"Content-Type": "application/json"}), CursorView
        )

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _bytes(self, path: str) -> bytes | ProblemView:
        reply = self._ask("GET", path)
        return reply.body if reply.status < http.HTTPStatus.BAD_REQUEST else self._read(reply, ProblemView)

    def _read(self, reply: _Reply, shape: type[V]) -> V | ProblemView:
        try:
            if reply.status < http.HTTPStatus.BAD_REQUEST:
                return msgspec.json.decode(reply.body, type=shape)
            return msgspec.json.decode(reply.body, type=ProblemView)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DeliveryError(
                f"an answer that no gateway gives, status {reply.status}",
                where=self._url.geturl(),
                fix="see that the address is that of a gateway",
                temporary=False,
            ) from error

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | BinaryIO | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        wait_s: float = 0.0,
    ) -> _Reply:
        retrying = Retrying(
            retry=retry_if_exception_type(_NotNow),
            stop=stop_before_delay(self._patience_s),
            wait=_pause,
            reraise=True,
        )
        try:
            return retrying(self._once, method, path, body, headers or {}, self._timeout_s + wait_s)
        except _NotNow as error:
            raise DeliveryError(
                f"the gateway cannot be reached: {error}",
                where=self._url.geturl(),
                fix="see that it runs and that the address is right, then submit the same files again",
            ) from error

    def _once(
        self,
        method: str,
        path: str,
        body: bytes | BinaryIO | None,
        headers: Mapping[str, str],
        timeout_s: float,
    ) -> _Reply:
        try:
            reply = self._exchange(method, path, body, headers, timeout_s)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise _NotNow(str(error) or type(error).__name__) from error
        if reply.status in _PATIENT or (reply.status == http.HTTPStatus.CONFLICT and reply.retry_after_s):
            raise _NotNow(f"it answers {reply.status} for now", reply.retry_after_s)
        return reply

    def _exchange(
        self,
        method: str,
        path: str,
        body: bytes | BinaryIO | None,
        headers: Mapping[str, str],
        timeout_s: float,
    ) -> _Reply:
        connection = self._connection or self._connect()
        self._connection = connection
        connection.timeout = timeout_s
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        target = self._url.path + path
        proof = self._proof(method, target, body or b"")
        length = {} if body is None or isinstance(body, bytes) else {"Content-Length": str(_rewound(body))}
        connection.request(method, target, body, {**proof, **headers, **length})
        answer = connection.getresponse()
        wanted = answer.getheader("Retry-After", "")
        return _Reply(
            status=answer.status,
            body=answer.read(),
            retry_after_s=float(wanted) if wanted.isascii() and wanted.isdigit() else 0.0,
        )

    def _proof(self, method: str, target: str, body: bytes | BinaryIO) -> Mapping[str, str]:
        """Return the headers that authenticate the caller; a signature is made anew for each attempt."""
        if self._hmac_key is None:
            return {"Authorization": f"Bearer {self._token}"} if self._token else {}
        request = RequestSignature(
            method=method,
            target=target,
            key=self._hmac_key.id,
            timestamp=str(int(time.time())),
            nonce=secrets.token_hex(16),
            content_sha256=_sha256(body),
        )
        return signed_headers(request, self._hmac_key.secret)

    def _connect(self) -> http.client.HTTPConnection:
        host = self._url.hostname or ""
        if self._url.scheme == "https":
            context = self._tls or ssl.create_default_context()
            return http.client.HTTPSConnection(host, self._url.port, timeout=self._timeout_s, context=context)
        return http.client.HTTPConnection(host, self._url.port, timeout=self._timeout_s)


def _rewound(source: BinaryIO) -> int:
    """Go to the beginning of a file; returns its size in bytes."""
    size = source.seek(0, io.SEEK_END)
    source.seek(0)
    return size


def _sha256(body: bytes | BinaryIO) -> str:
    if isinstance(body, bytes):
        return hashlib.sha256(body).hexdigest()
    digest = hashlib.sha256()
    body.seek(0)
    while part := body.read(_PIECE_BYTES):
        digest.update(part)
    return digest.hexdigest()


def _pause(state: RetryCallState) -> float:
    """Return the pause before the next attempt, in seconds: what the gateway asked for, else growing."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.pause_s if isinstance(error, _NotNow) else 0.0
    return min(asked, _LONGEST_PAUSE_S) or _backoff(state)


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.rstrip("/"))
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or parts.query or parts.fragment or parts.username is not None:
        raise ConfigError(
            f"not the address of a gateway: {url}", fix="write it as http://127.0.0.1:8080 or https://…"
        )
    return parts
