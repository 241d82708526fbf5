"""What `gateway check` says of the editions, and of official files that judge otherwise than the shipped ones."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.cli.check.edition_differences import differences, sample
from gateway.cli.check.editions import probe_editions
from gateway.cli.check.result import Check, Grade
from gateway.cli.document_check import check_document
from gateway.cli.open_spool import rules_of
from gateway.config.gateway_toml import load_config
from gateway.model import BEIJING
from gateway.rules.loading import RULES, load_rules
from gateway.rules.schemas import Schemas, View
from tests.edition_documents import BEFORE, NOW
from tests.unit.test_gateway_toml import SOUND


def probed(folder: Path, text: str) -> list[Check]:
    file = folder / "gateway.toml"
    file.write_text(SOUND + text, "utf-8")
    config = load_config(file)
    return list(probe_editions(config, rules_of(config)))


@pytest.fixture
def official(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RULES / "xsd" / NOW, tmp_path / "official"))


def folder_of(official: Path) -> str:
    return f'[[edition]]\nname = "{NOW}"\nfolder = "{official}"\n'


def test_edition_in_force_and_the_one_to_come_are_told(tmp_path: Path) -> None:
    day = datetime.now(BEIJING).date() + timedelta(days=9)
    force, *editions = probed(tmp_path, f'[[edition]]\nname = "{BEFORE}"\nfrom = {day}\n')
    assert force.detail == f"{NOW}, {BEFORE} from {day}"
    assert [(one.name, one.grade) for one in editions] == [
        (f"edition {NOW}", Grade.OK),
        (f"edition {BEFORE}", Grade.OK),
    ]


def test_same_files_elsewhere_differ_in_nothing(tmp_path: Path, official: Path) -> None:
    assert {one.grade for one in probed(tmp_path, folder_of(official))} == {Grade.OK}


def test_other_verdicts_of_official_files_are_notes(tmp_path: Path, official: Path) -> None:
    inventory = official / "export" / "inventory.xsd"
    text = inventory.read_text("utf-8")
    changed = text.replace('name="ebpName" type="ceb:C..100"', 'name="ebpName" type="ceb:C1..60"')
    assert changed != text
    inventory.write_text(changed, "utf-8")
    (note,) = [one for one in probed(tmp_path, folder_of(official)) if one.grade is not Grade.OK]
    assert (note.name, note.grade) == (f"edition {NOW}, CEB603Message", Grade.NOTE)
    assert (
        note.detail
        == "; ".join(
            f"Inventory/InventoryHead/ebpName, {how}: your files refuse it, ours take it"
            for how in ("61 characters", "99 characters", "100 characters")
        )
        + "; and 1 more"
    )


def test_message_type_that_official_files_do_not_have_is_a_note(tmp_path: Path, official: Path) -> None:
    (official / "export" / "refund.xsd").unlink()
    family = official / "export.xsd"
    include = '  <xs:include schemaLocation="export/refund.xsd"/>\n'
    family.write_text(family.read_text("utf-8").replace(include, ""), "utf-8")
    notes = {one.name: one.detail for one in probed(tmp_path, folder_of(official)) if one.grade is Grade.NOTE}
    assert notes == {
        f"edition {NOW}, CEB{number}Message": "every message: your files refuse it, ours take it"
        for number in (213, 215)
    }


def test_edition_that_is_not_shipped_has_nothing_to_be_compared_with(tmp_path: Path, official: Path) -> None:
    (note,) = [
        one for one in probed(tmp_path, folder_of(official).replace(NOW, "202701")) if one.grade is Grade.NOTE
    ]
    assert (note.name, note.detail[:13]) == ("edition 202701", "there is none")


def test_file_that_does_not_compile_fails(tmp_path: Path, official: Path) -> None:
    types = official / "common" / "types.xsd"
    types.write_text(types.read_text("utf-8").replace('name="C..30"', 'name="gone"'), "utf-8")
    found = probed(tmp_path, folder_of(official))
    assert [one.name for one in found if one.grade is Grade.FAIL] == [f"edition {NOW}"]


def test_shipped_editions_differ_where_the_specification_says_so() -> None:
    before, now = (Schemas.load(RULES / "xsd" / name) for name in (BEFORE, NOW))
    assert not list(differences(before, now, "CEB311Message"))
    found = {one.what: one.theirs_take for one in differences(before, now, "CEB607Message")}
    assert found["WayBill/WayBillList, 101 times"]
    assert found["WayBill/WayBillHead/copNo, empty"]
    assert not found["WayBill/WayBillList/logisticsNo, 80 characters"]
    assert {one.what for one in differences(before, now, "CEB621Message")} == {
        *(f"Inventory/InventoryList/itemNo, {length} characters" for length in (21, 29, 30)),
        *(f"Inventory/InventoryList/tradeCountry, {length}" for length in ("1 character", "2 characters")),
    }
    invt_no = {one.what for one in differences(before, now, "CEB603Message") if "/invtNo" in one.what}
    assert invt_no == {
        f"Inventory/InventoryHead/invtNo, {how}"
        for how in ("empty", "17 characters", "19 characters", "20 characters", "with blanks around it")
    }


@pytest.mark.parametrize("edition", [BEFORE, NOW])
def test_samples_that_are_compared_are_valid_by_every_shipped_edition(edition: str) -> None:
    rules = load_rules(edition=edition)
    kinds = [one.name for one in rules.catalogue.declarations() if one.name in rules.schemas.roots]
    faults = {kind: check_document(sample(kind), rules, View.DECLARED).faults for kind in kinds}
    assert len(kinds) == (19 if edition == NOW else 17)
    assert not [kind for kind in kinds if faults[kind]]
