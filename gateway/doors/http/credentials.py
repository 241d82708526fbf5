"""The credentials of a request: connection, token, certificate, signature; nothing is checked here."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.doors.http.request_signature import SIGNED, RequestSignature, read_request_signature

_FORWARDED: Final = b"x-forwarded-for"


class Peer(Struct, frozen=True):
    """The other end of a connection."""

    address: str = ""
    """IP address; empty when there is none."""
    certificate: str = ""
    """Hex SHA-256 of the client certificate that the handshake verified; empty: none was shown."""


NOBODY: Final = Peer()


class Credentials(Struct, frozen=True):
    """Everything that can identify the caller."""

    peer: Peer
    authorization: str = ""
    signature: RequestSignature | None = None
    forwarded: str = ""
    """All X-Forwarded-For headers joined; anybody in between can write anything there."""


def peer_of(transport: Any, client: tuple[str, int] | None) -> Peer:
    """Return the peer of a connection, once when it is made."""
    secured = transport.get_extra_info("ssl_object")
    certificate = None if secured is None else secured.getpeercert(binary_form=True)
    return Peer(
        client[0] if client else "", "" if certificate is None else hashlib.sha256(certificate).hexdigest()
    )


def credentials_of(
    first: Mapping[bytes, bytes],
    headers: Iterable[tuple[bytes, bytes]],
    peer: Peer,
    *,
    method: str,
    url: bytes,
) -> Credentials:
    """Collect the credentials of a request; `first`: the first header of each name, names in lower case."""
    forwarded = ""
    if _FORWARDED in first:
        forwarded = str(b",".join(value for name, value in headers if name == _FORWARDED), "latin-1")
    signature = read_request_signature(first, method, url) if not SIGNED.isdisjoint(first) else None
    return Credentials(peer, str(first.get(b"authorization", b""), "latin-1"), signature, forwarded)
