"""Attack: taking another's CopMsgIds. They are the sender's own: nobody is refused, answered or told of because of another's."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.config.site import NewEnterprise
from gateway.model import Envelope
from gateway.sending.envelope_builder import EnvelopeBuilder
from gateway.xml.envelope import wrap
from signing.xml.splice import sign
from spool.entry import Accepted, Conflict, PutResult
from tests import in_process
from tests.channel_node import ChannelNode, channel_node
from tests.documents import dxp_rep, format_errors, order
from tests.door_node import ANN, BOB
from tests.servers.postgres import shared

EVE = NewEnterprise(id="eve", name="Eve", cop_codes=("4400000003",), dxp_ids=ANN.dxp_ids)
"""Shares ann's DXP id."""
NUMBER = "20261111-000001"


@pytest.fixture(params=["sqlite", "postgres"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ChannelNode]:
    toml = ""
    if request.param == "postgres":
        toml = f'[spool]\nkind = "postgres"\ndsn = {json.dumps(shared().schema_for(tmp_path))}\n'
    with channel_node(tmp_path, {}, owners=(ANN, BOB, EVE), more_toml=toml) as made:
        yield made


def hand_in(node: ChannelNode, owner: NewEnterprise, order_no: str = "A") -> tuple[str, PutResult]:
    """Hand in a DxpMsg under `NUMBER`; what it is called here, and what is said of it."""
    business = order(order_no, cop_code=owner.cop_codes[0], dxp_id=owner.dxp_ids[0])
    head = Envelope(
        cop_msg_id=NUMBER,
        sender_id=owner.dxp_ids[0],
        receiver_ids=("DXPEDCCEB0000002",),
        creat_time="2026-11-11T08:00:00",
        msg_type="CEB311Message",
    )
    body = wrap(sign(business, node.app.keyring().in_memory()["node"]).body, head)
    return in_process.hand_in(node.app, node.spool, owner.id, body, uid=f"OF-{owner.id}-{order_no}")


def heard(node: ChannelNode, owner: NewEnterprise) -> list[str]:
    return [row.status for one in node.spool.notices(owner.id, after=0, limit=9) for row in one.rows]


def addressed(business: bytes, receiver: str) -> bytes:
    return wrap(
        business,
        Envelope(
            cop_msg_id="R-1",
            sender_id="DXPEDCCEB0000002",
            receiver_ids=(receiver,),
            creat_time="2026-11-11T08:00:00",
        ),
    )


def test_a_number_of_anothers_is_free_and_one_of_ones_own_is_taken(node: ChannelNode) -> None:
    assert [hand_in(node, one)[1] for one in (ANN, BOB)] == [
        Accepted(uid="OF-ann-A"),
        Accepted(uid="OF-bob-A"),
    ]
    assert hand_in(node, BOB, "B")[1] == Conflict(uid="OF-bob-A", reason="cop_msg_id")


def test_under_a_shared_dxp_id_a_number_is_taken_without_a_word_of_whose(node: ChannelNode) -> None:
    hand_in(node, ANN)
    assert hand_in(node, EVE)[1] == Conflict(uid="", reason="cop_msg_id")


@pytest.mark.parametrize("first", [ANN, BOB], ids=["before", "after"])
@pytest.mark.parametrize(
    "answer",
    [
        lambda sender: dxp_rep((NUMBER, sender, "0002"), receiver=sender),
        lambda sender: addressed(format_errors((NUMBER, "x")), sender),
    ],
    ids=["DxpRep", "CEB900"],
)
def test_an_answer_goes_to_the_sender_that_it_names_whoever_uses_the_number_too(
    node: ChannelNode, first: NewEnterprise, answer: Callable[[str], bytes]
) -> None:
    for one in (first, BOB if first is ANN else ANN):
        hand_in(node, one)
    node.keep(answer(ANN.dxp_ids[0]))
    assert (len(heard(node, ANN)), heard(node, BOB)) == (1, [])
    assert node.spool.orphans() == []


def test_an_answer_to_a_sender_that_has_no_such_message_is_nobodys(node: ChannelNode) -> None:
    hand_in(node, BOB)
    node.keep(dxp_rep((NUMBER, ANN.dxp_ids[0], "0002")))
    node.keep(addressed(format_errors((NUMBER, "x")), ANN.dxp_ids[0]))
    assert heard(node, BOB) == heard(node, ANN) == []
    assert {one.reason for one in node.spool.orphans()} == {
        f"no message of {ANN.dxp_ids[0]} has the CopMsgId {NUMBER}"
    }


def test_an_answer_that_names_no_sender_is_nobodys_where_two_use_the_number(node: ChannelNode) -> None:
    hand_in(node, ANN)
    node.keep(format_errors((NUMBER, "first")))
    assert len(heard(node, ANN)) == 1
    hand_in(node, BOB)
    node.keep(format_errors((NUMBER, "second")))
    (orphan,) = node.spool.orphans()
    assert "or more than one" in orphan.reason
    assert (len(heard(node, ANN)), heard(node, BOB)) == (1, [])


def test_both_arrive_at_customs_under_names_of_their_own(node: ChannelNode) -> None:
    hand_in(node, ANN)
    hand_in(node, BOB)
    claimed = node.spool.claim("one", "customs", limit=9, lease_s=60)
    builder = EnvelopeBuilder(node.app.config.destination[0], node.app.config)
    parcels = [builder.prepare(one, {}).parcel for one in claimed]
    assert len({one.file_name for one in parcels}) == len(parcels) == 2
