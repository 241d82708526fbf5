"""Heads of requests, whole and begun."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.doors.http.request_head import MalformedHead, RequestHead, look_at_beginning, read_head


def head(line: str = "GET /a%20b?c=d HTTP/1.1", *headers: str) -> RequestHead:
    return read_head("\r\n".join((line, *(headers or ("Host: x",)), "", "")).encode("latin-1"))


def test_head_says_what_stands_in_it() -> None:
    found = head(
        "POST /a%20b?c=d HTTP/1.1",
        "Host: x",
        "X-A: 1",
        "x-a: 2",
        "Content-Length: 12",
        "Expect: 100-continue",
    )
    assert (found.method, found.path, found.raw_path, found.query) == ("POST", "/a b", b"/a%20b", b"c=d")
    assert found.headers[1:3] == [(b"x-a", b"1"), (b"x-a", b"2")]
    assert found.first[b"x-a"] == b"1"
    assert (found.length, found.expects, found.keep_alive, found.version) == (12, True, True, "1.1")


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        ("1.1", "", True), ("1.1", "close", False), ("1.1", "keep-alive, Close", False), ("1.1", "x-close", True),
        ("1.0", "", False), ("1.0", "keep-alive", False),
    ],
)  # fmt: skip
def test_connection_is_kept_in_http_1_1_unless_its_caller_does_not_want_to(
    version: str, connection: str, kept: bool
) -> None:
    more = [f"Connection: {connection}"] if connection else []
    assert head(f"GET / HTTP/{version}", "Host: x", *more).keep_alive is kept


def test_one_of_several_connection_headers_is_enough() -> None:
    assert not head("GET / HTTP/1.1", "Host: x", "Connection: x", "Connection: close").keep_alive


def test_absolute_form_is_read_as_its_path() -> None:
    for target, path, query in (
        ("http://x/a?b", "/a", b"b"),
        ("HTTPS://x", "/", b""),
        ("http://x?b", "/", b"b"),
    ):
        found = head(f"GET {target} HTTP/1.1")
        assert (found.path, found.query) == (path, query)


def test_host_may_be_missing_in_http_1_0_alone() -> None:
    assert head("GET / HTTP/1.0", "X: y").version == "1.0"
    with pytest.raises(MalformedHead):
        head("GET / HTTP/1.1", "X: y")


@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_head_or_are_refused(data: bytes) -> None:
    for whole in (data, b"GET / HTTP/1.1\r\nHost: x\r\n" + data):
        found = judged(whole)
        if isinstance(found, MalformedHead):
            assert found.message
            assert found.message_zh
            assert found.fix
        else:
            assert found.path.startswith("/")
            assert len(found.headers) <= 100


def judged(whole: bytes) -> RequestHead | MalformedHead:
    try:
        look_at_beginning(whole)
        return read_head(whole + b"\r\n\r\n")
    except MalformedHead as refused:
        return refused


@given(cut=st.integers(1, 80))
def test_beginning_of_a_good_head_is_waited_for(cut: int) -> None:
    whole = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nContent-Length: 3\r\n\r\n"
    look_at_beginning(whole[:cut])
