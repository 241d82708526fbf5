"""One pass over the rows of a worksheet: plain rows by a pattern, all others by a parser."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import Refused
from gateway.mapping.sources.refusing import refused
from gateway.mapping.sources.table import Row, SourceLimits, SourceNote, cell_name, column_at
from gateway.mapping.sources.xlsx.archive import WorkbookArchive
from gateway.mapping.sources.xlsx.cell_texts import NUMBER, CellReader, CellTexts
from gateway.mapping.sources.xlsx.cells import NO_VALUE, WrongCellError
from gateway.mapping.sources.xlsx.markup import NAMESPACES, PRESERVE, WHITE, End, Markup, Start
from gateway.mapping.sources.xlsx.plain_rows import (
    CELLS,
    DATA,
    ROW,
    ROW_END,
    attributes_of,
    is_utf8,
    prefixes_of,
    resolved,
)

_ROW_BYTES: Final = 1024 * 1024
"""Longest plain row."""
_DIGITS: Final = 9
_TRUE: Final = ("1", "true")
_LETTERS: Final = re.compile("[A-Z]{1,3}")
_ATTRIBUTES_KNOWN: Final = 1000


@dataclass(slots=True)
class _Cells:
    """The cells of the row that is read."""

    number: int
    hidden: bool = False
    texts: list[str] = field(default_factory=list)
    formulas: list[int] = field(default_factory=list)
    """Columns."""


class RowReading:
    """Reads the rows once; the notes are complete at the end."""

    def __init__(
        self, archive: WorkbookArchive, part: str, sheet: str, texts: CellTexts, limits: SourceLimits
    ) -> None:
        self._archive, self._part, self._sheet = archive, part, sheet
        self._limits = limits
        self._texts = texts
        self._markup = Markup(archive, part, text_chars=limits.cell_chars * 2)
        self._rows: list[Row] = []
        self._row = _Cells(0)
        self._plain = self._in_data = self._in_row = False
        self._prefixes: frozenset[str] = frozenset()
        """Declared before the rows."""
        self._columns: dict[str, int] = {}
        self._readers: dict[str, CellReader] = {}
        """By the attributes of plain cells."""
        self._formulas = self._hidden = 0
        self._first_formula = ""

    def rows(self) -> Iterator[Row]:
        """Yield the rows that have any text. Raises Refused `not-xlsx`, `too-large`."""
        markup, held = self._markup, b""
        markup.begin(self._begin)
        with self._archive.opened(self._part) as chunks:
            for at, chunk in enumerate(chunks):
                held = self._passed(chunk if at else self._head(chunk), held)
                yield from self._rows
                self._rows.clear()
        markup.feed(held)
        markup.finish()
        yield from self._rows

    def notes(self) -> Iterator[SourceNote]:
        """Yield what is to be said about the rows that were read."""
        if self._formulas:
            yield SourceNote(
                rule="formulas", sheet=self._sheet, count=self._formulas,
                message=f"{self._formulas} cells hold formulas, the first is {self._first_formula}: the values stored with them were read",
                message_zh=f"{self._formulas}个单元格含公式（首个为{self._first_formula}），读取的是文件中保存的计算结果",
            )  # fmt: skip
        if self._hidden:
            yield SourceNote(
                rule="hidden_rows", sheet=self._sheet, count=self._hidden,
                message=f"{self._hidden} rows are hidden in the sheet: they were read like the others",
                message_zh=f"工作表中有{self._hidden}行被隐藏，已与其他行一并读取",
            )  # fmt: skip

    # ---- plain rows ----

    def _head(self, chunk: bytes) -> bytes:
        """Parse what stands before the rows, and return the rest; plain rows can be read if all of it is as usual."""
        end = chunk.find(DATA) + len(DATA)
        if end < len(DATA) or not is_utf8(chunk):
            return chunk
        self._markup.feed(chunk[:end])
        self._prefixes = prefixes_of(chunk[:end])
        self._plain = self._in_data and self._markup.stands_behind(DATA)
        return chunk[end:]

    def _passed(self, chunk: bytes, held: bytes) -> bytes:
        """Take the rows that are complete, and return the rest; without plain rows all of it goes to the parser."""
        if not self._plain:
            self._markup.feed(held + chunk)
            return b""
        text, at = held + chunk, 0
        while (end := text.find(ROW_END, at)) >= 0:
            row, at = text[at : end + len(ROW_END)], end + len(ROW_END)
            if self._take_plain(row):
                continue
            before = self._row
            self._markup.feed(row)
            if self._in_row or self._row is before or not self._markup.stands_behind(ROW_END):
                self._plain = False
                break
        if self._plain and len(text) - at < _ROW_BYTES:
            return text[at:]
        self._plain = False
        self._markup.feed(text[at:])
        return b""

    def _take_plain(self, written: bytes) -> bool:
        """Take a row, and empty ones before it; False: it is not plain, and nothing was taken."""
        try:
            text = written.decode()
        except UnicodeDecodeError:
            return False
        row, at = self._row, 0
        while begin := ROW.match(text, at):
            attributes, at = attributes_of(begin[1], self._prefixes), begin.end()
            if attributes is None:
                return False
            row = self._row_of(attributes, row.number)
            if not begin[2]:
                break
        else:
            return False
        if not self._fill(row, text, at):
            return False
        self._row = row
        self._end_row()
        return True

    def _fill(self, row: _Cells, text: str, begin: int) -> bool:  # noqa: C901 (the inner loop, for millions of cells)
        """Fill a row with its cells; False: it is not plain."""
        columns, readers, most = self._columns, self._readers, self._limits.cell_chars
        cells, position = row.texts, 0
        for letters, attributes, formula, value, preserve, inline, other in CELLS.findall(
            text, begin, len(text) - len(ROW_END)
        ):
            at = columns.get(letters) if letters else None
            if at is None:
                if other:
                    return False
                at = columns[letters] = column_at(letters)
            reader = readers.get(attributes) or self._reader_of(attributes)
            if at < position or reader is None:
                return False
            position = at + 1
            if value:
                shown = reader.known.get(value) or self._read(reader, value, row.number, at)
            elif inline:
                plain = resolved(inline) if "&" in inline else inline
                if plain is None:
                    return False
                shown = self._read(reader, plain if preserve else plain.strip(WHITE), row.number, at)
            elif formula:
                return False
            else:
                continue
            if formula:
                row.formulas.append(at)
            if at != len(cells) or len(shown) > most:
                self._put(row, at, shown)
            else:
                cells.append(shown)
        return True

    def _reader_of(self, attributes: str) -> CellReader | None:
        """Return the reader for the attributes of a plain cell, and remember it; None: the cell is not plain."""
        found = attributes_of(attributes, self._prefixes)
        if found is None:
            return None
        reader = self._texts.reader(found.get("t", NUMBER), found.get("s", "0"))
        if reader is not None and len(self._readers) < _ATTRIBUTES_KNOWN:
            self._readers[attributes] = reader
        return reader

    # ---- all other rows ----

    def _begin(self, tag: str, _attributes: dict[str, str]) -> None:
        """Take the root element, whose namespace says that of all others."""
        namespace, _, name = tag.rpartition(" ")
        if name != "worksheet" or namespace not in NAMESPACES:
            raise self._markup.damaged()
        parser = self._markup.parser
        parser.StartElementHandler, parser.EndElementHandler = self._handlers(namespace)

    def _handlers(self, namespace: str) -> tuple[Start, End]:  # noqa: C901, PLR0915 (one state in two handlers)
        tag_data, tag_row, tag_cell, tag_value, tag_formula, tag_inline, tag_text, tag_phonetic = (
            f"{namespace} {name}" for name in ("sheetData", "row", "c", "v", "f", "is", "t", "rPh")
        )
        markup = self._markup
        clear, taken, deeper = markup.text.clear, markup.taken, markup.deeper
        cell: dict[str, str] | None = None
        value: str | None = None
        texts: list[str] = []
        in_inline = taking = formula = preserve = False
        position = phonetic = 0

        def start(tag: str, attributes: dict[str, str]) -> None:
            nonlocal cell, value, position, in_inline, taking, formula, preserve, phonetic
            if taking:
                raise markup.damaged()
            clear()
            if tag == tag_cell and self._in_row and cell is None:
                cell, value, formula = attributes, None, False
            elif tag == tag_value and cell is not None:
                taking = True
            elif tag == tag_inline and cell is not None and not in_inline:
                in_inline = True
            elif tag == tag_text and in_inline and not phonetic:
                taking, preserve = True, attributes.get(PRESERVE) == "preserve"
            elif tag == tag_row and not self._in_row and self._in_data:
                self._in_row, position = True, 0
                self._row = self._row_of(attributes, self._row.number)
            else:
                deeper(1)
                self._in_data = self._in_data or tag == tag_data
                formula = formula or tag == tag_formula
                phonetic += tag == tag_phonetic

        def end(tag: str) -> None:
            nonlocal cell, value, position, in_inline, taking, phonetic
            if taking:
                taking = False
                if tag == tag_value:
                    value = taken()
                else:
                    texts.append(taken() if preserve else taken().strip(WHITE))
            elif tag == tag_cell and cell is not None:
                position = self._take(cell, value, position, formula=formula)
                cell = None
            elif tag == tag_inline and in_inline and not phonetic:
                in_inline = False
                value = "".join(texts)
                texts.clear()
            elif tag == tag_row and self._in_row and cell is None:
                self._in_row = False
                self._end_row()
            else:
                deeper(-1)
                self._in_data = self._in_data and tag != tag_data
                phonetic -= tag == tag_phonetic
            clear()

        return start, end

    def _take(self, cell: dict[str, str], value: str | None, position: int, *, formula: bool) -> int:
        """Put a cell into its row; returns the next column."""
        reference = cell.get("r")
        at = position if reference is None else self._column_of(reference)
        if at < position:
            raise self._markup.damaged()
        if formula:
            self._row.formulas.append(at)
        reader = self._texts.reader(cell.get("t", NUMBER), cell.get("s", "0"))
        if reader is None:
            raise self._wrong("wrong_cell", self._row.number, at)
        if value:
            self._put(self._row, at, self._read(reader, value, self._row.number, at))
        elif formula and cell.get("t") != "str":  # of type str, its value is an empty text
            self._put(self._row, at, NO_VALUE)
        return at + 1

    def _column_of(self, reference: str) -> int:
        letters = reference.rstrip("0123456789")
        if not _LETTERS.fullmatch(letters):
            raise self._markup.damaged()
        return column_at(letters)

    # ---- both ----

    def _row_of(self, attributes: dict[str, str], before: int) -> _Cells:
        """Begin the row that follows `before`. Raises Refused."""
        written = attributes.get("r", "")
        number = int(written) if written.isdecimal() and len(written) < _DIGITS else before + 1
        if number <= before:
            raise self._markup.damaged()
        if number > self._limits.rows:
            raise refused("not-xlsx", "rows", limit=self._limits.rows)
        return _Cells(number, attributes.get("hidden") in _TRUE)

    def _end_row(self) -> None:
        row = self._row
        if row.formulas:
            self._first_formula = self._first_formula or cell_name(row.number, row.formulas[0])
            self._formulas += len(row.formulas)
        if any(map(str.strip, row.texts)):
            self._rows.append(Row(row.number, row.texts))
            self._hidden += row.hidden

    def _read(self, reader: CellReader, value: str, row: int, at: int) -> str:
        try:
            return reader(value)
        except WrongCellError as wrong:
            raise self._wrong("wrong_cell", row, at) from wrong

    def _put(self, row: _Cells, at: int, text: str) -> None:
        """Put a text into its column. Raises Refused."""
        if not text:
            return
        if at >= self._limits.columns:
            raise refused("not-xlsx", "columns", row=row.number, limit=self._limits.columns)
        if len(text) > self._limits.cell_chars:
            raise self._wrong("long_cell", row.number, at, limit=self._limits.cell_chars)
        row.texts.extend([""] * (at - len(row.texts)))
        row.texts.append(text)

    def _wrong(self, rule: str, row: int, at: int, **facts: int) -> Refused:
        return refused("not-xlsx", rule, sheet=self._sheet, cell=cell_name(row, at), **facts)
