"""`gateway rehearse edition`: what an edition to come would refuse of what is kept, in the spool and in the archive."""

from pathlib import Path
from shutil import copytree

import pytest

from gateway.cli import edition_rehearsal
from gateway.config.site import NewEnterprise, write_site
from gateway.model import Envelope
from gateway.rules.loading import RULES
from gateway.xml.envelope import wrap
from spool.entry import Fate
from tests.command_line import Node, lines, node_at
from tests.documents import COP_CODE, DXP_ID, order
from tests.edition_documents import BEFORE, NOW, inventory_for
from tests.unit.test_cli_retention import grow_old

ANN = NewEnterprise(id="ann", name="Ann", cop_codes=(COP_CODE,), dxp_ids=(DXP_ID,))
BOB = NewEnterprise(id="bob", name="Bob", cop_codes=("4400000002",), dxp_ids=("DXPENT0000000002",))
HEAD = "/CEB603Message/Inventory/InventoryHead"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "s"
    site = write_site(folder, port=0, enterprises=(ANN, BOB))
    text = site.config.read_text("utf-8").replace(f'edition = "{NOW}"', f'edition = "{BEFORE}"')
    site.config.write_text(text, "utf-8")
    return site.folder


@pytest.fixture
def node(template: Path, tmp_path: Path) -> Node:
    return node_at(Path(copytree(template, tmp_path / "site")))


def of_bob(edition: str, number: int) -> bytes:
    return inventory_for(edition, number=number, cop_code=BOB.cop_codes[0], dxp_id=BOB.dxp_ids[0])


def test_each_enterprise_learns_what_would_be_refused(node: Node) -> None:
    envelope = Envelope(
        cop_msg_id="COP-7",
        sender_id=DXP_ID,
        receiver_ids=("DXPEDCCEB0000003",),
        creat_time="2027-01-01T12:05:06",
    )
    first, *_ = node.accept(
        *(inventory_for(BEFORE, number=number) for number in (1, 2)),
        inventory_for(number=3),
        order("ORDER-1"),
        owner="ann",
    )
    (wrapped,) = node.accept(wrap(inventory_for(BEFORE, number=4), envelope), owner="ann")
    node.accept(of_bob("", 5), owner="bob")
    result = node.run("rehearse", "edition", "--against", NOW, "--json")
    assert result.exit_code == 1
    ann, bob = lines(result)
    assert ann["enterprise"] == "ann"
    assert (ann["edition"], ann["messages"], ann["refused"], ann["faults_not_listed"]) == (NOW, 5, 3, 0)
    plain = {
        "message_type": "CEB603Message", "path": f"{HEAD}/logisticsNo", "rule": "too_long", "count": 2,
        "example": first,
    }  # fmt: skip
    inside = plain | {"path": f"/DxpMsg/Data{HEAD}/logisticsNo", "count": 1, "example": wrapped}
    assert ann["faults"][0] == plain
    assert inside in ann["faults"]
    assert bob == {
        "enterprise": "bob", "edition": NOW, "messages": 1, "refused": 0, "faults": [], "faults_not_listed": 0,
    }  # fmt: skip
    assert "LONG-WAYBILL" not in result.stdout


def test_edition_that_takes_everything_ends_with_0(node: Node) -> None:
    node.accept(inventory_for(BEFORE), owner="ann")
    result = node.run("rehearse", "edition", "--against", BEFORE, "--json")
    assert result.exit_code == 0
    assert [(one["messages"], one["refused"]) for one in lines(result)] == [(1, 0)]


def test_archive_is_judged_as_well_and_nothing_twice(node: Node) -> None:
    node.accept(inventory_for(BEFORE, number=1), inventory_for(BEFORE, number=2), owner="ann")
    node.settle(Fate.DELIVERED, limit=1)
    grow_old(node, 40)
    assert len(lines(node.run("spool", "purge", "--days", "30", "--json"))) == 1
    node.accept(inventory_for(BEFORE, number=3), inventory_for(number=4), owner="ann")
    (report,) = lines(node.run("rehearse", "edition", "--against", NOW, "--json"))
    assert (report["messages"], report["refused"]) == (4, 3)


def test_one_enterprise_alone(node: Node) -> None:
    node.accept(inventory_for(BEFORE), owner="ann")
    node.accept(of_bob("", 2), owner="bob")
    result = node.run("rehearse", "edition", "--against", NOW, "--enterprise", "bob", "--json")
    assert result.exit_code == 0
    assert [one["enterprise"] for one in lines(result)] == ["bob"]
    (nobody,) = lines(node.run("rehearse", "edition", "--against", NOW, "--enterprise", "carol", "--json"))
    assert (nobody["enterprise"], nobody["messages"]) == ("carol", 0)


def test_folder_of_official_files_stands_for_an_edition(node: Node, tmp_path: Path) -> None:
    node.accept(inventory_for(BEFORE), owner="ann")
    official = Path(copytree(RULES / "xsd" / NOW, tmp_path / "official"))
    result = node.run("rehearse", "edition", "--against", official)
    assert result.exit_code == 1
    assert "ann: messages judged by edition official: 1, would be refused: 1" in result.stdout
    assert f"{HEAD}/logisticsNo" in result.stdout


def test_what_is_neither_folder_nor_edition_is_a_mistake_of_the_caller(node: Node) -> None:
    result = node.run("rehearse", "edition", "--against", "209901")
    assert result.exit_code == 2
    assert f"there is: {BEFORE}, {NOW}" in " ".join(result.stderr.replace("│", " ").split())


def test_kinds_of_faults_are_bounded(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edition_rehearsal, "GROUPS", 0)
    node.accept(inventory_for(BEFORE), owner="ann")
    (report,) = lines(node.run("rehearse", "edition", "--against", NOW, "--json"))
    assert (report["faults"], report["faults_not_listed"], report["refused"]) == ([], 1, 1)
    assert "faults of further kinds: 1" in node.run("rehearse", "edition", "--against", NOW).stdout
