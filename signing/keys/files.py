"""The Signer interface (sign these bytes), and signers for RSA and SM2 keys in PEM and PKCS#12 files."""

import stat
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from signing.errors import SigningError
from signing.keys import sm2
from signing.keys.certificate import (
    CertificateFacts,
    certificate_facts,
    facts_of,
    make_self_signed,
    read_certificate,
)
from signing.keys.suite import Suite, suite_named

__all__ = [
    "CertificateFacts",
    "FileSigner",
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
"""Customs' own test keys have 1024 bits: below the usual minimum, but allowed for this purpose."""
_PROBE = b"does this key belong to its certificate?"


class Signer(Protocol):
    """A key with its certificate. `sign` may block (a device, the network) and may be called repeatedly."""

    @property
    def suite(self) -> Suite:
        """The algorithms that this key signs with."""
        ...

    @property
    def certificate_der(self) -> bytes:
        """The certificate that goes into X509Certificate."""
        ...

    @property
    def key_name(self) -> str:
        """The certificate's serial number as in ds:KeyName: lower-case hex, a leading zero kept."""
        ...

    @property
    def key_info(self) -> str:
        """The ds:KeyInfo element, made once by `write_key_info`."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Sign these bytes, hashing included; raises SigningError when the key cannot."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSigner:
    """A key in memory, read from a file."""

    suite: Suite
    certificate_der: bytes = field(repr=False)
    key_name: str
    key_info: str = field(repr=False)
    warnings: tuple[str, ...] = ()
    """What the operator should correct although the key works: a key file that other users may read."""
    _sign: Callable[[bytes], bytes] = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        """Sign `data`, hashing included.

        RSA: RSASSA-PKCS1-v1_5 over SHA-1, as long as the key (256 bytes for RSA 2048), the same each time.
        SM2 with SM3: 64 bytes r || s, different each time.
        """
        return self._sign(data)


def write_key_info(key_name: str, certificate_der: bytes) -> str:
    """Write ds:KeyInfo: the serial number and the certificate in Base64 without line breaks."""
    return (
        f"<ds:KeyInfo><ds:KeyName>{key_name}</ds:KeyName><ds:X509Data><ds:X509Certificate>"
        f"{b64encode(certificate_der).decode()}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
    )


def load_pem(
    key_file: Path | str, certificate_file: Path | str, password: str | None = None, *, suite: str = ""
) -> FileSigner:
    """Load a PEM private key and its certificate (PEM or DER; the first one of a chain).

    The certificate decides the type of the key, and `suite` (empty: the default of that type) the algorithms.
    RSA: PKCS#1, PKCS#8; SM2: SEC1, PKCS#8; encrypted or not. Raises SigningError when a file cannot be read,
    key and certificate do not belong together, or the suite needs another type of key.
    """
    path = Path(key_file)
    data, certificate = _read(path), read_certificate_file(Path(certificate_file))
    if facts_of(certificate).key_type == "SM2":
        try:
            return _sm2_signer(sm2.Sm2PrivateKey.from_pem(data, _secret(password)), certificate, path, suite)
        except SigningError as err:
            raise _at(path, err) from err
    try:
        key = serialization.load_pem_private_key(data, _secret(password))
    except (ValueError, TypeError, UnsupportedAlgorithm) as err:
        raise _unusable(path, err) from err
    return _rsa_signer(key, certificate, path, suite)


def load_pkcs12(file: Path | str, password: str | None = None, *, suite: str = "") -> FileSigner:
    """Load a private key and its certificate from one PKCS#12 file (`.p12`, `.pfx`); `suite` as in `load_pem`.

    Raises SigningError when the file cannot be read, the password is wrong or either part is missing.
    """
    path = Path(file)
    data = _read(path)
    try:
        key, certificate, _ = pkcs12.load_key_and_certificates(data, _secret(password))
    except UnsupportedAlgorithm:  # `cryptography` does not know this type of key
        return _sm2_from_pkcs12(data, path, password, suite)
    except (ValueError, TypeError) as err:
        raise _unusable(path, err) from err
    if key is None or certificate is None:
        missing = "private key" if key is None else "certificate"
        raise SigningError(
            f"the file holds no {missing}", where=str(path), fix="export key and certificate into it"
        )
    return _rsa_signer(key, certificate, path, suite)


def _sm2_from_pkcs12(data: bytes, path: Path, password: str | None, suite: str) -> FileSigner:
    try:
        key, der = sm2.read_pkcs12(data, _secret(password))
        return _sm2_signer(key, read_certificate(der), path, suite)
    except SigningError as err:
        raise _at(path, err) from err


def _sm2_signer(key: sm2.Sm2PrivateKey, certificate: x509.Certificate, path: Path, suite: str) -> FileSigner:
    point = sm2.point_of(certificate)
    # Tested with a signature, because a key file may contain a public point that does not fit its private key.
    if point is None or not sm2.public_key(point).verify(key.sign(_PROBE), _PROBE):
        raise _not_its_own(certificate, path)
    return _signer(key.sign, certificate, path, suite)


def _rsa_signer(key: object, certificate: x509.Certificate, path: Path, suite: str) -> FileSigner:
    if not isinstance(key, rsa.RSAPrivateKey):
        raise SigningError(
            "the private key is not an RSA key", where=str(path), fix="use an RSA key, or one of SM2"
        )
    if key.key_size < _LEAST_BITS:
        raise SigningError(
            f"an RSA key of {key.key_size} bits", where=str(path), fix=f"use {_LEAST_BITS} or more"
        )
    if facts_of(certificate).key_type != "RSA" or key.public_key() != certificate.public_key():
        raise _not_its_own(certificate, path)
    return _signer(lambda data: key.sign(data, _PADDING, _SHA1), certificate, path, suite)


def _signer(
    sign: Callable[[bytes], bytes], certificate: x509.Certificate, path: Path, suite: str
) -> FileSigner:
    facts = facts_of(certificate)
    der = certificate.public_bytes(serialization.Encoding.DER)
    return FileSigner(
        suite=suite_named(suite, facts.key_type),
        certificate_der=der,
        key_name=facts.serial,
        key_info=write_key_info(facts.serial, der),
        warnings=_exposed(path),
        _sign=sign,
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


def _not_its_own(certificate: x509.Certificate, path: Path) -> SigningError:
    return SigningError(
        f"the private key does not belong to certificate {facts_of(certificate).serial}",
        where=str(path),
        fix="configure the certificate that was issued for this key",
    )


def _unusable(path: Path, err: Exception) -> SigningError:
    return SigningError(
        "the private key cannot be loaded", where=f"{path}: {err}", fix="check the file and its password"
    )


def _at(path: Path, err: SigningError) -> SigningError:
    """Add the file to the error, if it does not name it already."""
    if err.where.startswith(str(path)):
        return err
    return SigningError(err.what, where=": ".join(filter(None, (str(path), err.where))), fix=err.fix)
