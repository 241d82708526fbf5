"""Attack: filling another's stream. Nobody gets mail or copies that it did not say it takes, nor more than it said."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.site import NewEnterprise
from gateway.errors import Refused
from gateway.model import EnterpriseId, Envelope, Message, MessageId
from gateway.receipts.content import content_for
from gateway.submission.mail_limit import bounded
from gateway.submission.new_messages import new_message_of
from gateway.submission.pipeline import examine
from gateway.xml.envelope import wrap
from signing.xml.splice import sign
from spool.entry import Accepted
from spool.lifecycle import State
from tests.channel_node import ChannelNode, channel_node
from tests.documents import element, order
from tests.door_node import ANN, BOB
from tests.servers.postgres import shared

CAROL = NewEnterprise(
    id="carol", name="Carol", cop_codes=("4400000003",), dxp_ids=("DXPENT0000000003",), mail_from=("ann",)
)
DAVE = NewEnterprise(
    id="dave", name="Dave", cop_codes=("4400000004",), dxp_ids=("DXPENT0000000004",), mail_from=("*",)
)
"""Bob takes nothing of anybody, carol of ann alone, dave of everybody."""


@pytest.fixture(params=["sqlite", "postgres"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ChannelNode]:
    toml = ""
    if request.param == "postgres":
        toml = f'[spool]\nkind = "postgres"\ndsn = {json.dumps(shared().schema_for(tmp_path))}\n'
    with channel_node(tmp_path, {}, owners=(ANN, BOB, CAROL, DAVE), more_toml=toml) as made:
        yield made


def hand_in(
    node: ChannelNode, sender: NewEnterprise, receivers: Sequence[NewEnterprise | str], *, number: int = 1
) -> str:
    """Hand in a DxpMsg for these, as the door does, and let what stays here be delivered."""
    caller = node.app.enterprises[EnterpriseId(sender.id)]
    business = order(f"O-{sender.id}-{number}", cop_code=sender.cop_codes[0], dxp_id=sender.dxp_ids[0])
    head = Envelope(
        cop_msg_id=f"M-{number}",
        sender_id=sender.dxp_ids[0],
        receiver_ids=tuple(one if isinstance(one, str) else one.dxp_ids[0] for one in receivers),
        creat_time="2026-11-11T08:00:00",
        msg_type="CEB311Message",
    )
    body = wrap(sign(business, node.app.keyring().in_memory()["node"]).body, head)
    message = examine(body, caller, node.app.rules, node.app.config.accept.limits)
    assert isinstance(message, Message), message
    uid = MessageId(f"OF-{sender.id}-{number}")
    local_receivers = bounded(node.app.local_receivers, node.spool)
    assert node.spool.put(
        [new_message_of(message, caller, uid=uid, config=node.app.config, local_receivers=local_receivers)]
    ) == [Accepted(uid=uid)]
    carry(node)
    return uid


def carry(node: ChannelNode) -> None:
    while node.app.local(node.spool).step():
        pass


def mail(node: ChannelNode, owner: NewEnterprise) -> list[bytes]:
    """What others put in somebody's stream, as it is shown."""
    found = []
    for notice in node.spool.notices(owner.id, after=0, limit=1000):
        body = content_for(owner.id, notice.arrival, node.spool, node.app.rules.catalogue)
        assert body is not None
        if not notice.rows:
            found.append(body)
    return found


def told(node: ChannelNode, owner: NewEnterprise) -> list[str]:
    return [row.status for one in node.spool.notices(owner.id, after=0, limit=1000) for row in one.rows]


def test_nobody_gets_mail_unless_it_says_so_and_the_sender_is_told(node: ChannelNode) -> None:
    uid = hand_in(node, ANN, [BOB])
    assert mail(node, BOB) == []
    assert told(node, ANN) == ["2001"]
    assert [(way.destination, way.state) for way in node.spool.ways(uid)] == [("@local", State.SENT)]
    (notice,) = node.spool.notices("ann", after=0, limit=9)
    said = content_for("ann", notice.arrival, node.spool, node.app.rules.catalogue)
    assert said is not None
    assert "不接收贵企业的报文 / no such receiver, or it takes nothing" in said.decode()
    assert BOB.name.encode() not in said


def test_an_enterprise_takes_mail_of_whom_it_names(node: ChannelNode) -> None:
    hand_in(node, ANN, [CAROL])
    hand_in(node, BOB, [CAROL])
    hand_in(node, BOB, [DAVE], number=2)
    assert (len(mail(node, CAROL)), len(mail(node, DAVE))) == (1, 1)
    assert (told(node, ANN), told(node, BOB)) == ([], ["2001"])


def test_who_is_named_beside_others_gets_nothing_either_and_is_named_to_nobody(node: ChannelNode) -> None:
    hand_in(node, BOB, [CAROL, DAVE])
    assert mail(node, CAROL) == []
    (body,) = mail(node, DAVE)
    assert CAROL.dxp_ids[0].encode() not in body
    assert told(node, BOB) == ["2001"]


def test_an_envelope_that_cannot_be_divided_is_refused(node: ChannelNode) -> None:
    caller = node.app.enterprises[EnterpriseId("bob")]
    key = node.app.keyring().in_memory()["node"]
    business = sign(order("O", cop_code=BOB.cop_codes[0], dxp_id=BOB.dxp_ids[0]), key)
    head = Envelope(
        cop_msg_id="M",
        sender_id=BOB.dxp_ids[0],
        receiver_ids=(CAROL.dxp_ids[0], DAVE.dxp_ids[0]),
        creat_time="2026-11-11T08:00:00",
    )
    body = sign(wrap(business.body, head), key).body
    message = examine(body, caller, node.app.rules, node.app.config.accept.limits)
    assert isinstance(message, Message), message
    with pytest.raises(Refused, match="forbids to divide it"):
        new_message_of(
            message,
            caller,
            uid=MessageId("U"),
            config=node.app.config,
            local_receivers=node.app.local_receivers,
        )


@pytest.mark.parametrize("bounds", ["mail_messages = 3", "mail_bytes = 1"])
def test_no_more_is_put_in_a_stream_than_it_takes_until_it_is_read(node: ChannelNode, bounds: str) -> None:
    file = node.site.enterprises / "dave.toml"
    file.write_text(
        file.read_text("utf-8").replace("disabled = false", f"disabled = false\n{bounds}"), "utf-8"
    )
    node.read_again()
    most = 3 if "messages" in bounds else 1

    for number in range(most + 2):
        hand_in(node, BOB, [DAVE], number=number)
    assert len(mail(node, DAVE)) == most
    assert told(node, BOB) == ["2001"] * 2

    node.spool.acknowledge("dave", node.spool.notices("dave", after=0, limit=9)[-1].cursor)
    hand_in(node, BOB, [DAVE], number=100)
    assert len(mail(node, DAVE)) == most + 1


def test_what_was_accepted_before_the_stream_was_full_is_a_dead_letter_that_says_so(
    node: ChannelNode,
) -> None:
    local_receivers = replace(node.app.local_receivers, full=lambda _: False)
    file = node.site.enterprises / "dave.toml"
    file.write_text(
        file.read_text("utf-8").replace("disabled = false", "disabled = false\nmail_messages = 1"), "utf-8"
    )
    hand_in(node, BOB, [DAVE])
    node.read_again()
    caller = node.app.enterprises[EnterpriseId("bob")]
    head = Envelope(
        cop_msg_id="M-9",
        sender_id=BOB.dxp_ids[0],
        receiver_ids=DAVE.dxp_ids,
        creat_time="2026-11-11T08:00:00",
    )
    business = sign(
        order("O-9", cop_code=BOB.cop_codes[0], dxp_id=BOB.dxp_ids[0]), node.app.keyring().in_memory()["node"]
    )
    message = examine(wrap(business.body, head), caller, node.app.rules, node.app.config.accept.limits)
    assert isinstance(message, Message), message
    node.spool.put(
        [
            new_message_of(
                message, caller, uid=MessageId("U"), config=node.app.config, local_receivers=local_receivers
            )
        ]
    )
    carry(node)
    (view,) = node.spool.ways("U")
    assert (view.state, "as much mail as it takes" in view.error) == (State.DEAD, True)
    assert len(mail(node, DAVE)) == 1


def test_copies_go_to_those_alone_who_take_them(node: ChannelNode) -> None:
    for number, one in enumerate((BOB, CAROL, DAVE)):
        subscribe = element("BaseSubscribe", status="ALL", dxpMode="DXP", dxpAddress=one.dxp_ids[0])
        node.accept("ann", f"A{number}", subscribe=subscribe)
        node.accept("bob", f"B{number}", subscribe=subscribe)
        carry(node)
        node.answer((f"A{number}", "2"))
        node.answer((f"B{number}", "2"))
    # of ann's: a copy of the declaration and of the answer; dave takes bob's too
    assert [len(mail(node, one)) for one in (BOB, CAROL, DAVE)] == [0, 2, 4]


def test_copies_stop_when_they_are_not_taken_any_more(node: ChannelNode) -> None:
    subscribe = element("BaseSubscribe", status="RET", dxpMode="DXP", dxpAddress=CAROL.dxp_ids[0])
    node.accept("ann", "A", subscribe=subscribe)
    node.answer(("A", "2"))
    file = node.site.enterprises / "carol.toml"
    file.write_text(file.read_text("utf-8").replace('mail_from = ["ann"]', "mail_from = []"), "utf-8")
    node.read_again()
    node.answer(("A", "120"))
    assert len(mail(node, CAROL)) == 1
    assert told(node, ANN) == ["2", "120"]
