"""Whatever the document: sign then cut gives it back, sign then verify holds, one changed byte breaks it."""

from contextlib import suppress

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.errors import SigningError
from signing.keys.files import FileSigner
from signing.keys.issuers import Issuers
from signing.keys.suite import SUITES
from signing.xml import splice
from signing.xml.c14n import canonical_document
from signing.xml.document import parse
from signing.xml.verify import verify
from tests.signing_documents import DOCUMENTS, EXPORTS, write_keys

_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=8)
_NAMES = st.sampled_from(["a", "ceb:b", "ExtendMessage", "ceb:ExtendMessage", "Signature", "单证"])
_ENCODINGS = st.sampled_from(["", "UTF-8", "GB18030", "BOM"])


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FileSigner]:
    return write_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module", params=[suite.name for suite in SUITES])
def signer(signers: dict[str, FileSigner], request: pytest.FixtureRequest) -> FileSigner:
    return signers[request.param]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _attribute(text: str) -> str:
    return "a=" + (f"'{_escaped(text)}'" if '"' in text and "'" not in text else f'"{_quoted(text)}"')


def _quoted(text: str) -> str:
    return text.replace("&", "&#38;").replace("<", "&lt;").replace('"', "&quot;")  # a bare > is allowed


_CONTENT = st.recursive(
    st.one_of(
        _TEXT.map(_escaped),
        _TEXT.map(lambda text: f"<![CDATA[{text.replace(']]>', '')}<ceb:ExtendMessage></r>]]>"),
        _TEXT.map(lambda text: f"<!-- {text.replace('-', '')} </r><ceb:ExtendMessage> -->"),
        _TEXT.map(lambda text: f"<?way {text.replace('?', '')} </r> ?>"),
        st.sampled_from(["\n", "\r\n", "\t", "&#13;", "&#x4e2d;", "&quot;", "'", '"', "]]", "嘳]"]),
        st.builds(lambda name, text: f"<{name} {_attribute(text)}/>", _NAMES, _TEXT),
    ),
    lambda inner: st.builds(
        lambda name, text, parts: f"<{name}\n{_attribute(text)} >{''.join(parts)}</{name}>",
        _NAMES,
        _TEXT,
        st.lists(inner, max_size=4),
    ),
    max_leaves=12,
)
_DECLARATIONS = st.sampled_from(
    [
        "",
        "xmlns='urn:d'",
        "xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'",
        "xmlns:ds='urn:x' xml:lang='zh'",
    ]
)
_OUTSIDE = st.sampled_from(["", "\n", "\r\n", "<!-- </r> -->", "<?p </r>?>\n"])


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """Draw the bytes of a well-formed document in one of the encodings customs accepts."""
    inner = "".join(draw(st.lists(_CONTENT, max_size=5)))
    root = f"<r {draw(_DECLARATIONS)} xmlns:ceb='urn:c'>{inner}</r>"
    text = f"{draw(_OUTSIDE)}{root}{draw(_OUTSIDE)}"
    match draw(_ENCODINGS):
        case "BOM":
            return b"\xef\xbb\xbf" + text.encode()
        case "":
            return text.encode()
        case encoding:
            return f'<?xml version="1.0" encoding="{encoding}"?>{text}'.encode(encoding)


@settings(max_examples=120, deadline=None)
@given(body=documents(), before=st.sampled_from(["", "ExtendMessage", "a"]))
def test_sign_then_cut_gives_the_input_back_and_sign_then_verify_holds(
    signer: FileSigner, body: bytes, before: str
) -> None:
    signed = splice.sign(body, signer, before=before)
    assert splice.cut(signed.body, signed.span) == body
    assert splice.strip(signed.body) == (body, signed.span)
    verdict = verify(signed.body)
    assert (verdict.valid, verdict.warnings, verdict.reasons) == (True, (), ())


@settings(max_examples=150, deadline=None)
@given(data=st.data(), name=st.sampled_from(["with_xsi", "without_xsi", "gb18030", "bom", "crlf", "cdata"]))
def test_one_changed_byte_anywhere_breaks_it(signer: FileSigner, data: st.DataObject, name: str) -> None:
    """Or says the same thing: white space inside a tag, the letters of the encoding's name.

    The certificate is vouched for by its issuer, not by this signature: here it is the one that is trusted.
    """
    body = splice.sign(DOCUMENTS[name], signer).body
    issuers = Issuers([x509.load_der_x509_certificate(signer.certificate_der)])
    assert verify(body, issuers=issuers).valid
    place = data.draw(st.integers(0, len(body) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != body[place]))
    changed = body[:place] + bytes([byte]) + body[place + 1 :]
    verdict = verify(changed, issuers=issuers)
    if verdict.valid:
        spelt_otherwise = any("KeyName" in warning for warning in verdict.warnings)
        assert spelt_otherwise or whole(changed) == whole(body)


def whole(body: bytes) -> bytes:
    """Write the canonical form of a document, its Signature included."""
    return canonical_document(parse(body).tree)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), new=st.binary(max_size=6))
def test_verify_never_raises_on_a_spoiled_document(
    signer: FileSigner, data: st.DataObject, new: bytes
) -> None:
    body = splice.sign(EXPORTS["plain"], signer, before="ExtendMessage").body
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 8)))
    verdict = verify(body[:start] + new + body[end:])
    assert verdict.valid is not bool(verdict.reasons)


@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=200))
def test_nothing_but_signing_errors_come_out_of_any_bytes(signer: FileSigner, body: bytes) -> None:
    assert not verify(body).valid
    for act in (splice.strip, lambda given: splice.sign(given, signer)):
        with suppress(SigningError):
            act(body)
