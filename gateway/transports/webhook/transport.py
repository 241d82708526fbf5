"""Sends notices as signed HTTP requests by the Standard Webhooks specification (docs/delivery.md).

Each request has three headers: `webhook-id`, the same for every attempt; `webhook-timestamp`, of this attempt;
`webhook-signature`, HMAC-SHA256 over `<id>.<timestamp>.<body>` with the secret that only the two sides know.
"""

import base64
import binascii
import hashlib
import hmac
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Final

from gateway.config.channels import target_of
from gateway.config.links import Webhook
from gateway.errors import ConfigError, DeliveryError, ReceiverGoneError
from gateway.ports import Delivery, Parcel
from gateway.transports.webhook.addresses import LookUp, addresses_of, look_up
from gateway.transports.webhook.connection import WebhookConnection, WebhookResponse

_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = range(24, 65)
_GONE: Final = 410
_ASK_TO_WAIT: Final = (429, 503)


class WebhookTransport:
    """`gateway.ports.Transport` to one URL, one request after the other over a kept connection."""

    def __init__(
        self, config: Webhook, *, look_up: LookUp = look_up, now: Callable[[], float] = time.time
    ) -> None:
        """`now`: seconds since 1970. Raises ConfigError; connects on first use."""
        url = target_of(config)
        self._timeout_s = config.timeout_s
        self._where = url.netloc
        self._secrets = read_secrets(config.secret_file)
        self._now = now
        port = url.port or (443 if url.scheme == "https" else 80)
        self._link = WebhookConnection(
            url,
            addresses=lambda timeout_s: addresses_of(
                url.hostname or "",
                port,
                allow_private=config.allow_private,
                timeout_s=timeout_s,
                look_up=look_up,
            ),
            context=_context(config.ca_file) if url.scheme == "https" else None,
        )

    def connect(self) -> None:
        """Connect without sending anything, for `gateway check`. Raises DeliveryError."""
        self._link.connect(timeout_s=self._timeout_s)

    def send(self, parcels: Sequence[Parcel]) -> Iterator[Delivery]:
        """See `gateway.ports.Transport.send`; any 2xx status confirms, redirects are not followed."""
        for parcel in parcels:
            error: DeliveryError | None = None
            try:
                error = parcel.too_late()
                if error is None:
                    headers = self._headers(parcel)
                    reply = self._link.post(
                        headers, parcel.body, timeout_s=self._timeout_s, lease=parcel.lease
                    )
                    error = self._judge(reply)
            except DeliveryError as failure:
                error = failure
            yield Delivery(entry=parcel.entry, error=error)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _headers(self, parcel: Parcel) -> Mapping[str, str]:
        timestamp = str(int(self._now()))
        return {
            "User-Agent": "customs-exchange-gateway",
            "Content-Type": "application/json",
            "Accept": "*/*",
            "webhook-id": parcel.cop_msg_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature(self._secrets, parcel.cop_msg_id, timestamp, parcel.body),
        }

    def _judge(self, reply: WebhookResponse) -> DeliveryError | None:
        error = partial(DeliveryError, where=self._where)
        match reply.status:
            case status if status // 100 == 2:  # noqa: PLR2004 (2xx)
                return None
            case status if status == _GONE:
                return ReceiverGoneError(
                    "the receiver answers 410: it wants no answers any more",
                    where=self._where,
                    fix="take the channel out of the enterprise's file, or mend the receiver, then SIGHUP",
                )
            case status if status // 100 == 3:  # noqa: PLR2004 (3xx)
                return error(
                    f"the receiver answers {status}, a redirect, which is never followed",
                    fix="write the final address into url, if it is the right one",
                )
            case status:
                wait_s = _retry_after(reply, self._now()) if status in _ASK_TO_WAIT else 0.0
                return error(
                    f"the receiver answers {status}",
                    fix="its own log says why",
                    retry_after_s=wait_s,
                )


def read_secrets(file: Path) -> tuple[bytes, ...]:
    """Read the one or two secrets of a channel, one a line. Raises ConfigError, without a secret in its text."""
    try:
        lines = file.read_text("ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not plain text"
        raise _bad_secret(f"the secret cannot be read: {why}", file) from error
    if len(lines) not in (1, 2):
        raise _bad_secret(f"the file holds {len(lines)} secrets, may hold one or two", file)
    secrets = []
    for line in lines:
        try:
            secret = base64.b64decode(line.removeprefix(_PREFIX), validate=True)
        except binascii.Error as error:
            raise _bad_secret("a secret is not base64", file) from error
        if not line.startswith(_PREFIX) or len(secret) not in _SECRET_BYTES:
            raise _bad_secret("a secret is not whsec_ and 24 to 64 bytes in base64", file)
        secrets.append(secret)
    return tuple(secrets)


def _bad_secret(what: str, file: Path) -> ConfigError:
    return ConfigError(
        what, where=str(file), fix=f'umask 077; echo "whsec_$(openssl rand -base64 32)" > {file.name}'
    )


def signature(secrets: Sequence[bytes], delivery: str, timestamp: str, body: bytes) -> str:
    """Return the value of `webhook-signature`: one signature for each secret."""
    signed = f"{delivery}.{timestamp}.".encode() + body
    digests = (hmac.digest(secret, signed, hashlib.sha256) for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as error:
        raise ConfigError(
            f"the certificates of its authority cannot be read: {error}",
            where=str(ca_file),
            fix="name a PEM file",
        ) from error


def _retry_after(reply: WebhookResponse, now: float) -> float:
    """Return the seconds of Retry-After (RFC 9110, section 10.2.3), seconds or a date; 0 if absent or invalid."""
    text = reply.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:  # noqa: PLR2004 (some thirty years)
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now) if text else 0.0
    except (ValueError, OverflowError):
        return 0.0


def reach(config: Webhook) -> str:
    """Connect, send nothing; returns what to report. Raises ConfigError and DeliveryError."""
    transport = WebhookTransport(config)
    try:
        transport.connect()
    finally:
        transport.close()
    return f"webhook {config.url.partition('?')[0]}, connected"
