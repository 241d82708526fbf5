"""`gateway mapping`, as somebody uses it who has a sheet and no mapping."""

import csv
import json
import re
import shlex
from pathlib import Path

import pytest
from openpyxl import load_workbook
from rich.cells import cell_len

from gateway.cli.tables import folded
from gateway.mapping.language import RowGroups, SheetColumn
from gateway.rules.loading import RULES
from tests.command_line import invoke, lines
from tests.unit.mapping_examples import example, mappings

TRANSLATIONS = RULES / "mappings" / "translations"
PAYMENTS = TRANSLATIONS / "sheet-411" / "two.csv"


def test_list_names_every_mapping_in_80_columns() -> None:
    told = invoke("mapping", "list")
    assert told.exit_code == 0
    assert max(map(cell_len, told.stdout.splitlines())) <= 80
    assert "sheet-411      CEB411Message  table  yuan" in told.stdout
    assert "json-411       CEB411Message  json   yuan" in told.stdout
    listed = lines(invoke("mapping", "list", "--json"))
    assert [one["mapping"] for one in listed] == list(mappings())
    assert all(one["about"] for one in listed)


def test_chinese_is_folded_by_its_width_and_no_line_begins_with_a_stop() -> None:
    text = "企业内部编号相同的各行为一单，表头各列逐行重复 / rows alike in 企业内部编号 are one declaration"
    for width in (20, 33, 76):
        told = folded(text, width)
        assert max(map(cell_len, told)) <= width + 1
        assert "".join(told).replace(" ", "") == text.replace(" ", "")
        assert not any(line.startswith(("，", "。")) for line in told)
    assert folded("", 20) == []


def test_mapping_is_shown_as_it_is_written(tmp_path: Path) -> None:
    shown = invoke("mapping", "show", "sheet-411")
    assert shown.stdout_bytes == (TRANSLATIONS / "sheet-411.toml").read_bytes()
    invoke("mapping", "show", "json-411", "-o", tmp_path / "mine.toml")
    assert invoke("mapping", "check", tmp_path / "mine.toml").exit_code == 0
    (line,) = lines(invoke("mapping", "show", "sheet-411", "--json"))
    assert line["sha256"] == mappings()["sheet-411"].sha256
    (column,) = [one for one in line["columns"] if one["name"] == "订单编号"]
    assert (column["required"], "订单号" in column["also"]) == (True, True)


def test_unknown_name_is_told_with_the_way_to_the_known_ones() -> None:
    told = invoke("mapping", "show", "nonesuch")
    assert (told.exit_code, "gateway mapping list" in told.stderr) == (2, True)


def test_check_tells_each_mistake_with_its_place(tmp_path: Path) -> None:
    text = (TRANSLATIONS / "sheet-411.toml").read_text("utf-8")
    (tmp_path / "good.toml").write_text(text, "utf-8")
    (tmp_path / "wrong.toml").write_text(
        text.replace('orderNo = "订单编号"', 'orderNo = "订单编码"'), "utf-8"
    )
    told = invoke("mapping", "check", "--mappings-dir", tmp_path)
    assert told.exit_code == 1
    assert "订单编码" in told.stderr
    assert f"{len(mappings()) + 1} mappings in order, 1 not" in told.stdout
    (line,) = lines(invoke("mapping", "check", tmp_path / "wrong.toml", "--json"))
    assert (line["valid"], "PaymentHead.orderNo" in line["where"]) == (False, True)
    assert invoke("mapping", "check", tmp_path / "good.toml").exit_code == 0


def test_examples_of_all_shipped_sheets_become_what_is_beside_them() -> None:
    told = lines(invoke("mapping", "test", "--json"))
    assert {one["mapping"] for one in told} == {one for one in mappings() if not one.startswith("json-")}
    assert {one["wrong"] for one in told} == {""}


def test_example_that_becomes_something_else_is_told_with_the_difference(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes((TRANSLATIONS / "sheet-411.toml").read_bytes())
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "first.csv").write_bytes(PAYMENTS.read_bytes())
    mine = tmp_path / "mine.toml"
    assert "there is no first.xml; --write writes it" in invoke("mapping", "test", mine).stdout
    assert invoke("mapping", "test", mine, "--write").exit_code == 0
    assert (
        invoke("mapping", "test", mine).stdout
        == "mine/first.csv: as expected\n1 examples as expected, 0 not\n"
    )

    (folder / "first.csv").write_text(PAYMENTS.read_text("utf-8").replace("140.92", "140.93"), "utf-8")

    told = invoke("mapping", "test", mine)
    assert (told.exit_code, "was expected" in told.stdout) == (1, True)
    (folder / "first.csv").write_text("订单编号\nO-1\n", "utf-8")
    assert "支付企业代码" in invoke("mapping", "test", mine).stdout
    empty = invoke("mapping", "test", "json-411")
    assert (empty.exit_code, "there are no examples" in empty.stderr) == (1, True)


def test_preview_shows_head_element_and_first_value_and_what_is_not_read(tmp_path: Path) -> None:
    source = tmp_path / "payments.csv"
    rows = list(csv.reader(PAYMENTS.read_text("utf-8").splitlines()))
    source.write_text(
        "\n".join(",".join([*row, "x"]) for row in [[*rows[0][:-1], rows[0][-1]], *rows[1:]]), "utf-8"
    )
    told = invoke("mapping", "explain", source, "-m", "sheet-411")
    assert told.exit_code == 0
    shown = {tuple(line.split()[:3]) for line in told.stdout.splitlines()}
    assert ("支付金额", "PaymentHead/amountPaid", "140.92") in shown
    assert ("币制", "PaymentHead/currency", "142") in shown
    assert ("(constant)", "BaseTransfer/dxpMode", "DXP") in shown
    assert ("支付企业代码", "BaseTransfer/copCode", "3333000003") in shown
    assert told.stdout.splitlines()[-1] == "no rule reads: x"
    *steps, last = lines(invoke("mapping", "explain", source, "-m", "sheet-411", "--json"))
    assert last["unread"] == ["x"]
    assert {
        "source": "支付金额",
        "element": "PaymentHead/amountPaid",
        "name_zh": "支付金额",
        "value": "140.92",
    }.items() <= next(one for one in steps if one["element"].endswith("amountPaid")).items()


def test_preview_of_json_names_the_places(tmp_path: Path) -> None:
    source = tmp_path / "payments.json"
    source.write_bytes(example("payments"))
    told = lines(invoke("mapping", "explain", source, "-m", "payments", "--json"))
    assert any(one.get("source") == "/payments/0/payer/name" for one in told)


def test_preview_of_a_source_that_is_not_in_order_says_what_is_wrong(tmp_path: Path) -> None:
    source = tmp_path / "payments.csv"
    source.write_text(
        PAYMENTS.read_text("utf-8").replace("支付金额", "金额").replace("人民币", "人民纸"), "utf-8"
    )
    told = invoke("mapping", "explain", source, "-m", "sheet-411")
    assert (told.exit_code, "支付金额" in told.stderr, told.stdout) == (1, True, "")
    (line,) = lines(invoke("mapping", "explain", source, "-m", "sheet-411", "--json"))
    assert [one["rule"] for one in line["faults"]] == ["missing_column"]
    source.write_text(PAYMENTS.read_text("utf-8").replace("人民币", "人民纸"), "utf-8")
    half = invoke("mapping", "explain", source, "-m", "sheet-411")
    assert (half.exit_code, "人民币" in half.stderr, "PaymentHead/amountPaid" in half.stdout) == (
        1,
        True,
        True,
    )
    odd = tmp_path / "payments.dbf"
    odd.write_bytes(b"x")
    assert invoke("mapping", "explain", odd, "-m", "sheet-411").exit_code == 2


def test_template_is_written_by_number_name_or_own_file(tmp_path: Path) -> None:
    out = tmp_path / "sheet.xlsx"
    for name in ("411", "CEB411Message", "sheet-411", TRANSLATIONS / "sheet-411.toml"):
        told = invoke("mapping", "template", name, "-o", out)
        assert (told.exit_code, "mapping sheet-411" in told.stderr) == (0, True)
        assert load_workbook(out).worksheets[0]["B1"].value == "报送类型"
    assert invoke("mapping", "template", "412", "-o", out).exit_code == 2
    assert "of which there is no sheet" in invoke("mapping", "template", "json-411", "-o", out).stderr


def test_draft_of_english_heads_tells_head_and_line_apart(tmp_path: Path) -> None:
    sample = TRANSLATIONS / "inventories" / "page.csv"
    (line,) = lines(invoke("mapping", "new", "--from", sample, "-t", "621", "--json"))
    assert (line["unmatched"], line["missing"]) == ([], [])
    assert line["matched"]["origin"] == "原产国（地区）"
    assert line["matched"]["from_country"] == "起运国（地区）"


@pytest.mark.parametrize("name", ["311", "621", "603"])
def test_draft_of_a_shipped_sheet_makes_the_same_declarations(name: str, tmp_path: Path) -> None:
    sample, mine = TRANSLATIONS / f"sheet-{name}" / "two.csv", tmp_path / f"sheet-{name}.toml"
    drafted = invoke("mapping", "new", "--from", sample, "-t", name, "--money", "yuan", "-o", mine)
    assert (drafted.exit_code, "nothing in the sample" in drafted.stderr) == (0, False)
    assert invoke("mapping", "check", mine).exit_code == 0
    made = invoke("translate", sample, "-m", mine)
    assert made.stdout_bytes == sample.with_suffix(".xml").read_bytes()


def test_draft_says_what_it_did_not_match(tmp_path: Path) -> None:
    sample, mine = tmp_path / "shop.csv", tmp_path / "mine.toml"
    sample.write_text("订单号,payer_name,支付流水号,会员等级\nO-1,赵样例,P-1,金\n", "utf-8")
    told = invoke("mapping", "new", "--from", sample, "-t", "411", "-o", mine)
    assert told.exit_code == 0
    assert "会员等级" in told.stderr
    assert "amountPaid" in told.stderr
    assert 'money = "yuan"' in told.stderr
    assert "会员等级" not in mine.read_text("utf-8")
    refused = invoke("mapping", "check", mine)
    assert refused.exit_code == 1, "what is missing has to be filled in"
    (line,) = lines(invoke("mapping", "new", "--from", sample, "-t", "411", "--json"))
    assert line["matched"] == {"订单号": "订单编号", "payer_name": "支付人姓名"}


def test_draft_of_json_finds_arrays_and_keys_in_english(tmp_path: Path) -> None:
    sample, mine = tmp_path / "orders.json", tmp_path / "mine.toml"
    sample.write_bytes(example("orders"))
    (line,) = lines(
        invoke("mapping", "new", "--from", sample, "-t", "CEB311Message", "--money", "yuan", "--json")
    )
    assert line["matched"]["/orders/*/lines/*/quantity"] == "Order/OrderList/qty"
    assert line["missing"] == []
    assert line["unmatched"] == ["/orders/*/delivery/province", "/orders/*/delivery/city"]
    invoke("mapping", "new", "--from", sample, "-t", "311", "--money", "yuan", "-o", mine)
    made = invoke("translate", sample, "-m", mine)
    assert made.exit_code == 0
    assert b"<ceb:orderNo>O-0001</ceb:orderNo>" in made.stdout_bytes
    sample.write_text(json.dumps([{"订单号": "O-1", "数量": "2"}]), "utf-8")
    (rows,) = lines(invoke("mapping", "new", "--from", sample, "-t", "311", "--json"))
    assert rows["matched"] == {"订单号": "订单编号", "数量": "数量"}
    sample.write_text("[", "utf-8")
    assert invoke("mapping", "new", "--from", sample, "-t", "311").exit_code == 2


def test_commands_of_the_page_do_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (TRANSLATIONS.parents[1] / "docs" / "sheets.md").read_text("utf-8")
    commands = re.findall(
        r"^gateway (.*)$",
        "".join(re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)),
        re.MULTILINE,
    )
    monkeypatch.chdir(tmp_path)
    block = re.search(r"^`payment.json`:\n\n```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert block is not None
    Path("payment.json").write_text(block[1], "utf-8")
    assert invoke("translate", "payment.json", "-m", "json-411", "-o", "payment.xml").exit_code == 0
    sample = TRANSLATIONS / "sheet-311" / "two.csv"
    Path("sample.csv").write_bytes(sample.read_bytes())
    Path("mine").mkdir()
    Path("mine/first.csv").write_bytes(sample.read_bytes())
    assert len(commands) == 9
    for command in commands:
        done = invoke(*shlex.split(command, comments=True))
        assert done.exit_code == 0, (command, done.stderr)
        if command.startswith("mapping explain orders.xlsx"):
            assert "no rule reads" not in done.stdout
        if command.startswith("mapping template"):
            book = load_workbook("orders.xlsx")
            book.worksheets[0]["A2"] = None
            book.save("orders.xlsx")
    assert json.loads(Path("payment.json").read_bytes()) == json.loads(block[1])


def test_page_tells_of_every_sheet_what_one_declaration_is() -> None:
    page = (TRANSLATIONS.parents[1] / "docs" / "sheets.md").read_text("utf-8")
    rows = re.findall(r"^\| `(sheet-\d+)` \| [^|]+ \| [^|]+ \| (.+) \|$", page, re.MULTILINE)
    assert {name for name, _ in rows} == {name for name in mappings() if name.startswith("sheet-")}
    for name, told in rows:
        each = mappings()[name].body.each
        assert isinstance(each, RowGroups)
        keys = dict.fromkeys(
            place.name for places in each.by for place in places if isinstance(place, SheetColumn)
        )
        assert re.findall(r"[一-鿿]+", told) == list(keys)
