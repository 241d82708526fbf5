"""sheet_rows_s: how fast a large sheet is read, and in how much memory, beside openpyxl's read-only mode."""

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from io import TextIOWrapper
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile

import openpyxl

from bench.figure import Figure
from gateway.mapping.sources.opening import open_table
from gateway.mapping.sources.table import Form, SourceLimits, column_name

_COLUMNS: Final = 45
"""Of a sheet of inventories."""
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_REPEATED: Final = 500
"""Different texts of a column that repeats itself."""
_PARTS: Final = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
    '<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
    '<Override PartName="/xl/sharedStrings.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/>'
    "</Types>",
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r"'
    ' Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
    '<sheets><sheet name="S" sheetId="1" r:id="a"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="a" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>'
    '<Relationship Id="b" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings" Target="sharedStrings.xml"/>'
    "</Relationships>",
}  # fmt: skip


def sheets(*, rows: int) -> Figure:
    """Measure rows a second of processor time and peak memory, each in a process of its own.

    The sheet has 45 columns: a number of an order that is new every third row, texts that repeat, amounts and counts; texts
    are shared strings, as Excel writes them. The same table is read as CSV, too.
    """
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        book, text = Path(folder, "sheet.xlsx"), Path(folder, "sheet.csv")
        _write_book(book, rows)
        _write_text(text, rows)
        ours, ours_mb = measured(_read_ours, book, Form.XLSX)
        theirs, theirs_mb = measured(_read_theirs, book, Form.XLSX)
        csv, csv_mb = measured(_read_ours, text, Form.CSV)
        size_mb = round(book.stat().st_size / 1e6)
    return Figure(
        measure="sheet_rows_s",
        value=round(rows / ours),
        unit="rows/s",
        n=rows,
        detail={
            "columns": _COLUMNS, "mb": ours_mb, "openpyxl_rows_s": round(rows / theirs), "openpyxl_mb": theirs_mb,
            "csv_rows_s": round(rows / csv), "csv_mb": csv_mb, "file_mb": size_mb,
        },
    )  # fmt: skip


def _table(rows: int) -> Iterator[list[str | float]]:
    yield [f"列{at}" for at in range(_COLUMNS)]
    for row in range(rows):
        cells: list[str | float] = [f"DD{row // 3:010d}", f"名称{row % 97}", row % 7 + 1, row * 25 / 100]
        more = (
            f"文本{(row + at) % _REPEATED}" if at % 3 else round(row / 100 + at, 2)
            for at in range(_COLUMNS - 4)
        )
        yield [*cells, *more]


def _write_book(path: Path, rows: int) -> None:
    shared: dict[str, int] = {}
    letters = [column_name(at) for at in range(_COLUMNS)]
    with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in _PARTS.items():
            archive.writestr(name, content)
        with (
            archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as file,
            TextIOWrapper(file, "utf-8") as out,
        ):
            out.write(f'<worksheet xmlns="{_MAIN}"><sheetData>')
            for number, cells in enumerate(_table(rows), 1):
                out.write(f'<row r="{number}">')
                for at, cell in zip(letters, cells, strict=True):
                    if isinstance(cell, str):
                        place = shared.setdefault(cell, len(shared))
                        out.write(f'<c r="{at}{number}" t="s"><v>{place}</v></c>')
                    else:
                        out.write(f'<c r="{at}{number}"><v>{cell}</v></c>')
                out.write("</row>")
            out.write("</sheetData></worksheet>")
        with archive.open("xl/sharedStrings.xml", "w") as file, TextIOWrapper(file, "utf-8") as out:
            out.write(f'<sst xmlns="{_MAIN}">')
            out.writelines(f"<si><t>{text}</t></si>" for text in shared)
            out.write("</sst>")


def _write_text(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.writelines(",".join(map(str, cells)) + "\n" for cells in _table(rows))


def _read_ours(path: Path, form: Form) -> Iterable[object]:
    with path.open("rb") as file:
        (sheet,) = open_table(file, form, limits=SourceLimits()).sheets
        yield from sheet.rows()


def _read_theirs(path: Path, _form: Form) -> Iterable[object]:
    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    yield from book.worksheets[0].iter_rows(values_only=True)
    book.close()


def measured(read: Callable[[Path, Form], Iterable[object]], path: Path, form: Form) -> tuple[float, float]:
    """Return seconds of processor time and megabytes at most, of a new process that reads the file once."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_in_child, args=(theirs, read, path, form))
    child.start()
    seconds, mb = ours.recv()
    child.join()
    return seconds, mb


def _in_child(
    answer: "Connection[object, object]",
    read: Callable[[Path, Form], Iterable[object]],
    path: Path,
    form: Form,
) -> None:
    begin = time.process_time()
    for _ in read(path, form):
        pass
    seconds = time.process_time() - begin
    answer.send((seconds, round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1)))
