"""Signatures that real keys of customs made and that were published verify as their description says."""

import json
from base64 import b64decode
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1

from signing.keys import sm2
from signing.keys.files import write_key_info
from signing.keys.suite import DSIG, RSA_SHA1, SM2_SHA1
from signing.notice179 import read_upload
from signing.xml import splice
from signing.xml.verify import verify
from tests.signing_documents import CEB, XSI
from tests.spec import SPEC, needs_spec

SIGNED = SPEC / "signed"
AT = datetime(2030, 1, 1, tzinfo=UTC)
pytestmark = needs_spec


def vector(name: str) -> dict[str, str]:
    known: dict[str, str] = json.loads((SIGNED / name).read_text("utf-8"))
    return known


def public_key(known: dict[str, str]) -> sm2.Sm2PublicKey:
    point = sm2.point_of(x509.load_der_x509_certificate(b64decode(known["x509Certificate"])))
    assert point is not None
    return sm2.Sm2PublicKey(point)


def test_published_sm2_message_verifies_strictly() -> None:
    verdict = verify((SIGNED / "CEB303_sm2_composed_signed.xml").read_bytes(), at=AT)
    assert (verdict.valid, verdict.digest_ok, verdict.signature_ok, verdict.certificate_ok) == (True,) * 4
    assert (verdict.suite, verdict.warnings, verdict.reasons) == (SM2_SHA1, (), ())
    assert verdict.certificate is not None
    assert (verdict.certificate.key_type, verdict.certificate.serial) == ("SM2", "03000000000cde6f")


def test_splicing_the_published_signature_into_its_source_gives_the_published_file() -> None:
    known = vector("CEB303_sm2_vector.json")
    source = (SIGNED / "CEB303_source.xml").read_bytes()

    class Published:
        """Signs nothing but the bytes that were signed then."""

        suite = SM2_SHA1
        certificate_der = b64decode(known["x509Certificate"])
        key_name = known["certNo"]
        key_info = write_key_info(known["certNo"], b64decode(known["x509Certificate"]))

        def sign(self, data: bytes) -> bytes:
            assert data == known["signedInfoCanonical"].encode()
            return b64decode(known["signatureValue"])

    signed = splice.sign(source, Published(), before="ExtendMessage")
    assert signed.digest == b64decode(known["digestValue"])
    assert signed.body == (SIGNED / "CEB303_sm2_composed_signed.xml").read_bytes()
    assert splice.strip(signed.body) == (source, signed.span)


@pytest.mark.parametrize("name", ["CEB303_sm2_vector.json", "CEB621_sm2_vector.json"])
def test_published_sm2_signatures_verify_over_their_canonical_signed_info(name: str) -> None:
    known = vector(name)
    key, value = public_key(known), b64decode(known["signatureValue"])
    assert key.verify(value, known["signedInfoCanonical"].encode())
    assert not key.verify(value, known["signedInfoCanonical"].encode() + b" ")


def test_published_rsa_signature_verifies_over_its_canonical_signed_info() -> None:
    known = vector("CEB621_rsa_vector.json")
    key = rsa.RSAPublicNumbers(int(known["publicExponent"]), int(known["rsaModulusHex"], 16)).public_key()
    algorithm = SHA1()  # noqa: S303 (the suite)
    signed = known["signedInfoCanonical"].encode()
    key.verify(b64decode(known["signatureValue"]), signed, padding.PKCS1v15(), algorithm)


@pytest.mark.parametrize("declared", [True, False])
def test_signature_of_the_official_samples_verifies_strictly_with_xsi_and_tolerantly_without(
    declared: bool,
) -> None:
    known = vector("official_rsa_signedinfo_vector.json")
    info = known["signedInfoCanonical"].partition(">")[2]
    body = (
        f'<ceb:M {CEB} {XSI if declared else ""}><ds:Signature xmlns:ds="{DSIG}"><ds:SignedInfo>{info}'
        f"<ds:SignatureValue>{known['signatureValue']}</ds:SignatureValue><ds:KeyInfo><ds:X509Data>"
        f"<ds:X509Certificate>{known['x509Certificate']}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
        "</ds:Signature></ceb:M>"
    )
    verdict = verify(body.encode(), at=AT)
    assert (verdict.suite, verdict.signature_ok, verdict.digest_ok) == (RSA_SHA1, True, False)
    assert any("xmlns:xsi" in warning for warning in verdict.warnings) is not declared


def test_published_upload_of_notice_179_verifies_and_its_string_is_built_byte_for_byte() -> None:
    known = vector("179_sm2_vector.json")
    sent = known["payExInfoStr"]
    unsigned = sent.partition(',"certNo"')[0] + "}"
    assert read_upload(unsigned.encode()).signing_string == known["signingString"]
    assert public_key(known).verify(b64decode(known["signValue"]), known["signingString"].encode())
