"""Answers keep the order of requests, and nothing that comes after a head counts as part of it."""

import json
from collections.abc import Iterator

import pytest

from tests.documents import order
from tests.door_node import ANN, BOB, DoorNode
from tests.raw_http import Line, configure, request


def submission(door: DoorNode, number: int) -> bytes:
    body = order(f"IN-ORDER-{number}", cop_code=ANN.cop_codes[0], dxp_id=ANN.dxp_ids[0])
    return request("POST", "/v1/messages", f"Authorization: Bearer {door.token(ANN.id)}", body=body)


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01", b"GARBAGE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
def test_refusal_of_what_comes_after_waits_for_the_answer_before(door: DoorNode, garbage: bytes) -> None:
    number = 100 + len(garbage)
    with Line(door.port) as line:
        line.send(submission(door, number), garbage)
        assert line.answer().status == 202, "what was taken is heard of first"
        assert line.answer().status in {400, 505}
        assert line.ended()


def test_all_kinds_of_answers_keep_their_order(door: DoorNode) -> None:
    asked = [
        (submission(door, 1), 202),
        (request("GET", "/healthz"), 200),
        (request("POST", "/v1/messages", body=b"<a/>"), 401),
        (submission(door, 2), 202),
        (submission(door, 1), 200),
        (request("GET", "/nowhere"), 404),
        (request("HEAD", "/healthz"), 200),
        (submission(door, 3), 202),
        (request("GET", "/docs"), 200),
    ]
    with Line(door.port) as line:
        line.send(*(sent for sent, _ in asked))
        statuses = [line.answer(bodiless=sent.startswith(b"HEAD")).status for sent, _ in asked]
    assert statuses == [status for _, status in asked]


def test_head_is_read_byte_by_byte_as_in_one(door: DoorNode) -> None:
    with Line(door.port) as line:
        for at in range(len(sent := submission(door, 4))):
            line.send(sent[at : at + 1])
        assert line.answer().status == 202


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DoorNode]:
    """A door behind a proxy; bob may call from one network alone."""
    node = DoorNode(tmp_path_factory.mktemp("narrow"), {BOB.id: '\naddresses = ["10.1.0.0/16"]\n'})
    file = node.site.enterprises / f"{BOB.id}.toml"
    text = file.read_text("utf-8").replace('\naddresses = ["10.1.0.0/16"]\n', "")
    file.write_text(f'addresses = ["10.1.0.0/16"]\n{text}', "utf-8")
    configure(node.site, 'trusted_proxies = ["127.0.0.1"]')
    with node.running():
        yield node


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/receipts/ack"])
@pytest.mark.parametrize("chunk", [b"", b"4\r\n<a/>\r\n"], ids=["empty", "body"])
def test_fields_after_the_body_are_no_headers(narrow: DoorNode, path: str, chunk: bytes) -> None:
    token = f"Authorization: Bearer {narrow.token(BOB.id)}".encode()
    begin = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n".encode()
    with Line(narrow.port) as line:
        line.send(begin, b"\r\n", chunk, b"0\r\n", token, b"\r\nX-Forwarded-For: 10.1.2.3\r\n\r\n")
        assert line.answer().status == 401, "a token after the body is none"
    with Line(narrow.port) as line:
        line.send(begin, token, b"\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
        line.send(chunk, b"0\r\nX-Forwarded-For: 10.1.2.3\r\n\r\n")
        answer = line.answer()
        assert answer.status == 403, "nor is an address"
        assert json.loads(answer.body)["faults"][0]["rule"] == "address_not_yours"
