"""What XLSX cells say: texts, numbers to 15 digits, days by the format of their cells, and what is told about a sheet."""

from typing import Any

import pytest

from gateway.errors import Refused
from gateway.mapping.sources.lossy_numbers import lost
from gateway.mapping.sources.opening import open_table
from gateway.mapping.sources.table import Bare, Form, Row, Sheet, SourceLimits, cell_name, column_at
from gateway.mapping.sources.xlsx import rows as reading
from tests.unit.xlsx_files import MAIN, packed, parts, sheet_xml, text_row, workbook

LIMITS = SourceLimits()


def sheets(body: bytes, limits: SourceLimits = LIMITS) -> list[Sheet]:
    return list(open_table(body, Form.XLSX, limits=limits).sheets)


def rows(body: bytes) -> list[Row]:
    (sheet,) = sheets(body)
    return list(sheet.rows())


def cell(written: str, **facts: Any) -> str:
    """Read one cell, behind a text so that its row is there even if it is empty."""
    row = f'<row r="1"><c r="A1" t="inlineStr"><is><t>x</t></is></c>{written}</row>'
    (one,) = rows(workbook(row, **facts))
    return one.cells[1] if len(one.cells) > 1 else ""


@pytest.fixture(params=["plain rows", "parser"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of reading rows: by the pattern where it fits, and by the parser alone."""
    if request.param == "parser":
        monkeypatch.setattr(reading, "is_utf8", lambda _head: False)
    return str(request.param)


NUMBERS = {
    "12": "12", "-3": "-3", "007": "7", "0": "0", "-0": "0", "13.890": "13.89", "12.0": "12", "0.1": "0.1",
    "12.300000000000001": "12.3", "0.30000000000000004": "0.3", "5.0000000000000001E-3": "0.005", "1E-7": "0.0000001",
    "1.3800138E10": "13800138000", "1.5E+3": "1500", "999999999999999": "999999999999999",
    "1234567890123456": "1234567890123456", "1.1E+17": "1.1E+17", "123456789012.34567": "123456789012.346",
}  # fmt: skip


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("written", NUMBERS)
def test_number_is_shown_to_15_digits_in_plain_notation(written: str) -> None:
    shown = cell(f'<c r="B1"><v>{written}</v></c>')
    assert (shown, type(shown)) == (NUMBERS[written], Bare)


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("<v>999999999999999</v>", ""),
        ("<v>1234567890123456789</v>", "digits_lost"),
        ("<v>1.1E+17</v>", "exponent_form"),
        ("<v>1.3800138E10</v>", ""),
        ("<f>A1</f><v></v>", "no_stored_value"),
        ("<f>A1</f>", "no_stored_value"),
    ],
)
def test_digits_that_are_gone_are_not_guessed(written: str, rule: str) -> None:
    assert lost(cell(f'<c r="B1">{written}</c>'), bare=True) == rule


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("written", "text"),
    [
        ('<c r="B1" t="b"><v>1</v></c>', Bare("true")),
        ('<c r="B1" t="b"><v>0</v></c>', Bare("false")),
        ('<c r="B1" t="e"><v>#N/A</v></c>', Bare("#N/A")),
        ('<c r="B1" t="str"><f>A1</f><v>000123</v></c>', "000123"),
        ('<c r="B1" t="str"><f>A1</f><v></v></c>', ""),
        ('<c r="B1" t="d"><v>2026-03-04T05:06:07.000</v></c>', "2026-03-04 05:06:07"),
        ('<c r="B1" t="s"><v>1</v></c>', "second"),
        ('<c t="s"><v>2</v></c>', "rich text"),
        ('<c r="B1" t="s"><v>3</v></c>', "漢字"),
        ('<c r="B1" t="s"><v>4</v></c>', " kept "),
        ('<c r="B1" t="s"><v>5</v></c>', "trimmed"),
        ('<c r="B1" t="s"><v>6</v></c>', "two\r\nlines_x000D_"),
        ('<c r="B1" t="inlineStr"><is><t>a &amp; &#21517;</t></is></c>', "a & 名"),
        ('<c r="B1" t="inlineStr"><is><r><t>one</t></r><r><t xml:space="preserve"> two</t></r></is></c>', "one two"),
        ('<c r="B1" t="inlineStr"><is><t xml:space="preserve"> x </t></is></c>', " x "),
        ('<c r="B1" s="0"/>', ""),
        ('<c r="B1"><v></v></c>', ""),
        ('<c r="B1" t="inlineStr"><is><t><![CDATA[<b>]]></t></is></c>', "<b>"),
    ],
)  # fmt: skip
def test_cell_is_read_as_it_is_shown(written: str, text: str) -> None:
    strings = (
        "<si><t>first</t></si><si><t>second</t></si><si><r><t>rich </t></r><r><rPr><b/></rPr><t>text</t></r></si>"
        '<si><t>漢字</t><rPh sb="0" eb="2"><t>かんじ</t></rPh></si><si><t xml:space="preserve"> kept </t></si>'
        "<si><t> trimmed\n</t></si><si><t>two_x000D_\nlines_x005F_x000D_</t></si>"
    ).replace("<r><t>rich </t></r>", '<r><t xml:space="preserve">rich </t></r>')
    shown = cell(written, strings=strings)
    assert (shown, type(shown)) == (text, type(text))


DAYS = [
    (14, "", "46000", False, "2025-12-09"),
    (22, "", "46000", False, "2025-12-09 00:00:00"),
    (14, "", "46000.25", False, "2025-12-09 06:00:00"),
    (21, "", "0.5", False, "12:00:00"),
    (14, "", "59", False, "1900-02-28"),
    (14, "", "60", False, "1900-02-29"),
    (14, "", "61", False, "1900-03-01"),
    (14, "", "44538", True, "2025-12-09"),
    (14, "", "-1", False, "-1"),
    (14, "", "2958466", False, "2958466"),
    (2, "", "46000", False, "46000"),
    (176, "yyyy/m/d h:mm", "46000.999999999", False, "2025-12-10 00:00:00"),
    (176, "yyyy年m月d日", "46000", False, "2025-12-09"),
    (176, "[$-804]aaaa;@", "46000", False, "46000"),
    (176, "0.00_ ;[Red]-0.00", "46000", False, "46000"),
    (176, "&quot;day&quot;0", "46000", False, "46000"),
    (176, "[h]:mm:ss", "46000.5", False, "46000.5"),
    (176, "General", "46000", False, "46000"),
]  # fmt: skip


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("format_id", "code", "serial", "since_1904", "text"), DAYS)
def test_day_is_told_by_the_format_of_its_cell(
    format_id: int, code: str, serial: str, since_1904: bool, text: str
) -> None:
    formats = {format_id: code} if code else {}
    written = f'<c r="B1" s="1"><v>{serial}</v></c>'
    assert cell(written, formats=formats, styles=(0, format_id), since_1904=since_1904) == text


@pytest.mark.usefixtures("way")
def test_rows_and_columns_keep_their_numbers() -> None:
    body = workbook(
        f'<row r="2"/>{text_row(3, "a")}<row><c r="C4"><v>1</v></c></row>'
        '<row r="9" spans="1:3" x14ac:dyDescent="0.2"><c r="A9"/><c r="B9" t="inlineStr"><is><t>  </t></is></c></row>'
    )
    found = rows(body)
    assert [(row.number, list(row.cells)) for row in found] == [(3, ["a"]), (4, ["", "", "1"])]
    assert (found[1].place(2), cell_name(4, 2), column_at("AB")) == ((4, 3), "C4", 27)


@pytest.mark.usefixtures("way")
def test_what_is_hidden_or_calculated_is_said() -> None:
    row = '<row r="1" hidden="1"><c r="A1"><v>1</v></c><c r="B1"><f>A1+1</f><v>2</v></c></row>'
    shown, hidden = sheets(workbook(row, states=("visible", "veryHidden")))
    assert [list(one.cells) for one in shown.rows()] == [["1", "2"]]
    assert [(one.rule, one.count) for one in shown.notes] == [("formulas", 1), ("hidden_rows", 1)]
    assert (hidden.hidden, hidden.name, [one.rule for one in hidden.notes]) == (True, "S2", ["hidden_sheet"])
    assert all(one.message and one.message_zh for one in (*shown.notes, *hidden.notes))


def test_strict_files_and_prefixes_are_read() -> None:
    strict = "http://purl.oclc.org/ooxml/spreadsheetml/main"
    made = {name: text.replace(MAIN, strict) for name, text in parts(sheet_xml(text_row(1, "a"))).items()}
    prefixed = f'<x:worksheet xmlns:x="{MAIN}"><x:sheetData><x:row><x:c><x:v>1</x:v></x:c></x:row></x:sheetData></x:worksheet>'
    assert [row.cells for row in rows(packed(made))] == [["a"]]
    assert [row.cells for row in rows(packed(parts(prefixed)))] == [["1"]]


@pytest.mark.parametrize(
    ("merge", "title", "ok"),
    [
        ("A1:C1", True, True),
        ("A1:C2", True, True),
        ("A2:B2", False, False),
        ("A2:A3", False, False),
        ("A20:A21", True, False),
    ],
)
def test_only_titles_may_be_merged(merge: str, title: bool, ok: bool) -> None:
    body = text_row(1, "title") + (text_row(3, "a", "b", "c") if title else text_row(2, "a", "", "b"))
    file = packed(
        parts(sheet_xml(body, after=f'<mergeCells count="1"><mergeCell ref="{merge}"/></mergeCells>'))
    )
    if ok:
        assert [row.cells[0] for row in rows(file)] == ["title", "a"]
        return
    with pytest.raises(Refused) as caught:
        rows(file)
    (fault,) = caught.value.faults
    assert (caught.value.problem, fault.rule) == ("not-xlsx", "merged")
    assert merge in fault.message
    assert merge in fault.message_zh


def test_rows_may_be_read_again_and_at_the_same_time() -> None:
    (sheet,) = sheets(workbook("".join(text_row(at, f"t{at}") for at in range(1, 4000))))
    one, other = sheet.rows(), sheet.rows()
    assert [next(one).number, next(other).number, next(one).number] == [1, 1, 2]
    assert sum(1 for _ in other) == 3998
    assert sum(1 for _ in sheet.rows()) == 3999
