"""Tokens and HMAC keys that expire: their successors have to be issued in time."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct
from prometheus_client.core import GaugeMetricFamily

from gateway.model import Enterprise


class TokenExpiry(Struct, frozen=True, kw_only=True):
    """One token or HMAC key that expires."""

    enterprise: str
    kind: Literal["token", "hmac"]
    proof: str
    """First digits of the token's SHA-256, or id of the HMAC key: neither reveals the secret."""
    until: datetime


def token_expiries(enterprises: Iterable[Enterprise]) -> tuple[TokenExpiry, ...]:
    """Return all tokens and keys that expire; those of disabled enterprises are left out."""
    found: list[TokenExpiry] = []
    for one in enterprises:
        if one.disabled:
            continue
        found += (
            TokenExpiry(enterprise=one.id, kind="token", proof=digest[:8], until=until)
            for digest, until in one.token_until.items()
        )
        found += (
            TokenExpiry(enterprise=one.id, kind="hmac", proof=key.id, until=key.until)
            for key in one.hmac_keys
            if key.until is not None
        )
    return tuple(found)


def expiry_family(found: Iterable[TokenExpiry]) -> GaugeMetricFamily:
    """Return the remaining time of each as a Prometheus metric."""
    left = GaugeMetricFamily(
        "gateway_login_seconds_left",
        "Until a token or HMAC key of an enterprise that has an end proves nothing any more",
        labels=["enterprise", "kind", "proof"],
    )
    now = datetime.now(UTC)
    for one in found:
        left.add_metric([one.enterprise, one.kind, one.proof], (one.until - now).total_seconds())
    return left
