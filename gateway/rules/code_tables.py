"""Code tables for advice: countries, currencies, units, customs districts … (`mappings/tables/`, docs/rules.md).

`tables.toml` names each table with its file, edition and grade; the file is CSV in UTF-8 with a header row, whose first
column is the code. Tables age: an unknown code is "not in this table of that edition", never "wrong".
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from gateway.errors import RulesError
from gateway.rules.tables import TablePlace, read_tables, shaped

Grade = Literal["O", "V", "S", "U"]
"""How well a fact is supported: O the authority's own text, V several sources agree, S one source, U unverified."""
ROWS_AT_MOST: Final = 200_000
CELL_AT_MOST: Final = 1000
MANIFEST: Final = "tables.toml"
_EXAMPLE: Final = """
file = "country.csv"
title_zh = "国别（地区）代码"
title_en = "countries and regions"
edition = "2019"
grade = "V"
source = "docs/spec/code_tables.md"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTable:
    """One table, in memory."""

    name: str
    title_zh: str
    title_en: str
    edition: str
    grade: Grade
    source: str
    columns: tuple[str, ...]
    """Without that of the code."""
    rows: Mapping[str, tuple[str, ...]]
    """Code → the other cells."""
    _by_column: dict[str, Mapping[str, str]] = field(default_factory=dict, compare=False, repr=False)

    def column(self, name: str) -> Mapping[str, str]:
        """Return code → cell of one column, without empty cells; empty for an unknown column."""
        if name not in self._by_column:
            at = self.columns.index(name) if name in self.columns else -1
            found = {code: row[at] for code, row in self.rows.items() if row[at]} if at >= 0 else {}
            self._by_column[name] = MappingProxyType(found)
        return self._by_column[name]


CodeTables = Mapping[str, CodeTable]


class _Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    file: str
    title_zh: str
    title_en: str
    edition: str
    grade: Grade
    source: str


def load_code_tables(folder: Path, known: CodeTables = MappingProxyType({})) -> CodeTables:
    """Read the tables that `tables.toml` of a folder names; they replace those of the same names in `known`.

    Raises RulesError that names file and line.
    """
    manifest = folder / MANIFEST
    tables = dict(known)
    for name, table in read_tables(manifest).items():
        place = TablePlace(manifest, name)
        row = shaped(table, _Row, place, _EXAMPLE)
        if Path(row.file).name != row.file:
            raise place.error(
                "the file has to stand beside tables.toml", key="file", example='file = "country.csv"'
            )
        tables[name] = _table(name, row, folder / row.file)
    return MappingProxyType(tables)


def _table(name: str, row: _Row, file: Path) -> CodeTable:
    lines = _lines(file)
    head = next(lines, (0, ()))[1]
    if len(head) < 1 or not head[0]:
        raise RulesError(
            "the table is empty", where=str(file), fix="begin with a line of column names, the code first"
        )
    rows: dict[str, tuple[str, ...]] = {}
    for line, cells in lines:
        code = cells[0] if cells else ""
        if len(cells) != len(head) or not code or code in rows:
            what = (
                "a code stands twice"
                if code in rows
                else f"{len(head)} cells were expected, not {len(cells)}"
            )
            raise RulesError(what, where=f"{file}, line {line}", fix="mend that line")
        if len(rows) >= ROWS_AT_MOST or any(len(cell) > CELL_AT_MOST for cell in cells):
            what = f"more than {ROWS_AT_MOST} rows, or a cell of more than {CELL_AT_MOST} characters"
            raise RulesError(what, where=f"{file}, line {line}", fix="shorten the table")
        rows[code] = tuple(cells[1:])
    return CodeTable(
        name=name,
        title_zh=row.title_zh,
        title_en=row.title_en,
        edition=row.edition,
        grade=row.grade,
        source=row.source,
        columns=tuple(head[1:]),
        rows=MappingProxyType(rows),
    )


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each line that is not empty, and its cells without blanks around them."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened, strict=True)
            for cells in reader:
                if cells:
                    yield reader.line_num, [cell.strip() for cell in cells]
    except OSError as err:
        raise RulesError(
            f"cannot read a table: {err.strerror}", where=str(file), fix="put the file beside tables.toml"
        ) from err
    except (UnicodeDecodeError, csv.Error) as err:
        raise RulesError(f"not CSV in UTF-8: {err}", where=str(file), fix="save it as CSV in UTF-8") from err
