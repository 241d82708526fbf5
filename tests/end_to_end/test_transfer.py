"""A transfer node in every part: two of its own enterprises, a link, receivers that nobody knows, and a SIGKILL."""

from collections.abc import Iterator
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from gateway.config.site import NewEnterprise, write_site
from gateway.model import Envelope
from gateway.simulator.world import free_port
from gateway.xml.envelope import TransferHead, unwrap, wrap, wrap_transfer
from signing.keys.files import Signer
from signing.xml.splice import sign
from tests.command_line import invoke, lines, node_at
from tests.documents import order
from tests.nodes import Node
from tests.platforms import Platform
from tests.waiting import until

ANN, BOB, NOBODYS = "DXPENT0000000001", "DXPENT0000000002", "DXPENT0000000099"
CUSTOMS = "DXPEDCCEB0000002"
TENANTS = (
    NewEnterprise(id="ann", name="Ann", cop_codes=("4400000001",), dxp_ids=(ANN,), mail_from=("bob",)),
    NewEnterprise(id="bob", name="Bob", cop_codes=("4401000002",), dxp_ids=(BOB,), mail_from=("ann",)),
)
CONFIG = f"""
[[destination]]
name = "peer"
envelope = "DxpMsgSv"
[destination.folder]
send_dir = "peer/out"
receive_dir = "peer/in"
[[route]]
receiver = "{CUSTOMS}"
to = ["peer"]
"""


class TransferNode(Node):
    """A node with a peer behind a folder."""

    @cached_property
    def signer(self) -> Signer:
        """The node's own key."""
        return node_at(self.site.folder).app.keyring().in_memory()["node"]

    def envelope(self, number: int, *receivers: str, sender: str = ANN, business: bytes = b"") -> bytes:
        """A DxpMsg as a terminal of its own makes it, with a signed order inside."""
        head = Envelope(
            cop_msg_id=f"TERMINAL-{number}",
            sender_id=sender,
            receiver_ids=receivers,
            creat_time="2025-01-02T12:05:06",
            msg_type="CEB311Message",
        )
        return wrap(business or sign(order(f"ORDER-{number}"), self.signer).body, head)

    def lay(self, name: str, body: bytes) -> None:
        """Let the peer bring something: written whole, then renamed."""
        folder = self.site.folder / "peer/in"
        (folder.parent / name).write_bytes(body)
        (folder.parent / name).rename(folder / name)

    def sent_to_peer(self) -> list[bytes]:
        return [file.read_bytes() for file in sorted((self.site.folder / "peer/out").glob("*.xml"))]


def stood(platform: Platform, uid: str) -> dict[str, Any]:
    """How a message stands once every entry of it is sent."""

    def ask() -> dict[str, Any]:
        told: dict[str, Any] = platform.ask("GET", f"/v1/messages/{uid}").json()
        return told

    return until(ask, lambda told: all(one["state"] == "sent" for one in told["entries"]))


def stream(platform: Platform) -> list[dict[str, Any]]:
    """Everything in the stream of an enterprise, waited for if there is nothing yet."""
    page: dict[str, Any] = platform.ask("GET", "/v1/receipts?after=0&limit=1000&wait=20").json()
    receipts: list[dict[str, Any]] = page["receipts"]
    return receipts


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TransferNode]:
    site = write_site(tmp_path / "site", destination_toml=CONFIG, enterprises=TENANTS, port=free_port())
    for folder in ("peer/out", "peer/in"):
        (site.folder / folder).mkdir(parents=True)
    with TransferNode(site, tmp_path / "run.log").running() as made:
        yield made


def test_message_for_an_enterprise_of_ours_is_in_its_stream_untouched_once_and_on_no_link(
    node: TransferNode,
) -> None:
    body = node.envelope(1, BOB)
    with closing(node.platform("ann")) as ann, closing(node.platform("bob")) as bob:
        first = ann.submit(body)
        assert first.status == 202
        uid = first.json()["id"]
        (entry,) = stood(ann, uid)["entries"]
        assert (entry["destination"], entry["receivers"], entry["response_code"]) == ("@local", [BOB], "")
        again = ann.submit(body)
        assert (again.status, again.json()) == (200, first.json())

        (mail,) = stream(bob)
        assert (mail["message_type"], mail["bodies"]) == ("CEB311Message", [])
        assert bob.ask("GET", mail["content"]).body == body
        assert ann.ask("GET", mail["content"]).status == 404, "handed over: it is bob's"
        assert bob.ask("GET", f"/v1/messages/{uid}").status == 404
        assert ann.ask("GET", "/v1/receipts?after=0").json()["receipts"] == []
        metrics = ann.ask("GET", "/metrics").body.decode().splitlines()
    assert 'gateway_entries_total{destination="@local",outcome="sent"} 1.0' in metrics
    assert 'gateway_answers_total{outcome="delivered"} 1.0' in metrics
    assert node.sent_to_peer() == []
    text = invoke("trace", uid, "-c", node.site.config).stdout
    assert f"to @local: sent, for {BOB}" in text
    assert "delivered to bob" in text
    assert "nobody: was delivered at this gateway" in text
    assert "a message addressed to it" in invoke("receipts", "list", "-c", node.site.config).stdout


def test_sender_reads_that_there_is_no_such_receiver_in_both_languages(node: TransferNode) -> None:
    with closing(node.platform("ann")) as ann:
        uid = ann.submit(node.envelope(1, NOBODYS)).json()["id"]
        (receipt,) = stream(ann)
        (told,) = receipt["bodies"]
        assert (receipt["message_type"], told["layer"], told["status"]) == ("DxpRep", "transport", "2001")
        assert (told["meaning"]["zh"], told["meaning"]["en"]) == (
            "指定的接收方不存在",
            "the named receiver does not exist",
        )
        assert NOBODYS in told["info"]
        (declaration,) = told["declarations"]
        assert declaration["key"]["orderNo"] == "ORDER-1"
        assert unseal_rep(ann.ask("GET", receipt["content"]).body) == "TERMINAL-1"
        (entry,) = stood(ann, uid)["entries"]
        assert (entry["receivers"], entry["response_code"]) == ([NOBODYS], "2001")
    text = invoke("trace", "TERMINAL-1", "-c", node.site.config).stdout
    assert f"to @local: sent, answered 2001 for {NOBODYS}" in text
    assert "指定的接收方不存在 / the named receiver does not exist" in text
    (line,) = lines(invoke("trace", uid, "--json", "-c", node.site.config))
    assert line["declarations"][0]["answers"][0]["status"] == "2001"


def unseal_rep(body: bytes) -> str:
    """The CopMsgId that a DxpRep answers."""
    assert body.count(b"<OriHead>") == 1
    return body.partition(b"<OriHead><CopMsgId>")[2].partition(b"<")[0].decode()


def test_each_receiver_of_one_message_has_its_own_fate(node: TransferNode) -> None:
    body = node.envelope(1, NOBODYS, CUSTOMS, BOB)
    with closing(node.platform("ann")) as ann, closing(node.platform("bob")) as bob:
        told = stood(ann, ann.submit(body).json()["id"])
        assert [(one["destination"], one["part"], one["receivers"]) for one in told["entries"]] == [
            ("peer", "2", [CUSTOMS]),
            ("@local", "3", [BOB]),
            ("@local", "1", [NOBODYS]),
        ]
        (mail,) = stream(bob)
        assert bob.ask("GET", mail["content"]).body == body
        (receipt,) = stream(ann)
        assert receipt["bodies"][0]["status"] == "2001"
    (copy,) = map(unwrap, node.sent_to_peer())
    assert copy.transfer is not None
    assert (copy.transfer.sub_msg_id, copy.envelope.receiver_ids) == ("2", (CUSTOMS,))
    assert copy.business == unwrap(body).business


def test_nobody_speaks_as_another(node: TransferNode) -> None:
    with closing(node.platform("ann")) as ann, closing(node.platform("bob")) as bob:
        assert bob.submit(node.envelope(1, ANN, sender=ANN)).status == 403
        assert bob.submit(node.envelope(1, ANN, sender=BOB)).status == 403, "the order inside is ann's"
        assert ann.ask("GET", "/v1/receipts?after=0").json()["receipts"] == []


def test_what_a_link_brings_is_delivered_or_answered_over_that_link(node: TransferNode) -> None:
    head = TransferHead(
        msg_id="46000002202501021205060000000001",
        sub_msg_id="",
        send_time="2025-01-02T12:05:06",
        end_node="00000000",
        sta_node="46000002",
    )
    for_bob = node.envelope(1, BOB, sender="DXPENT0000000077")
    node.lay("one.xml", wrap_transfer(for_bob, head))
    node.lay("two.xml", node.envelope(2, NOBODYS, sender="DXPENT0000000077"))
    with closing(node.platform("bob")) as bob:
        (mail,) = stream(bob)
        dxp_msg = bob.ask("GET", mail["content"]).body
    assert dxp_msg[dxp_msg.index(b"<DxpMsg") :] == for_bob[for_bob.index(b"<DxpMsg") :]
    (answer,) = until(node.sent_to_peer)
    assert unseal_rep(answer) == "TERMINAL-2"
    assert b"<ResponseCode>2001</ResponseCode>" in answer
    answered = node.process.wait_for_event("message.answered")
    assert (answered["destination"], answered["receivers"]) == ("peer", [NOBODYS])
    assert "delivered to bob" in invoke("trace", "TERMINAL-1", "-c", node.site.config).stdout
    assert f"answered: no receiver {NOBODYS}" in invoke("trace", "TERMINAL-2", "-c", node.site.config).stdout


def test_mail_survives_sigkill_of_whoever_carries_it_and_comes_once(node: TransferNode) -> None:
    bodies = [node.envelope(number, BOB) for number in range(60)]
    with closing(node.platform("ann")) as ann, closing(node.platform("bob")) as bob:
        for number, body in enumerate(bodies):
            assert ann.submit(body).status in (200, 202)
            if number % 15 == 7:
                node.kill("forward/@local")
        mail = until(lambda: stream(bob), lambda found: len(found) >= len(bodies))
        assert {bob.ask("GET", one["content"]).body for one in mail} == set(bodies)
        assert len(mail) == len(bodies)
