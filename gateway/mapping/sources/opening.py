"""Open a source of any form, as a table or as documents."""

from collections.abc import Iterator
from typing import BinaryIO

from gateway.mapping.sources.csv_table import CsvTable
from gateway.mapping.sources.json_source import JsonItem, read_json
from gateway.mapping.sources.json_table import JsonTable
from gateway.mapping.sources.refusing import refused
from gateway.mapping.sources.table import Form, SourceLimits, Workbook
from gateway.mapping.sources.text import LongLineError, TextFile, as_file, bounded
from gateway.mapping.sources.xlsx.workbook import XlsxWorkbook


def open_table(
    source: BinaryIO | bytes,
    form: Form,
    *,
    charset: str = "",
    delimiter: str = "",
    limits: SourceLimits,
) -> Workbook:
    """Open a table; the file must be seekable, and stays open as long as its rows are read.

    `charset`: of CSV; empty: the byte order mark says it, else UTF-8. `delimiter`: of CSV; empty: comma, semicolon
    or tab, as the first rows have it. Raises Refused `too-large`, `wrong-encoding`, `not-csv`, `not-xlsx`, `not-json`.
    """
    file = as_file(source)
    bounded(file, limits)
    if form is Form.XLSX:
        return XlsxWorkbook(file, limits)
    text = TextFile.of(file, form, charset)
    if form is Form.CSV:
        return CsvTable(text, delimiter, limits)
    return JsonTable(text, form, limits)


def open_documents(source: BinaryIO | bytes, form: Form, *, limits: SourceLimits) -> Iterator[JsonItem]:
    """Yield the documents of JSON (one) or NDJSON (one a line; empty lines are skipped), one in memory at a time.

    Raises Refused `too-large`, `wrong-encoding`, `not-json`.
    """
    file = as_file(source)
    size = bounded(file, limits)
    text = TextFile.of(file, form, "")
    if form is Form.JSON:
        if size > limits.document_bytes:
            raise refused("too-large", "document_size", limit=limits.document_bytes)
        yield read_json("".join(text.texts()), limits)
        return
    try:
        for number, line in text.lines(limits.document_bytes):
            if line.strip(" \t\r\n"):
                yield read_json(line, limits, line=number)
    except LongLineError as long:
        raise refused(
            "not-json", "document_size", line=long.line, column=1, limit=limits.document_bytes
        ) from long
