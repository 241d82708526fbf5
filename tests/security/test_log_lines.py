"""What a stranger can make a node write: JSON lines, few of them, with nothing raw in them."""

import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

from tests.door_node import ANN, DoorNode

GARBAGE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/9.9\r\n\r\n",
    b"\x1b[2J\x1b]0;owned\x07 / HTTP/1.1\r\n\r\n",
    b"GET /\xe2\x80\xae HTTP/1.1\r\nHost\x00: a\r\n\r\n",
    b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer %b\r\n\r\nZZZ\r\n",
)


def test_malformed_requests_leave_few_lines_and_all_are_json(tmp_path: Path) -> None:
    node = DoorNode(tmp_path, {}, owners=[ANN])
    node.start()
    token = node.token(ANN.id).encode()  # a wrong one is answered slowly after some
    host, port = urlsplit(node.address).hostname, urlsplit(node.address).port
    for garbage in GARBAGE * 50:
        with socket.create_connection((host, port), timeout=60) as stranger:
            stranger.sendall(garbage.replace(b"%b", token))
            stranger.shutdown(socket.SHUT_WR)
            while stranger.recv(65536):
                pass
    node.stop()
    raw = (tmp_path / "run.log").read_bytes()
    lines = [json.loads(line) for line in raw.splitlines()]
    assert b"\x1b" not in raw
    assert len([line for line in lines if line["event"] in {"library.warned", "request.failed"}]) <= 20
