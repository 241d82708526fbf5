"""A source is translated declaration by declaration: grouped, joined, put together to messages, told of in its own places."""

import io
import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import openpyxl
import pytest
from lxml import etree

from gateway.cli.document_check import check_document
from gateway.errors import Refused, RulesError
from gateway.mapping.sources.table import Form
from gateway.mapping.translation import Body, Portion, RowSpan, Source, Translation, open_translation
from gateway.rules.schemas import View
from tests.unit.mapping_examples import example, mappings, shipped
from tests.unit.mapping_tables import compiled, field, opened, payments, sheets

HEADS = "单号,交易号,金额,备注\n"
ORDERS = """
message = "CEB311Message"
source = "table"
money = "yuan"
[columns]
"单号" = { required = true, also = ["订单编号"] }
"买家" = { required = true }
"编码" = {}
"平台" = {}
"品名" = {}
"数量" = {}
"单价" = {}
"总价" = {}
[each]
Order = ["单号"]
"Order/OrderList" = EACH
[document]
"@guid" = { guid = [] }
"@version" = { constant = "1.0" }
[document.Order.OrderHead]
guid = { guid = [] }
appType = { constant = "1" }
appTime = { given = "app_time" }
appStatus = { constant = "2" }
orderType = { constant = "I" }
orderNo = "单号"
ebpCode = { from = "平台", default = "4400000001" }
ebpName = { constant = "示例平台" }
ebcCode = { constant = "4400000003" }
ebcName = { constant = "示例企业" }
goodsValue = { constant = "1" }
freight = { constant = "0" }
discount = { constant = "0" }
taxTotal = { constant = "0" }
acturalPaid = { constant = "1" }
currency = { constant = "142" }
buyerRegNo = "买家"
buyerName = "买家"
buyerTelephone = { constant = "13000000001" }
buyerIdType = { constant = "1" }
buyerIdNumber = { constant = "990101197001010001" }
consignee = "买家"
consigneeTelephone = { constant = "13000000001" }
consigneeAddress = { constant = "示例省样例路1号" }
[document.Order.OrderList]
when = WHEN
gnum = { position = true }
itemName = "品名"
gmodel = { join = [{ text = "单 " }, "UPsingle"] }
unit = { constant = "035" }
qty = "数量"
price = "单价"
totalPrice = "总价"
currency = { constant = "142" }
country = { constant = "601" }
[document.BaseTransfer]
copCode = { constant = "4400000001" }
copName = { constant = "示例平台" }
dxpMode = { constant = "DXP" }
dxpId = "SENDER"
"""
ONE_SHEET = "单号,买家,品名,数量,单价,总价,编码\n"


def orders(each: str = "[]", when: str = '{ column = "品名", present = true }', up: str = "") -> str:
    text = ORDERS.replace("EACH", each).replace("WHEN", when).replace("UPsingle", f"{up}单号")
    return text.replace('dxpId = "SENDER"', 'dxpId = { from = "编码", default = "DXPENT0000000001" }')


def many(count: int, bad: Sequence[int] = ()) -> str:
    rows = (f"O-{n},P-{n},{'x' if n in bad else f'{n}.10'},\n" for n in range(count))
    return HEADS + "".join(rows)


def ordinals(bodies: Sequence[Body]) -> list[int]:
    return [one.ordinal for one in bodies]


def is_valid(document: bytes) -> bool:
    return check_document(document, shipped(), View.DECLARED).faults == ()


def numbers(document: bytes, name: str) -> list[str]:
    root = etree.fromstring(document)
    return [str(one.text) for one in root.iter(f"{{http://www.chinaport.gov.cn/ceb}}{name}")]


def test_portions_hold_what_a_message_may_have_and_name_what_is_refused() -> None:
    translation = opened(payments(), many(230, bad=[3, 150]))
    portions = list(translation.portions())
    assert [(one.start, one.end, len(one.bodies)) for one in portions] == [
        (0, 101, 100), (101, 202, 100), (202, 230, 28),
    ]  # fmt: skip
    assert [ordinals(one.refused) for one in portions] == [[3], [150], []]
    (fault,) = portions[0].refused[0].faults
    assert (fault.rule, fault.row, fault.head, fault.value) == ("not_a_number", 5, "金额", "x")
    made = [translation.message(one.bodies) for one in portions]
    assert all(one.faults == () and is_valid(one.document) for one in made)
    assert [number for one in made for number in numbers(one.document, "orderNo")] == [
        f"O-{n}" for n in range(230) if n not in (3, 150)
    ]
    assert len({numbers(one.document, "guid")[0] for one in made}) == 3


@pytest.mark.parametrize("start", [0, 1, 99, 100, 229, 230])
def test_bodies_from_one_on_are_those_of_all(start: int) -> None:
    translation = opened(payments(), many(230, bad=[3]))
    every = list(translation.bodies())
    assert list(translation.bodies(start)) == every[start:]
    assert [one.ordinal for one in every] == list(range(230))


def test_going_on_behind_a_portion_gives_the_messages_that_were_left() -> None:
    translation = opened(payments(), many(50, bad=range(7, 20)))
    portions = list(translation.portions(most=10))
    assert [one.start for one in portions] == [0, *(one.end for one in portions)][:-1]
    for done, _ in pairwise(portions):
        rest = list(translation.portions(done.end, most=10))
        assert [_documents(translation, one) for one in rest] == [
            _documents(translation, one) for one in portions if one.start >= done.end
        ]


def _documents(translation: Translation, portion: Portion) -> bytes:
    return translation.message(portion.bodies).document


def test_refused_ones_without_end_do_not_pile_up() -> None:
    translation = opened(payments(), many(1000, bad=range(1000)))
    assert {len(one.refused) for one in translation.portions()} == {100}


def test_rows_of_a_key_are_brought_together_wherever_they_stand() -> None:
    rows = "A,赵,a1,1,1,1,\nB,钱,b1,1,1,1,\nA,赵,a2,1,1,1,\n"
    translation = opened(orders(), ONE_SHEET + rows)
    first, second = translation.bodies()
    assert first.rows == (RowSpan("", 2, 2), RowSpan("", 4, 4))
    assert second.rows == (RowSpan("", 3, 3),)
    document = translation.message([first, second]).document
    assert numbers(document, "itemName") == ["a1", "a2", "b1"]
    assert numbers(document, "gnum") == ["1", "2", "1"]
    assert is_valid(document)


def test_rows_of_a_declaration_that_differ_in_its_head_name_both_rows_and_hide_the_person() -> None:
    (body,) = opened(orders(), f"{ONE_SHEET}A,赵样例,a1,1,1,1,\nA,钱样例,a2,1,1,1,\n").bodies()
    found = {(one.rule, one.row, one.head, one.element) for one in body.faults}
    assert found == {("rows_disagree", 3, "买家", name) for name in ("buyerRegNo", "buyerName", "consignee")}
    assert all("row 2" in one.message and "第2行" in one.message_zh for one in body.faults)
    assert "钱样例" not in json.dumps([str(one) for one in body.faults], ensure_ascii=False)


def test_rows_that_are_no_lines_are_passed_over_by_a_condition() -> None:
    translation = opened(orders(), f"{ONE_SHEET}A,赵,a1,1,1,1,\nA,赵,,,,,\n")
    (body,) = translation.bodies()
    assert numbers(translation.message([body]).document, "itemName") == ["a1"]


def test_rows_that_are_not_of_the_mapping_are_passed_over_and_said() -> None:
    text = payments('when = { column = "备注", not = ["退款", "作废"] }')
    translation = opened(text, HEADS + "O-1,P-1,1,\nO-2,P-2,1,退款\nO-3,P-3,1,x\n")
    assert [one.place for one in translation.bodies()] == ["row 2", "row 4"]
    assert [(one.rule, one.count) for one in translation.notes] == [("unwanted_rows", 1)]


BOOK = {
    "订单": [{"单号": "A", "买家": "赵"}, {"单号": "B", "买家": "钱"}],
    "商品": [
        {"单号": "B", "品名": "b1", "数量": "1", "单价": "1", "总价": "1"},
        {"单号": "A", "品名": "a1", "数量": "1", "单价": "1", "总价": "1"},
        {"单号": "B", "品名": "b2", "数量": "2", "单价": "1", "总价": "2"},
    ],
}
JOINED = '{ sheet = "商品", key = ["单号"] }'


def test_rows_of_another_sheet_are_joined_by_their_key() -> None:
    translation = opened(orders(JOINED, up="../"), sheets(**BOOK), Form.JSON)
    first, second = translation.bodies()
    assert first.faults == second.faults == ()
    assert second.rows == (RowSpan("订单", 3, 3), RowSpan("商品", 2, 2), RowSpan("商品", 4, 4))
    made = translation.message([first, second])
    assert numbers(made.document, "itemName") == ["a1", "b1", "b2"]
    assert numbers(made.document, "gmodel") == ["单 A", "单 B", "单 B"]
    assert is_valid(made.document)
    places = [one.source for one in made.steps() if one.target.endswith(("qty", "gmodel"))]
    assert places[:2] == ["sheet 订单, row 2, column 单号", "sheet 商品, row 3, column 数量"]


def test_sheets_of_a_workbook_are_joined_as_those_of_json() -> None:
    book = openpyxl.Workbook(write_only=True)
    for name, rows in BOOK.items():
        sheet = book.create_sheet(name)
        for cells in (list(rows[0]), *(list(row.values()) for row in rows)):
            sheet.append(cells)
    out = io.BytesIO()
    book.save(out)
    text = orders(JOINED, up="../")
    made = [
        opened(text, content, form).whole()
        for content, form in ((out.getvalue(), Form.XLSX), (sheets(**BOOK), Form.JSON))
    ]
    assert [one.faults for one in made] == [(), ()]
    assert made[0].document == made[1].document


def test_joined_rows_may_be_grouped_further() -> None:
    each = '{ sheet = "商品", key = ["单号"], by = ["品名"] }'
    book = BOOK | {"商品": [BOOK["商品"][1], BOOK["商品"][1]]}
    translation = opened(orders(each, up="../"), sheets(**book), Form.JSON)
    first, _ = translation.bodies()
    assert numbers(translation.message([first]).document, "itemName") == ["a1"]


def test_row_of_another_sheet_that_belongs_to_none_is_refused() -> None:
    book = BOOK | {"商品": [*BOOK["商品"], {"单号": "C", "品名": "c1"}]}
    translation = opened(orders(JOINED, up="../"), sheets(**book), Form.JSON)
    *sound, lost = translation.bodies()
    assert [one.faults for one in sound] == [(), ()]
    assert [(one.rule, one.sheet, one.row) for one in lost.faults] == [("unmatched_row", "商品", 5)]
    assert list(translation.bodies(2)) == [lost]
    (portion,) = translation.portions()
    assert (ordinals(portion.bodies), ordinals(portion.refused)) == ([0, 1], [2])


def test_declarations_themselves_are_not_joined() -> None:
    text = orders().replace('Order = ["单号"]', f"Order = {JOINED}")
    with pytest.raises(RulesError, match="come from the first sheet") as wrong:
        compiled(text)
    assert 'each."Order"' in wrong.value.where


def test_sheet_or_key_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refused) as wrong:
        opened(orders(JOINED, up="../"), sheets(订单=BOOK["订单"]), Form.JSON)
    assert [one.rule for one in wrong.value.faults] == ["missing_sheet"]
    with pytest.raises(Refused) as wrong:
        opened(orders('["编码"]'), ONE_SHEET.replace(",编码", "") + "A,赵,a1,1,1,1\n")
    assert [(one.rule, one.value) for one in wrong.value.faults] == [("missing_column", "编码")]


def test_declarations_beside_other_texts_go_into_other_messages() -> None:
    rows = "A,赵,a,1,1,1,DXPENT0000000001\nB,赵,b,1,1,1,DXPENT0000000001\nC,赵,c,1,1,1,DXPENT0000000002\n"
    translation = opened(orders(), ONE_SHEET + rows)
    assert [ordinals(one.bodies) for one in translation.portions()] == [[0, 1], [2]]
    (fault,) = translation.whole().faults
    assert (fault.rule, fault.row, fault.element) == ("rows_disagree", 4, "dxpId")


def test_each_line_of_ndjson_is_a_document_of_the_mapping() -> None:
    document = json.loads(example("payments"))
    lines = [document | {"payments": [document["payments"][0] | {"transaction": f"P-{n}"}]} for n in range(3)]
    lines[2] |= {"sender": document["sender"] | {"dxp_id": "DXPENT0000000002"}}
    lines[1]["payments"][0]["paid_at"] = "gestern"
    content = "\n".join(json.dumps(one) for one in lines).encode()
    translation = open_translation(mappings()["payments"], Source(content=content, form=Form.NDJSON))
    bodies = list(translation.bodies())
    assert [one.place for one in bodies] == [f"line {n}, /payments/0" for n in (1, 2, 3)]
    assert [one.line for one in bodies] == [1, 2, 3]
    assert [(one.rule, one.source) for one in bodies[1].faults] == [
        ("not_a_time", "line 2, /payments/0/paid_at")
    ]
    assert [ordinals(one.bodies) for one in translation.portions()] == [[0], [2]]
    assert [one.rule for one in translation.message([bodies[0], bodies[2]]).faults] == ["documents_disagree"]


def test_line_that_is_no_document_ends_the_source_and_what_came_before_is_sound() -> None:
    line = json.dumps(json.loads(example("payments")))
    translation = open_translation(
        mappings()["payments"], Source(content=f"{line}\n{{".encode(), form=Form.NDJSON)
    )
    found: list[Body] = []
    with pytest.raises(Refused) as wrong:
        found.extend(translation.bodies())
    assert [one.faults for one in found] == [()]
    assert wrong.value.faults[0].line == 2


def test_items_repeat_on_several_levels_of_a_tree() -> None:
    text = (
        payments()
        .replace('source = "table"', 'source = "json"')
        .replace("Payment = []", 'Payment = "/shops"')
    )
    text = text[: text.index("[columns]")] + text[text.index("[each]") :]
    for name, place in {
        "时间": "at",
        "交易号": "id",
        "单号": "../no",
        "证件": "x",
        "姓名": "x",
        "金额": "sum",
        "备注": "n",
    }.items():
        text = text.replace(f'"{name}"', f'"{place}"')
    with pytest.raises(Exception, match="goes up") as wrong:
        compiled(text.replace('"../no"', '"../../no"'))
    assert "orderNo" in str(wrong.value)
    content = json.dumps({"no": "O-1", "shops": [{"id": "P-1", "sum": 1.50}, {"id": "P-2", "sum": "2"}]})
    translation = open_translation(
        compiled(text), Source(content=content.encode(), form=Form.JSON, app_time="20261111080000")
    )
    made = translation.whole()
    assert made.faults == ()
    assert field(made, "orderNo") == ["O-1", "O-1"]
    assert field(made, "amountPaid") == ["1.5", "2"]


def test_paths_that_no_rule_reads_are_named_once() -> None:
    document = json.loads(example("orders"))
    document["orders"][0] |= {"vip": True, "tags": ["a", "b"], "nothing": None}
    document["orders"][0]["lines"][0]["colour"] = "red"
    source = Source(content=json.dumps(document).encode(), form=Form.JSON)
    translation = open_translation(mappings()["orders"], source)
    assert sorted(translation.unconsumed) == ["/orders/*/lines/*/colour", "/orders/*/tags/*", "/orders/*/vip"]


def test_fault_of_a_message_is_told_of_its_body() -> None:
    translation = opened(payments(), many(3).replace("O-1,", f"{'O' * 70},"))
    bodies = list(translation.bodies())
    made = translation.message(bodies)
    (fault,) = made.located(check_document(made.document, shipped(), View.DECLARED).faults)
    assert (fault.rule, fault.row, fault.head) == ("too_long", 3, "单号")
    assert translation.body_of(fault, bodies) is bodies[1]


def test_form_that_the_mapping_does_not_read_is_refused() -> None:
    with pytest.raises(Refused) as wrong:
        open_translation(mappings()["orders"], Source(content=b"", form=Form.CSV))
    assert wrong.value.problem == "unsupported-media-type"


def test_same_values_have_the_same_digest_and_the_same_document_in_every_form(tmp_path: Path) -> None:
    rows = [
        {"单号": "O-1", "交易号": "P-1", "金额": "13.890", "备注": "一"},
        {"单号": "O-2", "交易号": "P-2", "金额": "2", "备注": ""},
    ]
    csv = HEADS + "O-1,P-1,13.890,一\nO-2,P-2,2,\n"
    forms: dict[str, tuple[bytes, Form, str]] = {
        "utf-8": (csv.encode(), Form.CSV, ""),
        "mark": (csv.encode("utf-8-sig"), Form.CSV, ""),
        "gb18030": (csv.encode("gb18030"), Form.CSV, "gb18030"),
        "utf-16": (csv.replace(",", "\t").encode("utf-16"), Form.CSV, ""),
        "semicolon": (csv.replace(",", ";").encode(), Form.CSV, ""),
        "quoted": (csv.replace("O-1", '"O-1"').replace("\n", "\r\n").encode(), Form.CSV, ""),
        "json": (json.dumps(rows).encode(), Form.JSON, ""),
        "ndjson": ("\n".join(json.dumps(row) for row in rows).encode(), Form.NDJSON, ""),
    }

    def every() -> Iterator[tuple[str, bytes]]:
        for content, form, charset in forms.values():
            file = tmp_path / "source"
            file.write_bytes(content)
            with file.open("rb") as opened_:
                source = Source(content=opened_, form=form, charset=charset, app_time="20261111080000")
                translation = open_translation(compiled(payments()), source)
                yield translation.values_sha256, translation.whole().document

    assert len(set(every())) == 1
