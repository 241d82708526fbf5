"""Where a body ends, however it is cut."""

import contextlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.doors.http.framing import ChunkedFraming, Framing, framing
from gateway.doors.http.request_head import MalformedHead

AFTER = b"GET / HTTP/1.1\r\n"


def taken(cutter: Framing, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """What was of the body, and what came after it."""
    body, rest = b"", b""
    for piece in pieces:
        if cutter.whole:
            rest += piece
        else:
            part, rest = cutter.take(piece)
            body += part
    return body, rest


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=300), max_size=20),
    cuts=st.lists(st.integers(0, 10_000), max_size=30),
    extension=st.sampled_from([b"", b";a=b", b" ; a"]),
    trailer=st.sampled_from([b"", b"X: y\r\n", b"Authorization: Bearer t\r\n" * 3]),
)
def test_chunks_are_put_together_however_they_are_cut(
    chunks: list[bytes], cuts: list[int], extension: bytes, trailer: bytes
) -> None:
    sent = b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    sent += b"0\r\n" + trailer + b"\r\n"
    cutter = framing(None)
    assert taken(cutter, pieces_of(sent + AFTER, cuts)) == (b"".join(chunks), AFTER)
    assert cutter.whole


@given(body=st.binary(max_size=500), cuts=st.lists(st.integers(0, 1000), max_size=10))
def test_counted_body_ends_where_it_says(body: bytes, cuts: list[int]) -> None:
    cutter = framing(len(body))
    assert taken(cutter, pieces_of(body + AFTER, cuts)) == (body, AFTER)
    assert cutter.whole


@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 1000), max_size=10))
def test_any_bytes_are_a_body_or_are_refused(data: bytes, cuts: list[int]) -> None:
    body = b""
    with contextlib.suppress(MalformedHead):  # and nothing else is raised
        body, _ = taken(ChunkedFraming(), pieces_of(data, cuts))
    assert len(body) <= len(data)


@pytest.mark.parametrize("size", [1, 8, 32])
def test_small_chunks_are_taken_up_to_a_number(size: int) -> None:
    cutter = ChunkedFraming()
    chunk = b"%x\r\n%s\r\n" % (size, b"x" * size)
    cutter.take(chunk * 1000)
    with pytest.raises(MalformedHead):
        cutter.take(chunk * 2000)


def test_large_chunks_are_taken_in_any_number() -> None:
    cutter = ChunkedFraming()
    for _ in range(5000):
        cutter.take(b"40\r\n%s\r\n" % (b"x" * 64))
    assert not cutter.whole
