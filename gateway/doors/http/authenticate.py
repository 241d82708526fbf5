"""Authenticates callers, in one place: by signature, bearer token or client certificate.

Tokens and certificates are looked up by SHA-256 in a table. The time of the look-up may reveal a little about the
digest of what was shown, which its sender knows already, and nothing about the tokens in the table: to approach one
of them by its digest means to invert SHA-256. HMACs are compared in constant time.
"""

import hmac
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from msgspec import Struct

from gateway.config.networks import Network, within
from gateway.doors.http.credentials import Credentials
from gateway.doors.http.failed_logins import Logins
from gateway.doors.http.nonces import Nonces, Use, free_in_s
from gateway.doors.http.request_signature import (
    USED_NONCE,
    WINDOW_S,
    RequestSignature,
    malformed,
    signature_of,
    wrong_clock,
)
from gateway.model import Enterprise, Fault, HmacKey

_WAYS: Final = {"WWW-Authenticate": 'Bearer realm="gateway"'}


class Unauthenticated(Struct, frozen=True, kw_only=True):
    """Result of a failed authentication: what to answer, and after which delay."""

    problem: str
    faults: tuple[Fault, ...] = ()
    headers: Mapping[str, str] = {}
    delay_s: float = 0.0


class _Failure(Exception):  # noqa: N818 (it is an outcome)
    """The proof is not valid; `reason` is for the log, the faults are for the caller."""

    def __init__(self, way: str, reason: str, *faults: Fault, enterprise: str = "") -> None:
        super().__init__(reason)
        self.way = way
        self.reason = reason
        self.faults = faults
        self.enterprise = enterprise


class _Full(Exception):  # noqa: N818 (it is an outcome)
    """No more signed requests can be remembered for now."""


class Authenticator:
    """Authenticates callers of all enterprises; for one event loop."""

    def __init__(
        self,
        enterprises: Iterable[Enterprise],
        *,
        trusted_proxies: tuple[Network, ...] = (),
        nonces: Nonces,
        logins: Logins,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` returns seconds since 1970."""
        known = [one for one in enterprises if not one.disabled]
        self._tokens = {digest: one for one in known for digest in one.token_sha256}
        self._certificates = {digest: one for one in known for digest in one.certificate_sha256}
        self._keys = {key.id: (key, one) for one in known for key in one.hmac_keys}
        self._until = {digest: until for one in known for digest, until in one.token_until.items()}
        self._nobodys = HmacKey(id="", secret=secrets.token_bytes(32))
        self._trusted = trusted_proxies
        self._nonces = nonces
        self._logins = logins
        self._clock = clock

    def authenticate(self, shown: Credentials) -> Enterprise | Unauthenticated:
        """Say who shows this, or how to answer somebody unknown. Raises SpoolError."""
        try:
            found = self._find(shown)
        except _Failure as failure:
            address = self._address(shown)
            delay_s = self._logins.failed(
                address, way=failure.way, reason=failure.reason, enterprise=failure.enterprise
            )
            return Unauthenticated(
                problem="unauthorised", faults=failure.faults, headers=_WAYS, delay_s=delay_s
            )
        except _Full:
            after = {"Retry-After": str(free_in_s(self._clock()))}
            return Unauthenticated(problem="quota-exceeded", faults=(_TOO_MANY,), headers=after)
        if found.addresses and not within(address := self._address(shown), found.addresses):
            self._logins.failed(address, way="address", reason="not allowed", enterprise=found.id)
            return Unauthenticated(problem="not-your-identity", faults=(_elsewhere(address),))
        return found

    def _find(self, shown: Credentials) -> Enterprise:
        if shown.signature is not None:
            return self._agreeing(self._by_signature(shown.signature), shown, "signature")
        if shown.authorization:
            return self._agreeing(self._by_token(shown.authorization), shown, "token")
        if shown.peer.certificate:
            found = self._certificates.get(shown.peer.certificate)
            if found is None:
                raise _Failure("certificate", "unknown")
            return found
        raise _Failure("none", "nothing shown")

    def _by_token(self, authorization: str) -> Enterprise:
        scheme, _, token = authorization.partition(" ")
        digest = sha256(token.strip().encode("utf-8", "surrogateescape")).hexdigest()
        found = self._tokens.get(digest)
        if scheme.lower() != "bearer" or not token or found is None:
            raise _Failure("token", "unknown")
        self._in_time("token", self._until.get(digest), found)
        return found

    def _in_time(self, way: str, until: datetime | None, found: Enterprise) -> None:
        """Check that the proof has not expired; its owner may learn when it did."""
        if until is not None and self._clock() >= until.timestamp():
            raise _Failure(way, "expired", _expired(way, until), enterprise=found.id)

    def _agreeing(self, found: Enterprise, shown: Credentials, way: str) -> Enterprise:
        """Check that a client certificate shown too does not belong to another enterprise."""
        certificate = shown.peer.certificate
        if certificate and self._certificates.get(certificate, found) is not found:
            raise _Failure(way, "certificate of another", enterprise=found.id)
        return found

    def _by_signature(self, request: RequestSignature) -> Enterprise:
        faults = malformed(request)
        if faults:
            raise _Failure("signature", "headers", *faults)
        key, found = self._keys.get(request.key, (self._nobodys, None))
        agrees = hmac.compare_digest(signature_of(request, key.secret), request.signature)
        if found is None:
            raise _Failure("signature", "unknown key")
        if not agrees:
            raise _Failure("signature", "wrong signature", enterprise=found.id)
        self._in_time("signature", key.until, found)
        now, timestamp = self._clock(), int(request.timestamp)
        if abs(now - timestamp) > WINDOW_S:
            raise _Failure("signature", "clock", wrong_clock(now), enterprise=found.id)
        match self._nonces.use(found.id, key.id, timestamp, request.nonce, now=now):
            case Use.AGAIN:
                raise _Failure("signature", "nonce", USED_NONCE, enterprise=found.id)
            case Use.FULL:
                raise _Full
            case Use.FIRST:
                return found

    def _address(self, shown: Credentials) -> str:
        """Return the address of a request: behind trusted proxies, the last address that is not one of them."""
        address = shown.peer.address
        hops = shown.forwarded.split(",") if self._trusted and shown.forwarded else []
        while hops and within(address, self._trusted):
            address = hops.pop().strip()
        return address


_TOO_MANY: Final = Fault(
    rule="quota_nonces",
    message="more signed requests than the gateway can remember; nothing was taken",
    message_zh="签名请求数量超过网关可记录的上限，请求未处理",
    fix="send it again, signed anew, after Retry-After seconds; or use a token or a client certificate",
    fix_zh="请在Retry-After秒后重新签名发送，或改用令牌或客户端证书",
)


def _expired(way: str, until: datetime) -> Fault:
    what, what_zh = ("token", "令牌") if way == "token" else ("HMAC key", "HMAC 密钥")
    day = f"{until - timedelta(days=1):%Y-%m-%d}"
    return Fault(
        rule="login_expired",
        message=f"the last day of this {what} was {day} (UTC)",
        message_zh=f"该{what_zh}已于 {day}（UTC）到期",
        fix="use the newer one, or ask the operator of the gateway for another",
        fix_zh="请使用较新的凭证，或联系网关运营方另行签发",
    )


def _elsewhere(address: str) -> Fault:
    return Fault(
        rule="address_not_yours",
        value=address[:100],
        message="requests of yours may not come from this address",
        message_zh=f"不允许从该地址（{address[:100]}）访问",
        fix="send from an address that is registered for you, or ask the operator to register this one",
        fix_zh="请从已登记的地址发送，或联系网关运营方登记该地址",
    )
