"""Where a signed document differs from its original, in what is digested."""

from pathlib import Path

import pytest

from signing.errors import SigningError
from signing.keys.files import FileSigner
from signing.xml.difference import Difference, first_difference
from signing.xml.splice import sign
from signing.xml.verify import verify
from tests.signing_documents import DOCUMENTS, EXPORTS, write_key


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> FileSigner:
    return write_key(Path(tmp_path_factory.mktemp("key")))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_was_only_signed_does_not_differ(name: str, signer: FileSigner) -> None:
    assert first_difference(sign(DOCUMENTS[name], signer).body, DOCUMENTS[name]) is None


def test_what_canonical_form_levels_is_no_difference(signer: FileSigner) -> None:
    body = EXPORTS["crlf"]
    signed = sign(body, signer, before="ExtendMessage").body
    assert (
        first_difference(b"\xef\xbb\xbf<?xml version='1.0'?>" + signed.replace(b"\r\n", b"\n"), body) is None
    )


def test_first_byte_that_differs_is_told_with_both_sides(signer: FileSigner) -> None:
    original = DOCUMENTS["with_xsi"]
    signed = sign(original, signer).body.replace("样例 &amp;".encode(), "样本 &amp;".encode())
    found = first_difference(signed, original)
    assert isinstance(found, Difference)
    assert verify(signed).digest_ok is False
    assert found.line == 2
    assert "<ceb:note>样例 &amp; 甲" in found.original
    assert "<ceb:note>样本 &amp; 甲" in found.signed
    assert "样" not in repr(found)


@pytest.mark.parametrize(
    ("old", "new"), [(b"<ceb:Order>\n", b"<ceb:Order> \n"), (b"</ceb:Order>\n<ds", b"</ceb:Order><ds")]
)
def test_white_space_is_a_difference(old: bytes, new: bytes, signer: FileSigner) -> None:
    original = DOCUMENTS["with_xsi"]
    signed = sign(original, signer).body
    assert old in signed
    found = first_difference(signed.replace(old, new), original)
    assert found is not None
    assert found.original != found.signed


def test_one_that_is_the_beginning_of_the_other_differs_at_its_end() -> None:
    found = first_difference(b"<r>a</r>", b"<r>a<b/></r>")
    assert found is not None
    assert (found.offset, found.line, found.original, found.signed) == (5, 1, "<r>a<b></b></r>", "<r>a</r>")


def test_what_cannot_be_parsed_is_an_error() -> None:
    with pytest.raises(SigningError, match="well-formed"):
        first_difference(b"<r>", b"<r></r>")
