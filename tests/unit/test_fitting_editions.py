"""Which other edition a fault would be none in."""

import json
import shutil
from pathlib import Path

import pytest

from gateway.model import Fault
from gateway.rules.fitting_editions import fits_edition
from gateway.rules.loading import RULES
from tests.command_line import invoke
from tests.unit.ceb_documents import ORDER, document


def fault(path: str, rule: str = "too_long") -> Fault:
    return Fault(path=path, rule=rule, message="m", message_zh="文", fix="f", fix_zh="改")


def test_fault_that_one_edition_does_not_find_names_it() -> None:
    told = fits_edition([fault("/a"), fault("/b")], {"2018-113": [fault("/b")], "next": []})
    assert [one.message for one in told] == [
        "m (valid in edition 2018-113, next)",
        "m (valid in edition next)",
    ]
    assert [one.message_zh for one in told] == ["文（在2018-113、next版中有效）", "文（在next版中有效）"]


def test_another_rule_at_the_same_place_is_another_fault() -> None:
    (told,) = fits_edition([fault("/a")], {"next": [fault("/a", "wrong_length")]})
    assert told.message == "m (valid in edition next)"


@pytest.mark.parametrize("rule", ["unknown_root", "more_faults"])
def test_edition_that_cannot_be_compared_is_not_named(rule: str) -> None:
    faults = (fault("/a"),)
    assert fits_edition(faults, {"next": [fault("/r", rule)]}) == faults


def test_without_other_editions_nothing_changes() -> None:
    faults = (fault("/a"),)
    assert fits_edition(faults, {}) == faults


@pytest.fixture
def two_editions(tmp_path: Path) -> Path:
    """Make a folder of rules with an edition that allows orderNo 80 characters beside the shipped one."""
    for name in ("xsd", "mappings"):
        shutil.copytree(RULES / name, tmp_path / "rules" / name)
    xsd = tmp_path / "rules" / "xsd"
    for shipped in xsd.iterdir():
        if shipped.name != "202205":
            shutil.rmtree(shipped)
    shutil.copytree(xsd / "202205", xsd / "wider")
    changed = 0
    for file in (xsd / "wider").rglob("*.xsd"):
        text = file.read_text("utf-8")
        file.write_text(text.replace('<xs:maxLength value="60"/>', '<xs:maxLength value="80"/>'), "utf-8")
        changed += '<xs:maxLength value="60"/>' in text
    assert changed
    return tmp_path / "rules"


def test_command_line_says_in_which_edition_a_value_would_fit(two_editions: Path, tmp_path: Path) -> None:
    file = tmp_path / "order.xml"
    file.write_text(document("CEB311Message", ORDER.replace("A-1", "A" * 70)), "utf-8")
    result = invoke("validate", "--json", "--rules-dir", two_editions, file)
    (fault,) = json.loads(result.stdout)["faults"]
    assert fault["message"].endswith("at most 60 allowed (valid in edition wider)")
    assert fault["message_zh"].endswith("最多允许60个（在wider版中有效）")
    assert invoke("validate", "--rules-dir", two_editions, "--edition", "wider", file).exit_code == 0
