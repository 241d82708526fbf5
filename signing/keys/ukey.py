"""E-Port's USB key through its WebSocket control, as docs/spec/ukey.md observes it (the extra `ukey`).

The protocol is observed, not official: what may differ is configurable. Each request uses its own connection,
as in the public integration; the control sends a greeting first, and answers to earlier requests may follow.
It has neither TLS nor a login: connect only on its own machine, or through a tunnel.
"""

import binascii
import json
import secrets
import time
from base64 import b64decode
from dataclasses import dataclass
from typing import Any, Final

from websockets.exceptions import InvalidURI, WebSocketException
from websockets.sync.client import ClientConnection, connect

from signing.errors import KeyUnavailable, SigningError, WrongPin
from signing.keys.device import Identity, Pin

_IDS: Final = 2**31 - 1
"""An `_id` is a positive 32-bit integer, random because an answer to an earlier process's request may still come."""
_GOOD: Final = "00"
_BLOCKS: Final = "BLOCKTXT"
"""Prefix of a partial frame (over 120 KB); the rest must be requested, but no signature is that long."""
_ANSWER_BYTES: Final = 1 << 20
_SAID_AT_MOST: Final = 500
"""Characters of the control's error text."""
_FRAMES_AT_MOST: Final = 64
"""Most frames read while waiting for the answer to a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The WebSocket control of the card: its address, method names and harmless errors."""

    url: str = "ws://127.0.0.1:61232"
    sign_method: str = "cus-sec_SpcSignDataAsPEM"
    certificate_method: str = "cus-sec_SpcGetSignCertAsPEM"
    harmless_errors: tuple[str, ...] = ("读卡器", "50070")
    """Texts that mark an error as unrelated to the PIN. Any other error of a request that contained the PIN
    counts as a wrong PIN, because a card locks itself after a few."""
    timeout_s: float = 5.0


class _Refused(Exception):  # noqa: N818 (what the control said, not a mistake of ours)
    """The control answered `Result: false`."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors)[:_SAID_AT_MOST] or "no reason given")


class UkeySigner:
    """A card that hashes and signs text itself, about 250 signatures a minute, one at a time."""

    def __init__(self, control: Control, identity: Identity, pin: Pin) -> None:
        self._control = control
        self._identity = identity
        self._pin = pin

    def sign(self, data: bytes) -> bytes:
        """Sign this UTF-8 text on the card. Raises KeyUnavailable, WrongPin, and SigningError for other bytes."""
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise SigningError("a USB key signs text only, and this is not UTF-8") from error
        try:
            told = self._ask(self._control.sign_method, {"inData": text, "passwd": self._pin.value})
        except _Refused as refused:
            raise self._judge(str(refused)) from refused
        signature, serial = _texts(told, 2, self._control.url)
        if serial and serial.lower().lstrip("0") != self._identity.key_name.lstrip("0"):
            raise KeyUnavailable(
                f"the card in the reader is {serial}, the configured certificate {self._identity.key_name}",
                where=self._control.url,
                fix="put the right card in, or configure its certificate",
                retry_after_s=60.0,
            )
        return _decode(signature, self._control.url)

    def probe(self) -> None:
        """Check that the card has our certificate; uses no PIN. Raises KeyUnavailable."""
        if self.certificate() != self._identity.certificate_der:
            raise KeyUnavailable(
                "the card in the reader has another certificate than the configured one",
                where=self._control.url,
                fix="put the right card in, or configure its certificate",
                retry_after_s=60.0,
            )

    def certificate(self) -> bytes:
        """Return the certificate that the card holds, DER. Raises KeyUnavailable."""
        try:
            told = self._ask(self._control.certificate_method, {})
        except _Refused as refused:
            raise KeyUnavailable(
                f"the card does not show its certificate: {refused}",
                where=self._control.url,
                fix="look at the reader; restarting the Windows control has helped",
            ) from refused
        (certificate,) = _texts(told, 1, self._control.url)
        return _decode(certificate, self._control.url)

    def close(self) -> None:
        """Do nothing: no connection is kept open."""

    def _judge(self, said: str) -> KeyUnavailable:
        if any(text in said for text in self._control.harmless_errors):
            return KeyUnavailable(
                f"the card reader failed: {said}",
                where=self._control.url,
                fix="look at the reader; restarting the Windows control has helped",
            )
        return WrongPin(
            f"the card refused, and it may be the PIN: {said}",
            where=f"{self._control.url}; PIN from {self._pin.origin}",
            fix="see to the PIN, then SIGHUP; if it is right, name this error in harmless_errors",
            retry_after_s=60.0,
        )

    def _ask(self, method: str, args: dict[str, str]) -> list[Any]:
        """Send one request and return `Data` of its answer. Raises KeyUnavailable, _Refused."""
        timeout_s = self._control.timeout_s
        number = 1 + secrets.randbelow(_IDS)
        request = json.dumps({"_method": method, "_id": number, "args": args}, ensure_ascii=False)
        try:
            with connect(
                self._control.url,
                open_timeout=timeout_s,
                close_timeout=0.1,
                ping_interval=None,
                max_size=_ANSWER_BYTES,
                compression=None,
                proxy=None,
            ) as connection:
                connection.send(request)
                answer = self._answer(connection, method, number)
        except InvalidURI as error:
            raise self._silent("the address is no WebSocket address") from error
        except TimeoutError as error:
            raise self._silent(f"no answer within {timeout_s:g} s") from error
        except (OSError, WebSocketException) as error:
            raise self._silent(f"the control cannot be reached: {type(error).__name__}") from error
        return _data(answer, self._control.url)

    def _answer(self, connection: ClientConnection, method: str, number: int) -> dict[str, Any]:
        """Read frames until the answer to this request, skipping the greeting and answers to earlier ones.

        Raises TimeoutError, KeyUnavailable.
        """
        end = time.monotonic() + self._control.timeout_s
        for _ in range(_FRAMES_AT_MOST):
            told = _read(connection.recv(timeout=max(0.0, end - time.monotonic())), self._control.url)
            if str(told.get("_id")) == str(number) and told.get("_method", method) == method:
                return told
        raise self._silent(f"{_FRAMES_AT_MOST} frames came, and none answers the request")

    def _silent(self, what: str) -> KeyUnavailable:
        return KeyUnavailable(
            what, where=self._control.url, fix="see that the control runs and the card is in its reader"
        )


def _read(frame: str | bytes, where: str) -> dict[str, Any]:
    """Read one frame (docs/spec/ukey.md). Raises KeyUnavailable for what is none, or a part of one."""
    text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
    if text.startswith(_BLOCKS):
        raise KeyUnavailable(
            f"the control answers in parts ({_BLOCKS}), which signing does not use",
            where=where,
            fix="see that sign_method and certificate_method of [key.ukey] are methods for signing",
        )
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _strange(where) from error
    if not isinstance(told, dict):
        raise _strange(where)
    return told


def _data(told: dict[str, Any], where: str) -> list[Any]:
    """Take `_args.Data` out of an answer (docs/spec/ukey.md, Answer)."""
    try:
        args = told["_args"]
        result, data, errors = args["Result"], args.get("Data") or [], args.get("Error") or []
    except (KeyError, TypeError, AttributeError) as error:
        raise _strange(where) from error
    status = told.get("_status", _GOOD)
    if result is not True or status != _GOOD:
        raise _Refused([str(one) for one in errors] or [f"status {status}"])
    if not isinstance(data, list):
        raise _strange(where)
    return data


def _texts(data: list[Any], count: int, where: str) -> list[str]:
    found = [str(one) for one in data[:count]]
    if len(found) != count:
        raise _strange(where)
    return found


def _decode(text: str, where: str) -> bytes:
    try:
        return b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise _strange(where) from error


def _strange(where: str) -> KeyUnavailable:
    return KeyUnavailable("the control gave an answer that is not understood", where=where)
