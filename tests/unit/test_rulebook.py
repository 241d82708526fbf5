"""Rules and tables as files: an operator's folder adds, sharpens and switches off; every mistake names its place."""

from pathlib import Path

import pytest

from gateway.errors import RulesError
from gateway.rules.code_tables import load_code_tables
from gateway.rules.loading import RULES
from gateway.rules.rulebook import Rulebook, load_rulebook, read_rulebook
from tests.shipped_rules import shipped

FILE = RULES / "mappings" / "rules.toml"
RULE = """
[own-rule]
types = ["CEB311Message"]
at = "acturalPaid"
holds = "acturalPaid > 0"
severity = "hint"
grade = "U"
source = "a test"
zh = "中"
en = "e"
fix_zh = "改"
fix_en = "f"
"""
TABLE = 'file = "{file}"\ntitle_zh = "表"\ntitle_en = "t"\nedition = "1"\ngrade = "U"\nsource = "a test"\n'


def book(folder: Path, **files: str) -> Rulebook:
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return load_rulebook(FILE, shipped().catalogue, folder)


def refused(folder: Path, text: str) -> RulesError:
    with pytest.raises(RulesError) as caught:
        book(folder, own=text)
    assert str(folder / "own.toml") in caught.value.where
    return caught.value


def test_a_folder_adds_a_rule(tmp_path: Path) -> None:
    rules = book(tmp_path, own=RULE).rules
    assert rules["own-rule"].types == ("CEB311Message",)
    assert len(rules) == len(shipped().rulebook.rules) + 1


def test_a_folder_sharpens_one_key_and_leaves_the_others(tmp_path: Path) -> None:
    rule = book(tmp_path, own='[id-check]\nseverity = "hint"\n').rules["id-check"]
    before = shipped().rulebook.rules["id-check"]
    assert (rule.severity, before.severity) == ("hint", "error")
    assert (rule.holds, rule.zh, rule.at) == (before.holds, before.zh, before.at)


def test_a_folder_switches_a_rule_off(tmp_path: Path) -> None:
    found = book(tmp_path, own="[id-check]\noff = true\n")
    assert "id-check" not in found.rules
    assert found.off == {"id-check"}


def test_later_files_win_over_earlier_ones(tmp_path: Path) -> None:
    found = book(tmp_path, a="[id-check]\noff = true\n", b="[id-check]\noff = false\n")
    assert "id-check" in found.rules


def test_a_family_stands_for_all_its_types(tmp_path: Path) -> None:
    rule = book(tmp_path, own=RULE.replace('"CEB311Message"', '"import", "CEB303Message"')).rules["own-rule"]
    assert len(rule.types) == 9
    assert rule.named == {"CEB303Message"}


@pytest.mark.parametrize(
    ("since", "until", "inside", "outside"),
    [
        (
            "2026-01-01",
            "2026-12-31",
            ("20260101000000", "20261231235959"),
            ("20251231235959", "20270101000000"),
        ),
        ("2024-09-04T12:00:00", "", ("20240904120000",), ("20240904115959",)),
        ("2024-09-04T04:00:00Z", "", ("20240904120000",), ("20240904115959",)),
        ("", "2024-12-14", ("20241214235959",), ("20241215000000",)),
    ],
)
def test_a_rule_is_in_force_between_its_days(
    tmp_path: Path, since: str, until: str, inside: tuple[str, ...], outside: tuple[str, ...]
) -> None:
    edges = (f"from = {since}\n" if since else "") + (f"until = {until}\n" if until else "")
    rule = book(tmp_path, own=RULE + edges).rules["own-rule"]
    assert all(rule.in_force(moment) for moment in inside)
    assert not any(rule.in_force(moment) for moment in outside)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (RULE.replace("CEB311Message", "CEB312Message"), "CEB312Message is no message"),
        (RULE.replace('severity = "hint"', 'severity = "fatal"'), "fatal"),
        (RULE.replace('grade = "U"', 'grade = "X"'), "X"),
        (RULE.replace("[own-rule]", "[Own_Rule]"), "lower-case words"),
        (RULE.replace('at = "acturalPaid"', "at = []"), "names no field"),
        (RULE.replace('zh = "中"', 'zh = ""'), "1 to 600"),
        (RULE + "surprise = 1\n", "surprise"),
        (RULE + 'from = "2026-01-01"\n', "without quotes"),
        (RULE + "from = 2026-01-02\nuntil = 2026-01-01\n", "ends before it begins"),
        ("[own-rule]\n", "missing required field"),
        ("not toml", "not a TOML table"),
    ],
)
def test_a_mistake_names_file_rule_and_reason(tmp_path: Path, text: str, what: str) -> None:
    assert what in refused(tmp_path, text).what


def test_all_mistakes_are_found_at_once(tmp_path: Path) -> None:
    text = (
        RULE + RULE.replace("own-rule", "second-rule").replace("hint", "fatal") + "[third-rule]\n[Fourth]\n"
    )
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    rulebook, mistakes = read_rulebook(FILE, shipped().catalogue, tmp_path)
    assert "own-rule" in rulebook.rules
    assert [one.where.split("[")[1].split("]")[0] for one in mistakes] == [
        "Fourth",
        "second-rule",
        "third-rule",
    ]


def test_a_table_of_the_operator_replaces_ours_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "tables.toml").write_text("[currency]\n" + TABLE.format(file="c.csv"), encoding="utf-8")
    (tmp_path / "c.csv").write_text("\ufeffcode,zh\n142,人民币\n", encoding="utf-8")
    tables = load_code_tables(tmp_path, shipped().tables)
    assert dict(tables["currency"].rows) == {"142": ("人民币",)}
    assert tables["country"] is shipped().tables["country"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("code,zh\n1,a\n1,b\n", "twice"),
        ("code,zh\n1\n", "2 cells"),
        ("code,zh\n,a\n", "2 cells"),
        ("", "empty"),
        (f"code,zh\n1,{'x' * 1001}\n", "1000 characters"),
        ('code,zh\n1,"a\n', "not CSV"),
    ],
)
def test_a_table_with_a_mistake_is_refused_with_its_line(tmp_path: Path, content: str, what: str) -> None:
    (tmp_path / "tables.toml").write_text("[own]\n" + TABLE.format(file="own.csv"), encoding="utf-8")
    (tmp_path / "own.csv").write_text(content, encoding="utf-8")
    with pytest.raises(RulesError) as caught:
        load_code_tables(tmp_path)
    assert what in caught.value.what
    assert "own.csv" in caught.value.where


def test_a_table_stands_beside_its_manifest(tmp_path: Path) -> None:
    (tmp_path / "tables.toml").write_text("[own]\n" + TABLE.format(file="../own.csv"), encoding="utf-8")
    with pytest.raises(RulesError, match=r"beside tables\.toml"):
        load_code_tables(tmp_path)


def test_shipped_tables_hold_what_their_page_says() -> None:
    rows = {name: len(table.rows) for name, table in shipped().tables.items()}
    assert rows["country"] == 243
    assert rows["currency"] == 26
    assert rows["unit"] == 123
    assert rows["customs_district"] == 1085
    assert rows["transport_mode"] == 18
    tables = shipped().tables
    assert {"260", "357", "358", "359"} <= tables["country"].rows.keys()
    assert not {"100", "200", "300", "400", "500", "600"} & tables["country"].rows.keys()
    assert set(tables["country_iso"].column("code").values()) <= tables["country"].rows.keys()
    assert set(tables["currency_iso"].column("code").values()) <= tables["currency"].rows.keys()
