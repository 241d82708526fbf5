"""Make self-signed SM2 certificates for demonstrations and tests: no general library writes them."""

from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import NameOID

from signing.keys import der, sm2

_SM2_WITH_SM3: Final = der.write(der.SEQUENCE, der.write(der.OBJECT_ID, bytes.fromhex("2a811ccf55018375")))
_UTC_TIME = 0x17
_GENERALIZED_TIME = 0x18
_GENERALIZED_FROM = 2050
"""RFC 5280, 4.1.2.5: from this year on, years have four digits."""


def make_self_signed_sm2(subject_cn: str, days: int = 3650) -> tuple[bytes, bytes]:
    """Make an SM2 key and a self-signed certificate, valid from now: (key PEM, certificate PEM).

    The key is PKCS#8, not encrypted. Customs does not trust such a certificate. Raises SigningError when this
    machine has no libcrypto with SM2.
    """
    key = sm2.Sm2PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject_cn)]).public_bytes()
    start = datetime.now(UTC).replace(microsecond=0)
    to_be_signed = der.write(
        der.SEQUENCE,
        der.write_integer(x509.random_serial_number()),
        _SM2_WITH_SM3,
        name,
        der.write(der.SEQUENCE, _time(start), _time(start + timedelta(days=days))),
        name,
        key.public_info(),
    )
    raw = key.sign(to_be_signed)
    half = sm2.SIGNATURE_BYTES // 2
    signature = encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
    whole = der.write(der.SEQUENCE, to_be_signed, _SM2_WITH_SM3, der.write(der.BIT_STRING, b"\0", signature))
    certificate = x509.load_der_x509_certificate(whole)
    return key.pem(), certificate.public_bytes(serialization.Encoding.PEM)


def _time(at: datetime) -> bytes:
    if at.year < _GENERALIZED_FROM:
        return der.write(_UTC_TIME, at.strftime("%y%m%d%H%M%SZ").encode())
    return der.write(_GENERALIZED_TIME, at.strftime("%Y%m%d%H%M%SZ").encode())
