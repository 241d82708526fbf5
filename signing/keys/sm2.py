"""SM2 keys: sign and verify by GB/T 32918.2 with SM3 and the default identity; signatures are raw r and s.

docs/spec/signing.md, SM2 details: e = SM3(ZA || M), ZA over the identity `1234567812345678`; the signature is
the 64 bytes r || s, not the DER sequence that libcrypto speaks.
"""

import ctypes
import weakref
from contextlib import AbstractContextManager
from ctypes import c_char_p, c_size_t, c_void_p
from functools import lru_cache
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from signing.errors import SigningError
from signing.keys import der
from signing.keys.openssl import Libcrypto, libcrypto

SM2_WITH_SM3: Final = "1.2.156.10197.1.501"
"""Object identifier of the signature algorithm in SM2 certificates."""
SPKI: Final = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
"""First bytes of the SubjectPublicKeyInfo of an SM2 key: ecPublicKey on sm2p256v1; the point follows."""
SIGNATURE_BYTES: Final = 64
BITS: Final = 256

_IDENTITY = b"1234567812345678"
_POINT_BYTES = 65
_UNCOMPRESSED = b"\x04"
_HALF = SIGNATURE_BYTES // 2
_DER_SIGNATURE_BYTES = 72
_PEM_BYTES = 4096


def point_of(certificate: x509.Certificate) -> bytes | None:
    """Return the public point, 65 bytes, of a certificate; None when its key is not SM2.

    Read from SubjectPublicKeyInfo, because general libraries refuse the key (docs/spec/signing.md, Traps). Raises
    SigningError for bytes that are not DER.
    """
    fields = der.read_one(certificate.tbs_certificate_bytes, der.SEQUENCE).items()
    place = (
        6 if fields and fields[0].tag == der.VERSION else 5
    )  # serial, algorithm, issuer, validity, subject
    spki = fields[place].whole if len(fields) > place else b""
    point = spki.removeprefix(SPKI)
    well_formed = len(point) == _POINT_BYTES and point.startswith(_UNCOMPRESSED)
    return point if spki != point and well_formed else None


class Sm2PublicKey:
    """The public half of an SM2 key."""

    def __init__(self, point: bytes) -> None:
        """Take a point of 65 bytes, uncompressed; raises SigningError when it is not on the curve."""
        self._lib = libcrypto()
        encoded = SPKI + point
        place = c_char_p(encoded)
        handle = self._lib.c.d2i_PUBKEY(None, ctypes.byref(place), len(encoded))
        what = "the public key of the certificate is not a point of SM2"
        self._handle = _kept(self, self._lib, handle, what, "use the certificate as it was issued")

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Whether `signature`, raw 64 bytes r || s, is valid for `data`."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        r, s = int.from_bytes(signature[:_HALF], "big"), int.from_bytes(signature[_HALF:], "big")
        return self.verify_der(encode_dss_signature(r, s), data)

    def verify_der(self, signature: bytes, data: bytes) -> bool:
        """Whether `signature`, DER as in certificates, is valid for `data`."""
        lib = self._lib
        with lib.freed(lib.c.EVP_MD_CTX_new(), "EVP_MD_CTX_free", "no room for a digest") as context:
            _begin(lib, context, self._handle, "EVP_DigestVerifyInit_ex")
            answer: int = lib.c.EVP_DigestVerify(context, signature, len(signature), data, len(data))
        lib.c.ERR_clear_error()  # an invalid signature leaves entries in the error queue
        return answer == 1


@lru_cache(maxsize=256)
def public_key(point: bytes) -> Sm2PublicKey:
    """Return the cached key of a point; making one takes half as long as a verification. Raises as `Sm2PublicKey`."""
    return Sm2PublicKey(point)


class Sm2PrivateKey:
    """A private SM2 key in memory; may be used by several threads and after a fork."""

    def __init__(self, lib: Libcrypto, handle: int | None, what: str) -> None:
        """Take ownership of a handle; raises SigningError: `what` for a null handle, or for a key that is not SM2."""
        self._lib = lib
        self._handle = _kept(self, lib, handle, what, "check the file and its password")
        lib.require(
            lib.c.EVP_PKEY_is_a(self._handle, b"SM2") == 1,
            "the private key is not an SM2 key",
            "configure the key that the certificate was issued for",
        )
        lib.c.ERR_clear_error()  # left by the formats that were tried first

    @classmethod
    def generate(cls) -> Self:
        """Generate a new key."""
        lib = libcrypto()
        what = "no SM2 key could be made"
        key = c_void_p()
        context = lib.c.EVP_PKEY_CTX_new_from_name(None, b"SM2", None)
        with lib.freed(context, "EVP_PKEY_CTX_free", what) as generator:
            lib.require(lib.c.EVP_PKEY_keygen_init(generator) == 1, what)
            lib.require(lib.c.EVP_PKEY_generate(generator, ctypes.byref(key)) == 1, what)
        return cls(lib, key.value, what)

    @classmethod
    def from_pem(cls, data: bytes, password: bytes | None) -> Self:
        """Read PKCS#8 or SEC1, encrypted or not. Raises SigningError for other keys and wrong passwords."""
        lib = libcrypto()
        with _memory(lib, data) as source:
            # never null: without a password libcrypto would ask for one on the terminal
            handle = lib.c.PEM_read_bio_PrivateKey(source, None, None, _secret(password))
        return cls(lib, handle, "the private key cannot be loaded")

    def sign(self, data: bytes) -> bytes:
        """Sign `data`, hashing included: raw r || s, 64 bytes, different each time."""
        lib = self._lib
        out = ctypes.create_string_buffer(_DER_SIGNATURE_BYTES)
        size = c_size_t(_DER_SIGNATURE_BYTES)
        with lib.freed(lib.c.EVP_MD_CTX_new(), "EVP_MD_CTX_free", "no room for a digest") as context:
            _begin(lib, context, self._handle, "EVP_DigestSignInit_ex")
            done = lib.c.EVP_DigestSign(context, out, ctypes.byref(size), data, len(data))
            lib.require(done == 1, "the SM2 key did not sign")
        r, s = decode_dss_signature(out.raw[: size.value])
        return r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big")

    def public_info(self) -> bytes:
        """Return the SubjectPublicKeyInfo, DER: `SPKI` and the point."""
        return self._lib.encoded(self._lib.c.i2d_PUBKEY, self._handle, "the public key cannot be written")

    def pem(self) -> bytes:
        """Return the key as PEM, PKCS#8, not encrypted."""
        lib, what = self._lib, "the private key cannot be written"
        with lib.freed(lib.c.BIO_new(lib.c.BIO_s_mem()), "BIO_free", what) as sink:
            done = lib.c.PEM_write_bio_PKCS8PrivateKey(sink, self._handle, None, None, 0, None, None)
            lib.require(done == 1, what)
            out = ctypes.create_string_buffer(_PEM_BYTES)
            size = lib.c.BIO_read(sink, out, _PEM_BYTES)
            lib.require(0 < size < _PEM_BYTES, what)
            return out.raw[:size]


def read_pkcs12(data: bytes, password: bytes | None) -> tuple[Sm2PrivateKey, bytes]:
    """Read an SM2 key and its certificate (DER) from PKCS#12; raises SigningError when either is missing."""
    lib, what = libcrypto(), "the private key cannot be loaded"
    key, certificate = c_void_p(), c_void_p()
    with (
        _memory(lib, data) as source,
        lib.freed(lib.c.d2i_PKCS12_bio(source, None), "PKCS12_free", what) as container,
    ):
        done = lib.c.PKCS12_parse(
            container, _secret(password), ctypes.byref(key), ctypes.byref(certificate), None
        )
        lib.require(done == 1, what, "check the file and its password")
    private = Sm2PrivateKey(lib, key.value, "the file holds no private key")
    with lib.freed(certificate.value, "X509_free", "the file holds no certificate of the key") as found:
        return private, lib.encoded(lib.c.i2d_X509, found, "the certificate cannot be read")


def _begin(lib: Libcrypto, context: int, key: int, initialise: str) -> None:
    """Initialise signing or verification with SM3 and the default identity."""
    of_key = c_void_p()
    begin = getattr(lib.c, initialise)
    done = begin(context, ctypes.byref(of_key), b"SM3", None, None, key, None)
    lib.require(done == 1, "libcrypto cannot use the SM2 key")
    done = lib.c.EVP_PKEY_CTX_set1_id(of_key, _IDENTITY, len(_IDENTITY))
    lib.require(done == 1, "libcrypto does not take the SM2 identity")


def _kept(owner: object, lib: Libcrypto, handle: int | None, what: str, fix: str) -> int:
    """Return the handle and free it when `owner` is garbage-collected; raises SigningError `what` if it is null."""
    if not handle:
        raise SigningError(what, where=lib.errors(), fix=fix)
    weakref.finalize(owner, lib.c.EVP_PKEY_free, handle).atexit = False
    return handle


def _memory(lib: Libcrypto, data: bytes) -> AbstractContextManager[int]:
    return lib.freed(lib.c.BIO_new_mem_buf(data, len(data)), "BIO_free", "no room for a file")


def _secret(password: bytes | None) -> bytes:
    if password is not None and b"\0" in password:
        raise SigningError("a password with a NUL byte", fix="choose another password")
    return password or b""
