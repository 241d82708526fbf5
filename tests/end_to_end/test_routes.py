"""One message to several destinations: each entry has a fate of its own, and what has no way is not taken."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.config.site import NewEnterprise, write_site
from gateway.simulator.world import free_port
from gateway.xml.envelope import unwrap
from tests.command_line import invoke, lines
from tests.documents import export_order, inventory, order
from tests.nodes import Node
from tests.platforms import Platform
from tests.waiting import until

OURS = NewEnterprise(id="ours", name="Ours", cop_codes=("4400000001",), dxp_ids=("DXPENT0000000001",))
RECEIVERS = ("DXPEDCCEB0000002", "DXPEDC0000000001")
CONFIG = """
[[destination]]
name = "customs"
families = ["import"]
envelope = "DxpMsgSv"
[destination.folder]
send_dir = "customs/out"
receive_dir = "customs/in"
[[destination]]
name = "tax"
families = ["import"]
leading_zero = true
[destination.folder]
send_dir = "tax/out"
receive_dir = "tax/in"
[destination.retry]
first_s = 0.2
ceiling_s = 0.5
[[route]]
message_type = "CEB311Message"
to = ["customs", "tax"]
[[route]]
customs_code = "5100"
to = ["customs"]
receivers = ["DXPEDCCEB0000002", "DXPEDC0000000001"]
split = true
"""


def told(platform: Platform, uid: str, wanted: Callable[..., object]) -> dict[str, Any]:
    """Ask how a message stands until its entries are as wanted."""
    found: dict[str, Any] = until(
        lambda: platform.ask("GET", f"/v1/messages/{uid}").json(), lambda said: wanted(*said["entries"])
    )
    return found


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    site = write_site(tmp_path / "site", destination_toml=CONFIG, enterprises=(OURS,), port=free_port())
    for folder in ("customs/out", "customs/in", "tax/in"):  # tax/out is missing: the tax office is down
        (site.folder / folder).mkdir(parents=True)
    with Node(site, tmp_path / "run.log").running() as made:
        yield made


def test_a_destination_that_is_down_does_not_hold_up_the_other_and_is_served_later(node: Node) -> None:
    with closing(node.platform(OURS.id)) as platform:
        uid = platform.submit(order()).json()["id"]
        said = told(platform, uid, lambda customs, tax: customs["state"] == "sent" and tax["attempts"])
        customs, tax = said["entries"]
        assert (said["state"], said["destination"]) == ("sent", "customs")
        assert (customs["destination"], customs["state"], customs["error"]) == ("customs", "sent", "")
        assert customs["sent_at"] is not None
        assert (tax["destination"], tax["sent_at"]) == ("tax", None)
        assert tax["state"] in ("ready", "sending")
        assert tax["attempts"] >= 1
        assert tax["error"] == "the last attempt to deliver it failed"
        assert "folder cannot be used" in node.process.wait_for_event("entry.deferred")["error"]
        assert list((node.site.folder / "customs/out").iterdir())

        (node.site.folder / "tax/out").mkdir()
        told(platform, uid, lambda *entries: all(entry["state"] == "sent" for entry in entries))
    (to_customs,) = (node.site.folder / "customs/out").iterdir()
    (to_tax,) = (node.site.folder / "tax/out").iterdir()
    zero = to_tax.read_bytes()
    assert zero.startswith(b"\x00<?xml")
    one, other = unwrap(to_customs.read_bytes()), unwrap(zero[1:])
    assert one.business == other.business, "signed once or twice, the same bytes"
    assert one.envelope.cop_msg_id == other.envelope.cop_msg_id == uid


def test_each_receiver_has_a_file_of_its_own_and_the_operator_sees_both_ways(node: Node) -> None:
    with closing(node.platform(OURS.id)) as platform:
        uid = platform.submit(inventory()).json()["id"]
        said = told(platform, uid, lambda *entries: all(entry["state"] == "sent" for entry in entries))
    assert [(one["destination"], one["part"]) for one in said["entries"]] == [
        ("customs", "1"),
        ("customs", "2"),
    ]
    files = sorted((node.site.folder / "customs/out").glob("*.xml"))
    opened = [unwrap(file.read_bytes()) for file in files]
    assert [one.envelope.receiver_ids for one in opened] == [(receiver,) for receiver in RECEIVERS]
    assert [one.transfer.sub_msg_id for one in opened if one.transfer] == ["1", "2"]
    text = invoke("trace", uid, "-c", node.site.config).stdout
    assert "to customs part 1: sent" in text
    assert "to customs part 2: sent" in text
    (line,) = lines(invoke("spool", "show", uid, "--json", "-c", node.site.config))
    assert [(entry["part"], entry["state"]) for entry in line["entries"]] == [("1", "sent"), ("2", "sent")]


def test_what_has_no_way_out_is_refused_and_not_kept(node: Node) -> None:
    with closing(node.platform(OURS.id)) as platform:
        for path in ("/v1/messages", "/v1/messages?dry_run=true"):
            reply = platform.ask("POST", path, export_order())
            assert (reply.status, reply.json()["code"]) == (422, "no-route")
            assert reply.json()["faults"][0]["rule"] == "no_route"
    refused = node.process.wait_for_event("message.refused")
    assert (refused["problem"], refused["rules"]) == ("no-route", ["no_route"])
