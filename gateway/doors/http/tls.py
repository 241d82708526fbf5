"""TLS of the door: our certificate, and the issuers of client certificates that are trusted."""

import ssl
from asyncio import sslproto
from typing import Final

from gateway.config.gateway_toml import Tls
from gateway.errors import ConfigError

_READ_BYTES: Final = 32 * 1024
"""Bytes that a connection reads at once; asyncio allocates this for each, 256 KB by default."""


def door_context(tls: Tls) -> ssl.SSLContext:
    """Load what `[accept.tls]` names, TLS 1.2 at least. Raises ConfigError.

    With `client_ca` a caller may show a certificate; one from another issuer, or an expired one, ends
    the handshake. The enterprises' files say which enterprise a certificate belongs to.
    """
    sslproto.SSLProtocol.max_size = _READ_BYTES
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"cannot use certificate and key of the door: {error}",
            where=f"accept.tls, {tls.certificate} and {tls.key}",
            fix="name PEM files that belong together, readable by the service user, the key without a password",
        ) from error
    if tls.client_ca is not None:
        try:
            context.load_verify_locations(tls.client_ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"cannot read the issuers of client certificates: {error}",
                where=f"accept.tls.client_ca, {tls.client_ca}",
                fix="name a PEM file with their certificates",
            ) from error
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _no_password() -> str:
    """Raise, instead of prompting for a password on the terminal."""
    raise ValueError("the key has a password")
