"""One connection without a token takes no memory, whatever it sends."""

import contextlib
import socket

import pytest

from tests.door_node import DoorNode
from tests.raw_http import Line, request, resident_mb

GROWS_AT_MOST_MB = 24
H = b"Host: x\r\n"
FLOODS = {
    "pipelined requests": (b"", request("GET", "/docs") * 2000),
    "refused requests": (b"", request("POST", "/v1/messages", body=b"<a/>") * 1000),
    "a header without an end": (b"GET /healthz HTTP/1.1\r\n" + H + b"X: ", b"x" * 65536),
    "headers without an end": (b"GET /healthz HTTP/1.1\r\n" + H, b"X: x\r\n" * 10_000),
    "a path without an end": (b"GET /", b"x" * 65536),
    "empty lines": (b"", b"\r\n" * 30_000),
    "a body of nobody": (b"POST /v1/messages HTTP/1.1\r\n" + H + b"Content-Length: 4000000\r\n\r\n", b"x" * 65536),
    "an endless body of nobody": (
        b"POST /v1/messages HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n",
        b"fffe\r\n" + b"x" * 65534 + b"\r\n",
    ),
    "a body for what takes none": (
        b"GET /healthz HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n",
        b"fffe\r\n" + b"x" * 65534 + b"\r\n",
    ),
    "a body for nothing": (b"PUT /nowhere HTTP/1.1\r\n" + H + b"Content-Length: 400000000\r\n\r\n", b"x" * 65536),
}  # fmt: skip


def pour(line: Line, part: bytes, *, size: int) -> int:
    """Send so many bytes without reading anything, or until nothing is taken for two seconds, or to the end."""
    line.socket.settimeout(2)
    sent = 0
    with contextlib.suppress(TimeoutError, ConnectionError):
        while sent < size:
            sent += line.socket.send(part)
    return sent


@pytest.fixture(scope="module")
def warm(door: DoorNode) -> DoorNode:
    """What is made at the first request is made."""
    for path in ("/docs", "/healthz"):
        with Line(door.port) as line:
            line.send(request("GET", path))
            assert line.answer().status == 200
    return door


@pytest.mark.parametrize("name", FLOODS)
def test_flood_on_one_connection_takes_no_memory(warm: DoorNode, name: str) -> None:
    begin, part = FLOODS[name]
    pid = warm.pid("accept")
    before = resident_mb(pid)
    with Line(warm.port) as line, Line(warm.port) as honest:
        line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.send(begin)
        pour(line, part, size=100_000_000)
        assert resident_mb(pid) - before < GROWS_AT_MOST_MB
        honest.send(request("GET", "/healthz"))
        assert honest.answer().status == 200
    assert warm.pid("accept") == pid, "and the process is the same"
