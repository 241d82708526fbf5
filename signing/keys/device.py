"""What keys that are not files have in common: a certificate known beforehand, a PIN, an answer to be checked.

The certificate of a device is a file beside its configuration, so that a node starts, takes messages in and
knows their suite while the device is dark; `probe` compares the two.
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
    """A key outside this process: what it signs for is its `Identity`, `guard.Guarded` makes a Signer of both.

    Its methods may block, each at most its configured time-out if it can tell. One thread at a time calls each
    method; connections are made on first use, by the process that uses them.
    """

    def sign(self, data: bytes) -> bytes:
        """Sign these bytes, hashing included. Raises KeyUnavailable, WrongPin, SigningError."""
        ...

    def probe(self) -> None:
        """See that the device answers and holds our certificate, without using the PIN.

        Raises KeyUnavailable when it does not.
        """
        ...

    def certificate(self) -> bytes:
        """Ask the device for its certificate, DER, without the PIN. Raises KeyUnavailable."""
        ...

    def close(self) -> None:
        """Let go of connections; they are made anew when the device is used again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A secret that opens a device, and where it came from."""

    value: str = field(repr=False)
    origin: str
    """File or environment name, for messages."""
    identity: str = ""
    """Changes when the operator writes another into the file; tells nothing of the secret."""

    @property
    def is_factory_default(self) -> bool:
        """Whether it is the one that cards are delivered with."""
        return self.value == FACTORY_PIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a device signs for: all of a Signer but the signing."""

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
"""Stands for the certificate that a device is asked for, before there is one."""


def identity_of(certificate_file: Path, suite: str = "") -> Identity:
    """Read the certificate of a device (PEM or DER), which signs with `suite`, empty: the default of its key.

    Raises SigningError.
    """
    certificate = read_certificate_file(certificate_file)
    facts = facts_of(certificate)
    der = certificate.public_bytes(serialization.Encoding.DER)
    if (point := sm2.point_of(certificate)) is not None:
        sm2.public_key(point)  # a machine that cannot check what an SM2 device signs says so at the start
    return Identity(
        suite=suite_named(suite, facts.key_type),
        certificate_der=der,
        key_name=facts.serial,
        key_info=write_key_info(facts.serial, der),
        facts=facts,
    )


def check_answer(identity: Identity, data: bytes, signature: bytes, *, where: str) -> None:
    """See that what a device gave back is a signature of `data` by our certificate's key.

    A device may hold another card than the configuration thinks. Raises KeyUnavailable.
    """
    if not holds(read_certificate(identity.certificate_der), identity.suite, signature, data):
        raise KeyUnavailable(
            f"the device's signature does not fit certificate {identity.key_name}",
            where=where,
            fix="is the right card in, and is its own certificate configured? `gateway check` compares them",
            retry_after_s=60.0,
        )
