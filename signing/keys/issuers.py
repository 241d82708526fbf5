"""The issuers that an operator trusts: one of them must have issued the certificate of a signature.

A message carries its own certificate and no other, so every issuer up to the trusted one stands in the file.
RSA issuers sign with SHA-1 or SHA-2, SM2 issuers with SM3 (docs/spec/signing.md, Traps).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from signing.errors import SigningError
from signing.keys import der, sm2
from signing.keys.certificate import facts_of, read_certificate

Chain = tuple[x509.Certificate, ...]

_REMEMBERED: Final = 4096
"""Certificates whose chains are cached: each enterprise uses one or two for years."""
_LONGEST: Final = 8
_RSA_WITH: Final = frozenset(f"1.2.840.113549.1.1.{last}" for last in (5, 11, 12, 13))
"""sha1, sha256, sha384, sha512WithRSAEncryption; SHA-1 because older certificates of customs have it."""


class Issuers:
    """Trusted certificates: of issuers, and of single enterprises, whose issuer then need not be trusted."""

    def __init__(self, certificates: Sequence[x509.Certificate]) -> None:
        """Trust these certificates and those that they issued."""
        self._all = tuple(certificates)
        self._trusted = frozenset(_der(certificate) for certificate in certificates)
        self._by_subject: dict[bytes, list[x509.Certificate]] = defaultdict(list)
        for certificate in certificates:
            self._by_subject[certificate.subject.public_bytes()].append(certificate)
        self._chains: dict[bytes, Chain] = {}

    @classmethod
    def load(cls, file: Path | str) -> Self:
        """Read a PEM file of one or more certificates, or a DER file of one. Raises SigningError."""
        path = Path(file)
        try:
            data = path.read_bytes()
            pem = b"-----BEGIN" in data
            found = x509.load_pem_x509_certificates(data) if pem else [read_certificate(data)]
            return cls(found)
        except (OSError, ValueError, SigningError) as err:
            raise SigningError(
                "the issuers cannot be read",
                where=f"{path}: {err}",
                fix="put the certificates of the issuers there, PEM, one after the other",
            ) from err

    def __len__(self) -> int:
        """Return the number of certificates."""
        return len(self._all)

    def over(self, at: datetime) -> tuple[str, ...]:
        """Return the serial numbers of the certificates that are not valid at `at` (aware)."""
        return tuple(facts_of(one).serial for one in self._all if not _in_period(one, at))

    def objection(self, certificate: x509.Certificate, at: datetime) -> str:
        """Return why a certificate is not trusted at `at` (aware), empty if it is; its own period is not checked."""
        if self._chain(certificate, at) is not None:
            return ""
        return f"{facts_of(certificate).serial} was issued by none of the trusted issuers in their period"

    def _chain(self, certificate: x509.Certificate, at: datetime) -> Chain | None:
        """Find its issuers up to the last one in the file; empty for a certificate in the file, None for no chain."""
        encoded = _der(certificate)
        if encoded in self._trusted:
            return ()
        known = self._chains.get(encoded)
        if known is not None and all(_in_period(issuer, at) for issuer in known):
            return known
        chain = self._climb(certificate, (), at)
        if chain is not None:
            if len(self._chains) >= _REMEMBERED:
                self._chains.clear()
            self._chains[encoded] = chain
        return chain

    def _climb(self, certificate: x509.Certificate, below: Chain, at: datetime) -> Chain | None:
        if len(below) >= _LONGEST:
            return None
        for issuer in self._by_subject.get(certificate.issuer.public_bytes(), ()):
            if issuer in below or not _in_period(issuer, at) or not _issued(issuer, certificate):
                continue
            chain = (*below, issuer)
            if issuer.issuer == issuer.subject or issuer.issuer.public_bytes() not in self._by_subject:
                return chain
            higher = self._climb(issuer, chain, at)
            if higher is not None:
                return higher
        return None


def _in_period(certificate: x509.Certificate, at: datetime) -> bool:
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether `issuer` may issue certificates and signed this one; False for what cannot be read."""
    try:
        return _may_issue(issuer) and _signed(issuer, certificate)
    except Exception:  # noqa: BLE001 (any bytes may be there, and the parser's errors are open-ended)
        return False


def _may_issue(issuer: x509.Certificate) -> bool:
    """Whether its extensions allow it to issue certificates (RFC 5280, 4.2.1.3 and 4.2.1.9)."""
    said = {extension.oid: extension.value for extension in issuer.extensions}
    basic = said.get(x509.BasicConstraints.oid)
    usage = said.get(x509.KeyUsage.oid)
    signs = not isinstance(usage, x509.KeyUsage) or usage.key_cert_sign
    return isinstance(basic, x509.BasicConstraints) and basic.ca and signs


def _signed(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    algorithm = certificate.signature_algorithm_oid.dotted_string
    if len(set(_algorithms(certificate))) != 1:  # RFC 5280, 4.1.1.2: both must be the same
        return False
    if algorithm == sm2.SM2_WITH_SM3:
        point = sm2.point_of(issuer)
        key = None if point is None else sm2.public_key(point)
        return key is not None and key.verify_der(certificate.signature, certificate.tbs_certificate_bytes)
    public, digest = issuer.public_key(), certificate.signature_hash_algorithm
    if algorithm not in _RSA_WITH or not isinstance(public, rsa.RSAPublicKey) or digest is None:
        return False
    try:
        public.verify(certificate.signature, certificate.tbs_certificate_bytes, padding.PKCS1v15(), digest)
    except InvalidSignature:
        return False
    return True


def _algorithms(certificate: x509.Certificate) -> Iterator[bytes]:
    """Yield the signature algorithm of the signed part, then the one beside the signature."""
    inside, outside, _ = der.read_one(_der(certificate), der.SEQUENCE).items()
    fields = inside.items()
    yield fields[2 if fields[0].tag == der.VERSION else 1].whole
    yield outside.whole


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)
