"""What enterprises hand in about their goods: read whole, or refused with every faulty row."""

import json
from datetime import date
from io import BytesIO
from typing import Any

import openpyxl
import pytest

from gateway.errors import FAULTS_SHOWN, Refused
from gateway.goods.columns import BOOKS, GOODS, ROWS_AT_MOST, RegisterName
from gateway.goods.faults import RULES_OF_ROWS
from gateway.goods.form import (
    CSV,
    JSON,
    SIZE_BYTES,
    XLSX,
    form_of_file,
    read_books,
    read_goods,
    read_register,
)
from gateway.goods.register import PERIODS_AT_MOST, GoodsRegister
from gateway.model import Fault

DAY = "20260601"


def refused(body: bytes, *, name: RegisterName = GOODS, form: str = CSV, charset: str = "") -> Refused:
    with pytest.raises(Refused) as caught:
        read_register(name, body, form, charset)
    return caught.value


def fault(body: bytes, *, name: RegisterName = GOODS, form: str = CSV) -> Fault:
    (one,) = refused(body, name=name, form=form).faults
    return one


def cell(register: GoodsRegister, item: str, place: int) -> str:
    row = register.row(item, DAY)
    assert row is not None
    return row[place]


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        ("货号,商品编码,原产国\nSKU-1,3924900000,110\n".encode(), ""),
        ("\ufeff企业商品货号,HS编码,原产国（地区）\r\nSKU-1,3924900000,110\r\n".encode(), "utf-8"),
        (b"country,gcode,itemNo\n110,3924900000,SKU-1\n", ""),
        ("itemno, GCODE ,条码\nSKU-1,3924900000,\n".encode(), ""),
        ("货号,商品编码\nSKU-1,3924900000\n".encode("gb18030"), "gb18030"),
    ],
)
def test_csv_is_read_with_heads_in_english_and_chinese(body: bytes, charset: str) -> None:
    register = read_goods(body, CSV, charset)
    assert (register.rows, cell(register, "SKU-1", 1)) == (1, "3924900000")


def sheet(*rows: list[object], title: str = "", hidden: str = "") -> bytes:
    """Write XLSX: rows, perhaps a merged title above them and a hidden sheet before them."""
    book = openpyxl.Workbook()
    table = book.active
    assert table is not None
    if title:
        table.append([title])
        table.merge_cells("A1:C1")
    for row in rows:
        table.append(row)
    if hidden:
        book.create_sheet(hidden, 0).append(["itemNo"])
        book[hidden].sheet_state = "hidden"
    file = BytesIO()
    book.save(file)
    return file.getvalue()


def test_xlsx_is_read_as_csv_is() -> None:
    body = sheet(
        ["货号", "商品编码", "生效日期"], ["SKU-1", 3924900000, date(2026, 1, 1)], [], ["SKU-2"],
        title="备案商品", hidden="代码",
    )  # fmt: skip
    register = read_goods(body, XLSX)
    assert (register.rows, cell(register, "SKU-1", 1), cell(register, "SKU-1", 12)) == (
        2,
        "3924900000",
        "20260101",
    )


def test_number_of_a_sheet_with_too_many_digits_is_named_with_its_row() -> None:
    is_told(fault(sheet(["itemNo"], [1.1e17]), form=XLSX), "exponent_form", "itemNo", 2)


def test_form_of_a_file_is_told_by_its_suffix() -> None:
    forms = {name: form_of_file(name) for name in ("a.xlsx", "A.JSON", "a.csv", "a", "a.ndjson")}
    assert forms == {"a.xlsx": XLSX, "A.JSON": JSON, "a.csv": CSV, "a": CSV, "a.ndjson": CSV}


def test_json_is_read_as_csv_is() -> None:
    rows: list[dict[str, Any]] = [
        {"itemNo": "SKU-1", "gcode": 3924900000, "from": "2026/01/01"},
        {"原产国": "110", "货号": "SKU-2", "gcode": None},
    ]
    register = read_goods(json.dumps(rows).encode(), JSON)
    assert (register.rows, cell(register, "SKU-1", 1), cell(register, "SKU-1", 12)) == (
        2,
        "3924900000",
        "20260101",
    )
    assert (cell(register, "SKU-2", 1), cell(register, "SKU-2", 8)) == ("", "110")


BAD_CELLS: dict[str, tuple[str, str]] = {
    "missing": ("gcode,itemNo\n3924900000,", "itemNo"),
    "too_long": (f"itemNo\n{'9' * 31}", "itemNo"),
    "control": ('itemNo,gname\nA,"two\nlines"', "gname"),
    "form": ("itemNo,gcode\nA,39249", "gcode"),
    "no_day": ("itemNo,from\nA,2026-02-30", "from"),
    "exponent_form": ("itemNo\n1.23E+11", "itemNo"),
    "ends_early": ("itemNo,from,until\nA,2026-02-01,2026-01-31", "until"),
    "overlap": ("itemNo,from,until\nA,,2026-02-01\nA,2026-02-01,", "itemNo"),
    "unknown_column": ("itemNo,gcod\nA,3924900000", ""),
    "doubled_column": ("itemNo,货号\nA,A", "itemNo"),
}
BAD_MEMBERS: dict[str, tuple[object, str]] = {
    "digits_lost": ([{"itemNo": 12345678901234567890}], "itemNo"),
    "word_for_text": ([{"itemNo": True}], "itemNo"),
    "not_a_value": ([{"itemNo": ["A"]}], "itemNo"),
    "no_object": (["A"], ""),
}
BAD_IN_SHEETS: dict[str, str] = {"error_value": "#N/A", "no_stored_value": "=A1"}
"""What only XLSX can hold."""
BAD_SWITCHES: dict[str, tuple[str, str]] = {
    "switched_twice": ("emsNo,A,B,2026-01-01\nemsNo,A,C,2026-02-01", "old"),
    "same_number": ("emsNo,A,A,2026-01-01", "new"),
    "back_in_time": ("emsNo,A,B,2026-03-01\nemsNo,B,C,2026-03-01", "from"),
}


def test_every_fault_of_a_row_is_brought_about() -> None:
    assert {*BAD_CELLS, *BAD_MEMBERS, *BAD_IN_SHEETS, *BAD_SWITCHES, "many_periods"} == RULES_OF_ROWS


def is_told(one: Fault, rule: str, column: str, line: int) -> None:
    assert (one.rule, one.element, one.line) == (rule, column, line)
    assert one.column >= 1
    assert f"line {one.line}, column {one.column}" in one.message
    assert f"第{one.line}行第{one.column}列" in one.message_zh
    assert one.fix_zh.startswith("请")
    assert one.fix
    assert "{" not in one.message + one.message_zh + one.fix.replace('{"itemNo"', "")


@pytest.mark.parametrize("rule", BAD_CELLS)
def test_bad_cell_is_named_with_line_column_reason_and_what_to_do(rule: str) -> None:
    text, column = BAD_CELLS[rule]
    head = rule in {"unknown_column", "doubled_column"}
    is_told(fault(text.encode()), rule, column, 1 if head else 3 if rule == "overlap" else 2)


@pytest.mark.parametrize("rule", BAD_MEMBERS)
def test_bad_member_of_json_is_named(rule: str) -> None:
    rows, column = BAD_MEMBERS[rule]
    is_told(fault(json.dumps(rows).encode(), form=JSON), rule, column, 1)


@pytest.mark.parametrize("rule", BAD_IN_SHEETS)
def test_bad_cell_of_a_sheet_is_named(rule: str) -> None:
    is_told(fault(sheet(["gname", "itemNo"], ["B", BAD_IN_SHEETS[rule]]), form=XLSX), rule, "itemNo", 2)


@pytest.mark.parametrize("rule", BAD_SWITCHES)
def test_bad_switch_of_books_is_named(rule: str) -> None:
    text, column = BAD_SWITCHES[rule]
    body = f"field,old,new,from\n{text}".encode()
    is_told(fault(body, name=BOOKS), rule, column, body.count(b"\n") + 1)


def test_item_with_many_periods_is_refused() -> None:
    rows = "".join(f"A,{2000 + year}-01-01,{2000 + year}-12-31\n" for year in range(PERIODS_AT_MOST + 1))
    assert fault(f"itemNo,from,until\n{rows}".encode()).rule == "many_periods"


def test_all_faults_are_told_at_once_and_bounded() -> None:
    several = refused(b"itemNo,gcode,unit\n,1,1\nA,2,035\n")
    assert [(one.line, one.rule) for one in several.faults] == [
        (2, "missing"), (2, "form"), (2, "form"), (3, "form"),
    ]  # fmt: skip
    assert several.problem == "invalid-register"
    many = refused(b"itemNo,gcode\n" + b"A,1\n" * 5000)
    assert len(many.faults) <= FAULTS_SHOWN + 1


@pytest.mark.parametrize(
    ("body", "form", "charset", "problem"),
    [
        (b"", CSV, "", "not-csv"),
        (b"itemNo\n", CSV, "", "invalid-register"),
        (b"itemNo\n\xff\n", CSV, "", "wrong-encoding"),
        (b'itemNo\n"A\n', CSV, "", "not-csv"),
        (b"[", JSON, "", "not-json"),
        (b"{}", JSON, "", "invalid-register"),
        (b"[]", JSON, "", "invalid-register"),
        (b"[" * 100, JSON, "", "not-json"),
        (b"[]", JSON, "gb18030", "wrong-encoding"),
        (b" " * (SIZE_BYTES + 1), CSV, "", "too-large"),
        (b"itemNo\nA\n", XLSX, "", "not-xlsx"),
        (b"PK\x03\x04", XLSX, "", "not-xlsx"),
        (sheet(["itemNo"]), XLSX, "", "invalid-register"),
        (sheet(), XLSX, "", "not-xlsx"),
        (sheet(["itemNo"], ["A"]), CSV, "", "not-csv"),
        (b"itemNo,gname\nA\n", CSV, "", "not-csv"),
    ],
)
def test_document_that_is_none_is_refused(body: bytes, form: str, charset: str, problem: str) -> None:
    wrong = refused(body, form=form, charset=charset)
    assert wrong.problem == problem
    assert all(one.message and one.message_zh and one.fix for one in wrong.faults)


def test_rows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROWS_AT_MOST, GOODS, 2)
    assert read_goods(b"itemNo\nA\nB\n", CSV).rows == 2
    assert fault(b"itemNo\nA\nB\nC\n").rule == "too_many_rows"
    assert fault(b'[{"itemNo":"A"},{"itemNo":"B"},{"itemNo":"C"}]', form=JSON).rule == "too_many_rows"


def test_switches_of_books_are_read() -> None:
    books = read_books("字段,原编号,新编号,启用日期\nemsNo,A,B,2026.06.01\n".encode(), CSV)
    (one,) = books.switches
    assert (one.field, one.old, one.new, one.since) == ("emsNo", "A", "B", "20260601")
