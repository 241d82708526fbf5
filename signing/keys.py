"""The Signer door (sign these bytes) and what stands behind it today: RSA keys in PEM and PKCS#12 files."""

import stat
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from signing.certificate import (
    CertificateFacts,
    certificate_facts,
    facts_of,
    make_self_signed,
    read_certificate,
)
from signing.errors import SigningError
from signing.suite import RSA_SHA1, Suite

__all__ = [
    "CertificateFacts",
    "RsaSigner",
    "Signer",
    "certificate_facts",
    "load_pem",
    "load_pkcs12",
    "make_self_signed",
    "read_certificate_file",
    "write_key_info",
]

_PADDING: Final = padding.PKCS1v15()
_SHA1: Final = hashes.SHA1()  # noqa: S303 (what the rsa-sha1 suite of customs demands)
_LEAST_BITS = 1024
"""Customs' own test keys have 1024 bits: below the minimum elsewhere, allowed for this purpose."""


class Signer(Protocol):
    """A key with its certificate. `sign` may block (a device, the network) and may be called again."""

    @property
    def suite(self) -> Suite:
        """The algorithms this key signs with."""
        ...

    @property
    def certificate_der(self) -> bytes:
        """The certificate that goes into X509Certificate."""
        ...

    @property
    def key_name(self) -> str:
        """Its serial number as ds:KeyName has it: lower-case hex, a leading zero kept."""
        ...

    @property
    def key_info(self) -> str:
        """The ds:KeyInfo element, made once by `write_key_info`."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Sign these bytes, hashing included; raises SigningError when the key cannot."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RsaSigner:
    """An RSA key in memory that signs with RSASSA-PKCS1-v1_5 over SHA-1 (suite `rsa-sha1`)."""

    certificate_der: bytes = field(repr=False)
    key_name: str
    key_info: str = field(repr=False)
    warnings: tuple[str, ...] = ()
    """What the operator should put right, though the key works: a key file that others may read."""
    suite: Suite = RSA_SHA1
    _key: rsa.RSAPrivateKey = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        """Sign `data`: as many bytes as the key has (256 for RSA 2048)."""
        return self._key.sign(data, _PADDING, _SHA1)


def write_key_info(key_name: str, certificate_der: bytes) -> str:
    """Write ds:KeyInfo: the serial number and the certificate in Base64 without line breaks."""
    return (
        f"<ds:KeyInfo><ds:KeyName>{key_name}</ds:KeyName><ds:X509Data><ds:X509Certificate>"
        f"{b64encode(certificate_der).decode()}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
    )


def load_pem(key_file: Path | str, certificate_file: Path | str, password: str | None = None) -> RsaSigner:
    """Load a PEM private key and its certificate (PEM or DER; the first one of a chain).

    Raises SigningError when a file cannot be read or the two do not belong together.
    """
    key_path, certificate_path = Path(key_file), Path(certificate_file)
    data = _read(key_path)
    try:
        key = serialization.load_pem_private_key(data, _secret(password))
    except (ValueError, TypeError, UnsupportedAlgorithm) as err:
        raise _unusable(key_path, err) from err
    return _signer(
        key, read_certificate_file(certificate_path), where=str(key_path), warnings=_exposed(key_path)
    )


def load_pkcs12(file: Path | str, password: str | None = None) -> RsaSigner:
    """Load a private key and its certificate from one PKCS#12 file (`.p12`, `.pfx`).

    Raises SigningError when the file cannot be read, the password is wrong or either part is missing.
    """
    path = Path(file)
    data = _read(path)
    try:
        key, certificate, _ = pkcs12.load_key_and_certificates(data, _secret(password))
    except (ValueError, TypeError, UnsupportedAlgorithm) as err:
        raise _unusable(path, err) from err
    if key is None or certificate is None:
        missing = "private key" if key is None else "certificate"
        raise SigningError(
            f"the file holds no {missing}", where=str(path), fix="export key and certificate into it"
        )
    return _signer(key, certificate, where=str(path), warnings=_exposed(path))


def _signer(
    key: object, certificate: x509.Certificate, *, where: str, warnings: tuple[str, ...]
) -> RsaSigner:
    if not isinstance(key, rsa.RSAPrivateKey):
        raise SigningError("the private key is not an RSA key", where=where, fix="use an RSA key")
    if key.key_size < _LEAST_BITS:
        raise SigningError(
            f"an RSA key of {key.key_size} bits", where=where, fix=f"use {_LEAST_BITS} or more"
        )
    facts = facts_of(certificate)
    if facts.key_type != "RSA" or key.public_key() != certificate.public_key():
        raise SigningError(
            f"the private key does not belong to certificate {facts.serial}",
            where=where,
            fix="configure the certificate that was issued for this key",
        )
    der = certificate.public_bytes(serialization.Encoding.DER)
    return RsaSigner(
        certificate_der=der,
        key_name=facts.serial,
        key_info=write_key_info(facts.serial, der),
        warnings=warnings,
        _key=key,
    )


def read_certificate_file(path: Path) -> x509.Certificate:
    """Read a certificate, PEM (the first one of a chain) or DER. Raises SigningError."""
    data = _read(path)
    if b"-----BEGIN" not in data:
        return read_certificate(data)
    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError as err:
        raise SigningError(
            "the certificate cannot be read", where=f"{path}: {err}", fix="use it as it was issued"
        ) from err


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise SigningError(
            f"cannot read the file: {err.strerror}", where=str(path), fix="check the path and its permissions"
        ) from err


def _secret(password: str | None) -> bytes | None:
    return None if password is None else password.encode()


def _exposed(path: Path) -> tuple[str, ...]:
    mode = path.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return (f"{path} can be used by others than its owner: chmod 600 {path}",)
    return ()


def _unusable(path: Path, err: Exception) -> SigningError:
    return SigningError(
        "the private key cannot be loaded", where=f"{path}: {err}", fix="check the file and its password"
    )
