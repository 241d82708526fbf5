"""What the journal is told of a delivery, so that its bytes can be made anew and proven later (docs/adr/0018)."""

import hashlib
from collections.abc import Iterable

from gateway.config import LOCAL, TRANSPORTS, Destination
from gateway.facts import KeyFacts, SentFacts, of_key, of_sent
from gateway.ports import Parcel
from signing.keys import Signer
from signing.xmldsig import Signed
from spool.entry import Claimed, Note
from spool.store import Spool

_VALUE = b"<ds:SignatureValue>"
_KEY_INFO = b"<ds:KeyInfo>"


def key_uid(digest: str) -> str:
    """Return under what a signing key stands in the journal; `digest`: hex SHA-256 of its KeyInfo."""
    return f"key {digest}"


def note_keys(spool: Spool, signers: Iterable[Signer]) -> None:
    """Write the keys that are not in the journal yet, before the first use of one; only what is public."""
    new = [
        Note(
            event="key.used",
            uid=uid,
            detail=of_key(
                KeyFacts(
                    key_info=signer.key_info,
                    signature_method=signer.suite.signature_method,
                    digest_method=signer.suite.digest_method,
                )
            ),
        )
        for signer in signers
        if not any(spool.history(uid := key_uid(hashlib.sha256(signer.key_info.encode()).hexdigest())))
    ]
    if new:
        spool.put((), notes=new)


def record_of(
    entry: Claimed, destination: Destination, parcel: Parcel, digest: bytes, signed: Signed | None
) -> str:
    """Write `facts.SentFacts` for an entry whose parcel goes out; `digest`: SHA-256 of its business bytes."""
    span, value, key = None, "", ""
    if signed is not None:
        span = signed.span
        element = signed.body[span[0] : span[1]]
        head, _, key_info = element.partition(_KEY_INFO)
        value = head.partition(_VALUE)[2].partition(b"<")[0].decode()
        key_info = _KEY_INFO + key_info.removesuffix(b"</ds:Signature>")
        key = hashlib.sha256(key_info).hexdigest()
    return of_sent(
        SentFacts(
            sha256=digest.hex(),
            envelope=hashlib.sha256(parcel.body).hexdigest(),
            envelope_size=len(parcel.body),
            destination=destination.name,
            cop_msg_id=entry.cop_msg_id,
            entry=entry.entry,
            by=_carrier(destination),
            span=span,
            value=value,
            key=key,
        )
    )


def _carrier(destination: Destination) -> str:
    if destination.name == LOCAL:
        return LOCAL
    return next((kind for kind in TRANSPORTS if getattr(destination, kind) is not None), "")
