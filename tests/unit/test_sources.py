"""Tables and documents read in pieces: the same rows in every form and encoding, each cell with its place."""

import csv
import io
import json
from collections.abc import Iterator
from itertools import islice

import pytest

from gateway.errors import Refused
from gateway.mapping.sources import text
from gateway.mapping.sources.digest import values_digest
from gateway.mapping.sources.opening import open_documents, open_table
from gateway.mapping.sources.spill import Key, Spill, scattered, spilled
from gateway.mapping.sources.table import Bare, Form, Row, Sheet, SourceLimits
from tests.unit.xlsx_files import packed, parts, sheet_xml, text_row

LIMITS = SourceLimits()
TABLE = [
    ["订单编号", "品名", "数量"],
    ["DD1", 'a "b", c', "13.890"],
    ["DD2", "two\nlines; x", ""],
    ["DD1", "\t名", "000123"],
]


def written(*, delimiter: str = ",", end: str = "\r\n", quoting: int = csv.QUOTE_MINIMAL) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(TABLE)  # type: ignore[arg-type]  # one of its constants
    return out.getvalue()


def objects(*, numbers: bool = False) -> list[dict[str, object]]:
    made: list[dict[str, object]] = [dict(zip(TABLE[0], row, strict=True)) for row in TABLE[1:]]
    if numbers:
        made[1]["数量"] = None
        made[1] = dict(reversed(made[1].items()))
    return made


def book() -> bytes:
    rows = "".join(
        text_row(at, *(cell.replace("&", "&amp;") for cell in row)) for at, row in enumerate(TABLE, 1)
    )
    return packed(parts(sheet_xml(rows.replace("<t>", '<t xml:space="preserve">'))))


FORMS: dict[str, tuple[Form, bytes, str]] = {
    "UTF-8": (Form.CSV, written().encode(), ""),
    "UTF-8, said": (Form.CSV, written().encode(), "UTF-8"),
    "UTF-8 with its mark": (Form.CSV, b"\xef\xbb\xbf" + written().encode(), ""),
    "line feeds, all quoted": (Form.CSV, written(end="\n", quoting=csv.QUOTE_ALL).encode(), ""),
    "semicolons": (Form.CSV, written(delimiter=";").encode(), ""),
    "Unicode text": (Form.CSV, written(delimiter="\t").encode("utf-16"), ""),
    "UTF-16, the other way round": (Form.CSV, b"\xfe\xff" + written().encode("utf-16-be"), "utf-16"),
    "GB18030": (Form.CSV, written().encode("gb18030"), "gb18030"),
    "GBK": (Form.CSV, written().encode("gbk"), "GBK"),
    "without its last line end": (Form.CSV, written().rstrip("\r\n").encode(), ""),
    "JSON": (Form.JSON, json.dumps(objects(), ensure_ascii=False, indent=2).encode(), ""),
    "JSON, escaped": (Form.JSON, json.dumps(objects(numbers=True)).encode(), ""),
    "JSON with a sheet": (Form.JSON, json.dumps({"清单": objects()}).encode(), ""),
    "NDJSON": (Form.NDJSON, "\n\n".join(map(json.dumps, objects())).encode(), ""),
    "XLSX": (Form.XLSX, book(), ""),
}


def opened(name: str) -> Sheet:
    form, body, charset = FORMS[name]
    (sheet,) = open_table(body, form, charset=charset, limits=LIMITS).sheets
    return sheet


def padded(row: Row) -> list[str]:
    """Return the texts of a row: cells behind its last text may be left out."""
    return [*map(str, row.cells), *[""] * (len(TABLE[0]) - len(row.cells))]


@pytest.fixture(params=[7, 256 * 1024])
def _chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_CHUNK_BYTES", request.param)


@pytest.mark.usefixtures("_chunks")
@pytest.mark.parametrize("name", FORMS)
def test_table_is_the_same_in_every_form_and_encoding(name: str) -> None:
    sheet = opened(name)
    for _ in range(2):  # each call starts anew
        assert [padded(row) for row in sheet.rows()] == TABLE
    assert [row.number for row in sheet.rows()] == [1, 2, 3, 4]


def test_digest_is_of_values_and_not_of_bytes() -> None:
    def digest(form: Form, body: bytes, charset: str = "") -> str:
        return values_digest(open_table(body, form, charset=charset, limits=LIMITS))

    assert len({digest(*FORMS[name]) for name in FORMS}) == 1
    other = {
        digest(Form.CSV, one) for one in (b"a,b\n1,2", b"a,b\n12,", b"a,b\n1\n,2", b"a\nb\n1,2", b"ab\n12")
    }
    assert len(other) == 5
    assert (
        digest(Form.CSV, b"a,b\n1,\n")
        == digest(Form.CSV, b"a,b\n1\n")
        == digest(Form.JSON, b'[{"a": 1, "b": ""}]')
    )
    two = [digest(Form.JSON, one) for one in (b'{"x": [{"a": 1}], "y": []}', b'{"z": [{"a": 1}], "y": []}')]
    assert two[0] != two[1]


def test_digest_of_documents_does_not_see_how_they_are_written() -> None:
    def digest(form: Form, body: bytes) -> str:
        return values_digest(open_documents(body, form, limits=LIMITS))

    one = digest(Form.JSON, b'{"a": [1.50, "x"], "b": {"c": null}}')
    assert digest(Form.NDJSON, b'\n{"b":{"c":null},"a":["1.50","\\u0078"]}\n') == one
    assert digest(Form.JSON, b'{"a": [1.5, "x"], "b": {"c": null}}') != one
    assert digest(Form.JSON, b'{"a": [1.50], "x": {"b": {"c": null}}}') != one


def places(form: Form, body: bytes) -> list[list[tuple[int, int]]]:
    (sheet,) = open_table(body, form, limits=LIMITS).sheets
    return [[row.place(at) for at in range(len(row.cells))] for row in sheet.rows()]


def test_every_cell_has_its_place() -> None:
    assert places(Form.CSV, '\n订单,"a\nb",c\n1,"x,""y",\n'.encode()) == [
        [(2, 1), (2, 4), (3, 4)], [(4, 1), (4, 3), (4, 11)],
    ]  # fmt: skip
    assert places(Form.JSON, b'[{"a": 1},\n  {"b": "x",\n   "a": 2}]')[1:] == [
        [(1, 8), (1, 9 + 1)],
        [(3, 9), (2, 9)],
    ]
    assert places(Form.NDJSON, b'\n {"a": 1, "b": 2}\n')[1:] == [[(2, 8), (2, 16)]]
    assert places(Form.XLSX, packed(parts(sheet_xml(text_row(4, "a", "b"))))) == [[(4, 1), (4, 2)]]


def test_numbers_and_words_of_json_are_bare_as_they_are_written() -> None:
    (sheet,) = open_table(
        b'[{"a": 13.890, "b": true, "c": null, "d": "1", "e": 1E5}]', Form.JSON, limits=LIMITS
    ).sheets
    row = list(sheet.rows())[1]
    assert list(row.cells) == ["13.890", "true", "", "1", "1E5"]
    assert [type(one) for one in row.cells] == [Bare, Bare, str, str, Bare]


def test_keys_that_come_later_are_heads_too() -> None:
    (sheet,) = open_table(b'{"a": 1}\n{"b": 2, "a": 3}\n', Form.NDJSON, limits=LIMITS).sheets
    assert [list(row.cells) for row in sheet.rows()] == [["a", "b"], ["1", ""], ["3", "2"]]


def test_sheets_of_json_are_told_apart() -> None:
    body = b'{"heads": [{"no": 1}], "none": [], "items": [{"no": 1, "item": "x"}, {"no": 2, "item": "y"}]}'
    sheets = open_table(body, Form.JSON, limits=LIMITS).sheets
    assert {one.name: [list(row.cells) for row in one.rows()] for one in sheets} == {
        "heads": [["no"], ["1"]],
        "none": [],
        "items": [["no", "item"], ["1", "x"], ["2", "y"]],
    }


def test_rows_before_a_fault_are_given_and_the_fault_has_its_place() -> None:
    (sheet,) = open_table(b'a,b\n1,2\n3,"4" x\n', Form.CSV, limits=LIMITS).sheets
    rows = sheet.rows()
    assert [list(row.cells) for row in islice(rows, 2)] == [["a", "b"], ["1", "2"]]
    with pytest.raises(Refused) as caught:
        next(rows)
    assert [(one.line, one.column) for one in caught.value.faults] == [(3, 6)]


@pytest.mark.usefixtures("_chunks")
def test_bytes_that_are_no_text_are_named_with_line_and_column() -> None:
    for body, place in ((b"a\r\nb\xff", (2, 2)), ("名\n名".encode() + b"\xe5\n", (2, 2)), (b"\xff", (1, 1))):
        with pytest.raises(Refused) as caught:
            list(open_table(body, Form.CSV, limits=LIMITS).sheets[0].rows())
        assert [(one.line, one.column) for one in caught.value.faults] == [place]


def test_documents_come_one_by_one_with_their_lines() -> None:
    found = list(open_documents(b'{"a": 1}\n\n  {"a":\t2}\n', Form.NDJSON, limits=LIMITS))
    assert [(one.spot().line, one.spot().column, one.keys()) for one in found] == [
        (1, 1, ["a"]),
        (3, 3, ["a"]),
    ]
    (whole,) = open_documents(b'[\n{"a": 1}]', Form.JSON, limits=LIMITS)
    assert whole.spot().line == 1


# ---- rows of one key brought together ----


def table(*cells: str) -> Sheet:
    body = "".join(f'"{one}",{at}\n' for at, one in enumerate(cells))
    (sheet,) = open_table(f"key,at\n{body}".encode(), Form.CSV, limits=LIMITS).sheets
    return sheet


def body_of(sheet: Sheet) -> Iterator[Row]:
    return islice(sheet.rows(), 1, None)


def key_of(row: Row) -> Key:
    return (row.cells[0],)


@pytest.mark.parametrize(
    ("keys", "apart"), [("aabbc", False), ("abcab", True), ("", False), ("aba", True), ("a", False)]
)
def test_rows_of_a_key_come_together_in_the_order_of_first_appearance(keys: str, apart: bool) -> None:
    sheet = table(*keys)
    assert scattered(body_of(sheet), key_of) == apart
    expected = [(key, [at for at, one in enumerate(keys) if one == key]) for key in dict.fromkeys(keys)]
    for start in range(len(expected) + 1):
        groups = spilled(lambda: body_of(sheet), key_of, start)
        assert [(key, [int(row.cells[1]) for row in rows]) for (key,), rows in groups] == expected[start:]


def test_spilled_rows_keep_their_numbers_places_and_kinds() -> None:
    (sheet,) = open_table(
        b'[{"k": "a", "n": 1.50},\n{"k": "b", "n": "x"},\n{"k": "a", "n": true}]', Form.JSON, limits=LIMITS
    ).sheets
    before = {row.number: row for row in body_of(sheet)}
    after = {row.number: row for _, rows in spilled(lambda: body_of(sheet), key_of) for row in rows}
    assert after.keys() == before.keys()
    for number, row in after.items():
        assert list(row.cells) == list(before[number].cells)
        assert [type(one) for one in row.cells] == [type(one) for one in before[number].cells]
        assert [row.place(at) for at in (0, 1)] == [before[number].place(at) for at in (0, 1)]


def test_sheets_are_joined_by_key_and_what_has_no_parent_is_found() -> None:
    with Spill() as heads, Spill() as items:
        heads.fill(body_of(table("a", "b")), key_of)
        items.fill(body_of(table("b", "x", "b", "a")), key_of)
        assert {key: [row.number for row in items.rows(key)] for key, _ in heads.groups()} == {
            ("a",): [5],
            ("b",): [2, 4],
        }
        assert [(key, row.number) for key, row in items.keys_besides(heads)] == [(("x",), 3)]
        assert list(items.rows(("none",))) == []
