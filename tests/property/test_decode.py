from hypothesis import example, given
from hypothesis import strategies as st

from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import Refused
from gateway.problems import PROBLEMS
from gateway.xml.decode import decode, encoding_of
from tests.documents import order

LIMITS = LimitsConfig(size_bytes=20_000, depth=10, elements=500)
SOUND = order("ORDER-1")
CHINESE = SOUND.decode().replace("UTF-8", "GB18030").encode("gb18030")


def judged(body: bytes) -> bool:
    """Decode; anything but a tree or a documented refusal fails the test."""
    refusal = refusal_of(body)
    if refusal is None:
        return True
    assert refusal.problem in PROBLEMS
    assert refusal.faults
    assert all(fault.line >= 0 and fault.column >= 0 for fault in refusal.faults)
    return False


def refusal_of(body: bytes) -> Refused | None:
    try:
        decode(body, LIMITS)
    except Refused as refused:
        return refused
    return None


@given(st.binary(max_size=300))
@example(b"\xff\xfe")
@example(b"<?xml encoding='")
def test_any_bytes_end_in_a_tree_or_a_refusal(body: bytes) -> None:
    judged(body)


@given(st.sampled_from([SOUND, CHINESE]), st.data())
def test_a_spoilt_document_never_passes_with_bytes_outside_its_encoding(
    sound: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(sound) - 1))
    body = sound[:at] + data.draw(st.binary(min_size=1, max_size=3)) + sound[at + 1 :]
    if judged(body):
        body.decode(encoding_of(body))


@given(st.sampled_from([SOUND, CHINESE]), st.integers(0, 10_000))
def test_a_document_cut_short_is_refused(sound: bytes, kept: int) -> None:
    assert judged(sound[:kept]) is (kept >= len(sound))


@given(st.text(alphabet="<>!-[]?/ &;\"'aDOCTYPE\n=x:", max_size=60))
def test_markup_soup_ends_in_a_tree_or_a_refusal(text: str) -> None:
    judged(text.encode())
