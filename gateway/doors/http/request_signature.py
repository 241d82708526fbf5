"""Requests signed with a shared secret (HMAC-SHA256), as Chinese open platforms want them; pure.

What is signed are five lines without a line end behind the last:

    POST
    /v1/messages?dry_run=true        path and query as they stand in the request line
    1764230400                       X-Gateway-Timestamp: seconds since 1970
    7f3a9c51d2e84b06                 X-Gateway-Nonce: another one for each request
    4d6372bd…                        X-Gateway-Content-SHA256: hex, of the body

The digest of the body is a header of its own so that a caller is known before its body is read (ADR 0020).
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final

import httptools
from msgspec import Struct

from gateway.model import Fault

WINDOW_S: Final = 300
"""Most seconds between a timestamp and our clock, in both directions."""
NO_BODY: Final = hashlib.sha256(b"").hexdigest()
_KEY: Final = "X-Gateway-Key"
_TIMESTAMP: Final = "X-Gateway-Timestamp"
_NONCE: Final = "X-Gateway-Nonce"
_CONTENT: Final = "X-Gateway-Content-SHA256"
_SIGNATURE: Final = "X-Gateway-Signature"
_FORMS: Final = {
    _KEY: (
        re.compile(r"[A-Za-z0-9_.-]{1,64}"),
        "the id of your key, as the operator told you",
        "网关运营方告知的密钥标识",
    ),
    _TIMESTAMP: (re.compile(r"[0-9]{1,12}"), "seconds since 1970 in digits", "自1970年起的秒数，只用数字"),
    _NONCE: (
        re.compile(r"[A-Za-z0-9_-]{16,64}"),
        "16 to 64 of A-Z a-z 0-9 _ -, another one for each request",
        "16至64个字符（A-Z a-z 0-9 _ -），每个请求各不相同",
    ),
    _CONTENT: (
        re.compile(r"[0-9a-f]{64}"),
        "the SHA-256 of the body, 64 hex digits in lower case",
        "请求正文的SHA-256，64位小写十六进制数字",
    ),
    _SIGNATURE: (
        re.compile(r"[0-9a-f]{64}"),
        "the HMAC-SHA256, 64 hex digits in lower case",
        "HMAC-SHA256，64位小写十六进制数字",
    ),
}


SIGNED: Final = frozenset({b"x-gateway-key", b"x-gateway-signature"})
"""A request with one of these headers is authenticated by its signature."""


class RequestSignature(Struct, frozen=True, kw_only=True):
    """The headers of a signed request; a missing header is empty, nothing is checked yet."""

    method: str
    target: str
    """Path, with `?` and query where there is one."""
    key: str
    timestamp: str
    nonce: str
    content_sha256: str
    signature: str = ""


def read_request_signature(headers: Mapping[bytes, bytes], method: str, url: bytes) -> RequestSignature:
    """Read the headers of a signed request, names in lower case."""

    def value(name: str) -> str:
        return str(headers.get(name.lower().encode("ascii"), b""), "latin-1")

    return RequestSignature(
        method=method,
        target=_target(url),
        key=value(_KEY),
        timestamp=value(_TIMESTAMP),
        nonce=value(_NONCE),
        content_sha256=value(_CONTENT) or NO_BODY,
        signature=value(_SIGNATURE),
    )


def _target(url: bytes) -> str:
    parts = httptools.parse_url(url)
    query = b"?" + parts.query if parts.query else b""
    return str((parts.path or b"") + query, "latin-1")


def signature_of(request: RequestSignature, secret: bytes) -> str:
    """Return the signature: hex in lower case."""
    lines = (request.method, request.target, request.timestamp, request.nonce, request.content_sha256)
    return hmac.new(secret, "\n".join(lines).encode("latin-1"), hashlib.sha256).hexdigest()


def signed_headers(request: RequestSignature, secret: bytes) -> dict[str, str]:
    """Return the headers that a client sends with this request."""
    return {
        _KEY: request.key,
        _TIMESTAMP: request.timestamp,
        _NONCE: request.nonce,
        _CONTENT: request.content_sha256,
        _SIGNATURE: signature_of(request, secret),
    }


def malformed(request: RequestSignature) -> tuple[Fault, ...]:
    """Return a fault for each header that is missing or malformed; no fault depends on a secret."""
    values = (request.key, request.timestamp, request.nonce, request.content_sha256, request.signature)
    return tuple(
        Fault(
            element=name,
            rule="signature_header",
            message=f"{name} is missing or not of the right form",
            message_zh=f"请求头{name}缺失或格式不正确",
            fix=f"send {wanted}",
            fix_zh=f"请发送{wanted_zh}",
        )
        for (name, (form, wanted, wanted_zh)), value in zip(_FORMS.items(), values, strict=True)
        if not form.fullmatch(value)
    )


def wrong_clock(now: float) -> Fault:
    """Return the fault of a correctly signed request whose timestamp is too far from `now`, seconds since 1970."""
    return Fault(
        element=_TIMESTAMP,
        rule="signature_time",
        message=f"the timestamp is more than {WINDOW_S} s away from the gateway's clock, which says {int(now)}",
        message_zh=f"时间戳与网关时钟（{int(now)}）相差超过{WINDOW_S}秒",
        fix="set your clock by a time service and sign each request when you send it",
        fix_zh="请通过时间服务校准时钟，并在发送每个请求时签名",
    )


USED_NONCE: Final = Fault(
    element=_NONCE,
    rule="signature_nonce",
    message="this nonce was used before with this timestamp",
    message_zh="该随机串（nonce）已使用过",
    fix="sign again with a new nonce, also when you repeat a request",
    fix_zh="请使用新的随机串重新签名，重复发送请求时也须如此",
)
OTHER_BODY: Final = Fault(
    element=_CONTENT,
    rule="signature_body",
    message="the body is not the one that was signed",
    message_zh="请求正文与签名的正文不一致",
    fix="sign the SHA-256 of exactly the bytes that you send",
    fix_zh="请对实际发送的字节计算SHA-256并签名",
)
