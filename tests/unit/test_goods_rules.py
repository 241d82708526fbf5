"""Orders and lists are compared with what their enterprise has registered, by their own day; others are left alone."""

from pathlib import Path

import pytest

from gateway.advice.adviser import Adviser
from gateway.advice.compiling import Judged, Scope
from gateway.advice.declared import DeclaredFields
from gateway.advice.functions import ValueKind
from gateway.advice.syntax import ExpressionError, parse
from gateway.goods.form import CSV, read_books, read_goods
from gateway.goods.register import OwnTables
from gateway.model import Advice
from gateway.rules.loading import Rules, load_rules
from tests.property.advice_reference import compiled
from tests.unit.mapping_examples import shipped

ROWS = (
    "itemNo,gcode,unit,unit1,unit2,country,barCode,itemRecordNo,from,until\n"
    "SKU-1,3924900000,007,035,011,110,6900000000011,LH1,2026-01-01,2026-12-31\n"
    "SPARSE,,,,,,,,,\n"
)
SWITCHES = "field,old,new,from\nemsNo,T1,T2,2026-06-01\nitemRecordNo,LH1,LH2,2026-06-01\n"
OWN = OwnTables(goods=read_goods(ROWS.encode(), CSV))
BOTH = OwnTables(goods=read_goods(ROWS.encode(), CSV), books=read_books(SWITCHES.encode(), CSV))
ORDER, LIST, EXPORT = "CEB311Message", "CEB621Message", "CEB603Message"
RIGHT = {
    "itemNo": "SKU-1", "gcode": "3924900000", "unit": "007", "unit1": "035", "unit2": "011", "country": "110",
    "barCode": "6900000000011", "itemRecordNo": "LH1",
}  # fmt: skip
IN_ORDERS = ("itemNo", "unit", "country", "barCode")


def advice(
    kind: str,
    item: dict[str, str],
    own: OwnTables | None = OWN,
    *,
    day: str = "20260511",
    rules: Rules | None = None,
    **head: str,
) -> list[Advice]:
    """Return what the rules on goods say of one item."""
    rules = rules or shipped()
    known = rules.catalogue.by_name(kind)
    assert known is not None
    declared = DeclaredFields(head={"appTime": f"{day}120000", **head}, items=[item])
    adviser = Adviser(rules.rulebook, rules.tables, rules.schemas)
    found = adviser.advise(known, [declared], "20260101000000", own=own)
    return [one for one in found if one.rule.startswith(("goods-", "own-"))]


def named(found: list[Advice]) -> list[str]:
    return [one.rule for one in found]


def right(kind: str) -> dict[str, str]:
    return {name: text for name, text in RIGHT.items() if kind != ORDER or name in IN_ORDERS}


@pytest.mark.parametrize("kind", [ORDER, LIST, EXPORT])
def test_what_is_as_registered_is_left_alone(kind: str) -> None:
    assert advice(kind, right(kind), BOTH) == []
    assert advice(kind, {**right(kind), "itemNo": "SPARSE"}) == []


@pytest.mark.parametrize(
    ("kind", "field", "rule"),
    [
        (ORDER, "unit", "goods-unit"),
        (ORDER, "country", "goods-country"),
        (ORDER, "barCode", "goods-bar-code"),
        (LIST, "gcode", "goods-gcode"),
        (LIST, "unit", "goods-unit"),
        (LIST, "unit1", "goods-unit1"),
        (LIST, "unit2", "goods-unit2"),
        (LIST, "country", "goods-country"),
        (LIST, "barCode", "goods-bar-code"),
        (LIST, "itemRecordNo", "goods-record-number"),
        (EXPORT, "gcode", "goods-gcode-export"),
        (EXPORT, "unit1", "goods-unit1"),
        (EXPORT, "unit2", "goods-unit2"),
        (EXPORT, "itemRecordNo", "goods-record-number"),
    ],
)
def test_field_that_is_not_as_registered_is_named_with_the_registered_value(
    kind: str, field: str, rule: str
) -> None:
    (one,) = advice(kind, {**right(kind), field: "999"})
    assert (one.rule, one.element, one.value) == (rule, field, "999")
    assert one.path.endswith(f"[1]/{field}")
    for text in (one.message, one.message_zh, one.fix, one.fix_zh):
        assert RIGHT[field] in text


def test_country_of_an_export_list_is_where_goods_go_and_is_not_compared() -> None:
    assert advice(EXPORT, {**RIGHT, "country": "502"}) == []


def test_simplified_export_list_is_compared_by_four_digits() -> None:
    short = {**RIGHT, "gcode": "3924000000"}
    assert advice(EXPORT, short, statisticsFlag="A") == []
    assert named(advice(EXPORT, short, statisticsFlag="B")) == ["goods-gcode-export"]
    assert named(advice(EXPORT, {**RIGHT, "gcode": "3925000000"}, statisticsFlag="A")) == [
        "goods-gcode-export"
    ]


def test_second_unit_that_is_left_out_is_missed() -> None:
    without = {name: text for name, text in RIGHT.items() if name != "unit2"}
    assert named(advice(LIST, without)) == ["goods-unit2"]


def test_item_that_is_not_registered_or_not_in_force_on_its_day_gets_a_hint() -> None:
    assert named(advice(LIST, {**RIGHT, "itemNo": "OTHER"})) == ["goods-unknown-item"]
    assert named(advice(LIST, RIGHT, day="20261231")) == []
    assert named(advice(LIST, RIGHT, day="20270101")) == ["goods-unknown-item"]
    assert advice(LIST, {"gcode": "9999999999"}) == [], "an item without a number"


def test_rules_on_goods_sleep_without_a_register() -> None:
    wrong = {**RIGHT, "gcode": "9999999999", "itemNo": "OTHER"}
    assert advice(LIST, wrong, None) == []
    assert advice(LIST, wrong, OwnTables(books=BOTH.books)) == []


@pytest.mark.parametrize(
    ("day", "book", "rules"),
    [
        ("20260531", "T1", []),
        ("20260531", "T2", ["goods-book-early"]),
        ("20260601", "T1", ["goods-book-replaced"]),
        ("20260601", "T2", []),
        ("20260601", "T9", []),
    ],
)
def test_switch_of_books_is_followed_by_the_declarations_own_day(
    day: str, book: str, rules: list[str]
) -> None:
    found = advice(LIST, {}, BOTH, day=day, emsNo=book)
    assert named(found) == rules
    for one in found:
        assert (one.element, one.value) == ("emsNo", book)
        assert ("T2" if book == "T1" else "T1") in one.fix
        assert "20260601" in one.message + one.message_zh


def test_switch_of_record_numbers_is_followed_too() -> None:
    assert named(advice(LIST, {"itemRecordNo": "LH1"}, BOTH, day="20260601")) == ["goods-record-replaced"]
    assert named(advice(EXPORT, {"itemRecordNo": "LH2"}, BOTH, day="20260531")) == ["goods-record-early"]


def test_operators_rule_may_look_over_all_items_of_a_declaration(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        "[own-all]\ntypes = [\"CEB621Message\"]\nholds = \"every(lookup('goods', itemNo, 'country') = '110')\"\n"
        'at = "orderNo"\nseverity = "hint"\nwho = "platform"\ngrade = "U"\nsource = "a test"\nzh = "有"\nen = "some"\n'
        'fix_zh = "查"\nfix_en = "look"\n',
        "utf-8",
    )
    rules = load_rules(advice_dir=tmp_path)
    assert named(advice(LIST, RIGHT, rules=rules)) == []
    moved = OwnTables(goods=read_goods(ROWS.replace(",110,", ",142,").encode(), CSV))
    assert "own-all" in named(advice(LIST, RIGHT, moved, rules=rules))
    assert named(advice(LIST, RIGHT, None, rules=rules)) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lookup('goods', itemNo, 'gcod') = 'x'", "no column gcod; gcode is meant"),
        ("lookup('good', itemNo, 'gcode') = 'x'", "no table good; goods is meant"),
        ("in_table('book', itemNo)", "no table book; books is meant"),
        ("lookup('goods', itemNo, gcode) = 'x'", "no table"),
    ],
)
def test_table_or_column_that_is_misspelt_is_told(text: str, said: str) -> None:
    scope = Scope(head={}, item={"itemNo": ValueKind.TEXT, "gcode": ValueKind.TEXT})
    judged = Judged(number=0, each_item=True, when=None, holds=parse(text))
    with pytest.raises(ExpressionError, match=said):
        compiled([judged], scope, {})
