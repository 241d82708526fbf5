"""Every word of the language that looks at one text: conditions, look-ups, numbers, times, what takes the place of nothing."""

from pathlib import Path

import pytest

from gateway.errors import Refused, RulesError
from gateway.mapping.functions import Timed
from tests.unit.mapping_tables import compiled, field, made, payments

HEADS = "单号,交易号,金额,备注,姓名"


def note(origin: str, cell: str, name: str = "", top: str = "", folder: Path | None = None) -> str | None:
    """What becomes of a cell of the column 备注 in the element note."""
    done = made(payments(top, note=origin), f'{HEADS}\nO-1,P-1,1,"{cell}",{name}\n', folder=folder)
    assert done.faults == ()
    (text,) = field(done, "note")
    return text


def fault(origin: str, cell: str, folder: Path | None = None) -> tuple[str, str]:
    done = made(payments(note=origin), f"{HEADS}\nO-1,P-1,1,{cell},\n", folder=folder)
    (one,) = done.faults
    assert one.source == "row 2, column 备注"
    assert one.message
    assert one.message_zh
    return one.rule, one.fix


@pytest.mark.parametrize("amount", ["13.890", "0.10", "007", "1.00000", "12", "-5.0"])
def test_number_keeps_its_digits(amount: str) -> None:
    assert field(made(payments(), f"单号,交易号,金额\nO-1,P-1,{amount}\n"), "amountPaid") == [amount]


@pytest.mark.parametrize(
    ("amount", "written"),
    [("39990", "399.90"), ("5", "0.05"), ("0", "0.00"), ("100", "1.00"), ("12.5", "0.125"), ("1e3", "10")],
)
def test_fen_move_the_point_of_every_amount(amount: str, written: str) -> None:
    text = payments('money = "fen"')
    assert field(made(text, f"单号,交易号,金额\nO-1,P-1,{amount}\n"), "amountPaid") == [written]


def test_scale_of_an_amounts_own_counts_before_that_of_all_and_constants_are_yuan() -> None:
    own = payments('money = "fen"', amountPaid='{ from = "金额", scale = 0 }')
    assert field(made(own, "单号,交易号,金额\nO-1,P-1,39.90\n"), "amountPaid") == ["39.90"]
    default = payments('money = "fen"', amountPaid='{ from = "金额", default = "1.50" }')
    assert field(made(default, "单号,交易号,金额\nO-1,P-1,\n"), "amountPaid") == ["1.50"]


def test_mapping_with_amounts_has_to_say_what_they_are_in() -> None:
    with pytest.raises(RulesError, match="amountPaid is an amount") as wrong:
        compiled(payments().replace('money = "yuan"', ""))
    assert wrong.value.where == "mine.toml, key money"
    assert 'money = "yuan"' in wrong.value.fix
    compiled(payments(amountPaid='{ constant = "1.00" }').replace('money = "yuan"', ""))


@pytest.mark.parametrize(
    ("origin", "cell", "text"),
    [
        ('"备注"', "  a b\t", "  a b\t"),
        ('{ from = "备注", trim = true }', "  a b\t", "a b"),
        ('"备注"', " \t\u3000", None),
        ('{ from = "备注", default = "-" }', "  ", "-"),
        ('{ from = "备注", else = "姓名" }', "", "赵"),
        ('{ from = "备注", else = { from = "时间", else = { constant = "x" } } }', "", "x"),
        ('{ from = "备注", else = { position = true } }', "", "1"),
        ('{ from = "备注", else = { given = "app_time", time = "YYYYMMDDhhmmss", to = "YYYY-MM-DD" } }', "", "2026-11-11"),
        ('{ join = ["姓名", { text = "#" }, "备注"] }', "7", "赵#7"),
        ('{ join = ["姓名", "备注"], with = "/" }', "", "赵"),
        ('{ join = ["时间", { text = "#" }, "备注"] }', "", None),
        ('{ from = "备注", grouped = true }', "1,234,567.50", "1234567.50"),
        ('{ from = "备注", grouped = true, scale = -2 }', "1,234", "12.34"),
        ('{ from = "备注", scale = 3 }', "1.25", "1250"),
        ('{ from = "备注", decimal = 2 }', "1.005", "1.01"),
        ('{ from = "备注", map = { "是" = "Y" } }', " 是", "Y"),
        ('{ from = "备注", when = { column = "姓名", is = ["赵", "钱"] } }', "x", "x"),
        ('{ from = "备注", when = { column = "姓名", is = "钱" }, default = "d" }', "x", None),
        ('{ from = "备注", when = { column = "姓名", not = "钱" } }', "x", "x"),
        ('{ from = "备注", when = { column = ["时间", "姓名"], present = true } }', "x", "x"),
        ('{ from = "备注", when = [{ column = "姓名", present = true }, { column = "备注", not = "x" }] }', "x", None),
        ('{ constant = "c", when = { column = "姓名", present = false } }', "x", None),
    ],
)  # fmt: skip
def test_word_does_what_the_page_says(origin: str, cell: str, text: str | None) -> None:
    assert note(origin, cell, name="赵") == text


def test_trim_of_all_texts_may_be_taken_back_for_one() -> None:
    assert note('"备注"', " a ", top="trim = true") == "a"
    assert note('{ from = "备注", trim = false }', " a ", top="trim = true") == " a "


@pytest.mark.parametrize(
    ("table", "cell", "code"),
    [
        ("unit", "千克", "035"), ("unit", "035", "035"), ("unit", " 千克 ", "035"), ("unit", "035-千克", "035"),
        ("currency", "USD", "502"), ("currency", "usd", "502"), ("currency", "人民币", "142"), ("currency", "142-人民币", "142"),
        ("country", "AUS", "601"), ("country", "澳大利亚", "601"), ("country", "Australia", "601"),
        ("transport_mode", "航空运输", "5"),
    ],
)  # fmt: skip
def test_name_becomes_its_code_and_a_code_stays(table: str, cell: str, code: str) -> None:
    assert note(f'{{ from = "备注", lookup = "{table}" }}', cell) == code


def test_code_becomes_its_name_and_names_may_be_added() -> None:
    assert note('{ from = "备注", lookup = { table = "unit", to = "name" } }', "035") == "千克"
    assert note('{ from = "备注", lookup = { table = "currency", to = "iso" } }', "美元") == "USD"
    assert note('{ from = "备注", lookup = { table = "currency", also = { RMB = "142" } } }', "rmb") == "142"


@pytest.mark.parametrize("cell", ["千克克", "142-美元", "999", "35"])
def test_what_is_not_in_the_table_is_refused_with_what_is_near(cell: str) -> None:
    table = "currency" if "-" in cell else "unit"
    rule, fix = fault(f'{{ from = "备注", lookup = "{table}" }}', cell)
    assert rule == "not_in_table"
    assert cell != "千克克" or "千克" in fix


def test_file_beside_the_mapping_is_looked_up_and_is_part_of_its_digest(tmp_path: Path) -> None:
    origin = '{ from = "备注", lookup = { file = "shops.csv", key = "shop", value = "code" } }'
    shops = tmp_path / "shops.csv"
    shops.write_text("shop,name,code\nA,甲,01\nB,乙,02\n", "utf-8")
    assert note(origin, "B", folder=tmp_path) == "02"
    assert fault(origin, "b", tmp_path)[0] == "not_in_table", "a key is no name: it is taken as written"
    mapping = compiled(payments(note=origin), tmp_path)
    assert mapping.files == {"shops.csv": shops.read_bytes()}
    shops.write_text("shop,name,code\nA,甲,01\nB,乙,03\n", "utf-8")
    assert compiled(payments(note=origin), tmp_path).sha256 != mapping.sha256
    assert compiled(payments(note=origin), tmp_path).text == mapping.text


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot read shops.csv"),
        ("shop,name\nA,甲\n", "no column code"),
        ("shop,code\nA,01\nA,02\n", "A stands twice"),
        ("shop,code\nA,\n", "an empty cell"),
        ("shop,code\nA,01,x\n", "more cells than heads"),
    ],
)
def test_file_that_cannot_be_looked_up_is_an_error_of_the_mapping(
    tmp_path: Path, content: str | None, told: str
) -> None:
    if content is not None:
        (tmp_path / "shops.csv").write_text(content, "utf-8")
    origin = '{ from = "备注", lookup = { file = "shops.csv", key = "shop", value = "code" } }'
    with pytest.raises(RulesError, match=told):
        compiled(payments(note=origin), tmp_path)


@pytest.mark.parametrize("cell", ['"1,23"', '"1,2345"', '"12,34.5"'])
def test_comma_that_groups_no_three_digits_is_refused(cell: str) -> None:
    assert fault('{ from = "备注", grouped = true }', cell)[0] == "not_a_number"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("20261111080000", "20261111080000"), ("20261111", "20261111000000"), ("2026-11-11 08:00:05", "20261111080005"),
        ("2026-11-11", "20261111000000"), ("2026/1/2 3:04", "20260102030400"), ("2026/01/02", "20260102000000"),
        ("2026年1月2日 13:04:05", "20260102130405"),
    ],
)  # fmt: skip
def test_time_as_it_stands_in_sheets_is_read(text: str, written: str) -> None:
    assert Timed(forms=("sheet",))(text) == written


def test_time_that_nobody_gives_is_one_fault_that_says_how_to() -> None:
    with pytest.raises(Refused) as refused:
        made(payments(), "单号,交易号,金额\nO-1,P-1,1\nO-2,P-2,1\n", app_time="")
    done = made(payments(), "单号,交易号,金额,时间\nO-1,P-1,1,\nO-2,P-2,1,2026-11-11\n", app_time="")
    assert [one.row for one in done.faults] == [2]
    for faults in (refused.value.faults, done.faults):
        (one,) = faults
        assert (one.rule, one.element) == ("not_given", "appTime")
        assert "app_time=" in one.fix
        assert "app_time=" in one.fix_zh


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        ('{ from = "备注", default = "x", else = "姓名" }', "default and else"),
        ('{ from = "备注", lookup = "known_firm" }', "no code table known_firm"),
        ('{ from = "备注", lookup = { table = "unit", to = "iso" } }', "unit has no column iso"),
        ('{ from = "备注", lookup = { table = "unit", file = "x.csv" } }', "a table, or a file"),
        ('{ from = "备注", lookup = { file = "../x.csv", key = "a", value = "b" } }', "beside the mapping"),
        ('{ from = "备注", when = { column = "姓名" } }', "exactly one of is, not and present"),
        ('{ from = "备注", when = { place = "姓名", is = "x" } }', "looks at a column"),
        ('{ from = "../备注#x" }', "no column that"),
        ('{ from = "../../备注" }', "goes up 2 items"),
        ('{ constant = "x", trim = true }', "trim goes with"),
        ('{ constant = "x", else = "姓名" }', "else goes with"),
        ('{ from = "备注", time = "YYYY-M-DD M" }', "no form of a time"),
        ('{ given = "clock" }', "Invalid enum value"),
        ('{ constant = "\\u0001" }', "XML cannot"),
    ],
)
def test_mapping_that_says_nothing_clear_is_refused(origin: str, told: str) -> None:
    with pytest.raises(RulesError, match=told):
        compiled(payments(note=origin))
