"""What the journal records of a sent entry, so that its bytes can be rebuilt and proven later (docs/adr/0018)."""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from gateway.config.gateway_toml import LOCAL, Destination
from gateway.facts import KeyFacts, SentFacts, of_key, of_sent
from gateway.ports import Parcel
from signing.keys.files import Signer
from signing.xml.splice import Range
from spool.entry import Note
from spool.store import Spool

_VALUE = b"<ds:SignatureValue>"


def key_uid(digest: str) -> str:
    """Return the uid of a signing key in the journal; `digest`: hex SHA-256 of its KeyInfo."""
    return f"key {digest}"


def note_keys(spool: Spool, signers: Iterable[Signer]) -> None:
    """Write the keys that are not in the journal yet, before their first use; only public data."""
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
        if not any(spool.history(uid := key_uid(_digest_of_key(signer.key_info))))
    ]
    if new:
        spool.put((), notes=new)


class SignatureRecord(NamedTuple):
    """The signature that was inserted into the business bytes."""

    span: Range
    key_info: str
    """The ds:KeyInfo element in it."""


def record_of(
    parcel: Parcel, business: bytes, *, sha256: str, signature: SignatureRecord | None, to: str, by: str
) -> str:
    """Write `facts.SentFacts` for a parcel; `sha256`: hex, of the business bytes; `by`: see `carrier`."""
    value = key = ""
    if signature is not None:
        begin = business.index(_VALUE, signature.span[0]) + len(_VALUE)
        value = business[begin : business.index(b"<", begin)].decode()
        key = _digest_of_key(signature.key_info)
    return of_sent(
        SentFacts(
            sha256=sha256,
            envelope=hashlib.sha256(parcel.body).hexdigest(),
            envelope_size=len(parcel.body),
            destination=to,
            cop_msg_id=parcel.cop_msg_id,
            entry=parcel.entry,
            by=by,
            span=signature and signature.span,
            value=value,
            key=key,
        )
    )


def carrier(destination: Destination) -> str:
    """Return what confirms an entry at this destination: the name of its transport."""
    if destination.name == LOCAL:
        return LOCAL
    return destination.kind


@lru_cache(maxsize=64)
def _digest_of_key(key_info: str) -> str:
    return hashlib.sha256(key_info.encode()).hexdigest()
