"""The shipped sheets: a column for every element, the same message from every form, and templates to fill in."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice

import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.utils import get_column_letter

from gateway.cli.document_check import check_document
from gateway.errors import Refused
from gateway.mapping.heads import compared
from gateway.mapping.language import Constant, RowGroups, SourceKind, SourceMapping
from gateway.mapping.loading import load_mappings
from gateway.mapping.sources.table import Form, SourceLimits
from gateway.mapping.templates import (
    CODES_SHEET,
    EXAMPLE_MARK,
    HELP_SHEET,
    template_columns,
    template_xlsx,
)
from gateway.mapping.translation import Source, Translated, open_translation
from gateway.mapping.uses import element_uses
from gateway.rules.loading import load_rules
from gateway.rules.schemas import View
from tests.unit.mapping_examples import mappings, shipped

KINDS = shipped().catalogue.declarations()
SHEETS = [f"sheet-{kind.number}" for kind in KINDS]
APP_TIME = "20260102030405"
Rows = Sequence[Sequence[str]]


def sheet(name: str) -> SourceMapping:
    return mappings()[name]


def example_rows(name: str) -> Rows:
    """Heads and examples of the template, as its first two rows have them, without the mark."""
    (columns,) = template_columns(sheet(name), shipped()).values()
    return [[one.head for one in columns], [one.heads.example for one in columns]]


def as_csv(rows: Rows, codec: str = "utf-8") -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode(codec)


def as_xlsx(rows: Rows) -> bytes:
    book, out = Workbook(), io.BytesIO()
    for row in rows:
        book.worksheets[0].append([one or None for one in row])
    book.save(out)
    return out.getvalue()


def rows_of(book: bytes) -> Rows:
    """The rows of the first sheet, as texts."""
    first = load_workbook(io.BytesIO(book)).worksheets[0]
    return [[str(cell or "") for cell in row] for row in first.iter_rows(values_only=True)]


def as_objects(rows: Rows) -> list[dict[str, str]]:
    heads, *others = rows
    return [dict(zip(heads, row, strict=True)) for row in others]


def translated(
    name: str, content: bytes, form: Form = Form.CSV, *, charset: str = "", app_time: str = APP_TIME
) -> Translated:
    source = Source(content=content, form=form, charset=charset, app_time=app_time)
    with open_translation(sheet(name), source, limits=SourceLimits()) as translation:
        return translation.whole()


def changed(rows: Rows, **cells: str | None) -> Rows:
    """Put a text under a head of each row; None takes the column out."""
    heads, *others = [list(row) for row in rows]
    bare = [head.lstrip("*") for head in heads]
    for head, text in cells.items():
        if head not in bare:
            heads.append(head)
            bare.append(head)
            for row in others:
                row.append("")
        at = bare.index(head)
        for row in others:
            row[at] = text or ""
    kept = [at for at, head in enumerate(bare) if cells.get(head, "") is not None]
    return [[row[at] for at in kept] for row in (heads, *others)]


def test_every_declaration_has_a_sheet_with_a_column_for_every_element() -> None:
    for kind in KINDS:
        mapping = sheet(f"sheet-{kind.number}")
        assert (mapping.kind, mapping.source) == (kind, SourceKind.TABLE)
        without = [
            use.path
            for use in element_uses(mapping, shipped().schemas)
            if use.column is None and not use.path.endswith(("guid", "dxpMode"))
        ]
        assert without == []
        filled = {use.path for use in element_uses(mapping, shipped().schemas)}
        assert filled == set(elements_of(mapping)) - {"BaseTransfer/note"}


def elements_of(mapping: SourceMapping) -> Iterable[str]:
    """Every element with a text that the declaration and its transfer may have."""
    grammar = shipped().schemas.grammar_for(mapping.kind.name)
    waiting = [(shipped().schemas.declaration(mapping.kind.name), "")]
    while waiting:
        decl, path = waiting.pop()
        for slot in grammar.shape(decl).slots:
            name = slot.decl.name if slot.decl else ""
            if slot.decl is None or name in {"Signature", "ExtendMessage", "BaseSubscribe"}:
                continue
            if grammar.shape(slot.decl).text is None:
                waiting.append((slot.decl, f"{path}{name}/"))
            else:
                yield f"{path}{name}"


@pytest.mark.parametrize("name", SHEETS)
def test_example_of_a_sheet_becomes_the_same_valid_message_in_every_form(name: str) -> None:
    rows = example_rows(name)
    made = translated(name, as_csv(rows))
    assert made.faults == ()
    assert check_document(made.document, shipped(), View.DECLARED).faults == ()
    objects = as_objects(rows)
    forms = {
        "gb18030": translated(name, as_csv(rows, "gb18030"), charset="gb18030"),
        "xlsx": translated(name, as_xlsx(rows), Form.XLSX),
        "json": translated(name, json.dumps(objects).encode(), Form.JSON),
        "ndjson": translated(name, "\n".join(map(json.dumps, objects)).encode(), Form.NDJSON),
    }
    assert {form: one.document for form, one in forms.items()} == dict.fromkeys(forms, made.document)


@pytest.mark.parametrize("name", SHEETS)
def test_heads_may_be_the_names_of_the_elements(name: str) -> None:
    heads, examples = example_rows(name)
    also = {one.name: one.also[-1] for one in sheet(name).columns if one.also}
    english = [also[head.lstrip("*")] for head in heads]
    assert all(head.isascii() for head in english)
    assert (
        translated(name, as_csv([english, examples])).document
        == translated(name, as_csv([heads, examples])).document
    )


@pytest.mark.parametrize("name", SHEETS)
def test_no_head_means_two_columns(name: str) -> None:
    heads = [compared(head) for one in sheet(name).columns for head in (one.name, *one.also)]
    assert sorted(heads) == sorted(set(heads))


@pytest.mark.parametrize("name", SHEETS)
def test_only_required_columns_make_a_valid_message_too(name: str) -> None:
    rows = example_rows(name)
    optional = {one.lstrip("*"): None for one in rows[0] if not one.startswith("*")}
    made = translated(name, as_csv(changed(rows, **optional)))
    assert made.faults == ()
    assert check_document(made.document, shipped(), View.DECLARED).faults == ()
    assert f"<ceb:appTime>{APP_TIME}</ceb:appTime>".encode() in made.document
    assert b"<ceb:appType>1</ceb:appType>" in made.document


def test_change_and_deletion_are_said_in_a_column() -> None:
    for name in SHEETS:
        for text, code in (("变更", "2"), ("3", "3"), ("D", "3")):
            made = translated(name, as_csv(changed(example_rows(name), 报送类型=text)))
            assert f"<ceb:appType>{code}</ceb:appType>".encode() in made.document


def test_amounts_are_yuan_and_that_is_said() -> None:
    amounts = {name for name in SHEETS if sheet(name).money}
    assert amounts == {f"sheet-{number}" for number in (303, 311, 403, 411, 505, 511, 603, 621)}
    assert {sheet(name).money for name in amounts} == {"yuan"}


def test_values_are_carried_as_they_are_written() -> None:
    made = translated(
        "sheet-311", as_csv(changed(example_rows("sheet-311"), 数量="13.890", 收货地址=" 样例路 1号 "))
    )
    assert b"<ceb:qty>13.890</ceb:qty>" in made.document
    assert "<ceb:consigneeAddress> 样例路 1号 </ceb:consigneeAddress>".encode() in made.document


def test_names_become_codes_and_codes_stay() -> None:
    rows = example_rows("sheet-621")
    named = changed(
        rows,
        计量单位="千克",
        币制="人民币",
        运输方式="航空运输",
        **{"原产国（地区）": "澳大利亚", "起运国（地区）": "601-澳大利亚"},
    )
    coded = changed(
        rows, 计量单位="035", 币制="142", 运输方式="5", **{"原产国（地区）": "601", "起运国（地区）": "601"}
    )
    assert translated("sheet-621", as_csv(named)).document == translated("sheet-621", as_csv(coded)).document
    wrong = translated("sheet-621", as_csv(changed(rows, 计量单位="千刻"))).faults
    assert [(one.rule, one.element) for one in wrong] == [("not_in_table", "unit")]


def test_rows_of_one_declaration_are_brought_together_and_must_agree() -> None:
    heads, row = example_rows("sheet-311")
    other = changed([heads, row], 商品序号="2", 企业商品名称="另一商品")[1]
    both = translated("sheet-311", as_csv([heads, row, other]))
    assert both.document.count(b"<ceb:OrderHead>") == 1
    assert both.document.count(b"<ceb:OrderList>") == 2
    (fault, *_) = translated(
        "sheet-311", as_csv([heads, row, changed([heads, other], 订购人姓名="钱样例")[1]])
    ).faults
    assert (fault.rule, fault.element) == ("rows_disagree", "buyerName")


def test_one_currency_column_is_of_head_and_lines_and_two_are_of_one_each() -> None:
    rows = changed(example_rows("sheet-303"), 商品币制=None, 币制="502")
    once = translated("sheet-303", as_csv(rows)).document
    assert once.count(b"<ceb:currency>502</ceb:currency>") == 2
    twice = [[*rows[0], "币制"], [*rows[1], "142"]]
    made = translated("sheet-303", as_csv(twice)).document
    assert [made.count(f"<ceb:currency>{code}</ceb:currency>".encode()) for code in ("502", "142")] == [1, 1]


def test_inventories_are_told_apart_by_internal_number_or_else_by_order() -> None:
    heads, row = example_rows("sheet-621")
    others = [changed([heads, row], 企业内部编号=number)[1] for number in ("NB1", "NB2")]
    assert translated("sheet-621", as_csv([heads, *others])).document.count(b"<ceb:InventoryHead>") == 2
    without = [changed([heads, row], 企业内部编号=None, 订单编号=number) for number in ("O-1", "O-2")]
    rows = [without[0][0], without[0][1], without[1][1]]
    assert translated("sheet-621", as_csv(rows)).document.count(b"<ceb:InventoryHead>") == 2


def test_each_tally_list_is_a_message_of_its_own() -> None:
    heads, row = example_rows("sheet-711")
    rows = [heads, *(changed([heads, row], 企业内部编号=number)[1] for number in ("NB1", "NB2", "NB1"))]
    source = Source(content=as_csv(rows), form=Form.CSV, app_time=APP_TIME)
    with open_translation(sheet("sheet-711"), source, limits=SourceLimits()) as translation:
        made = [translation.message(one.bodies).document for one in translation.portions()]
    assert [one.count(b"<ceb:DeliveryList>") for one in made] == [2, 1]


def test_missing_time_of_declaration_is_said() -> None:
    with pytest.raises(Refused, match="is the time that the request gives") as refused:
        translated("sheet-411", as_csv(changed(example_rows("sheet-411"), 报送时间=None)), app_time="")
    assert [(fault.rule, fault.element) for fault in refused.value.faults] == [("not_given", "appTime")]


def test_sheets_that_an_edition_has_no_message_for_are_left_out() -> None:
    older = load_mappings(load_rules(None, "2018-113"))
    assert set(SHEETS) - set(older) == {"sheet-213", "sheet-215"}


@cache
def template_of(name: str) -> bytes:
    return template_xlsx(sheet(name), shipped())


@pytest.mark.parametrize("name", SHEETS)
def test_template_is_understood_and_its_example_row_refused(name: str) -> None:
    heads, example = rows_of(template_of(name))
    made = translated(name, template_of(name), Form.XLSX)
    assert "example_row" in {one.rule for one in made.faults}

    filled = translated(name, as_xlsx([heads, ["", *example[1:]]]), Form.XLSX)

    assert filled.faults == ()
    assert filled.document == translated(name, as_csv(example_rows(name))).document


def test_template_marks_required_heads_keeps_texts_and_offers_codes() -> None:
    book = load_workbook(io.BytesIO(template_of("sheet-311")))
    first = book.worksheets[0]
    assert book.sheetnames[1:] == [HELP_SHEET, CODES_SHEET]
    heads = {str(cell.value): get_column_letter(at) for at, cell in enumerate(first[1], 1)}
    assert {"标记", "*订单编号", "备注", "*计量单位"} <= set(heads)
    assert first["A2"].value == EXAMPLE_MARK
    formats = {
        head: first.column_dimensions[heads[head]].number_format
        for head in ("*订单编号", "*计量单位", "*数量")
    }
    assert formats == {"*订单编号": "@", "*计量单位": "@", "*数量": "General"}
    lists = {str(one.sqref).partition("2:")[0]: one.formula1 for one in first.data_validations.dataValidation}
    units = book[CODES_SHEET]
    letter = lists[heads["*计量单位"]].partition("$")[2].partition("$")[0]
    listed = [cell.value for cell in islice(units[letter], 200) if cell.value]
    assert listed[0] == shipped().tables["unit"].title_zh
    assert "035-千克" in listed
    assert "122-罐" in listed


def test_help_of_the_template_explains_every_column() -> None:
    book = load_workbook(io.BytesIO(template_of("sheet-621")))
    rows = {str(row[0]): row for row in book[HELP_SHEET].iter_rows(min_row=3, values_only=True)}
    heads = [str(cell.value).lstrip("*") for cell in book.worksheets[0][1]]
    assert set(heads) == set(rows)
    assert rows["订单编号"][1:5] == (
        "是 yes",
        "Inventory/InventoryHead/orderNo",
        "订单编号",
        "文本，至多60个字符 / text, at most 60 characters",
    )
    assert "1 新增" in str(rows["报送类型"][5])


def test_a_mapping_without_listed_columns_has_a_template_too() -> None:
    (columns,) = template_columns(mappings()["inventories"], shipped()).values()
    assert "cop_no" in {one.heads.name for one in columns}
    assert load_workbook(io.BytesIO(template_xlsx(mappings()["inventories"], shipped()))).sheetnames


def test_grouped_sheets_say_by_what() -> None:
    grouped = {
        name: each.by for name in SHEETS if isinstance(each := sheet(name).body.each, RowGroups) and each.by
    }
    assert {name.removeprefix("sheet-") for name in grouped} == {
        "213",
        "303",
        "311",
        "507",
        "509",
        "603",
        "607",
        "621",
        "625",
        "701",
        "711",
    }


def test_defaults_are_of_this_kind_only() -> None:
    """A default is a promise to customs: no amount but nought, no quantity, no party."""
    found = {
        (use.leaf.name, one.source.text)
        for name in SHEETS
        for use in element_uses(sheet(name), shipped().schemas)
        for one in use.leaf.origin.chain()
        if one is not use.leaf.origin
        if isinstance(one.source, Constant)
    }
    assert found == {
        ("appType", "1"), ("appStatus", "2"), ("orderType", "I"), ("orderType", "E"), ("ieFlag", "I"), ("ieFlag", "E"),
        ("freight", "0"), ("discount", "0"), ("taxTotal", "0"), ("insuredFee", "0"), ("currency", "142"),
        ("buyerIdType", "1"), ("payerIdType", "1"), ("packNo", "1"), ("msgCount", "1"), ("msgSeqNo", "1"),
        ("logisticsStatus", "S"), ("fFlag", "3"), ("iFlag", "3"),
    }  # fmt: skip


def test_one_sheet_feeds_order_money_waybill_and_inventory() -> None:
    names = ("sheet-603", "sheet-303", "sheet-403", "sheet-505")
    heads: list[str] = []
    row: list[str] = []
    for name in names:
        for one in sheet(name).columns:
            there = {compared(head) for head in heads}
            if one.required and not there & {compared(head) for head in (one.name, *one.also)}:
                heads.append(one.name)
                row.append(one.example)
    for name in names:
        made = translated(name, as_csv([heads, row]))
        assert made.faults == ()
        assert check_document(made.document, shipped(), View.DECLARED).faults == ()
