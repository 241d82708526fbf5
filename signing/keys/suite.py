"""The algorithms that belong together, each combination as one frozen value (docs/spec/signing.md, Structure)."""

import hashlib
from dataclasses import dataclass
from typing import Final

from signing.errors import SigningError
from signing.keys.openssl import libcrypto

DSIG: Final = "http://www.w3.org/2000/09/xmldsig#"
"""Namespace of the Signature element and prefix of the classic algorithm names."""
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
"""The namespace that card-signing tools always have in scope (docs/spec/signing.md, What is signed)."""
C14N: Final = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
"""Canonical XML 1.0, inclusive, without comments: the canonicalisation that the spec requires."""
C14N_WITH_COMMENTS: Final = C14N + "#WithComments"
"""Written by one implementation in the field; the bytes are the same, because no comment is allowed inside."""
ENVELOPED: Final = DSIG + "enveloped-signature"

_CHINAPORT = "http://www.chinaport.gov.cn/2022/04/xmldsig#"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One combination of signature and digest algorithm that customs accepts or that is seen in the field."""

    name: str
    """Short name: `rsa-sha1`, `sm2-sm3`, `sm2-sha1`."""
    signature_method: str
    """Algorithm URI of ds:SignatureMethod."""
    digest_method: str
    """Algorithm URI of ds:DigestMethod."""
    key_type: str
    """The type of key it needs, as in `CertificateFacts.key_type`: `RSA` or `SM2`."""
    digest: str
    """Name of the digest function in hashlib: `sha1` or `sm3`."""

    def digest_of(self, data: bytes) -> bytes:
        """Digest `data`: 20 bytes for SHA-1, 32 for SM3.

        Raises SigningError when neither the interpreter nor the operating system has SM3.
        """
        if self.digest in hashlib.algorithms_available:
            return hashlib.new(self.digest, data, usedforsecurity=False).digest()
        return libcrypto().sm3(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownSuite:
    """A pair of algorithm URIs that matches no entry of `SUITES`."""

    signature_method: str
    digest_method: str

    def __str__(self) -> str:
        """Return both URIs, as written in the document."""
        return f"signature method {self.signature_method!r} with digest method {self.digest_method!r}"


RSA_SHA1: Final = Suite(
    name="rsa-sha1",
    signature_method=DSIG + "rsa-sha1",
    digest_method=DSIG + "sha1",
    key_type="RSA",
    digest="sha1",
)
"""The classic suite: for existing certificates until they expire."""
SM2_SM3: Final = Suite(
    name="sm2-sm3",
    signature_method=_CHINAPORT + "sm2-sm3",
    digest_method=_CHINAPORT + "sm3",
    key_type="SM2",
    digest="sm3",
)
"""The national suite: preferred; mandatory for certificates issued from 2022-07-01."""
SM2_SHA1: Final = Suite(
    name="sm2-sha1",
    signature_method=DSIG + "sm2-sm3",
    digest_method=DSIG + "sha1",
    key_type="SM2",
    digest="sha1",
)
"""SM2 over a SHA-1 digest: not in the customs specification, but used in published messages."""

SUITES: Final = (RSA_SHA1, SM2_SM3, SM2_SHA1)
"""Per key type, the first suite is the default."""


def suite_named(name: str, key_type: str) -> Suite:
    """Choose the suite of a key by name; an empty name means the default of its type.

    Raises SigningError when the key type has no suite, or not one of that name.
    """
    fitting = {suite.name: suite for suite in SUITES if suite.key_type == key_type}
    if not fitting:
        raise SigningError(f"no suite signs with a key of type {key_type}", fix="use an RSA or SM2 key")
    if not name:
        return next(iter(fitting.values()))
    if name not in fitting:
        raise SigningError(
            f"the certificate holds a key of type {key_type}, which cannot sign with suite {name}",
            fix=f"leave suite out, or choose one of: {', '.join(fitting)}",
        )
    return fitting[name]


def suite_of(signature_method: str, digest_method: str) -> Suite | UnknownSuite:
    """Find the suite that two algorithm URIs name; the comparison is exact, as for any URI in XML."""
    for suite in SUITES:
        if (suite.signature_method, suite.digest_method) == (signature_method, digest_method):
            return suite
    return UnknownSuite(signature_method=signature_method, digest_method=digest_method)
