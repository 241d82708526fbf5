"""The doors that are queues, at a real broker: 0-9-1 and 1.0 promise a platform the same."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import REFUSED
from tests.documents import order
from tests.door_node import DoorNode
from tests.door_queues import QueuePlace, Reply
from tests.servers.rabbitmq import Brokers
from tests.servers.rabbitmq_site import Site
from tests.servers.tcp_door import TcpDoor
from tests.waiting import until


@pytest.fixture(params=["rabbitmq", "amqp"])
def place(request: pytest.FixtureRequest, brokers: Brokers, tmp_path: Path) -> Iterator[QueuePlace]:
    if request.param == "amqp":
        pytest.importorskip("proton")
    made = QueuePlace(
        kind=request.param, site=Site(brokers.node.port, tmp_path), door=TcpDoor(brokers.node.port)
    )
    made.site.declare(made.queue, made.reply_queue, queue_type="quorum")
    yield made
    made.door.stop()


@pytest.fixture
def node(place: QueuePlace, tmp_path: Path) -> Iterator[DoorNode]:
    made = DoorNode(tmp_path, {"ann": place.toml()})
    made.start()
    yield made
    made.stop()
    assert place.site.count(place.queue) == 0, "everything was acknowledged"


def told(reply: Reply) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(reply[0])
    return document


def test_message_is_answered_with_the_document_of_http_and_acknowledged(
    node: DoorNode, place: QueuePlace
) -> None:
    body = order("ORDER-1")
    place.put(body, "request-1")
    (reply,) = place.answers(1).values()
    document, about = told(reply), reply[1]
    assert (about.correlation_id, about.content_type) == ("request-1", "application/json")
    assert (about.delivery_mode, about.message_type) == (2, place.said("accepted"))
    with closing(node.platform("ann")) as ann:
        again = ann.submit(body)
    assert (again.status, again.json()) == (200, document)
    assert until(node.at_customs) == {document["id"]: body}
    place.put(body, "request-2")
    second = place.answers(2)["request-2"]
    assert told(second) == document
    assert second[1].message_id != about.message_id


def test_poison_is_answered_once_and_taken_off_the_queue(node: DoorNode, place: QueuePlace) -> None:
    sent = {
        "garbage": (b"\x00\xff\x00garbage", "not-xml"),
        "refused": (REFUSED, "unknown-message"),
        "torn": (order("ORDER-1")[:-20], "not-xml"),
        "bomb": (b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>', "unsafe-xml"),
        "bobs": (order("ORDER-2", cop_code="4401000002", dxp_id="DXPENT0000000002"), "not-your-identity"),
        "empty": (b"", "not-xml"),
    }
    for name, (body, _) in sent.items():
        place.put(body, name)
    place.put(order("ORDER-3"), "good")
    answers = place.answers(len(sent) + 1)
    assert {name: told(reply).get("code") for name, reply in answers.items()} == {
        **{name: code for name, (_, code) in sent.items()},
        "good": None,
    }
    about = answers["torn"][1]
    assert (about.message_type, about.content_type) == (place.said("refused"), "application/problem+json")
    assert told(answers["torn"])["faults"]
    assert len(place.got) == len(sent) + 1, "each once"


def test_message_without_an_id_is_answered_under_its_digest(node: DoorNode, place: QueuePlace) -> None:
    body = order("ORDER-1")
    place.put(body)
    assert list(place.answers(1)) == [hashlib.sha256(body).hexdigest()]


def test_nothing_is_acknowledged_before_its_answer_is_safe(tmp_path: Path, place: QueuePlace) -> None:
    place.site.delete(place.reply_queue)
    place.site.declare(place.reply_queue, max_length=1, overflow="reject-publish")
    place.site.put(place.reply_queue, b"in the way")
    node = DoorNode(tmp_path, {"ann": place.toml()})
    node.start()
    try:
        place.put(order("ORDER-1"), "request-1")
        failed = node.event("door.failed", enterprise="ann", door=place.kind)
        assert failed["error"]
        node.event("message.accepted")
        ((body, _),) = place.site.take(place.reply_queue)
        assert body == b"in the way"
        assert told(place.answers(1)["request-1"])["state"] == "accepted"
    finally:
        node.stop()
    assert place.site.count(place.queue) == 0
    assert len(node.events("message.accepted")) == 1


def test_reply_queue_that_takes_one_answer_at_a_time_gets_them_all(tmp_path: Path, place: QueuePlace) -> None:
    place.site.delete(place.reply_queue)
    place.site.declare(place.reply_queue, max_length=1, overflow="reject-publish")
    names = {f"request-{number}" for number in range(4)}
    for name in sorted(names):
        place.put(order(f"ORDER-{name}"), name)  # before the door is open: they are one batch
    node = DoorNode(tmp_path, {"ann": place.toml()})
    node.start()
    try:
        answers = place.answers(len(names), seconds=120)
        assert answers.keys() == names
        until(node.at_customs, lambda found: len(found) == len(names))
    finally:
        node.stop()
    assert len({about.message_id for _, about in place.got}) == len(names), "what came twice has the same id"
    assert len(place.got) <= len(names) + (place.kind == "amqp"), "twice only what a connection was cut over"
    assert place.site.count(place.queue) == 0
    assert len(node.events("message.accepted")) == len(names)


def test_missing_reply_queue_is_told_and_waited_for(brokers: Brokers, tmp_path: Path) -> None:
    """By 0-9-1 only: RabbitMQ's plugin for 1.0 confirms what it throws away."""
    place = QueuePlace(
        kind="rabbitmq", site=Site(brokers.node.port, tmp_path), door=TcpDoor(brokers.node.port)
    )
    place.site.declare(place.queue)
    node = DoorNode(tmp_path, {"ann": place.toml()})
    node.start()
    try:
        place.put(order("ORDER-1"), "request-1")
        assert "no queue takes" in node.event("door.failed", enterprise="ann")["error"]
        place.site.declare(place.reply_queue)
        assert told(place.answers(1)["request-1"])["state"] == "accepted"
    finally:
        node.stop()
        place.door.stop()


def test_connections_cut_in_the_middle_lose_and_double_nothing(node: DoorNode, place: QueuePlace) -> None:
    bodies = {f"request-{number}": order(f"ORDER-{number}") for number in range(60)}
    for number, (name, body) in enumerate(bodies.items()):
        place.put(body, name)
        if number % 20 == 10:
            place.door.stop()
            place.door.start()
    answers = place.answers(len(bodies))
    ids = {told(answers[name])["id"]: body for name, body in bodies.items()}
    assert until(node.at_customs, lambda found: len(found) >= len(bodies)) == ids
    same = {(about.correlation_id, about.message_id) for _, about in place.got}
    assert len(same) == len(bodies), "an answer that came twice has the same id"


def test_waits_at_a_watermark_and_keeps_its_connection(tmp_path: Path, place: QueuePlace) -> None:
    node = DoorNode(tmp_path, {"ann": place.toml()})
    text = node.site.config.read_text("utf-8")
    marks = "[watermarks]\nfree_bytes_warn = 0\nfree_bytes_refuse = 1000000000000000\n"
    node.site.config.write_text(text.replace("[watermarks]\n", marks), "utf-8")
    node.start()
    place.put(order("ORDER-1"), "request-1")
    node.event("door.closed", enterprise="ann")
    node.stop()
    assert (place.site.count(place.queue), place.site.count(place.reply_queue)) == (1, 0)
    node.site.config.write_text(text, "utf-8")
    node.start()
    assert told(place.answers(1)["request-1"])["state"] == "accepted"
    node.stop()
