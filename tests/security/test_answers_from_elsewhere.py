"""Attack: a link that never had a message answers it. What it says is kept and marked, and decides nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.receipts.rematching import Rematching
from spool.lifecycle import State
from tests.channel_node import EBC, EBP, ChannelNode, channel_node
from tests.documents import dxp_rep, format_errors, receipt
from tests.door_node import ANN, BOB
from tests.servers.postgres import shared
from tests.spool_samples import collected, settled

LINKS = """
[[destination]]
name = "{name}"
{more}
[destination.folder]
send_dir = "state/{name}-out"
receive_dir = "state/{name}-in"
"""
MORE = {
    "customs-receipts": "",
    "partner": 'authority = "partner"',
    "courier": 'authority = "courier"\nanswers_for = ["customs"]',
    "alone": "answers_for = []",
}


@pytest.fixture(params=["sqlite", "postgres"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ChannelNode]:
    toml = "".join(LINKS.format(name=name, more=more) for name, more in MORE.items())
    if request.param == "postgres":
        toml += f'[spool]\nkind = "postgres"\ndsn = {json.dumps(shared().schema_for(tmp_path))}\n'
    with channel_node(tmp_path, {}, owners=(ANN, BOB), more_toml=toml) as made:
        yield made


def sent(node: ChannelNode, order_no: str = "A") -> str:
    uid = node.accept("ann", order_no)
    node.spool.settle(settled(node.spool.claim("one", "customs", limit=9, lease_s=60)))
    return uid


def says(kind: str, uid: str) -> bytes:
    refused = {"orderNo": "A", "ebpCode": EBP, "ebcCode": EBC, "returnStatus": "100"}
    return {
        "business": receipt("CEB312Message", refused),
        "format": format_errors((uid, "x")),
        "platform": dxp_rep((uid, ANN.dxp_ids[0], "3002")),
    }[kind]


def heard(node: ChannelNode, owner: str = "ann") -> list[str]:
    return [row.status for one in node.spool.notices(owner, after=0, limit=9) for row in one.rows]


def state(node: ChannelNode, uid: str) -> State:
    view = node.spool.message(uid)
    assert view is not None
    return view.state


@pytest.mark.parametrize("kind", ["business", "format", "platform"])
@pytest.mark.parametrize("origin", ["partner", "alone"])
def test_a_link_that_never_had_the_message_decides_nothing_and_silences_nobody(
    node: ChannelNode, kind: str, origin: str
) -> None:
    uid = sent(node)
    body = says(kind, uid)

    node.keep(body, feed=origin)
    filer = node.app.filer(node.spool)
    assert filer.rematch(node.spool.orphans()) == filer.rematch(node.spool.orphans(), only="ann") == 0
    assert heard(node) == []
    assert state(node, uid) is State.SENT
    (orphan,) = node.spool.orphans()
    assert orphan.reason.startswith(f"not_carried: {origin} may not answer for customs")

    node.keep(body)  # customs says the very same
    assert Rematching(node.spool, filer).look() == 1
    assert len(heard(node)) == 1
    assert node.spool.orphans() == []


@pytest.mark.parametrize("kind", ["business", "format", "platform"])
@pytest.mark.parametrize("origin", ["customs", "customs-receipts", "courier", "gone since"])
def test_links_of_the_same_authority_and_those_that_are_named_answer(
    node: ChannelNode, kind: str, origin: str
) -> None:
    uid = sent(node)
    node.keep(says(kind, uid), feed=origin)
    assert len(heard(node)) == 1
    assert node.spool.orphans() == []
    assert state(node, uid) is (State.READY if (kind, origin) == ("platform", "customs") else State.SENT)


def test_what_another_link_repeats_asks_for_no_further_attempt(node: ChannelNode) -> None:
    uid = sent(node)
    body = says("platform", uid)
    node.keep(body)
    assert state(node, uid) is State.READY
    (again,) = collected(body, feed="partner")
    node.spool.keep([again])  # under another name, as if it were said once more
    assert node.spool.unfiled(9) == []
    view = node.spool.message(uid)
    assert view is not None
    assert view.attempts == 1


def test_of_two_that_declared_a_key_the_one_whose_message_went_there_is_answered(node: ChannelNode) -> None:
    sent(node)
    text = node.app.file.read_text("utf-8")
    node.app.file.write_text(
        f'{text}\n[[route]]\nenterprise = "bob"\nto = ["partner"]\n[[route]]\nto = ["customs"]\n', "utf-8"
    )
    node.read_again()
    node.accept("bob", "A")
    node.keep(says("business", ""), feed="partner")
    assert (heard(node), heard(node, "bob")) == ([], ["100"])
