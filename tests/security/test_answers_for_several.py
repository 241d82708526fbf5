"""Attack: being in one answer with somebody else. Each enterprise is shown its own bodies, whole, on every way home."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from gateway.config.site import NewEnterprise
from gateway.receipts.content import content_for
from gateway.views.api import receipt_view
from gateway.xml.envelope import unwrap
from tests.channel_node import EBC, EBP, ChannelNode, channel_node
from tests.documents import dxp_rep, element, format_errors, order, receipt
from tests.door_node import ANN, BOB, DoorNode
from tests.servers.postgres import shared

READER = NewEnterprise(
    id="reader",
    name="Reader",
    cop_codes=("4400000009",),
    dxp_ids=("DXPENT0000000009",),
    mail_from=("ann", "bob"),
)
SUBSCRIBED = element("BaseSubscribe", status="RET", dxpMode="DXP", dxpAddress=READER.dxp_ids[0])


@pytest.fixture(params=["sqlite", "postgres"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ChannelNode]:
    toml = ""
    if request.param == "postgres":
        toml = f'[spool]\nkind = "postgres"\ndsn = {json.dumps(shared().schema_for(tmp_path))}\n'
    with channel_node(tmp_path, {}, owners=(ANN, BOB, READER), more_toml=toml) as made:
        yield made


def shown(node: ChannelNode, owner: str) -> list[tuple[bytes, str]]:
    """The content and the form of everything in somebody's stream that answers something."""
    found = []
    for notice in node.spool.notices(owner, after=0, limit=100):
        body = content_for(owner, notice.arrival, node.spool, node.app.rules.catalogue)
        assert body is not None
        found.append((body, msgspec.json.encode(receipt_view(notice, node.app.rules.codes)).decode()))
    return found


def both(node: ChannelNode, subscribe: str = "") -> tuple[str, str]:
    """Let ann and bob hand in an order each; returns what they are called."""
    return node.accept("ann", "ORDER-ANN", subscribe=subscribe), node.accept("bob", "ORDER-BOB")


def senders() -> tuple[str, str]:
    return ANN.dxp_ids[0], BOB.dxp_ids[0]


def test_a_response_of_the_exchange_is_shown_to_whose_message_it_is_about_and_to_nobody_else(
    node: ChannelNode,
) -> None:
    (ann, bob), (at_ann, at_bob) = both(node), senders()
    whole = dxp_rep((ann, at_ann, "3002"), (bob, at_bob, "0002"), between="  <!-- of both -->\n")
    node.keep(whole)

    ((of_ann, form_ann),), ((of_bob, form_bob),) = shown(node, "ann"), shown(node, "bob")
    assert of_ann.count(b"<Response>") == of_bob.count(b"<Response>") == 1
    for own, other, at_other, content, form in (
        (ann, bob, at_bob, of_ann, form_ann), (bob, ann, at_ann, of_bob, form_bob),
    ):  # fmt: skip
        assert f"<ResponseInfo>about {own}</ResponseInfo>".encode() in content
        for strange in (other, at_other, "of both"):
            assert strange.encode() not in content
            assert strange not in form
    assert f"<RecevierId>{at_ann}</RecevierId>".encode() in of_ann, "it says no more than the Response does"
    assert node.spool.orphans() == []


def test_an_original_that_the_format_check_returns_is_shown_to_its_sender_alone(node: ChannelNode) -> None:
    ann, bob = both(node)
    node.keep(format_errors((ann, "<a>original of ann</a>"), (bob, "<a>original of bob</a>")))

    ((of_ann, form_ann),), ((of_bob, form_bob),) = shown(node, "ann"), shown(node, "bob")
    assert (of_ann.count(b"original of ann"), of_ann.count(b"of bob")) == (1, 0)
    assert (of_bob.count(b"original of bob"), of_bob.count(b"of ann")) == (1, 0)
    assert bob not in form_ann
    assert ann not in form_bob


def test_what_nobody_is_found_for_is_shown_to_nobody(node: ChannelNode) -> None:
    (ann, _), (at_ann, at_bob) = both(node), senders()
    node.keep(dxp_rep((ann, at_ann, "0002"), ("NOBODYS", at_bob, "0002")))

    ((of_ann, _),) = shown(node, "ann")
    assert b"NOBODYS" not in of_ann
    assert shown(node, "bob") == []
    assert len(node.spool.orphans()) == 1


@pytest.mark.parametrize("kind", ["DxpRep", "CEB900Message", "CEB312Message"])
def test_a_subscriber_gets_the_bodies_that_it_may_have_alone(node: ChannelNode, kind: str) -> None:
    (ann, bob), (at_ann, at_bob) = both(node, SUBSCRIBED), senders()
    both_of = {"returnInfo": "x", "ebpCode": EBP, "ebcCode": EBC}
    node.keep(
        {
            "DxpRep": dxp_rep((ann, at_ann, "0002"), (bob, at_bob, "0002")),
            "CEB900Message": format_errors((ann, "ORDER-ANN"), (bob, "ORDER-BOB")),
            "CEB312Message": receipt(
                "CEB312Message", {**both_of, "orderNo": "ORDER-ANN"}, {**both_of, "orderNo": "ORDER-BOB"}
            ),
        }[kind]
    )

    (notice,) = node.spool.notices("reader", after=0, limit=10)
    raw = node.spool.arrival(notice.arrival)
    assert raw is not None
    copy = unwrap(raw.body).business
    assert (b"ORDER-ANN" in copy, b"ORDER-BOB" in copy) == (
        (True, False) if kind != "DxpRep" else (False, False)
    )
    assert (ann.encode() in copy, bob.encode() in copy) == (
        (True, False) if kind != "CEB312Message" else (False, False)
    )


def test_over_http_each_sees_its_own_response_alone(tmp_path: Path) -> None:
    node = DoorNode(tmp_path, {})
    node.start()
    try:
        uids = {}
        for one in (ANN, BOB):
            body = order(f"ORDER-{one.id}", cop_code=one.cop_codes[0], dxp_id=one.dxp_ids[0])
            with closing(node.platform(one.id)) as platform:
                uids[one.id] = platform.submit(body).json()["id"]
        rep = dxp_rep(*((uids[one.id], one.dxp_ids[0], "0002") for one in (ANN, BOB)))
        (node.site.folder / "customs/rep.xml").write_bytes(rep)
        (node.site.folder / "customs/rep.xml").rename(node.site.folder / "customs/in/rep.xml")
        for one, other in ((ANN, BOB), (BOB, ANN)):
            with closing(node.platform(one.id)) as platform:
                (told,) = platform.ask("GET", "/v1/receipts?after=0&wait=60").json()["receipts"]
                content = platform.ask("GET", told["content"]).body.decode()
            for text in (content, json.dumps(told)):
                assert uids[one.id] in text
                assert uids[other.id] not in text
                assert other.dxp_ids[0] not in text
    finally:
        node.stop()
