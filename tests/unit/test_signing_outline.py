"""Signing is a splice: one element goes in, nothing else changes, and it comes out again."""

import pytest
from lxml import etree

from signing.errors import SigningError
from signing.keys.files import FileSigner
from signing.keys.suite import DSIG, RSA_SHA1, SUITES
from signing.xml import splice
from signing.xml.verify import verify
from tests.signing_documents import CEB, DOCUMENTS, EXPORTS, XSI, write_keys

SIGNATURE = f"{{{DSIG}}}Signature"


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FileSigner]:
    return write_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(params=[suite.name for suite in SUITES])
def signer(signers: dict[str, FileSigner], request: pytest.FixtureRequest) -> FileSigner:
    return signers[request.param]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_import_form_is_signed_right_before_the_root_end_tag(name: str, signer: FileSigner) -> None:
    body = DOCUMENTS[name]
    signed = splice.sign(body, signer, before="Absent")
    start, end = signed.span
    root = etree.fromstring(signed.body)
    assert splice.cut(signed.body, signed.span) == body
    assert splice.strip(signed.body) == (body, signed.span)
    assert signed.body[start:end].startswith(b"<ds:Signature ")
    assert signed.body[end:].startswith(b"</")
    assert root[-1].tag == SIGNATURE
    verdict = verify(signed.body)
    assert (verdict.valid, verdict.warnings, verdict.reasons) == (True, (), ())


@pytest.mark.parametrize("name", EXPORTS)
def test_export_form_is_signed_right_before_the_named_child(name: str, signer: FileSigner) -> None:
    body = EXPORTS[name]
    signed = splice.sign(body, signer, before="ExtendMessage")
    names = [etree.QName(child).localname for child in etree.fromstring(signed.body).iterchildren("*")]
    assert names[names.index("Signature") + 1] == "ExtendMessage"
    assert names.index("ExtendMessage") == names.index("Signature") + 1
    assert splice.cut(signed.body, signed.span) == body
    assert splice.strip(signed.body) == (body, signed.span)
    assert verify(signed.body).valid


def test_splice_adds_no_white_space_and_no_line_break(signer: FileSigner) -> None:
    signed = splice.sign(DOCUMENTS["with_xsi"], signer)
    start, end = signed.span
    assert b"\n" not in signed.body[start:end]
    assert b"> <" not in signed.body[start:end]


def test_xsi_is_declared_on_signed_info_only_when_the_root_does_not(signer: FileSigner) -> None:
    xsi = XSI.encode()
    assert b"<ds:SignedInfo>" in splice.sign(DOCUMENTS["with_xsi"], signer).body
    assert b"<ds:SignedInfo " + xsi + b">" in splice.sign(DOCUMENTS["without_xsi"], signer).body
    assert b"<ds:SignedInfo " + xsi + b">" in splice.sign(DOCUMENTS["ds_bound_otherwise"], signer).body


def test_signed_bytes_are_those_of_the_published_form() -> None:
    """docs/spec/signing.md, What is signed: namespaces by prefix, start and end tags, one line."""

    class Listener:
        suite = RSA_SHA1
        certificate_der = b"-"
        key_name = "01"
        key_info = "<ds:KeyInfo></ds:KeyInfo>"
        heard = b""

        def sign(self, data: bytes) -> bytes:
            self.heard = data
            return b"value"

    listener = Listener()
    splice.sign(f"<ceb:M {CEB}/>".replace("/>", "></ceb:M>").encode(), listener)
    assert listener.heard.startswith(
        b'<ds:SignedInfo xmlns:ceb="http://www.chinaport.gov.cn/ceb" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" '
        b'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><ds:CanonicalizationMethod Algorithm="'
    )
    assert listener.heard.endswith(b"</ds:DigestValue></ds:Reference></ds:SignedInfo>")


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "well-formed"),
        (b"not xml", "well-formed"),
        (b"<r><a></r>", "well-formed"),
        (b"<r>&undeclared;</r>", "well-formed"),
        (b"<r/>", "empty-element"),
        (b"<r a='</'/>", "well-formed"),
        (b"<r a='>' /><!-- </r> -->", "empty-element"),
        (b"<!DOCTYPE r><r></r>", "DOCTYPE"),
        (b"<?xml version='1.0'?><!-- a --><!DOCTYPE r [<!ENTITY a 'b'>]><r>&a;</r>", "DOCTYPE"),
        ("<r></r>".encode("utf-16"), "UTF-16"),
        ("<r></r>".encode("utf-16-le"), "UTF-16"),
        (b"<?xml version='1.0' encoding='ISO-8859-1'?><r></r>", "ISO-8859-1"),
        (b"\xef\xbb\xbf<?xml version='1.0' encoding='GBK'?><r></r>", "byte order mark"),
        (b"<?xml version='1.0' encoding='GBK'?><r>\xff\xff</r>", "well-formed"),
        (b"<r xmlns='relative'></r>", "canonical"),
        (b"<r><a xmlns:z = 'urn:z?a=1&amp;b'/></r>", "ampersand"),
        (f'<r><Signature xmlns="{DSIG}"/></r>'.encode(), "Signature already"),
        (f'<r><b><Signature xmlns="{DSIG}"/></b></r>'.encode(), "Signature already"),
    ],
)
def test_what_cannot_be_signed_says_why(body: bytes, what: str, signer: FileSigner) -> None:
    with pytest.raises(SigningError, match=what):
        splice.sign(body, signer)


def test_doctype_inside_a_comment_or_cdata_is_no_doctype(signer: FileSigner) -> None:
    body = b"<!-- <!DOCTYPE r> --><r><![CDATA[<!DOCTYPE r><a xmlns='&'>]]></r>"
    assert verify(splice.sign(body, signer).body).valid


def test_entity_bomb_is_refused_before_it_is_read(signer: FileSigner) -> None:
    lol = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(12))
    with pytest.raises(SigningError, match="DOCTYPE"):
        splice.sign(f'<!DOCTYPE r [<!ENTITY l0 "lol">{lol}]><r>&l12;</r>'.encode(), signer)


def test_strip_finds_a_signature_that_others_wrote() -> None:
    signature = (
        f'<s:Signature  xmlns:s="{DSIG}" >\n<!-- </s:Signature> --><s:X a="</s:"/>\n</s:Signature >'.replace(
            'a="</s:"', 'a=">"'
        )
    )
    before, after = "<r>\n <a/> ", " text <b/>\r\n</r>"
    body, span = splice.strip(f"{before}{signature}{after}".encode())
    assert body == f"{before}{after}".encode()
    assert span == (len(before), len(before) + len(signature))


@pytest.mark.parametrize("count", [0, 2])
def test_strip_wants_exactly_one_signature_child(count: int) -> None:
    with pytest.raises(SigningError, match=f"{count} Signature"):
        splice.strip(f'<r xmlns:s="{DSIG}">{"<s:Signature/>" * count}<a><s:Signature/></a></r>'.encode())


@pytest.mark.parametrize("span", [(-1, 2), (2, 2), (3, 2), (0, 9)])
def test_cut_refuses_a_span_that_is_not_inside(span: tuple[int, int]) -> None:
    with pytest.raises(SigningError, match="span"):
        splice.cut(b"12345678", span)


def test_digest_is_the_same_for_bytes_and_tree(signer: FileSigner) -> None:
    body = DOCUMENTS["comments_and_instructions_outside"]
    signed = splice.sign(body, signer)
    assert splice.digest_of(body, signer.suite) == signed.digest
    assert splice.digest_of(etree.fromstring(body).getroottree(), signer.suite) == signed.digest
