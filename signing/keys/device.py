"""The common parts of keys that are not files: a configured certificate, a PIN, a check of each signature.

The certificate of a device is a file beside its configuration, so that a node can start, accept messages and
know their suite while the device does not answer; `probe` compares the two.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from cryptography.hazmat.primitives import serialization

from signing.errors import KeyUnavailable
from signing.keys import sm2
from signing.keys.certificate import CertificateFacts, facts_of, holds, read_certificate
from signing.keys.files import read_certificate_file, write_key_info
from signing.keys.suite import RSA_SHA1, Suite, suite_named

FACTORY_PIN: Final = "8" * 8
"""What many cards still have (docs/spec/ukey.md, What goes wrong in the field)."""


class Device(Protocol):
    """A key outside this process; `guard.GuardedSigner` makes a Signer of it and its `Identity`.

    Its methods may block, each for its configured time-out if the device can enforce one. One thread at a time
    calls each method; connections are made on first use, by the process that uses them.
    """

    def sign(self, data: bytes) -> bytes:
        """Sign these bytes, hashing included. Raises KeyUnavailable, WrongPin, SigningError."""
        ...

    def probe(self) -> None:
        """Check, without the PIN, that the device answers and holds our certificate.

        Raises KeyUnavailable when it does not.
        """
        ...

    def certificate(self) -> bytes:
        """Ask the device for its certificate, DER, without the PIN. Raises KeyUnavailable."""
        ...

    def close(self) -> None:
        """Close connections; the next use opens them again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A secret that opens a device, and where it came from."""

    value: str = field(repr=False)
    origin: str
    """File or environment name, for messages."""
    identity: str = ""
    """Changes when the operator writes another PIN into the file; reveals nothing of the secret."""

    @property
    def is_factory_default(self) -> bool:
        """Whether it is the PIN that cards are delivered with."""
        return self.value == FACTORY_PIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The certificate and suite of a device: all of a Signer except `sign`."""

    suite: Suite
    certificate_der: bytes = field(repr=False)
    key_name: str
    key_info: str = field(repr=False)
    facts: CertificateFacts = field(repr=False)


NOBODY: Final = Identity(
    suite=RSA_SHA1,
    certificate_der=b"",
    key_name="",
    key_info="",
    facts=CertificateFacts(
        serial="",
        subject="",
        issuer="",
        not_before=datetime.min.replace(tzinfo=UTC),
        not_after=datetime.max.replace(tzinfo=UTC),
        key_type="unknown",
        key_bits=0,
    ),
)
"""Placeholder for the time before the certificate has been read from the device."""


def identity_of(certificate_file: Path, suite: str = "") -> Identity:
    """Read the certificate file (PEM or DER) of a device; an empty `suite` means the default of its key type.

    Raises SigningError.
    """
    certificate = read_certificate_file(certificate_file)
    facts = facts_of(certificate)
    der = certificate.public_bytes(serialization.Encoding.DER)
    if (point := sm2.point_of(certificate)) is not None:
        sm2.public_key(point)  # fails at the start on a machine that cannot verify SM2 signatures
    return Identity(
        suite=suite_named(suite, facts.key_type),
        certificate_der=der,
        key_name=facts.serial,
        key_info=write_key_info(facts.serial, der),
        facts=facts,
    )


def check_answer(identity: Identity, data: bytes, signature: bytes, *, where: str) -> None:
    """Check that a device's answer is a signature of `data` by our certificate's key; raises KeyUnavailable.

    The device may hold another card than the configured one.
    """
    if not holds(read_certificate(identity.certificate_der), identity.suite, signature, data):
        raise KeyUnavailable(
            f"the device's signature does not fit certificate {identity.key_name}",
            where=where,
            fix="is the right card in, and is its own certificate configured? `gateway check` compares them",
            retry_after_s=60.0,
        )
