"""Whoever takes his time is ended, at every step of a request; whoever keeps the least rate is not."""

import json
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.documents import order
from tests.door_node import ANN, DoorNode
from tests.raw_http import Line, configure, request
from tests.servers.certificates import Authority


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DoorNode]:
    """A door that waits a second for everything, and for bodies as long as they take at 2 KB/s."""
    node = DoorNode(tmp_path_factory.mktemp("hasty"), {})
    configure(node.site, "head_s = 1.0", "body_s = 1.0", "least_bytes_per_s = 2000", "idle_s = 1.0")
    with node.running():
        yield node


def trickle(line: Line, part: bytes = b"x") -> None:
    """Send part after part, ten a second, until there is an answer or an end."""
    line.socket.settimeout(0.1)
    for _ in range(200):
        try:
            line.socket.send(part)
            line.socket.recv(1, 2)  # MSG_PEEK
        except TimeoutError:
            continue
        except ConnectionError:
            pass
        line.socket.settimeout(60)
        return
    raise AssertionError("the door waited for twenty seconds")


@pytest.mark.parametrize("begun", [b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: "])
@pytest.mark.parametrize("trickling", [False, True])
def test_head_that_does_not_come_to_its_end_is_408(hasty: DoorNode, begun: bytes, trickling: bool) -> None:
    with Line(hasty.port) as line:
        line.send(begun)
        if trickling:
            trickle(line)
        answer = line.answer()
        assert (answer.status, json.loads(answer.body)["code"]) == (408, "too-slow")
        assert line.ended()


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/receipts/ack"])
@pytest.mark.parametrize("trickling", [False, True])
def test_body_that_comes_below_the_least_rate_is_408(hasty: DoorNode, path: str, trickling: bool) -> None:
    with Line(hasty.port) as line:
        token = f"Authorization: Bearer {hasty.token(ANN.id)}"
        line.send(f"POST {path} HTTP/1.1\r\nHost: x\r\n{token}\r\nContent-Length: 50000\r\n\r\n".encode())
        if trickling:
            trickle(line, b"x" * 10)
        answer = line.answer()
        assert (answer.status, json.loads(answer.body)["code"]) == (408, "too-slow")
        assert line.ended()


def test_body_that_keeps_the_least_rate_is_taken(hasty: DoorNode) -> None:
    body = order("SLOW-1", cop_code=ANN.cop_codes[0], dxp_id=ANN.dxp_ids[0])
    sent = request("POST", "/v1/messages", f"Authorization: Bearer {hasty.token(ANN.id)}", body=body)
    with Line(hasty.port) as line:
        line.socket.settimeout(0.1)
        for at in range(0, len(sent), 400):
            line.send(sent[at : at + 400])
            with pytest.raises(TimeoutError):
                line.socket.recv(1)
            if at + 800 >= len(sent):
                break
        line.socket.settimeout(60)
        line.send(sent[at + 400 :])
        assert line.answer().status == 202


def test_connection_that_says_nothing_is_closed(hasty: DoorNode) -> None:
    with Line(hasty.port) as line:
        assert line.ended(), "before its first request"
    with Line(hasty.port) as line:
        line.send(request("GET", "/healthz"))
        assert line.answer().status == 200
        assert line.ended(), "and after it"


def test_answer_nobody_reads_ends_the_connection(folder: Path) -> None:
    """The end is seen without reading: a caller that reads is another one."""
    node = DoorNode(folder, {})
    configure(node.site, "body_s = 1.0", "least_bytes_per_s = 1000000")
    with node.running(), Line(node.port) as line, pytest.raises(ConnectionError):
        line.send(request("GET", "/docs") * 500_000)


def test_handshake_that_does_not_come_to_its_end_is_ended(folder: Path) -> None:
    authority = Authority("Test CA")
    authority.write(folder / "ca.crt")
    authority.issue("door", folder / "door.crt", folder / "door.key", server=True)
    node = DoorNode(folder, {})
    tls = ("[accept.tls]", f'certificate = "{folder / "door.crt"}"', f'key = "{folder / "door.key"}"')
    configure(node.site, "head_s = 1.0", rest=tls)
    with node.running():
        with Line(node.port) as silent, Line(node.port) as half:
            half.send(b"\x16\x03\x01\x02\x00\x01\x00")
            assert silent.ended()
            assert half.ended()
        context = ssl.create_default_context(cafile=folder / "ca.crt")
        with closing(Line(node.port, context=context).socket) as secured:
            secured.sendall(request("GET", "/healthz"))
            answer = secured.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"\r\nstrict-transport-security: max-age=" in answer
