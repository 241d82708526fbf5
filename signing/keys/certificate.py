"""Read the facts of a certificate, and make self-signed certificates for demonstrations and tests."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from signing.errors import SigningError
from signing.keys import sm2
from signing.keys.suite import Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """The public facts of a certificate. Subject and issuer may name people: show them, never log them."""

    serial: str
    """Lower-case hex with an even number of digits, as ds:KeyName has it: `01691fe9`."""
    subject: str
    """Distinguished name as RFC 4514 writes it."""
    issuer: str
    not_before: datetime
    """Aware, UTC; so is `not_after`."""
    not_after: datetime
    key_type: str
    """`RSA`, `SM2`, `EC` or `unknown`."""
    key_bits: int
    """Size of the key; 0 when unknown."""


def read_certificate(der: bytes) -> x509.Certificate:
    """Parse one DER certificate; raises SigningError for other bytes."""
    try:
        return x509.load_der_x509_certificate(der)
    except Exception as err:  # any bytes may stand here, and the parser's errors are open-ended
        raise _unreadable(err) from err


def facts_of(certificate: x509.Certificate) -> CertificateFacts:
    """Collect the facts of a parsed certificate; raises SigningError when a field cannot be read."""
    try:
        key_type, key_bits = _key(certificate)
        return CertificateFacts(
            serial=serial_hex(certificate.serial_number),
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            key_type=key_type,
            key_bits=key_bits,
        )
    except Exception as err:  # fields are parsed on first use: the same open-ended errors
        raise _unreadable(err) from err


def certificate_facts(der: bytes) -> CertificateFacts:
    """Read one DER certificate and collect its facts; raises SigningError for other bytes."""
    return facts_of(read_certificate(der))


def holds(certificate: x509.Certificate, suite: Suite, signature: bytes, data: bytes) -> bool:
    """Whether `signature` is one of `data` by the certificate's key in this suite (docs/spec/signing.md, What is signed).

    Raises SigningError when the certificate's key is not of the type that the suite needs.
    """
    if suite.key_type == "SM2":
        point = sm2.point_of(certificate)
        if point is None:
            raise _wrong_key(suite)
        return sm2.public_key(point).verify(signature, data)
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError) as err:
        raise _wrong_key(suite) from err
    if not isinstance(key, rsa.RSAPublicKey):
        raise _wrong_key(suite)
    try:
        key.verify(signature, data, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 (rsa-sha1 demands it)
    except (InvalidSignature, ValueError):
        return False
    return True


def serial_hex(serial: int) -> str:
    """Write a serial number as the card reports it: lower-case hex, a leading zero kept (docs/spec/signing.md)."""
    digits = f"{serial:x}"
    return digits if len(digits) % 2 == 0 else "0" + digits


def make_self_signed(subject_cn: str, bits: int = 2048, days: int = 3650) -> tuple[bytes, bytes]:
    """Make an RSA key and a self-signed certificate, valid from now: (key PEM, certificate PEM).

    The key is not encrypted; `bits` is at least 1024. For demonstrations and tests: customs does not trust
    such a certificate.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject_cn)])
    now = datetime.now(UTC).replace(microsecond=0)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)


def _key(certificate: x509.Certificate) -> tuple[str, int]:
    """General libraries parse E-Port's SM2 certificates but refuse their key (docs/spec/signing.md, Traps)."""
    try:
        match certificate.public_key():
            case rsa.RSAPublicKey() as key:
                return "RSA", key.key_size
            case ec.EllipticCurvePublicKey() as key:
                return "EC", key.key_size
            case _:
                return "unknown", 0
    except (UnsupportedAlgorithm, ValueError):
        return ("unknown", 0) if sm2.point_of(certificate) is None else ("SM2", sm2.BITS)


def _unreadable(err: Exception) -> SigningError:
    return SigningError(
        "the certificate cannot be read", where=str(err), fix="use the certificate as it was issued"
    )


def _wrong_key(suite: Suite) -> SigningError:
    return SigningError(f"the certificate holds no {suite.key_type} key, but the signature says {suite.name}")
