"""Call the operating system's libcrypto by ctypes for SM2 and SM3, which `cryptography` lacks (ADR 0016).

Loaded at the first use, so that a node with only RSA keys does not need it. Every function that is called
is declared in one table; every error message contains the error queue of this thread.
"""

import ctypes
import ctypes.util
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ctypes import POINTER, c_char_p, c_int, c_long, c_size_t, c_ulong, c_void_p
from functools import cache
from typing import Any, Final

from signing.errors import SigningError

_LEAST: Final = 0x30000000
"""OpenSSL 3.0: older versions do not offer SM2 by name."""
_SM3_BYTES: Final = 32

_FUNCTIONS: Final[Mapping[str, tuple[Any, tuple[Any, ...]]]] = {
    "BIO_free": (c_int, (c_void_p,)),
    "BIO_new": (c_void_p, (c_void_p,)),
    "BIO_new_mem_buf": (c_void_p, (c_char_p, c_int)),
    "BIO_read": (c_int, (c_void_p, c_void_p, c_int)),
    "BIO_s_mem": (c_void_p, ()),
    "ERR_clear_error": (None, ()),
    "ERR_get_error": (c_ulong, ()),
    "ERR_reason_error_string": (c_char_p, (c_ulong,)),
    "EVP_DigestSign": (c_int, (c_void_p, c_void_p, POINTER(c_size_t), c_char_p, c_size_t)),
    "EVP_DigestSignInit_ex": (
        c_int,
        (c_void_p, POINTER(c_void_p), c_char_p, c_void_p, c_char_p, c_void_p, c_void_p),
    ),
    "EVP_DigestVerify": (c_int, (c_void_p, c_char_p, c_size_t, c_char_p, c_size_t)),
    "EVP_DigestVerifyInit_ex": (
        c_int,
        (c_void_p, POINTER(c_void_p), c_char_p, c_void_p, c_char_p, c_void_p, c_void_p),
    ),
    "EVP_MD_CTX_free": (None, (c_void_p,)),
    "EVP_MD_CTX_new": (c_void_p, ()),
    "EVP_PKEY_CTX_free": (None, (c_void_p,)),
    "EVP_PKEY_CTX_new_from_name": (c_void_p, (c_void_p, c_char_p, c_char_p)),
    "EVP_PKEY_CTX_set1_id": (c_int, (c_void_p, c_char_p, c_int)),
    "EVP_PKEY_free": (None, (c_void_p,)),
    "EVP_PKEY_generate": (c_int, (c_void_p, POINTER(c_void_p))),
    "EVP_PKEY_is_a": (c_int, (c_void_p, c_char_p)),
    "EVP_PKEY_keygen_init": (c_int, (c_void_p,)),
    "EVP_Q_digest": (
        c_int,
        (c_void_p, c_char_p, c_char_p, c_char_p, c_size_t, c_void_p, POINTER(c_size_t)),
    ),
    "OpenSSL_version": (c_char_p, (c_int,)),
    "OpenSSL_version_num": (c_ulong, ()),
    "PEM_read_bio_PrivateKey": (c_void_p, (c_void_p, c_void_p, c_void_p, c_char_p)),
    "PEM_write_bio_PKCS8PrivateKey": (
        c_int,
        (c_void_p, c_void_p, c_void_p, c_char_p, c_int, c_void_p, c_void_p),
    ),
    "PKCS12_free": (None, (c_void_p,)),
    "PKCS12_parse": (c_int, (c_void_p, c_char_p, POINTER(c_void_p), POINTER(c_void_p), c_void_p)),
    "X509_free": (None, (c_void_p,)),
    "d2i_PKCS12_bio": (c_void_p, (c_void_p, c_void_p)),
    "d2i_PUBKEY": (c_void_p, (c_void_p, POINTER(c_char_p), c_long)),
    "i2d_PUBKEY": (c_int, (c_void_p, POINTER(c_char_p))),
    "i2d_X509": (c_int, (c_void_p, POINTER(c_char_p))),
}
"""Name → result and argument types, as in the manual pages of OpenSSL 3.0."""


class Libcrypto:
    """One loaded libcrypto with declared functions; `c` holds them under their own names."""

    def __init__(self, file: str) -> None:
        """Load `file`, a libcrypto or a library linked with one. Raises SigningError without SM2 and SM3."""
        try:
            self.c: Final = ctypes.CDLL(file)
            for name, (result, arguments) in _FUNCTIONS.items():
                function = getattr(self.c, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError) as err:
            raise SigningError(f"no libcrypto of OpenSSL 3.0 or later: {err}", where=file) from err
        if self.c.OpenSSL_version_num() < _LEAST:
            raise SigningError(f"{self.version} is older than OpenSSL 3.0", where=file)
        with self.freed(
            self.c.EVP_PKEY_CTX_new_from_name(None, b"SM2", None),
            "EVP_PKEY_CTX_free",
            f"{self.version} has no SM2",
        ):
            self.sm3(b"")

    @property
    def version(self) -> str:
        """Its version text: `OpenSSL 3.0.17 1 Jul 2025`."""
        return str(self.c.OpenSSL_version(0).decode("ascii", "replace"))

    def sm3(self, data: bytes) -> bytes:
        """Digest `data` with SM3, 32 bytes. Raises SigningError when this libcrypto has no SM3."""
        out = ctypes.create_string_buffer(_SM3_BYTES)
        size = c_size_t(_SM3_BYTES)
        done = self.c.EVP_Q_digest(None, b"SM3", None, data, len(data), out, ctypes.byref(size))
        self.require(done == 1 and size.value == _SM3_BYTES, f"{self.version} has no SM3")
        return out.raw

    def require(self, done: bool, what: str, fix: str = "") -> None:
        """Raise SigningError `what`, with the text of the error queue, unless `done`."""
        if not done:
            raise SigningError(what, where=self.errors(), fix=fix)

    def errors(self) -> str:
        """Empty the error queue of this thread and return its reasons, oldest first."""
        reasons = []
        while code := self.c.ERR_get_error():
            reasons.append((self.c.ERR_reason_error_string(code) or b"error %x" % code).decode())
        return "libcrypto: " + (", ".join(reasons) or "no reason given")

    @contextmanager
    def freed(self, handle: int | None, free: str, what: str) -> Iterator[int]:
        """Yield a handle and always free it. Raises SigningError `what` when the handle is null."""
        if not handle:
            raise SigningError(what, where=self.errors())
        try:
            yield handle
        finally:
            getattr(self.c, free)(handle)

    def encoded(self, encode: Callable[..., int], handle: int, what: str) -> bytes:
        """Return the DER that an `i2d_…` function writes. Raises SigningError `what` when it fails."""
        size = encode(handle, None)
        self.require(size > 0, what)
        out = ctypes.create_string_buffer(size)
        place = ctypes.cast(out, c_char_p)
        self.require(encode(handle, ctypes.byref(place)) == size, what)
        return out.raw


def libcrypto() -> Libcrypto:
    """Return libcrypto, loaded once. Raises SigningError, with each candidate's reason, if none has SM2 and SM3."""
    found = _load()
    if isinstance(found, Libcrypto):
        return found
    raise SigningError(
        "there is no OpenSSL here that can do SM2 and SM3",
        where=found,
        fix="install OpenSSL 3.0 or later, built with SM2 and SM3 (Debian, Ubuntu: libssl3)",
    )


@cache
def _load() -> Libcrypto | str:
    """Try each candidate; a failure, returned as text, is cached too, because the search is slow."""
    reasons = []
    for file in _candidates():
        try:
            return Libcrypto(file)
        except SigningError as err:
            reasons.append(f"{err.where}: {err.what}")
    return "; ".join(reasons)


def _candidates() -> Iterator[str]:
    """Yield the files to load, best first.

    Symbols are also looked up in the libraries that a file is linked with: the interpreter's own modules lead
    to the libcrypto that the operating system, or the builder of the interpreter, keeps up to date.
    """
    for module in ("_ssl", "_hashlib"):
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.has_location and spec.origin:
            yield spec.origin
    yield "libcrypto.so.3"
    found = ctypes.util.find_library("crypto")
    if found:
        yield found
