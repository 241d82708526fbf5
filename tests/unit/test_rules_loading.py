"""How strictly the tables of rules are read, and where they are found."""

import shutil
from pathlib import Path

import pytest

from gateway.errors import RulesError
from gateway.rules.loading import RULES, load_rules


@pytest.fixture
def rules_dir(tmp_path: Path) -> Path:
    """Give a copy of the tables that a test may spoil."""
    shutil.copytree(RULES / "mappings", tmp_path / "mappings")
    (tmp_path / "xsd").symlink_to(RULES / "xsd", target_is_directory=True)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "right", "wrong", "named"),
    [
        ("catalogue.toml", 'handle = "copNo"', 'handel = "copNo"', ("[CEB621Message]", "key handel")),
        (
            "catalogue.toml",
            'body = "Order"\n',
            "",
            ("[CEB311Message]", "key body", 'example body = "Inventory"'),
        ),
        ("catalogue.toml", 'body = "Order"', "body = 7", ("[CEB311Message]", "key body")),
        ("catalogue.toml", 'family = "import"', 'family = "imports"', ("[CEB311Message]", "key family")),
        ("catalogue.toml", "[CEB311Message]", "[CEB3Message]", ("CEB3Message",)),
        ("catalogue.toml", '["CEB312Message"]', '["CEB313Message"]', ("[CEB311Message]", "key answered_by")),
        ("catalogue.toml", '["CEB312Message"]', '["CEB412Message"]', ("[CEB412Message]", "in return")),
        ("catalogue.toml", 'handle = "copNo"', 'handle = "orderNo"', ("[CEB621Message]", "key handle")),
        ("catalogue.toml", 'status = "returnStatus"\n', "", ("[CEB312Message]", "key status")),
        ("catalogue.toml", 'receiver = "DXPEDCCEB0000002"\n', "", ("[CEB311Message]", "key receiver")),
        ("catalogue.toml", 'status = "returnStatus"', 'status = "x"\nreceiver = "y"', ("no receiver",)),
        (
            "catalogue.toml",
            'body = "OrderReturn"\nkey = ["ebpCode", "ebcCode", "orderNo"]',
            'body = "OrderReturn"\nkey = ["orderNo"]',
            ("[CEB312Message]", "key key"),
        ),
        ("catalogue.toml", "[CEB311Message]", "[CEB311Message", ("not a TOML table",)),
        (
            "codes.toml",
            '[advice.content]\nretry = "fix"',
            '[advice.content]\nretry = "f"',
            ("advice.content", "key retry"),
        ),
        ("codes.toml", 'advice = "system"', 'advice = "sistem"', ("[status.receipt.codes.4]", "key advice")),
        (
            "codes.toml",
            '"CEB304Message"',
            '"CEB303Message"',
            ("status.receipt.codes.120", "key accepted_for"),
        ),
        ("codes.toml", '["CEB900Message"]', '["CEB901Message"]', ("[status.format]", "key receipts")),
        (
            "codes.toml",
            '1 = { kind = "progress"',
            '1 = { kind = "fine"',
            ("[status.receipt.codes.1]", "key kind"),
        ),
        ("catalogue.toml", 'integer = ["msgSeqNo"]', 'integer = ["msgSeqno"]', ("[compare]", "key msgSeqno")),
        ("catalogue.toml", 'integer = ["msgSeqNo"]', 'integer = ["copNo"]', ("[compare]", "key copNo")),
        ("catalogue.toml", 'integer = ["msgSeqNo"]', 'number = ["msgSeqNo"]', ("[compare]", "number")),
        ("codes.toml", '["-301001",', '["301001",', ("[business.order]", "key rows")),
        ("codes.toml", '["0001",', '["1",', ("[dxp]", "key rows")),
        ("codes.toml", "first = 1000", "first = 2000", ("[dxp]", "key spans")),
        ("codes.toml", "[brackets.codes]", "[brackets.code]", ("[brackets]", "key code")),
        ("codes.toml", "[unknown]", "[unkown]", ("codes.toml", "unkown")),
        ("codes.toml", "[status.tax.unknown]", "[unused]", ("codes.toml", "unused")),
    ],
)
def test_wrong_table_is_an_error_that_names_file_table_and_key(
    rules_dir: Path, file: str, right: str, wrong: str, named: tuple[str, ...]
) -> None:
    table = rules_dir / "mappings" / file
    text = table.read_text(encoding="utf-8")
    assert right in text
    table.write_text(text.replace(right, wrong, 1), encoding="utf-8")

    with pytest.raises(RulesError) as caught:
        load_rules(rules_dir)

    assert str(table) in str(caught.value)
    for part in named:
        assert part in str(caught.value)


def test_group_of_its_own_without_meanings_for_the_rest_is_an_error(rules_dir: Path) -> None:
    table = rules_dir / "mappings" / "codes.toml"
    text = table.read_text(encoding="utf-8")
    start, end = text.index("[status.tax.unknown]"), text.index("[status.summary]")
    table.write_text(text[:start] + text[end:], encoding="utf-8")
    with pytest.raises(RulesError, match=r"status\.tax"):
        load_rules(rules_dir)


def test_missing_folder_is_an_error_that_says_how_to_fix_it(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match="rules_dir"):
        load_rules(tmp_path)


def test_rules_come_from_the_folder_named(rules_dir: Path) -> None:
    table = rules_dir / "mappings" / "catalogue.toml"
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace("DXPEDCCEB0000002", "DXPEDC0000000001"), encoding="utf-8")
    order = load_rules(rules_dir).catalogue.by_name("CEB311Message")
    assert order is not None
    assert order.receiver == "DXPEDC0000000001"


def test_rules_shipped_with_us_load_whole() -> None:
    rules = load_rules()
    assert len(rules.catalogue.types) == 42
    assert rules.codes.status("CEB622Message", "800").en == "released"
