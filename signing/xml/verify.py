"""Verify the signature in any bytes: whether there is exactly one, whether it is valid, and if not, why.

As strict as customs (docs/spec/signing.md, What is digested, What is signed): digest, signature, and the
certificate, which must be in its period and, where the caller names them, of a trusted issuer and of the
right company. The one tolerance is a second attempt with xmlns:xsi in scope, reported as a warning.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Final

from cryptography import x509
from lxml import etree

from signing.errors import SigningError
from signing.keys.certificate import CertificateFacts, facts_of, holds, read_certificate
from signing.keys.company import Company
from signing.keys.issuers import Issuers
from signing.keys.suite import XSI, Suite
from signing.xml.c14n import canonical_part, canonical_without
from signing.xml.document import parse
from signing.xml.shape import Parts, read_signature

ANY_RSA_BITS: Final = 1024
"""What customs' own test keys have (docs/spec/signing.md, What is signed); nothing shorter is ever believed."""
SOUND_RSA_BITS: Final = 2048
"""Least length of a key whose signature proves who signed."""
_SHOWN: Final = 500
"""Most characters of a reason or a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureVerdict:
    """The result of verifying the signature of one document."""

    valid: bool
    """Digest, signature and certificate are all valid; warnings do not count."""
    suite: Suite | None = None
    digest_ok: bool = False
    """The document is unchanged since it was digested."""
    signature_ok: bool = False
    """The key of the certificate inside signed this SignedInfo."""
    certificate_ok: bool = False
    """It is readable, matches KeyName, is in its period, and meets all demands of the caller."""
    certificate: CertificateFacts | None = None
    warnings: tuple[str, ...] = ()
    """What customs or an operator may object to: xmlns:xsi, the spelling of KeyName."""
    reasons: tuple[str, ...] = ()
    """Why it is not valid, one sentence each; empty when it is valid."""


def verify(
    body: bytes,
    *,
    at: datetime | None = None,
    issuers: Issuers | None = None,
    company: Company | None = None,
    rsa_bits: int = ANY_RSA_BITS,
) -> SignatureVerdict:
    """Verify the signature in `body`; never raises, whatever the bytes are.

    The certificate must be in its period at `at` (aware; default: now). Without `issuers` any issuer is accepted,
    without `company` any company. An RSA key must have at least `rsa_bits`; if it has, but fewer than 2048, that
    is a warning.
    """
    found = _Findings()
    try:
        document = parse(body)
        parts = read_signature(document.root)
        signed = _signed_bytes(parts.signed_info)
        digest = parts.suite.digest_of(canonical_without(document.root, parts.element))
    except SigningError as err:
        return SignatureVerdict(valid=False, reasons=(str(err),))
    digest_ok = compare_digest(digest, parts.digest)
    if not digest_ok:
        found.digest.append("it differs, the document was changed after it was signed")
    signer = _signer(parts, found)
    signature_ok = signer is not None and _signature_holds(parts, signed, signer, found)
    if signer is not None:
        found.certificate.extend(_objections(signer, at, issuers, company))
        _weigh_key(signer.facts, rsa_bits, found)
    reasons = found.reasons()
    return SignatureVerdict(
        valid=not reasons,
        suite=parts.suite,
        digest_ok=digest_ok,
        signature_ok=signature_ok,
        certificate_ok=not found.certificate,
        certificate=None if signer is None else signer.facts,
        warnings=tuple(warning[:_SHOWN] for warning in found.warnings),
        reasons=reasons,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Findings:
    """The lists that one verification fills: errors of digest, signature and certificate, and warnings."""

    digest: list[str] = field(default_factory=list)
    signature: list[str] = field(default_factory=list)
    certificate: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def reasons(self) -> tuple[str, ...]:
        """Return all errors, one sentence each, with what failed first; cut, as a certificate may hold any text."""
        return (
            *(f"digest: {reason}" for reason in self.digest),
            *(f"signature: {reason[:_SHOWN]}" for reason in self.signature),
            *(f"certificate: {reason[:_SHOWN]}" for reason in self.certificate),
        )


def _signed_bytes(signed_info: etree._Element) -> tuple[bytes, ...]:
    """Canonicalise SignedInfo in its document: as it is, then with xmlns:xsi assumed if it is absent."""
    strict = canonical_part(signed_info)
    if "xsi" in signed_info.nsmap:
        return (strict,)
    return strict, canonical_part(signed_info, assumed={"xsi": XSI})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signer:
    """The certificate in the Signature, and its facts."""

    certificate: x509.Certificate
    facts: CertificateFacts


def _signer(parts: Parts, found: _Findings) -> _Signer | None:
    if parts.certificate is None:
        found.certificate.append("X509Certificate is not Base64, so nothing can be checked with it")
        return None
    try:
        certificate = read_certificate(parts.certificate)
        signer = _Signer(certificate=certificate, facts=facts_of(certificate))
    except SigningError as err:
        found.certificate.append(f"X509Certificate: {err}")
        return None
    _compare_key_name(parts.key_name, signer.facts.serial, found)
    return signer


def _compare_key_name(key_name: str, serial: str, found: _Findings) -> None:
    """KeyName is the certificate's serial number; customs compares the two (docs/spec/signing.md, Traps)."""
    if key_name == serial:
        return
    said = f"KeyName is {key_name!r}, the serial number of the certificate is {serial!r}"
    if key_name.lower().lstrip("0") == serial.lstrip("0") or not key_name:
        found.warnings.append(said)
    else:
        found.certificate.append(f"{said}")


def _weigh_key(facts: CertificateFacts, rsa_bits: int, found: _Findings) -> None:
    """Check the length of an RSA key; SM2 keys always have 256 bits."""
    if facts.key_type != "RSA":
        return
    said = f"the RSA key of {facts.serial} has {facts.key_bits} bits"
    if facts.key_bits < rsa_bits:
        found.certificate.append(f"{said}, at least {rsa_bits} are needed")
    elif facts.key_bits < SOUND_RSA_BITS:
        found.warnings.append(f"{said}: too few to prove who signed")


def _objections(
    signer: _Signer, at: datetime | None, issuers: Issuers | None, company: Company | None
) -> list[str]:
    now = at or datetime.now(UTC)
    facts = signer.facts
    said = []
    if not facts.not_before <= now <= facts.not_after:
        said.append(
            f"{facts.serial} is valid from {facts.not_before:%Y-%m-%d} to {facts.not_after:%Y-%m-%d}, "
            f"not on {now:%Y-%m-%d}"
        )
    if issuers is not None:
        said.append(issuers.objection(signer.certificate, now))
    if company is not None:
        said.append(company.objection(signer.certificate))
    return [objection for objection in said if objection]


def _signature_holds(parts: Parts, signed: tuple[bytes, ...], signer: _Signer, found: _Findings) -> bool:
    strict, *tolerant = signed
    try:
        if holds(signer.certificate, parts.suite, parts.value, strict):
            return True
        if any(holds(signer.certificate, parts.suite, parts.value, assumed) for assumed in tolerant):
            found.warnings.append(
                "the signature holds only if xmlns:xsi is assumed, which the document lacks"
            )
            return True
    except SigningError as err:
        found.signature.append(str(err))
        return False
    found.signature.append("it does not fit SignedInfo and the certificate")
    return False
