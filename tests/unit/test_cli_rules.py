"""`gateway rules`: what stands in force, what is wrong, what a rule means, what it says of a file."""

import json
import random
from pathlib import Path

from gateway.xml.envelope import wrap
from tests.advice_documents import document, sound
from tests.command_line import invoke, lines
from tests.shipped_rules import shipped
from tests.unit.test_cli_validate import ENVELOPE
from tests.unit.test_rulebook import RULE, TABLE

ORDER = shipped().catalogue.types["CEB311Message"]


def order_file(folder: Path, **head: str) -> Path:
    one = sound(ORDER, random.Random(1), items=2)
    one.head.update(head)
    file = folder / "order.xml"
    file.write_bytes(document(ORDER, [one]))
    return file


def own(folder: Path, text: str) -> Path:
    (folder / "own").mkdir()
    (folder / "own" / "own.toml").write_text(text, encoding="utf-8")
    return folder / "own"


def test_list_tells_every_rule_in_eighty_columns(tmp_path: Path) -> None:
    folder = own(tmp_path, "[id-check]\noff = true\n" + RULE + "from = 2026-01-01\n")
    result = invoke("rules", "list", "--folder", folder)
    assert result.exit_code == 0
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert "id-check                   off" in result.stdout
    assert "own-rule                   hint     U  311" in result.stdout
    assert "2026-01-01 00:00 to …" in result.stdout
    assert "asleep: no table hs_units" in result.stdout


def test_list_as_json_is_one_rule_a_line() -> None:
    told = {one["rule"]: one for one in lines(invoke("rules", "list", "--json"))}
    assert told.keys() == shipped().rulebook.rules.keys()
    assert told["hs-unit-first"]["state"] == "asleep"
    assert told["hs-unit-first"]["missing_tables"] == ["hs_units"]
    assert told["id-check"]["at"] == ["buyerIdNumber", "payerIdNumber"]


def test_check_finds_shipped_rules_in_order() -> None:
    result = invoke("rules", "check")
    assert result.exit_code == 0
    assert (
        result.stdout
        == f"{len(shipped().rulebook.rules)} rules, 0 switched off, 4 asleep for want of a table\n"
    )


def test_check_says_all_mistakes_at_once(tmp_path: Path) -> None:
    text = RULE.replace("> 0", "> ") + RULE.replace("own-rule", "second-rule").replace(
        "acturalPaid > 0", "acturalPayd > 0"
    )
    folder = own(tmp_path, text + RULE.replace("own-rule", "third-rule").replace("hint", "fatal"))
    (folder / "tables.toml").write_text("[own]\n" + TABLE.format(file="missing.csv"), encoding="utf-8")
    result = invoke("rules", "check", "--json", "--folder", folder)
    (told,) = lines(result)
    assert result.exit_code == 1
    places = [one["where"].removeprefix(f"{folder}/") for one in told["mistakes"]]
    assert places == [
        "missing.csv",
        "own.toml, [third-rule], key severity",
        "own.toml, [own-rule], key holds",
        "own.toml, [second-rule], key holds",
    ]
    assert "column 14" in told["mistakes"][2]["what"]
    plain = invoke("rules", "check", "--folder", folder)
    assert plain.exit_code == 1
    assert plain.stderr.count("error: ") == 4


def test_explain_tells_condition_and_example() -> None:
    result = invoke("rules", "explain", "order-paid-sum")
    assert result.exit_code == 0
    for part in (
        "order-paid-sum  (error, grade O)",
        "acturalPaid differs from goodsValue plus freight plus taxTotal less discount by 0.01 at most",
        "acturalPaid = 1.23",
        "修改方法：核对各项金额",
    ):
        assert part in result.stdout


def test_explain_as_json_has_both_languages() -> None:
    (told,) = lines(invoke("rules", "explain", "--json", "gnum-twice"))
    assert told["holds_words"] == "no two items have the same gnum"
    assert told["message"]
    assert told["message_zh"]


def test_explain_knows_no_other_rule(tmp_path: Path) -> None:
    assert invoke("rules", "explain", "nothing").exit_code == 1
    folder = own(tmp_path, "[id-check]\noff = true\n")
    result = invoke("rules", "explain", "id-check", "--folder", folder)
    assert result.exit_code == 1
    assert "switched off" in result.stderr


def test_test_finds_nothing_in_a_sound_file(tmp_path: Path) -> None:
    result = invoke("rules", "test", "--on", "2026-06-02", order_file(tmp_path))
    assert result.exit_code == 0
    assert result.stdout.endswith("CEB311Message, no advice\n")


def test_test_prints_advice_and_fails_for_an_error(tmp_path: Path) -> None:
    file = order_file(tmp_path, acturalPaid="1.00")
    result = invoke("rules", "test", "--on", "2026-06-02", file)
    assert result.exit_code == 1
    assert "[order-paid-sum]" in result.stdout
    (told,) = lines(invoke("rules", "test", "--json", "--on", "2026-06-02", file))
    (advice,) = told["advice"]
    assert (advice["rule"], advice["severity"], advice["who"], advice["line"]) == (
        "order-paid-sum",
        "error",
        "platform",
        2,
    )


def test_test_passes_with_a_mere_hint(tmp_path: Path) -> None:
    result = invoke("rules", "test", "--on", "2026-06-02", order_file(tmp_path, consigneeTelephone="12345"))
    assert result.exit_code == 0
    assert "hint  line 2" in result.stdout


def test_test_judges_by_the_day_of_receipt(tmp_path: Path) -> None:
    result = invoke("rules", "test", "--json", "--on", "2026-05-01", order_file(tmp_path))
    assert [one["rule"] for one in json.loads(result.stdout)["advice"]] == ["time-future"]


def test_test_looks_into_an_envelope(tmp_path: Path) -> None:
    file = order_file(tmp_path, acturalPaid="1.00")
    file.write_bytes(wrap(file.read_bytes(), ENVELOPE))
    (told,) = lines(invoke("rules", "test", "--json", "--on", "2026-06-02", file))
    assert [one["rule"] for one in told["advice"]] == ["order-paid-sum"]


def test_test_says_that_a_file_is_not_valid(tmp_path: Path) -> None:
    file = order_file(tmp_path)
    file.write_bytes(file.read_bytes().replace(b"<ceb:goodsValue>", b"<ceb:goodsValue>x"))
    result = invoke("rules", "test", file)
    assert result.exit_code == 1
    assert "gateway validate" in result.stdout


def test_test_refuses_a_folder_with_mistakes(tmp_path: Path) -> None:
    folder = own(tmp_path, RULE.replace("> 0", "> "))
    assert invoke("rules", "test", "--folder", folder, order_file(tmp_path)).exit_code == 2
