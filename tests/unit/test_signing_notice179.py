"""Uploads of notice 179: the text is signed as it stands, and two members are spliced in behind it."""

import json
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from hypothesis import given
from hypothesis import strategies as st

from signing.errors import SigningError
from signing.keys import sm2
from signing.keys.files import FileSigner
from signing.notice179 import read_upload, sign_upload
from tests.signing_documents import write_keys

HEAD = '{"guid":"G-1","initalRequest":"<xml a=\\"1\\">甲</xml>","totalAmount":5.0,"note":"two  spaces, {[ "}'
LISTS = '[{"orderNo":"T-1","goodsInfo":[{"gname":"样例","itemLink":"http://example.com/?a=1&b=2"}]}]'
UPLOAD = f'{{"sessionID":"S-1","payExchangeInfoHead":{HEAD},"payExchangeInfoLists":{LISTS},"serviceTime":"1601282210417"}}'
STRING = (
    f'"sessionID":"S-1"||"payExchangeInfoHead":"{HEAD}"||"payExchangeInfoLists":"{LISTS}"'
    '||"serviceTime":"1601282210417"'
)


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FileSigner]:
    return write_keys(Path(tmp_path_factory.mktemp("keys")))


def holds(signer: FileSigner, value: bytes, text: bytes) -> bool:
    certificate = x509.load_der_x509_certificate(signer.certificate_der)
    point = sm2.point_of(certificate)
    if point is not None:
        return sm2.Sm2PublicKey(point).verify(value, text)
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(value, text, padding.PKCS1v15(), SHA1())  # noqa: S303 (the suite)
    return True


def test_signing_string_is_the_text_between_quotes_that_are_not_escaped() -> None:
    assert read_upload(UPLOAD.encode()).signing_string == STRING


def test_service_time_may_be_a_number() -> None:
    upload = UPLOAD.replace('"1601282210417"', "1601282210417")
    assert read_upload(upload.encode()).signing_string == STRING


@pytest.mark.parametrize("suite", ["rsa-sha1", "sm2-sm3", "sm2-sha1"])
@pytest.mark.parametrize("end", ["", "\n", " \r\n"])
def test_number_of_the_certificate_and_signature_are_added_and_nothing_else_changes(
    suite: str, end: str, signers: dict[str, FileSigner]
) -> None:
    signer = signers[suite]
    signed = sign_upload((UPLOAD + end).encode(), signer).decode()
    assert signed.startswith(f'{UPLOAD[:-1]},"certNo":"{signer.key_name}","signValue":"')
    assert signed.endswith('"}' + end)
    known = json.loads(signed)
    assert list(known)[-3:] == ["serviceTime", "certNo", "signValue"]
    assert holds(signer, b64decode(known["signValue"]), STRING.encode())


@pytest.mark.parametrize(
    "place", [1, UPLOAD.index(":") + 1, UPLOAD.index("G-1") - 1, UPLOAD.index("[{"), len(UPLOAD) - 1]
)
@pytest.mark.parametrize("space", [" ", "\n", "\t"])
def test_text_that_is_not_compact_is_refused_with_the_place(place: int, space: str) -> None:
    with pytest.raises(SigningError, match=f"not compact.*character {place}"):
        read_upload((UPLOAD[:place] + space + UPLOAD[place:]).encode())


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (UPLOAD, "", "not JSON"),
        (UPLOAD, "[]", "members"),
        ("5.0", "NaN", "NaN is no number"),
        (UPLOAD, "\ufeff" + UPLOAD, "not JSON"),
        (UPLOAD, "[" * 100_000, "not JSON"),
        (UPLOAD, UPLOAD + UPLOAD, "not JSON"),
        ('"sessionID":"S-1",', "", "members"),
        ('"sessionID":"S-1",', '"sessionID":"S-1","extra":1,', "members"),
        ("serviceTime", "certNo", "members"),
        ('"sessionID":"S-1",', '"sessionID":"S-1","sessionID":"S-2",', "two members of one name"),
        ('"guid":"G-1",', '"guid":"G-1","guid":"G-2",', "two members of one name"),
        ('"S-1"', '"S\\u002d1"', "sessionID is not"),
        ('"S-1"', "1", "sessionID is not"),
        ('"1601282210417"', '"soon"', "serviceTime is not"),
        ('"1601282210417"', "1.5", "serviceTime is not"),
        (HEAD, '"{}"', "payExchangeInfoHead is not"),
        (LISTS, "{}", "payExchangeInfoLists is not"),
    ],
)
def test_what_is_no_upload_says_why(old: str, new: str, reason: str) -> None:
    with pytest.raises(SigningError, match=reason):
        read_upload(UPLOAD.replace(old, new).encode())
    with pytest.raises(SigningError, match="not JSON"):
        read_upload(UPLOAD.encode("gb18030"))


def test_signed_upload_is_not_signed_again(signers: dict[str, FileSigner]) -> None:
    with pytest.raises(SigningError, match="members"):
        sign_upload(sign_upload(UPLOAD.encode(), signers["sm2-sm3"]), signers["sm2-sm3"])


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=9,
)


@given(
    head=st.dictionaries(st.text(max_size=5), _JSON, max_size=4),
    lists=st.lists(_JSON, max_size=4),
    ascii_only=st.booleans(),
)
def test_any_compact_values_are_signed_as_they_are_written(
    head: dict[str, object], lists: list[object], ascii_only: bool
) -> None:
    written = [
        json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only).encode("utf-8", "replace").decode()
        for value in (head, lists)
    ]
    upload = UPLOAD.replace(HEAD, written[0]).replace(LISTS, written[1])
    assert read_upload(upload.encode()).members == ('"S-1"', *written, '"1601282210417"')
