"""`gateway check`: TLS at the HTTP door."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509

from gateway.cli.check.result import Check, Grade, failed
from gateway.config.gateway_toml import Config
from gateway.doors.http.tls import door_context
from gateway.errors import ConfigError

_SOON: Final = timedelta(days=30)
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def probe_tls(config: Config) -> Iterator[Check]:
    """Check certificate and key of the door; without TLS, warn if it listens beyond the loopback interface."""
    tls = config.accept.tls
    if tls is None:
        if config.accept.host not in _LOOPBACK:
            yield Check(
                name="TLS at the door",
                grade=Grade.WARN,
                detail=f"plain HTTP on {config.accept.host}: tokens and declarations can be read on the way",
                fix="[accept.tls], or accept.host = 127.0.0.1 and a proxy with TLS before it",
            )
        return
    try:
        door_context(tls)
        ends = x509.load_pem_x509_certificate(tls.certificate.read_bytes()).not_valid_after_utc
    except ConfigError as error:
        yield failed("TLS at the door", error)
        return
    left = ends - datetime.now(UTC)
    grade = Grade.FAIL if left <= timedelta() else Grade.WARN if left < _SOON else Grade.OK
    yield Check(
        name="TLS at the door",
        grade=grade,
        detail=f"certificate until {ends:%Y-%m-%d}",
        fix="" if grade is Grade.OK else "put a new certificate in its place, then SIGHUP",
    )
