"""Requests that wait for receipts: no more of one enterprise than may, whatever becomes of their callers."""

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.door_node import ANN, BOB, DoorNode
from tests.raw_http import Line, configure, request
from tests.waiting import until


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DoorNode]:
    node = DoorNode(tmp_path_factory.mktemp("polls"), {})
    configure(node.site, "max_polls_per_enterprise = 3")
    with node.running():
        yield node


def poll(node: DoorNode, owner: str, wait_s: int) -> bytes:
    return request("GET", f"/v1/receipts?after=0&wait={wait_s}", f"Authorization: Bearer {node.token(owner)}")


def status(node: DoorNode, owner: str) -> int:
    with Line(node.port) as line:
        line.send(poll(node, owner, 1))
        return line.answer().status


def test_polls_of_an_enterprise_are_bounded_and_end_with_their_connections(node: DoorNode) -> None:
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(Line(node.port)).send(poll(node, ANN.id, 60))
        until(lambda: status(node, ANN.id), lambda found: found == 429)
        with Line(node.port) as line:
            line.send(poll(node, ANN.id, 60))
            refused = line.answer()
            assert (refused.status, json.loads(refused.body)["code"]) == (429, "quota-exceeded")
            assert int(refused.headers["retry-after"]) > 0
            line.send(poll(node, ANN.id, 0))
            assert line.answer().status == 200, "who does not wait is answered"
        assert status(node, BOB.id) == 200, "another enterprise has polls of its own"
    until(lambda: status(node, ANN.id), lambda found: found == 200)
