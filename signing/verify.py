"""Verify any bytes: is there one Signature, does it hold, and if not, what exactly does not.

Strict by spec signing.md, What is digested and What is signed; the one tolerance is a second attempt with
xmlns:xsi in scope, reported as a warning. Whether the certificate can be trusted is another question: its
issuer is not looked at here.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from hmac import compare_digest

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

from signing.c14n import canonical_document, canonical_part
from signing.certificate import CertificateFacts, facts_of, read_certificate
from signing.document import parse
from signing.errors import SigningError
from signing.shape import Parts, read_signature
from signing.suite import RSA_SHA1, XSI, Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found about the signature of one document."""

    valid: bool
    """Digest and signature hold and there is no reason against it; warnings do not count."""
    suite: Suite | None = None
    digest_ok: bool = False
    """The document is the one that was digested."""
    signature_ok: bool = False
    """The key of the certificate inside signed this SignedInfo."""
    certificate: CertificateFacts | None = None
    warnings: tuple[str, ...] = ()
    """What customs or an operator may mind: period of the certificate, xmlns:xsi, KeyName."""
    reasons: tuple[str, ...] = ()
    """Why it is not valid, a sentence each; empty when it is."""


def verify(body: bytes, *, at: datetime | None = None) -> Verdict:
    """Judge the signature in `body`; never raises, whatever the bytes are.

    A certificate out of its period at `at` (aware; now when not given) is a warning, because a message
    stays what it was when its certificate runs out. RSA is verified; of an SM2 suite the digest only, which
    leaves it not valid with a reason.
    """
    try:
        document = parse(body)
        parts = read_signature(document.root)
        signed = _signed_bytes(parts.signed_info)
        digest = parts.suite.digest_of(_without(document.root, parts.element))
    except (SigningError, ValueError) as err:
        return Verdict(valid=False, reasons=(str(err),))
    findings = _Findings(reasons=[], warnings=[])
    digest_ok = compare_digest(digest, parts.digest)
    if not digest_ok:
        findings.reasons.append("the digest differs: the document was changed after it was signed")
    certificate, facts = _certificate(parts, at or datetime.now(UTC), findings)
    signature_ok = certificate is not None and _signature_holds(parts, signed, certificate, findings)
    return Verdict(
        valid=not findings.reasons,
        suite=parts.suite,
        digest_ok=digest_ok,
        signature_ok=signature_ok,
        certificate=facts,
        warnings=tuple(findings.warnings),
        reasons=tuple(findings.reasons),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Findings:
    """The lists that one verification fills."""

    reasons: list[str]
    warnings: list[str]


def _signed_bytes(signed_info: etree._Element) -> tuple[bytes, ...]:
    """Canonicalise SignedInfo in place: as it stands, then with xmlns:xsi assumed if it is absent."""
    strict = canonical_part(signed_info)
    if "xsi" in signed_info.nsmap:
        return (strict,)
    return strict, canonical_part(signed_info, assumed={"xsi": XSI})


def _without(root: etree._Element, signature: etree._Element) -> bytes:
    """Canonicalise the document without the Signature but with the text after it, which lxml would drop."""
    if signature.tail:
        before = signature.getprevious()
        if before is None:
            root.text = (root.text or "") + signature.tail
        else:
            before.tail = (before.tail or "") + signature.tail
    root.remove(signature)
    return canonical_document(root.getroottree())


def _certificate(
    parts: Parts, at: datetime, findings: _Findings
) -> tuple[x509.Certificate | None, CertificateFacts | None]:
    if parts.certificate is None:
        findings.reasons.append("X509Certificate is not Base64, so the signature cannot be checked")
        return None, None
    try:
        certificate = read_certificate(parts.certificate)
        facts = facts_of(certificate)
    except SigningError as err:
        findings.reasons.append(f"X509Certificate: {err}")
        return None, None
    if not facts.not_before <= at <= facts.not_after:
        period = f"{facts.not_before:%Y-%m-%d} to {facts.not_after:%Y-%m-%d}"
        findings.warnings.append(f"certificate {facts.serial} is valid from {period}")
    _compare_key_name(parts.key_name, facts.serial, findings)
    return certificate, facts


def _compare_key_name(key_name: str, serial: str, findings: _Findings) -> None:
    """KeyName is the certificate's serial number; customs compares the two (spec signing.md, Traps)."""
    if key_name == serial:
        return
    said = f"KeyName is {key_name!r}, the serial number of the certificate is {serial!r}"
    same_number = key_name.lower().lstrip("0") == serial.lstrip("0")
    (findings.warnings if same_number or not key_name else findings.reasons).append(said)


def _signature_holds(
    parts: Parts, signed: tuple[bytes, ...], certificate: x509.Certificate, findings: _Findings
) -> bool:
    if parts.suite is not RSA_SHA1:
        findings.reasons.append(f"a signature of suite {parts.suite.name} cannot be checked here")
        return False
    try:
        key = certificate.public_key()
    except Exception as err:  # noqa: BLE001 (any bytes may stand there, and the errors are open-ended)
        findings.reasons.append(f"the public key of the certificate cannot be read: {err}")
        return False
    if not isinstance(key, rsa.RSAPublicKey):
        findings.reasons.append("the certificate holds no RSA key, but the signature says rsa-sha1")
        return False
    strict, *tolerant = signed
    if _rsa_holds(key, parts.value, strict):
        return True
    if any(_rsa_holds(key, parts.value, assumed) for assumed in tolerant):
        findings.warnings.append("the signature holds only if xmlns:xsi is assumed, which the document lacks")
        return True
    findings.reasons.append("the signature does not fit SignedInfo and the certificate")
    return False


def _rsa_holds(key: rsa.RSAPublicKey, value: bytes, signed: bytes) -> bool:
    try:
        key.verify(value, signed, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 (rsa-sha1 demands it)
    except (InvalidSignature, ValueError):
        return False
    return True
