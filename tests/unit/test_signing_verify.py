"""Verification: what holds, what does not and why; nothing makes it raise."""

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from lxml import etree

from signing.keys.certificate import certificate_facts
from signing.keys.files import FileSigner
from signing.keys.suite import C14N, C14N_WITH_COMMENTS, DSIG, RSA_SHA1
from signing.xml import splice
from signing.xml.c14n import canonical_part
from signing.xml.verify import verify
from tests.signing_documents import DOCUMENTS, EXPORTS, XSI, write_key, write_sm2_key

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> FileSigner:
    return write_key(Path(tmp_path_factory.mktemp("key")))


@pytest.fixture(scope="module")
def signed(signer: FileSigner) -> bytes:
    return splice.sign(EXPORTS["text_around"], signer, before="ExtendMessage").body


def resign(body: bytes, signer: FileSigner) -> bytes:
    """Sign SignedInfo again as it stands, for forms that `sign` itself does not write."""
    info = etree.fromstring(body).find(f".//{{{DSIG}}}SignedInfo")
    assert info is not None
    start, end = body.index(b"<ds:SignatureValue>") + 19, body.index(b"</ds:SignatureValue>")
    return body[:start] + b64encode(signer.sign(canonical_part(info))) + body[end:]


def test_verdict_says_suite_digest_signature_and_certificate(signed: bytes, signer: FileSigner) -> None:
    verdict = verify(signed)
    assert (verdict.valid, verdict.digest_ok, verdict.signature_ok, verdict.suite) == (
        True,
        True,
        True,
        RSA_SHA1,
    )
    assert verdict.certificate == certificate_facts(signer.certificate_der)


def test_changed_document_breaks_the_digest_alone(signed: bytes) -> None:
    verdict = verify(signed.replace(b"T-1", b"T-2"))
    assert (verdict.valid, verdict.digest_ok, verdict.signature_ok) == (False, False, True)
    assert "digest" in verdict.reasons[0]


@pytest.mark.parametrize("white", [b" ", b"\n", b"\r\n"])
def test_white_space_beside_the_signature_counts(signed: bytes, white: bytes) -> None:
    end = signed.index(b"</ds:Signature>") + 15
    start = signed.index(b"<ds:Signature ")
    assert not verify(signed[:end] + white + signed[end:]).digest_ok
    assert not verify(signed[:start] + white + signed[start:]).digest_ok


def test_changed_digest_breaks_the_signature_too(signed: bytes, signer: FileSigner) -> None:
    other = splice.sign(DOCUMENTS["with_xsi"], signer)
    digest = splice.digest_of(splice.strip(signed)[0], RSA_SHA1)
    verdict = verify(signed.replace(b64encode(digest), b64encode(other.digest)))
    assert (verdict.digest_ok, verdict.signature_ok) == (False, False)


def test_line_ends_and_what_stands_before_the_root_do_not_count(signed: bytes) -> None:
    assert verify(b"\xef\xbb\xbf<?xml version='1.0'?>\r\n<!-- c -->" + signed.replace(b"\n", b"\r\n")).valid


def test_instruction_outside_the_root_counts(signed: bytes) -> None:
    assert not verify(signed + b"<?after it?>").digest_ok


def test_line_breaks_in_base64_are_allowed(signed: bytes) -> None:
    def broken(text: bytes) -> bytes:
        return b"\n".join(text[at : at + 64] for at in range(0, len(text), 64))

    for name in (b"ds:SignatureValue", b"ds:X509Certificate"):
        start, end = signed.index(b"<" + name + b">") + len(name) + 2, signed.index(b"</" + name)
        signed = signed[:start] + b"\r\n" + broken(signed[start:end]) + b" \n" + signed[end:]
    assert verify(signed).valid


def test_line_breaks_inside_signed_info_are_part_of_what_is_signed(signed: bytes, signer: FileSigner) -> None:
    spread = signed.replace(b"><ds:Reference", b">\n<ds:Reference")
    assert not verify(spread).signature_ok
    assert verify(resign(spread, signer)).valid


def test_canonicalisation_with_comments_is_accepted(signed: bytes, signer: FileSigner) -> None:
    assert verify(
        resign(signed.replace(f'"{C14N}"'.encode(), f'"{C14N_WITH_COMMENTS}"'.encode()), signer)
    ).valid


def test_other_prefix_and_default_namespace_for_the_signature(signed: bytes, signer: FileSigner) -> None:
    start, end = signed.index(b"<ds:Signature "), signed.index(b"</ds:Signature>") + 15
    bare = signed[start:end].replace(b"ds:", b"").replace(b"xmlns:ds", b"xmlns")
    body = signed[:start] + bare + signed[end:]
    info = etree.fromstring(body).find(f".//{{{DSIG}}}SignedInfo")
    assert info is not None
    at, to = body.index(b"<SignatureValue>") + 16, body.index(b"</SignatureValue>")
    assert verify(body[:at] + b64encode(signer.sign(canonical_part(info))) + body[to:]).valid


def test_signature_that_needs_xsi_assumed_is_valid_with_a_warning(signer: FileSigner) -> None:
    body = splice.sign(DOCUMENTS["without_xsi"], signer).body
    verdict = verify(body.replace(f" {XSI}".encode(), b""))
    assert (verdict.valid, verdict.reasons) == (True, ())
    assert "xmlns:xsi" in verdict.warnings[0]


@pytest.mark.parametrize("years", [-1, 20])
def test_certificate_out_of_its_period_is_refused(signed: bytes, years: int) -> None:
    verdict = verify(signed, at=datetime.now(UTC) + timedelta(days=365 * years))
    assert (verdict.valid, verdict.digest_ok, verdict.signature_ok, verdict.certificate_ok) == (
        *(False, True, True, False),
    )
    assert "is valid from" in verdict.reasons[0]


def test_key_name_of_another_certificate_is_a_reason_and_its_spelling_a_warning(
    signed: bytes, signer: FileSigner
) -> None:
    name = f"<ds:KeyName>{signer.key_name}<".encode()
    other = verify(signed.replace(name, b"<ds:KeyName>01691fe9<"))
    assert (other.valid, other.signature_ok) == (False, True)
    assert "KeyName" in other.reasons[0]
    spelt = verify(signed.replace(name, f"<ds:KeyName>0{signer.key_name.upper()}<".encode()))
    assert spelt.valid
    assert "KeyName" in spelt.warnings[0]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda der: der[:40] + der[104:168] + der[40:104] + der[168:],
        lambda der: der[:-1],
        lambda der: der[:4] + b"\x02\x01\x01",
    ],
    ids=["shuffled lines", "truncated", "not a certificate"],
)
def test_broken_certificate_is_a_reason(
    signed: bytes, signer: FileSigner, spoil: Callable[[bytes], bytes]
) -> None:
    old, new = b64encode(signer.certificate_der), b64encode(spoil(signer.certificate_der))
    verdict = verify(signed.replace(old, new))
    assert (verdict.valid, verdict.digest_ok, verdict.certificate) == (False, True, None)
    assert "X509Certificate" in verdict.reasons[0]


REFUSED: dict[str, tuple[str, str, str]] = {
    "foreign canonicalisation": (C14N, "http://www.w3.org/2001/10/xml-exc-c14n#", "canonicalisation"),
    "foreign transform": (
        f"{DSIG}enveloped-signature",
        "http://www.w3.org/TR/1999/REC-xpath-19991116",
        "transform",
    ),
    "two transforms": (
        "</ds:Transforms>",
        f'<ds:Transform Algorithm="{DSIG}enveloped-signature"/></ds:Transforms>',
        "2 transforms",
    ),
    "no transform": (
        f'<ds:Transform Algorithm="{DSIG}enveloped-signature"></ds:Transform>',
        "",
        "0 transforms",
    ),
    "external reference": ('URI=""', 'URI="file:///etc/hosts"', "file:///etc/hosts"),
    "fragment reference": ('URI=""', 'URI="#a"', "#a"),
    "no reference": (' URI=""', "", "None"),
    "two references": (
        "</ds:Reference>",
        '</ds:Reference><ds:Reference URI=""></ds:Reference>',
        "does not hold",
    ),
    "unknown signature method": (
        f"{DSIG}rsa-sha1",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-md5",
        "unknown",
    ),
    "unknown digest method": (f'"{DSIG}sha1"', '"http://www.w3.org/2001/04/xmlenc#sha256"', "unknown"),
    "parameters": (
        'rsa-sha1"></ds:S',
        'rsa-sha1"><ds:HMACOutputLength>1</ds:HMACOutputLength></ds:S',
        "parameters",
    ),
    "type of the reference": (' URI=""', f' URI="" Type="{DSIG}Object"', "attribute"),
    "reference elsewhere": ("<ds:SignedInfo", '<ds:SignedInfo URI="#a"', "attribute"),
    "xml attribute in the signature": ("<ds:KeyInfo>", '<ds:KeyInfo xml:space="preserve">', "attribute"),
    "object in the signature": (
        "</ds:Signature>",
        "<ds:Object>x</ds:Object></ds:Signature>",
        "does not hold",
    ),
    "two certificates": (
        "</ds:X509Data>",
        "<ds:X509Certificate>MAA=</ds:X509Certificate></ds:X509Data>",
        "2 certificates",
    ),
    "instruction in a value": ("<ds:SignatureValue>", "<ds:SignatureValue><?a b?>", "more than text"),
    "comment before signed info": ("<ds:SignedInfo>", "<!-- --><ds:SignedInfo>", "comment or processing"),
    "comment in the digest": ("<ds:DigestValue>", "<ds:DigestValue><!-- -->", "more than text"),
    "comment in signed info": ("<ds:Reference ", "<!-- --><ds:Reference ", "comment"),
    "instruction in the signature": ("<ds:KeyInfo>", "<?a b?><ds:KeyInfo>", "comment or processing"),
    "text in the signature": ("<ds:KeyInfo>", "text<ds:KeyInfo>", "text between"),
    "no key info": ("ds:KeyInfo>", "ds:Object>", "KeyInfo"),
    "no certificate": ("ds:X509Certificate>", "ds:X509CRL>", "0 certificates"),
    "foreign element in key info": ("ds:KeyName>", "ds:KexName>", "no place"),
    "attribute on the signature": ("<ds:Signature ", '<ds:Signature a="" ', "attribute"),
    "not base64": ("<ds:SignatureValue>", "<ds:SignatureValue>*", "Base64"),
    "another spelling of base64": ("==</ds:SignatureValue>", "</ds:SignatureValue>", "Base64"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_signature_out_of_shape_is_refused(name: str, signed: bytes, signer: FileSigner) -> None:
    old, new, reason = REFUSED[name]
    assert old.encode() in signed
    verdict = verify(signed.replace(old.encode(), new.encode()))
    assert not verdict.valid
    assert reason in verdict.reasons[0]


def test_two_signatures_are_refused(signed: bytes, signer: FileSigner) -> None:
    start, end = splice.strip(signed)[1]
    twice = signed[:end] + signed[start:end] + signed[end:]
    assert "2 Signatures" in verify(twice).reasons[0]


def test_signed_document_wrapped_into_another_is_refused(signed: bytes) -> None:
    """The classic attack: the signed part moves aside, what is read is another part."""
    start, end = splice.strip(signed)[1]
    evil = signed[:start].replace(b"T-1", b"T-2") + signed[end:]
    root_end = evil.rindex(b"</")
    for inside in (
        signed,
        signed[start:end] + signed,
        b"<ds:Object xmlns:ds='urn:x'>" + signed + b"</ds:Object>",
    ):
        assert not verify(evil[:root_end] + inside + evil[root_end:]).valid
    moved = evil[:root_end] + signed[start:end] + evil[root_end:]
    assert not verify(moved).digest_ok


def test_signature_moved_to_another_place_of_the_root_still_covers_the_whole_text(signed: bytes) -> None:
    start, end = splice.strip(signed)[1]
    after_root = signed.index(b">") + 1
    moved = signed[:after_root] + signed[start:end] + signed[after_root:start] + signed[end:]
    assert verify(moved).valid
    assert not verify(moved.replace(b"T-1", b"T-2")).valid


def test_signature_below_another_element_is_refused(signed: bytes) -> None:
    verdict = verify(b"<w>" + signed + b"</w>")
    assert "not a child of the root" in verdict.reasons[0]


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"<r/>", b"<r></r>", b"<!DOCTYPE r><r/>", b"\0" * 9, b"<" * 9999]
)
def test_anything_else_is_not_valid_with_a_reason(body: bytes) -> None:
    verdict = verify(body)
    assert not verdict.valid
    assert verdict.reasons


def test_rsa_suite_with_a_key_of_another_kind_is_a_reason(signed: bytes, signer: FileSigner) -> None:
    verdict = verify(signed.replace(b64encode(signer.certificate_der), b64encode(_ec_certificate())))
    assert "no RSA key" in " ".join(verdict.reasons)


def _ec_certificate() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Invented")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )


@pytest.mark.parametrize(
    ("bits", "least", "valid", "warned"),
    [
        (1024, 1024, True, True),
        (1024, 2048, False, False),
        (2048, 2048, True, False),
        (2048, 3072, False, False),
    ],
)
def test_a_short_rsa_key_proves_nothing(
    bits: int, least: int, valid: bool, warned: bool, tmp_path: Path
) -> None:
    verdict = verify(splice.sign(b"<r>t</r>", write_key(tmp_path, bits)).body, rsa_bits=least)
    assert verdict.valid is valid
    assert any(f"{bits} bits" in warning for warning in verdict.warnings) is warned
    assert any(f"{bits} bits, at least {least}" in reason for reason in verdict.reasons) is not valid


def test_the_length_of_an_sm2_key_is_always_enough(tmp_path: Path) -> None:
    assert verify(splice.sign(b"<r>t</r>", write_sm2_key(tmp_path)).body, rsa_bits=2048).valid
