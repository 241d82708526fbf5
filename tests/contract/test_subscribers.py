"""BaseSubscribe: copies of declarations and of answers for subscribers of this node, and for nobody else."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config.site import NewEnterprise, add_enterprise
from gateway.model import Envelope
from gateway.submission.subscribe import subscribers_of
from gateway.xml.envelope import unwrap, wrap
from signing.xml.splice import sign
from spool.lifecycle import State
from tests.channel_node import ChannelNode, channel_node
from tests.contract.test_channels import WebhookSide
from tests.documents import element
from tests.servers.postgres import shared
from tests.waiting import until

SENDER, READER, TWIN, OTHER = (
    NewEnterprise(
        id=name, name=name, cop_codes=(f"4401{number:06d}",), dxp_ids=(dxp_id,), mail_from=("sender",)
    )
    for number, (name, dxp_id) in enumerate(
        (
            ("sender", "DXPENT0000000001"),
            ("reader", "DXPENT0000000002"),
            ("twin", "DXPENT0000000003"),
            ("other", "DXPENT0000000003"),
        )
    )
)


def subscribe(status: str, address: str = READER.dxp_ids[0]) -> str:
    return element("BaseSubscribe", status=status, dxpMode="DXP", dxpAddress=address)


@pytest.fixture(params=["sqlite", "postgres"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ChannelNode]:
    toml = ""
    if request.param == "postgres":
        toml = f'[spool]\nkind = "postgres"\ndsn = {json.dumps(shared().schema_for(tmp_path))}\n'
    with channel_node(tmp_path, {}, owners=(SENDER, READER, TWIN, OTHER), more_toml=toml) as made:
        yield made


def mail(node: ChannelNode, owner: str = "reader") -> list[bytes]:
    """The business bytes of everything that was put in somebody's stream as mail."""
    found = []
    for notice in node.spool.notices(owner, after=0, limit=100):
        assert notice.rows == ()
        raw = node.spool.arrival(notice.arrival)
        assert raw is not None
        opened = unwrap(raw.body)
        assert opened.envelope.receiver_ids == node.owners[owner].dxp_ids
        found.append(opened.business)
    return found


def carry(node: ChannelNode) -> None:
    while node.app.local(node.spool).step():
        pass


@pytest.mark.parametrize(
    ("status", "data", "receipts"), [("DATA", True, False), ("RET", False, True), ("ALL", True, True)]
)
def test_a_subscriber_gets_what_was_asked_for_it_and_the_sender_its_own(
    node: ChannelNode, status: str, data: bool, receipts: bool
) -> None:
    uid = node.accept("sender", "A", subscribe=subscribe(status))
    carry(node)
    receipt = node.answer(("A", "2"))

    body = node.spool.body(uid)
    assert mail(node) == [*([body] if data else []), *([receipt] if receipts else [])]
    (own,) = node.spool.notices("sender", after=0, limit=10)
    assert [row.status for row in own.rows] == ["2"]
    assert mail(node, "twin") == mail(node, "other") == []
    assert [way.destination for way in node.spool.ways(uid)] == ["customs", *(["@local"] if data else [])]


def test_of_a_receipt_for_several_a_subscriber_gets_the_bodies_that_it_subscribed_to_alone(
    node: ChannelNode,
) -> None:
    node.accept("sender", "A", subscribe=subscribe("RET"))
    node.accept("sender", "B")
    node.answer(("A", "2"), ("B", "100"))
    (copy,) = mail(node)
    assert b"<orderNo>A</orderNo>" in copy
    assert b"<orderNo>B</orderNo>" not in copy


def test_subscribers_are_not_named_to_each_other(node: ChannelNode) -> None:
    third = NewEnterprise(
        id="third",
        name="Third",
        cop_codes=("4499999999",),
        dxp_ids=("DXPENT0000000009",),
        mail_from=("sender",),
    )
    add_enterprise(node.site.enterprises, third)
    node.owners["third"] = third
    node.read_again()
    node.accept("sender", "A", subscribe=subscribe("ALL") + subscribe("ALL", third.dxp_ids[0]))
    carry(node)
    node.answer(("A", "2"))
    assert [len(mail(node, one)) for one in ("reader", "third")] == [2, 2]


def test_the_same_answer_again_is_no_second_copy(node: ChannelNode) -> None:
    node.accept("sender", "A", subscribe=subscribe("RET"))
    node.answer(("A", "2"))
    raw = node.spool.arrival(1)
    assert raw is not None
    node.keep(raw.body.replace(b"<?xml", b"\x00<?xml"))  # as another link brings it
    assert len(mail(node)) == 1
    assert len(node.spool.notices("sender", after=0, limit=10)) == 1


@pytest.mark.parametrize("address", ["DXPENT0000000003", "DXPENT0000000099", SENDER.dxp_ids[0]])
def test_nothing_is_guessed_and_nobody_gets_copies_of_ones_own(node: ChannelNode, address: str) -> None:
    uid = node.accept("sender", "A", subscribe=subscribe("ALL", address))
    carry(node)
    node.answer(("A", "2"))
    assert [way.destination for way in node.spool.ways(uid)] == ["customs"]
    assert mail(node, "reader") == mail(node, "twin") == mail(node, "other") == []
    assert len(node.spool.notices("sender", after=0, limit=10)) == 1


def test_what_came_in_an_envelope_of_the_senders_own_is_copied_in_one_of_ours(node: ChannelNode) -> None:
    def enclosed(body: bytes) -> bytes:
        head = Envelope(
            cop_msg_id="OWN-1",
            sender_id=SENDER.dxp_ids[0],
            receiver_ids=("DXPEDCCEB0000002",),
            creat_time="2025-01-02T12:05:06",
        )
        return wrap(sign(body, node.app.keyring().in_memory()["node"]).body, head)

    uid = node.accept("sender", "A", subscribe=subscribe("DATA"), wrap=enclosed)
    carry(node)
    body = node.spool.body(uid)
    assert body is not None
    assert mail(node) == [unwrap(body).business]
    assert {way.state for way in node.spool.ways(uid) if way.destination == "@local"} == {State.SENT}


def test_a_copy_comes_home_on_the_channels_of_its_subscriber(tmp_path: Path) -> None:
    side = WebhookSide(tmp_path)
    with channel_node(tmp_path, {"reader": side.toml}, owners=(SENDER, READER)) as node:
        node.accept("sender", "A", subscribe=subscribe("ALL"))
        carry(node)
        node.answer(("A", "2"))
        with node.notifying():
            until(lambda: len(side.got()) == 2)
    assert [one.form["receipt"]["bodies"] for one in side.got()] == [[], []]
    assert {unwrap(one.raw).envelope.receiver_ids for one in side.got()} == {READER.dxp_ids}
    side.end()


def test_a_message_without_subscribers_has_none() -> None:
    assert subscribers_of(b"<anything/>") == subscribers_of(b"")
