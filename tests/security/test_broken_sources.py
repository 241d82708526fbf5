"""Sources that are broken, hostile or something else: each gets its own answer, and memory stays flat."""

import json
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_LZMA, ZipFile

import pytest

from gateway.errors import Refused
from gateway.mapping.sources.opening import open_documents, open_table
from gateway.mapping.sources.table import Form, SourceLimits
from gateway.model import Fault
from tests.unit.xlsx_files import MAIN, SHEET, packed, parts, sheet_xml, text_row, workbook

LIMITS = SourceLimits(document_bytes=64 * 1024, columns=50, cell_chars=1000, rows=5000, elements=20_000)
GOOD = text_row(1, "订单编号", "数量") + text_row(2, "DD1", "2")
WIDE = "utf-16-le"


def csv(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def changed(name: str, content: str | bytes | None, rows: str = GOOD) -> bytes:
    """Return a workbook with one part changed, or left out."""
    made: dict[str, str | bytes] = {**parts(sheet_xml(rows))}
    made.pop(name, None)
    return packed(made if content is None else {**made, name: content})


def sheet(xml: str | bytes) -> bytes:
    return changed(SHEET, xml)


def compound(*names: str) -> bytes:
    """Return the beginning of a compound file with these streams."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 504 + b"".join(one.encode(WIDE) for one in names)


def damaged(at: float, body: bytes = b"") -> bytes:
    """Return a workbook with some bytes overwritten, at a part of its length."""
    body = body or workbook("".join(text_row(n, f"text {n}") for n in range(1, 500)))
    begin = int(len(body) * at)
    return body[:begin] + b"\x00\xff\x00\xff" * 8 + body[begin + 32 :]


def flagged() -> bytes:
    """Return an archive whose members are said to be encrypted."""
    body = bytearray(workbook(GOOD))
    at = 0
    while (at := body.find(b"PK\x01\x02", at)) >= 0:
        body[at + 8] |= 1
        at += 4
    return bytes(body)


def doubled() -> bytes:
    """Return an archive with two members of one name, but for its case."""
    return packed({**parts(sheet_xml(GOOD)), SHEET.upper(): sheet_xml("")})


def bomb(mebibytes: int, filler: bytes = b" " * 1024) -> bytes:
    """Return a workbook whose sheet inflates to so much."""
    made = parts(sheet_xml(GOOD))
    file = BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for name, text in made.items():
            if name != SHEET:
                archive.writestr(name, text)
        with archive.open(SHEET, "w", force_zip64=True) as member:
            member.write(sheet_xml(GOOD).encode())
            for _ in range(mebibytes):
                member.write(filler * (1024 * 1024 // len(filler)))
    return file.getvalue()


def declaring(size: int) -> bytes:
    """Return an archive that declares so many bytes for its sheet, whatever they are: 4 MiB."""
    body = bytearray(bomb(4))
    at = 0
    while (at := body.find(b"PK\x01\x02", at)) >= 0:
        if body[at + 46 :].startswith(SHEET.encode()):
            body[at + 24 : at + 28] = struct.pack("<L", size)
        at += 4
    return bytes(body)


def many_members() -> bytes:
    return packed({**parts(sheet_xml(GOOD)), **{f"xl/media/{at}": "" for at in range(LIMITS.members)}})


def merged(range_: str) -> bytes:
    return sheet(sheet_xml(GOOD, after=f'<mergeCells><mergeCell ref="{range_}"/></mergeCells>'))


def formula() -> str:
    return '<row r="1"><c r="A1" t="n"><f>1/0</f><v>one</v></c></row>'


ENTITIES = f'<!DOCTYPE worksheet [<!ENTITY a "{"b" * 100}">]>'
LISTED = '<sheet name="S" sheetId="2" r:id="rId1"/>'
Case = tuple[Form, Callable[[], bytes], str, str]
TABLES: dict[str, Case] = {
    # what it is at all
    "csv: a workbook": (Form.CSV, lambda: workbook(GOOD), "not-csv", "other_form"),
    "csv: an old workbook": (Form.CSV, lambda: compound("Workbook"), "not-csv", "other_form"),
    "csv: a web page called .xls": (Form.CSV, lambda: b"<html><table></table></html>", "not-csv", "other_form"),
    "csv: XML of 2003": (Form.CSV, lambda: b'<?xml version="1.0"?><Workbook/>', "not-csv", "other_form"),
    "csv: PDF": (Form.CSV, lambda: b"%PDF-1.7", "not-csv", "other_form"),
    "csv: gzip": (Form.CSV, lambda: b"\x1f\x8b\x08\x00", "not-csv", "other_form"),
    "json: a workbook": (Form.JSON, lambda: workbook(GOOD), "not-json", "other_form"),
    "ndjson: a web page": (Form.NDJSON, lambda: b"<!DOCTYPE html>", "not-json", "other_form"),
    "xlsx: nothing": (Form.XLSX, lambda: b"", "not-xlsx", "empty"),
    "xlsx: CSV": (Form.XLSX, lambda: b"a,b\n1,2\n", "not-xlsx", "other_form"),
    "xlsx: a web page": (Form.XLSX, lambda: b"<html></html>", "not-xlsx", "other_form"),
    "xlsx: PDF": (Form.XLSX, lambda: b"%PDF-1.7", "not-xlsx", "other_form"),
    "xlsx: .xls": (Form.XLSX, lambda: compound("Root Entry", "Workbook"), "not-xlsx", "old_workbook"),
    "xlsx: .xls of Excel 5": (Form.XLSX, lambda: compound("Book"), "not-xlsx", "old_workbook"),
    "xlsx: a password": (Form.XLSX, lambda: compound("EncryptionInfo", "EncryptedPackage"), "not-xlsx", "password"),
    "xlsx: members encrypted": (Form.XLSX, flagged, "not-xlsx", "password"),
    "xlsx: macros": (Form.XLSX, lambda: changed("xl/vbaProject.bin", "x"), "not-xlsx", "macros"),
    "xlsx: .xlsb": (Form.XLSX, lambda: changed("xl/workbook.bin", "x"), "not-xlsx", "binary_workbook"),
    "xlsx: .ods": (Form.XLSX, lambda: packed({"content.xml": "<x/>"}), "not-xlsx", "open_document"),
    "xlsx: .numbers": (Form.XLSX, lambda: packed({"Index/Document.iwa": "x"}), "not-xlsx", "numbers_document"),
    "xlsx: .docx": (Form.XLSX, lambda: packed({"word/document.xml": "<x/>"}), "not-xlsx", "other_office"),
    "xlsx: another archive": (Form.XLSX, lambda: packed({"a.txt": "x"}), "not-xlsx", "missing_part"),
    "xlsx: an empty archive": (Form.XLSX, lambda: packed({}), "not-xlsx", "missing_part"),
    # damaged
    "xlsx: cut off": (Form.XLSX, lambda: workbook(GOOD)[:-200], "not-xlsx", "damaged"),
    "xlsx: only its beginning": (Form.XLSX, lambda: workbook(GOOD)[:100], "not-xlsx", "damaged"),
    "xlsx: bytes overwritten in the sheet": (Form.XLSX, lambda: damaged(0.7), "not-xlsx", "damaged"),
    "xlsx: two members of one name": (Form.XLSX, doubled, "not-xlsx", "doubled_part"),
    "xlsx: another compression": (Form.XLSX, lambda: packed(parts(sheet_xml(GOOD)), ZIP_LZMA), "not-xlsx", "compression"),
    "xlsx: no sheet": (Form.XLSX, lambda: changed(SHEET, None), "not-xlsx", "missing_part"),
    "xlsx: no list of sheets": (Form.XLSX, lambda: changed("xl/workbook.xml", None), "not-xlsx", "missing_part"),
    "xlsx: a list that is none": (Form.XLSX, lambda: changed("xl/workbook.xml", "<a/>"), "not-xlsx", "damaged"),
    "xlsx: relations cut off": (Form.XLSX, lambda: changed("xl/_rels/workbook.xml.rels", "<a"), "not-xlsx", "damaged"),
    "xlsx: strings that are none": (Form.XLSX, lambda: changed("xl/sharedStrings.xml", "<a/>"), "not-xlsx", "damaged"),
    "xlsx: a string that is not there": (
        Form.XLSX, lambda: workbook('<row><c t="s"><v>7</v></c></row>'), "not-xlsx", "damaged",
    ),
    "xlsx: markup cut off": (Form.XLSX, lambda: sheet(sheet_xml(GOOD)[:-40]), "not-xlsx", "damaged"),
    "xlsx: another root": (Form.XLSX, lambda: sheet("<html/>"), "not-xlsx", "damaged"),
    "xlsx: another namespace": (Form.XLSX, lambda: sheet(sheet_xml(GOOD).replace(MAIN, "urn:x")), "not-xlsx", "damaged"),
    "xlsx: a cell in a cell": (
        Form.XLSX, lambda: workbook("<row>" + "<c>" * 100 + "</c>" * 100 + "</row>"), "not-xlsx", "damaged",
    ),
    "xlsx: rows backwards": (Form.XLSX, lambda: workbook(text_row(3, "a") + text_row(2, "b")), "not-xlsx", "damaged"),
    "xlsx: columns backwards": (
        Form.XLSX, lambda: workbook('<row r="1"><c r="B1"><v>1</v></c><c r="A1"><v>1</v></c></row>'), "not-xlsx", "damaged",
    ),
    "xlsx: a cell without a place": (
        Form.XLSX, lambda: workbook('<row r="1"><c r="11"><v>1</v></c></row>'), "not-xlsx", "damaged",
    ),
    "xlsx: a number that is none": (Form.XLSX, lambda: workbook(formula()), "not-xlsx", "wrong_cell"),
    "xlsx: a boolean that is none": (Form.XLSX, lambda: workbook('<row><c t="b"><v>2</v></c></row>'), "not-xlsx", "wrong_cell"),
    "xlsx: a type that is none": (Form.XLSX, lambda: workbook('<row><c t="q"><v>2</v></c></row>'), "not-xlsx", "wrong_cell"),
    "xlsx: bytes that are not UTF-8": (
        Form.XLSX, lambda: sheet(sheet_xml(GOOD).encode().replace(b"DD1", b"D\xff1")), "not-xlsx", "damaged",
    ),
    "xlsx: data cells merged": (Form.XLSX, lambda: merged("A1:A2"), "not-xlsx", "merged"),
    "xlsx: cells merged far down": (Form.XLSX, lambda: merged("A500:A501"), "not-xlsx", "merged"),
    # hostile
    "xlsx: entities": (Form.XLSX, lambda: sheet(ENTITIES + sheet_xml(GOOD).partition("\n")[2]), "not-xlsx", "doctype"),
    "xlsx: entities in the strings": (
        Form.XLSX, lambda: changed("xl/sharedStrings.xml", f"{ENTITIES}<sst xmlns='{MAIN}'/>"), "not-xlsx", "doctype",
    ),
    "xlsx: entities in the list": (Form.XLSX, lambda: changed("xl/workbook.xml", ENTITIES + "<a/>"), "not-xlsx", "damaged"),
    "xlsx: nested deep": (Form.XLSX, lambda: sheet(sheet_xml("<x>" * 5000)), "not-xlsx", "damaged"),
    "xlsx: nested deep in a cell": (
        Form.XLSX, lambda: workbook("<row><c>" + "<x>" * 100 + "</x>" * 100 + "</c></row>"), "not-xlsx", "damaged",
    ),
    "xlsx: a tag without an end": (Form.XLSX, lambda: sheet(sheet_xml('<row a="' + "x" * 9_000_000)), "not-xlsx", "damaged"),
    "xlsx: a cell without an end": (Form.XLSX, lambda: workbook(text_row(1, "x" * 900_000)), "not-xlsx", "long_cell"),
    "xlsx: text without an end": (Form.XLSX, lambda: sheet(sheet_xml("<row><c><v>" + "x" * 9_000_000)), "not-xlsx", "cell"),
    "xlsx: too many columns": (Form.XLSX, lambda: workbook('<row><c r="ZZ1"><v>1</v></c></row>'), "not-xlsx", "columns"),
    "xlsx: too many rows": (Form.XLSX, lambda: workbook('<row r="6000"><c><v>1</v></c></row>'), "not-xlsx", "rows"),
    "xlsx: too many members": (Form.XLSX, many_members, "too-large", "members"),
    "xlsx: one sheet listed twice": (
        Form.XLSX, lambda: changed("xl/workbook.xml", str(parts()["xl/workbook.xml"]).replace("<sheets>", f"<sheets>{LISTED}")), "not-xlsx", "damaged",
    ),
    "xlsx: too many sheets": (Form.XLSX, lambda: packed(parts(states=("visible",) * 65)), "too-large", "sheets"),
    "xlsx: 300 MB of nothing in 300 KB": (Form.XLSX, lambda: bomb(300), "too-large", "ratio"),
    "xlsx: 2 GiB in 10 KB": (Form.XLSX, lambda: declaring(2**31), "too-large", "ratio"),
    "xlsx: more than it declares": (Form.XLSX, lambda: declaring(1024), "not-xlsx", "damaged"),
    # CSV
    "csv: not UTF-8": (Form.CSV, lambda: "订单编号\n一".encode("gb18030"), "wrong-encoding", "encoding_bytes"),
    "csv: bad bytes far down": (Form.CSV, lambda: b"a\n" * 4000 + b"\xff\n", "wrong-encoding", "encoding_bytes"),
    "csv: cut off within a character": (Form.CSV, lambda: "a\n一".encode()[:-1], "wrong-encoding", "encoding_bytes"),
    "csv: UTF-16 without its mark": (Form.CSV, lambda: "a,b\n".encode(WIDE), "wrong-encoding", "encoding_bytes"),
    "csv: UTF-16 cut off": (Form.CSV, lambda: "a\tb".encode("utf-16")[:-1], "wrong-encoding", "encoding_bytes"),
    "csv: a quote in a cell": (Form.CSV, lambda: csv('a,b\n1,5" screen\n2,x\n'), "not-csv", "quote"),
    "csv: text behind a quote": (Form.CSV, lambda: csv('a,b\n"1"x,"2"\n'), "not-csv", "quote"),
    "csv: a quote without an end": (Form.CSV, lambda: csv('a,b\n1,"2\n3,4\n'), "not-csv", "quote_open"),
    "csv: a quote without an end for long": (Form.CSV, lambda: csv('a,"' + "b\n" * 99_999), "not-csv", "long_row"),
    "csv: a line without an end": (Form.CSV, lambda: b"a" * 900_000, "not-csv", "long_row"),
    "csv: a long cell": (Form.CSV, lambda: b"a\n" + b"b" * 2000, "not-csv", "cell"),
    "csv: too many columns": (Form.CSV, lambda: b"a" + b",b" * 100, "not-csv", "columns"),
    "csv: too many rows": (Form.CSV, lambda: b"a\n" * 6000, "not-csv", "rows"),
    # JSON
    "json: nothing": (Form.JSON, lambda: b" ", "not-json", "empty"),
    "json: one object": (Form.JSON, lambda: b'{"a": 1}', "not-json", "no_table"),
    "json: an empty object": (Form.JSON, lambda: b"{}", "not-json", "no_table"),
    "json: a text": (Form.JSON, lambda: b'"a"', "not-json", "no_table"),
    "json: rows that are none": (Form.JSON, lambda: b'[{"a": 1}, 2]', "not-json", "no_table"),
    "json: cut off": (Form.JSON, lambda: b'[{"a": 1}, {"a"', "not-json", "not_json"),
    "json: without its end": (Form.JSON, lambda: b'[{"a": 1}', "not-json", "not_json"),
    "json: something behind it": (Form.JSON, lambda: b'[{"a": 1}] 2', "not-json", "not_json"),
    "json: a key twice": (Form.JSON, lambda: b'[{"a": 1, "a": 2}]', "not-json", "duplicate_key"),
    "json: a sheet twice": (Form.JSON, lambda: b'{"a": [], "a": []}', "not-json", "duplicate_sheet"),
    "json: no number": (Form.JSON, lambda: b'[{"a": NaN}]', "not-json", "not_json"),
    "json: a cell that is an array": (Form.JSON, lambda: b'[{"a": [1]}]', "not-json", "not_flat"),
    "json: nested deep": (Form.JSON, lambda: b'[{"a": ' + b"[" * 60_000, "not-json", "depth"),
    "json: an object without an end": (Form.JSON, lambda: b'[{"a": "' + b"x" * 900_000, "not-json", "document_size"),
    "json: a long cell": (Form.JSON, lambda: json.dumps([{"a": "x" * 2000}]).encode(), "not-json", "cell"),
    "json: too many columns": (Form.JSON, lambda: json.dumps([{str(n): 1 for n in range(99)}]).encode(), "not-json", "columns"),
    "json: UTF-16": (Form.JSON, lambda: "[]".encode("utf-16"), "wrong-encoding", "encoding_json"),
    "ndjson: a line cut off": (Form.NDJSON, lambda: b'{"a": 1}\n{"a": \n', "not-json", "not_json"),
    "ndjson: two on a line": (Form.NDJSON, lambda: b'{"a": 1} {"a": 2}\n', "not-json", "not_json"),
    "ndjson: a line without an end": (Form.NDJSON, lambda: b'{"a": "' + b"x" * 900_000, "not-json", "document_size"),
}  # fmt: skip
DOCUMENTS: dict[str, Case] = {
    "json: too large for one": (Form.JSON, lambda: b" " * 70_000 + b"{}", "too-large", "document_size"),
    "json: cut off": (Form.JSON, lambda: b'{"a": [1, 2', "not-json", "not_json"),
    "json: too many values": (Form.JSON, lambda: b"[" + b"1," * 30_000 + b"1]", "not-json", "elements"),
    "ndjson: a bad line": (Form.NDJSON, lambda: b'{"a": 1}\n\n{"a": 1,}\n', "not-json", "not_json"),
    "ndjson: a line without an end": (Form.NDJSON, lambda: b"[" * 900_000, "not-json", "document_size"),
    "ndjson: bad bytes": (Form.NDJSON, lambda: b'{"a": "\xff"}', "wrong-encoding", "encoding_bytes"),
}
"""Form, content, problem and rule of the answer."""


def read_table(form: Form, body: bytes, limits: SourceLimits = LIMITS) -> None:
    for sheet_ in open_table(body, form, limits=limits).sheets:
        for row in sheet_.rows():
            row.place(0)


def read_documents(form: Form, body: bytes) -> None:
    for document in open_documents(body, form, limits=LIMITS):
        document.spot()


def answered(read: Callable[[], None]) -> tuple[str, tuple[Fault, ...]]:
    with pytest.raises(Refused) as caught:
        read()
    return caught.value.problem, caught.value.faults


def is_told(faults: tuple[Fault, ...], rule: str) -> None:
    (fault,) = faults
    assert fault.rule == rule
    assert fault.message
    assert fault.fix
    assert any("\u4e00" <= sign <= "\u9fff" for sign in fault.message_zh)
    assert fault.fix_zh.startswith(("请", "单元格", "含有", "撤销", "表格", "字符串", "JSON"))
    assert not {"{", "}"} & set(fault.message) or rule in {"no_table", "not_json"}


@pytest.mark.parametrize("name", TABLES)
def test_broken_table_gets_its_answer(name: str) -> None:
    form, body, problem, rule = TABLES[name]
    said, faults = answered(lambda: read_table(form, body()))
    assert said == problem
    is_told(faults, rule)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_broken_documents_get_their_answer(name: str) -> None:
    form, body, problem, rule = DOCUMENTS[name]
    said, faults = answered(lambda: read_documents(form, body()))
    assert said == problem
    is_told(faults, rule)


CHARSETS = {
    "unknown": ("utf-7", b"a", "encoding"),
    "a mark of another one": ("gb18030", "\ufeffa".encode(), "encoding_mark"),
    "UTF-16 without a mark": ("utf-16", "a".encode(WIDE), "encoding_bytes"),
    "bytes that are not in it": ("gbk", b"a\xff\xff", "encoding_bytes"),
}


@pytest.mark.parametrize("name", CHARSETS)
def test_charset_that_does_not_fit_is_refused(name: str) -> None:
    charset, body, rule = CHARSETS[name]
    said, faults = answered(
        lambda: list(open_table(body, Form.CSV, charset=charset, limits=LIMITS).sheets[0].rows()).clear()
    )
    assert said == "wrong-encoding"
    is_told(faults, rule)


def test_source_is_bounded() -> None:
    limits = SourceLimits(size_bytes=10)
    for form in Form:
        said, faults = answered(lambda form=form: read_table(form, b"a" * 11, limits))  # type: ignore[misc]
        assert said == "too-large"
        is_told(faults, "size")
    said, faults = answered(lambda: read_table(Form.XLSX, workbook(GOOD), SourceLimits(inflated_bytes=1000)))
    assert said == "too-large"
    is_told(faults, "inflated")


_IN_A_CHILD = """
import resource, sys
from pathlib import Path
from gateway.errors import Refused
from gateway.mapping.sources.opening import open_table
from gateway.mapping.sources.table import Form, SourceLimits
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = 0
for name in sys.argv[1:]:
    with Path(name).open("rb") as file:
        try:
            for sheet in open_table(file, Form(name.rpartition(".")[2]), limits=SourceLimits()).sheets:
                rows += sum(1 for _ in sheet.rows())
        except Refused as refused:
            print(refused.problem, refused.faults[0].rule)
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def large(folder: Path) -> Iterator[Path]:
    """Write large files, sound and hostile, and yield their names."""
    made: dict[str, Callable[[], bytes]] = {
        "spaces.xlsx": lambda: bomb(60),
        "bomb.xlsx": lambda: declaring(2**31),
        "texts.xlsx": lambda: sheet(sheet_xml("<row><c><v>" + "x" * 60_000_000)),
        "tags.xlsx": lambda: sheet(sheet_xml("<x>" * 10_000_000)),
        "strings.xlsx": lambda: workbook(
            GOOD, strings="".join(f"<si><t>{n:040d}</t></si>" for n in range(200_000))
        ),
        "cells.xlsx": lambda: workbook("".join(text_row(n, *["text"] * 20) for n in range(1, 20_001))),
        "cells.csv": lambda: b"text,text,text,text\n" * 150_000,
        "quote.csv": lambda: b'a,"' + b"b\n" * 20_000_000,
        "cells.json": lambda: b"[" + b'{"a": 1, "b": "text"},\n' * 150_000 + b'{"a": 2}]',
        "object.json": lambda: b'[{"a": "' + b"x" * 40_000_000,
        "cells.ndjson": lambda: b'{"a": 1, "b": "text"}\n' * 150_000,
    }
    for name, body in made.items():
        path = folder / name
        path.write_bytes(body())
        yield path


def test_memory_stays_flat(tmp_path: Path) -> None:
    """All of them in one process: a hundred times the memory is on disk, and nothing of it is kept."""
    files = list(large(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", _IN_A_CHILD, *map(str, files)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    *refused, last = done.stdout.splitlines()
    rows, grown_kib = map(int, last.split())
    assert refused == [
        "too-large ratio", "not-xlsx cell", "not-xlsx damaged", "not-csv long_row", "not-json document_size",
    ]  # fmt: skip
    assert rows == 2 + 2 + 20_000 + 150_000 + 150_002 + 150_001
    assert grown_kib < 64 * 1024
