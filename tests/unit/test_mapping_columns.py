"""The heads of a table are found and told apart; what is not there, or there twice, is said with what is near."""

import pytest

from gateway.errors import Refused, RulesError
from gateway.mapping.faults import SourceFault
from gateway.mapping.sources.table import Form
from tests.unit.mapping_tables import compiled, field, made, opened, payments, sheets

ROWS = "单号,交易号,金额\nO-1,P-1,13.890\n"


def refused(text: str, table: str) -> list[SourceFault]:
    with pytest.raises(Refused) as wrong:
        opened(text, table)
    assert wrong.value.problem == "untranslatable"
    faults = wrong.value.faults
    assert all(isinstance(one, SourceFault) and one.message_zh and one.fix_zh for one in faults)
    return [one for one in faults if isinstance(one, SourceFault)]


@pytest.mark.parametrize(
    "head",
    ["单号", "*单号", "单 号：", "订单号", "ORDER_NO", "Order_No *", "ｏｒｄｅｒ＿ｎｏ", " 单号\u3000"],
)
def test_head_is_compared_without_what_people_put_around_it(head: str) -> None:
    assert field(made(payments(), ROWS.replace("单号", head, 1)), "orderNo") == ["O-1"]


@pytest.mark.parametrize("head", ["单号（旧）", "单号1", "单"])
def test_head_that_says_something_else_is_another_column(head: str) -> None:
    (fault,) = refused(payments(), ROWS.replace("单号", head, 1))
    assert (fault.rule, fault.row, fault.head) == ("missing_column", 1, "单号")
    assert head in fault.fix
    assert head in fault.fix_zh


def test_all_required_columns_that_are_missing_are_named() -> None:
    assert [one.head for one in refused(payments(), "交易号,备注\nP-1,x\n")] == ["单号", "金额"]


def test_head_row_is_found_among_the_first_ten_and_what_stands_above_is_not_read() -> None:
    table = "支付单导入表,,\n填表说明：金额单位为元,,\n,,\n" + ROWS
    done = made(payments(), table)
    assert field(done, "orderNo") == ["O-1"]
    assert [step.source for step in done.steps() if step.target.endswith("orderNo")] == ["row 5, column 单号"]


def test_head_row_behind_the_tenth_is_not_looked_for() -> None:
    assert {one.rule for one in refused(payments(), "x,,\n" * 10 + ROWS)} == {"missing_column"}


def test_column_that_is_not_there_is_filled_in() -> None:
    done = made(payments(), ROWS)
    assert done.faults == ()
    assert field(done, "payerName") == ["赵样例"]
    assert field(done, "appTime") == ["20261111080000"]
    assert field(done, "note") == [None]


def test_two_heads_of_one_column_are_refused() -> None:
    (fault,) = refused(payments(), "单号,订单号,交易号,金额\nO-1,O-2,P-1,1\n")
    assert (fault.rule, fault.head, fault.column) == ("ambiguous_column", "订单号", 4)


def test_head_more_often_than_the_mapping_counts_is_refused() -> None:
    (fault,) = refused(payments(), "单号,交易号,金额,金额\nO-1,P-1,1,2\n")
    assert (fault.rule, fault.head) == ("duplicate_column", "金额")


def test_second_column_of_a_head_is_another_one_and_columns_that_nobody_reads_may_be_doubled() -> None:
    text = payments(note='"备注#2"', payerName='"备注"')
    done = made(text, "单号,交易号,金额,备注,x,备注,x\nO-1,P-1,1,first,,second,\n")
    assert (field(done, "payerName"), field(done, "note")) == (["first"], ["second"])


def test_first_of_several_columns_that_is_there_counts_even_if_it_is_empty() -> None:
    text = payments(note='{ from = ["姓名", "备注#2", "备注"] }', payerName='{ constant = "赵样例" }')
    assert field(made(text, "单号,交易号,金额,备注\nO-1,P-1,1,only\n"), "note") == ["only"]
    both = "单号,交易号,金额,备注,备注\nO-1,P-1,1,first,second\n"
    assert field(made(text, both), "note") == ["second"]
    assert field(made(text, "单号,交易号,金额,备注,姓名\nO-1,P-1,1,there,\n"), "note") == [None]


def test_column_that_is_not_listed_is_an_error_of_the_mapping() -> None:
    with pytest.raises(RulesError, match="no column that") as wrong:
        compiled(payments(note='"备柱"', columns={"备注": "{}"}))
    assert "[document.Payment.PaymentHead.note], key from" in wrong.value.where


@pytest.mark.parametrize("total", ["合计,,100", "总计：,,100", ",Total,100", "【小计】,,1", "Grand total,,3"])
def test_totals_are_passed_over_and_said(total: str) -> None:
    translation = opened(payments(each='["单号"]'), f"单号,交易号,金额\nO-1,P-1,1\n{total}\n")
    assert len(list(translation.bodies())) == 1
    assert len(list(translation.bodies())) == 1, "reading again counts nothing twice"
    assert [(one.rule, one.count) for one in translation.notes] == [("total_rows", 1)]


def test_declaration_that_only_looks_like_totals_is_none() -> None:
    table = "姓名,单号,交易号,金额\n合计,O-1,P-1,1\n"
    assert field(made(payments(each='["单号"]'), table), "payerName") == ["合计"]


@pytest.mark.parametrize(
    "table",
    ["标记,单号,交易号,金额\n示例,O-1,P-1,1\n,O-2,P-2,1\n", "单号,交易号,金额\n示例,P-1,1\nO-2,P-2,1\n"],
)
def test_example_of_a_template_is_refused_and_the_rest_goes_on(table: str) -> None:
    example, sound = opened(payments(), table).bodies()
    assert [(one.rule, one.row) for one in example.faults] == [("example_row", 2)]
    assert sound.faults == ()


@pytest.mark.parametrize("row", ["O-1,P-1,1,2", "O-1,P-1"])
def test_row_of_csv_with_more_or_fewer_cells_than_heads_is_refused(row: str) -> None:
    ragged, sound = opened(payments(), f"单号,交易号,金额\n{row}\nO-2,P-2,1\n").bodies()
    assert [(one.rule, one.row) for one in ragged.faults][:1] == [("ragged_row", 2)]
    assert sound.faults == ()


def test_sheet_is_the_first_that_has_the_heads_or_the_one_that_is_named() -> None:
    row = {"单号": "O-1", "交易号": "P-1", "金额": "1"}
    book = sheets(说明=[{"填写说明": "x"}], 支付单=[row], 旧=[row | {"单号": "O-2"}])
    (body,) = opened(payments(), book, Form.JSON).bodies()
    assert (body.place, body.rows[0].sheet) == ("sheet 支付单, row 2", "支付单")
    (body,) = opened(payments('sheet = "旧"'), book, Form.JSON).bodies()
    assert body.rows[0].sheet == "旧"
    with pytest.raises(Refused) as wrong:
        opened(payments('sheet = "新"'), book, Form.JSON)
    assert [one.rule for one in wrong.value.faults] == ["missing_sheet"]
    assert "支付单" in wrong.value.faults[0].fix


def test_columns_and_sheets_that_no_rule_reads_are_named() -> None:
    assert opened(payments(), "单号,交易号,金额,会员等级,\nO-1,P-1,1,x,\n").unconsumed == ["会员等级"]
