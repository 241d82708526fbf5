"""One connection without a token takes no memory, whatever it sends."""

import contextlib
import socket

import pytest

from tests.documents import order, receipt
from tests.door_node import ANN, BOB, DoorNode
from tests.raw_http import Line, request, resident_mb
from tests.waiting import until

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


LARGE_MB = 8
"""Size of a receipt: more than the kernel keeps of an answer that nobody reads."""


@pytest.fixture(scope="module")
def receipts(door: DoorNode) -> str:
    """Where the content of a large receipt is that has come for one enterprise."""
    body = order("LARGE-1", cop_code=ANN.cop_codes[0], dxp_id=ANN.dxp_ids[0])
    answer = receipt(
        "CEB312Message", {"ebpCode": "4400000002", "ebcCode": "4400000003", "orderNo": "LARGE-1"}
    )
    end = answer.rindex(b"</")
    with contextlib.closing(door.platform(ANN.id)) as caller:
        caller.submit(body)
        part = door.site.folder / "customs/large.xml"
        part.write_bytes(answer[:end] + b" " * (LARGE_MB * 2**20 - len(answer)) + answer[end:])
        part.rename(door.site.folder / "customs/in/large.xml")
        (told,) = caller.ask("GET", "/v1/receipts?after=0&wait=60").json()["receipts"]
    return str(told["content"])


def test_answers_that_are_not_read_are_bounded_for_each_enterprise(door: DoorNode, receipts: str) -> None:
    asked = request("GET", receipts, f"Authorization: Bearer {door.token(ANN.id)}")
    pid = door.pid("accept")
    with contextlib.ExitStack() as open_lines:
        statuses = []
        for _ in range(24):
            line = open_lines.enter_context(Line(door.port))
            line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.send(asked)
            statuses.append(line.socket.recv(12))
        room = 128 // LARGE_MB
        assert statuses == [b"HTTP/1.1 200"] * room + [b"HTTP/1.1 503"] * (24 - room)
        with Line(door.port) as other:
            other.send(request("GET", "/openapi.json", f"Authorization: Bearer {door.token(BOB.id)}"))
            assert other.answer().status == 200, "another has room of its own"

    def answered() -> int:
        with Line(door.port) as again:
            again.send(asked)
            return again.answer().status

    until(answered, lambda status: status == 200)
    assert door.pid("accept") == pid
