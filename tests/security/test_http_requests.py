"""What is no request, or could be understood in two ways, is refused and ends its connection."""

import json

import pytest

from tests.documents import order
from tests.door_node import ANN, DoorNode
from tests.raw_http import Line, request

H = "Host: x\r\n"
GARBAGE = {
    "bare LF": b"GET /healthz HTTP/1.1\nHost: x\n\n",
    "HTTP/0.9": b"GET /healthz\r\n",
    "HTTP/0.9 whole": b"GET /healthz\r\n\r\n",
    "TLS at a door without it": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "RTSP": b"DESCRIBE /healthz RTSP/1.0\r\n\r\n",
    "two blanks": f"GET  /healthz HTTP/1.1\r\n{H}\r\n".encode(),
    "blank in the path": f"GET /health z HTTP/1.1\r\n{H}\r\n".encode(),
    "method that nobody knows": f"FETCH /healthz HTTP/1.1\r\n{H}\r\n".encode(),
    "no Host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two Hosts": f"GET /healthz HTTP/1.1\r\n{H}{H}\r\n".encode(),
    "Host that is none": b"GET /healthz HTTP/1.1\r\nHost: a/b@c\r\n\r\n",
    "folded header": f"GET /healthz HTTP/1.1\r\n{H}A: b\r\n c\r\n\r\n".encode(),
    "blank before the colon": b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n",
    "no name": f"GET /healthz HTTP/1.1\r\n{H}: y\r\n\r\n".encode(),
    "NUL in a header": f"GET /healthz HTTP/1.1\r\n{H}A: \0\r\n\r\n".encode(),
    "NUL in the path": f"GET /health\0z HTTP/1.1\r\n{H}\r\n".encode(),
    "CR in a header": f"GET /healthz HTTP/1.1\r\n{H}A: b\rC: d\r\n\r\n".encode(),
    "path that is not ASCII": f"GET /健康 HTTP/1.1\r\n{H}\r\n".encode(),
    "fragment": f"GET /healthz#x HTTP/1.1\r\n{H}\r\n".encode(),
    "CONNECT": f"CONNECT other:443 HTTP/1.1\r\n{H}\r\n".encode(),
    "another scheme": f"GET ftp://x/healthz HTTP/1.1\r\n{H}\r\n".encode(),
    "asterisk": f"GET * HTTP/1.1\r\n{H}\r\n".encode(),
    "two lengths": f"POST /v1/messages HTTP/1.1\r\n{H}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc".encode(),
    "one length twice": f"POST /v1/messages HTTP/1.1\r\n{H}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc".encode(),
    "length in a list": f"POST /v1/messages HTTP/1.1\r\n{H}Content-Length: 3, 3\r\n\r\nabc".encode(),
    "length with a sign": f"POST /v1/messages HTTP/1.1\r\n{H}Content-Length: +3\r\n\r\nabc".encode(),
    "length beyond counting": f"POST /v1/messages HTTP/1.1\r\n{H}Content-Length: {'9' * 40}\r\n\r\n".encode(),
    "length and chunks": f"POST /v1/messages HTTP/1.1\r\n{H}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n".encode(),
    "another coding": f"POST /v1/messages HTTP/1.1\r\n{H}Transfer-Encoding: gzip, chunked\r\n\r\n".encode(),
    "coding twice": (
        f"POST /v1/messages HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ).encode(),
    "chunks in HTTP/1.0": f"POST /v1/messages HTTP/1.0\r\n{H}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
    "two tokens": f"GET /v1/receipts HTTP/1.1\r\n{H}Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n".encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", GARBAGE)
def test_what_is_no_request_is_400_and_ends_the_connection(door: DoorNode, name: str) -> None:
    with Line(door.port) as line:
        line.send(GARBAGE[name])
        answer = line.answer()
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        problem = json.loads(answer.body)
        assert problem["code"] == "bad-request"
        for fault in problem["faults"]:
            assert fault["message"]
            assert fault["message_zh"]
            assert fault["fix"]
        assert line.ended()


@pytest.mark.parametrize(
    "line_of",
    [b"GET /healthz HTTP/2.0", b"GET /healthz HTTP/1.2", b"GET /healthz HTTP/9.9", b"PRI * HTTP/2.0"],
)
def test_other_versions_are_505(door: DoorNode, line_of: bytes) -> None:
    with Line(door.port) as line:
        line.send(line_of, b"\r\nHost: x\r\n\r\n")
        answer = line.answer()
        assert (answer.status, json.loads(answer.body)["code"]) == (505, "version-not-supported")
        assert line.ended()


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (request("GET", f"/healthz?{'x' * 8192}"), 414, "target-too-long"),
        (b"GET /" + b"x" * 9000, 414, "target-too-long"),
        (request("GET", "/healthz", f"X: {'x' * 65536}"), 431, "head-too-large"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 65536, 431, "head-too-large"),
        (request("GET", "/healthz", *[f"X-{n}: x" for n in range(100)]), 431, "head-too-large"),
    ],
    ids=["long path", "long path without an end", "large header", "header without an end", "many headers"],
)
def test_head_is_bounded(door: DoorNode, head: bytes, status: int, code: str) -> None:
    with Line(door.port) as line:
        line.send(head)
        answer = line.answer()
        assert (answer.status, json.loads(answer.body)["code"]) == (status, code)
        assert line.ended()


@pytest.mark.parametrize(
    "good",
    [
        request("GET", f"http://{'x' * 8000}/healthz"),
        request("GET", "/healthz", f"X: {'x' * 60000}"),
        request("GET", "/healthz", *[f"X-{n}: x" for n in range(99)]),
        b"\r\n" + request("GET", "/healthz"),
        request("GET", "http://x/healthz"),
        request("GET", "/healthz", host="[::1]:8080"),
        request("GET", "/healthz", "Upgrade: websocket", "Connection: Upgrade"),
        request("GET", "/healthz", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: x"),
    ],
    ids=["path", "header", "headers", "empty line", "absolute", "IPv6", "websocket", "h2c"],
)  # fmt: skip
def test_what_is_within_the_bounds_is_answered_and_the_connection_goes_on(
    door: DoorNode, good: bytes
) -> None:
    with Line(door.port) as line:
        for _ in range(2):
            line.send(good)
            assert line.answer().status == 200


@pytest.mark.parametrize(
    "path", ["/v1/messages/", "/healthz/", "/v1//messages", "/v1/%2e%2e/healthz", "/../healthz", "/v1/messages%00", "/%zz"]
)  # fmt: skip
def test_path_is_what_it_says_and_nobody_is_sent_elsewhere(door: DoorNode, path: str) -> None:
    for method in ("GET", "POST"):
        with Line(door.port) as line:
            line.send(request(method, path, host="evil.example"))
            answer = line.answer()
            assert answer.status == 404
            assert "location" not in answer.headers
            assert b"evil.example" not in answer.body


TOO_MANY = b"1\r\nx\r\n" * 5000
CHUNKS = {
    "no size": b"x\r\n",
    "size with a sign": b"+3\r\nabc\r\n",
    "size beyond counting": b"fffffffff\r\n",
    "bare LF": b"3\nabc\n0\n\n",
    "wrong end of a chunk": b"3\r\nabcd\r\n",
    "extension without an end": b"3;" + b"x" * 5000,
    "long extension": b"3;a=" + b"x" * 5000 + b"\r\nabc\r\n",
    "trailer without an end": b"0\r\nX: " + b"x" * 20000,
    "many trailers": b"0\r\n" + b"X: y\r\n" * 5000,
    "one byte a chunk": TOO_MANY,
}  # fmt: skip


@pytest.mark.parametrize("name", CHUNKS)
def test_chunks_are_bounded_and_of_their_form(door: DoorNode, name: str) -> None:
    token = f"Authorization: Bearer {door.token(ANN.id)}"
    with Line(door.port) as line:
        line.send(
            b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n",
            token.encode(),
            b"\r\n\r\n",
        )
        line.send(CHUNKS[name])
        answer = line.answer()
        assert (answer.status, json.loads(answer.body)["code"]) == (400, "bad-request")
        assert line.ended()


def test_chunks_may_be_of_any_size_that_is_worth_it(door: DoorNode) -> None:
    token = f"Authorization: Bearer {door.token(ANN.id)}"
    body = order("CHUNKED-1", cop_code=ANN.cop_codes[0], dxp_id=ANN.dxp_ids[0])
    cut = b"".join(
        b"%x;e=1\r\n%s\r\n" % (len(body[at : at + 3]), body[at : at + 3]) for at in range(0, 300, 3)
    )
    with Line(door.port) as line:
        line.send(
            b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n",
            token.encode(),
            b"\r\n\r\n",
        )
        line.send(cut, b"%x\r\n%s\r\n0\r\nX-Trailer: y\r\n\r\n" % (len(body) - 300, body[300:]))
        assert line.answer().status == 202
        line.send(request("GET", "/healthz"))
        assert line.answer().status == 200
