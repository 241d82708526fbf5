"""Look-ups of a mapping: in the code tables that are shipped, and in CSV files beside the mapping."""

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from gateway.mapping.functions import LookedUp, spelt
from gateway.rules.code_tables import CELL_AT_MOST, ROWS_AT_MOST, CodeTable, CodeTables
from gateway.rules.tables import TablePlace

CODE_TABLES: Final = (
    "country", "currency", "customs_district", "trade_mode", "transport_mode", "unit", "wrap_type",
)  # fmt: skip
"""Tables whose code and names a mapping may look up; the others are for advice."""
_NAME: Final = "zh"
"""The column with the Chinese name."""


class WrittenLookup(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`lookup` as a table: of a code table, or of a file."""

    table: str = ""
    to: str = "code"
    also: dict[str, str] | None = None
    file: str = ""
    key: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class LookupTables:
    """What a mapping may look things up in, and what it has looked into."""

    known: CodeTables
    beside: Path | Mapping[str, bytes] | None
    """Where the mapping stands, or the files there by name; None: it can name no files."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Files that were read, by name."""
    used: dict[str, str] = field(default_factory=dict)
    """Code tables that were used, by name → hex digest of their rows."""


def looked_up(written: str | WrittenLookup, tables: LookupTables, place: TablePlace) -> LookedUp:
    """Make the function of a look-up. Raises RulesError."""
    asked = WrittenLookup(table=written) if isinstance(written, str) else written
    if bool(asked.table) == bool(asked.file) or bool(asked.file) != bool(asked.key and asked.value):
        raise place.error(
            "a look-up names a table, or a file with its columns key and value", key="lookup",
            example='lookup = "unit", or lookup = { file = "shops.csv", key = "shop", value = "code" }',
        )  # fmt: skip
    return _in_file(asked, tables, place) if asked.file else _in_table(asked, tables, place)


def _in_table(asked: WrittenLookup, tables: LookupTables, place: TablePlace) -> LookedUp:
    table = tables.known.get(asked.table) if asked.table in CODE_TABLES else None
    if table is None:
        known = ", ".join(one for one in CODE_TABLES if one in tables.known)
        raise place.error(
            f"there is no code table {asked.table}: {known}", key="lookup", example='lookup = "unit"'
        )
    column = _NAME if asked.to == "name" else asked.to
    if column != "code" and column not in table.columns:
        known = ", ".join(("code", "name", *table.columns))
        raise place.error(f"{table.name} has no column {asked.to}: {known}", key="to", example='to = "name"')
    tables.used[table.name] = _digest(table)
    code_of = _codes(table, asked.also or {})
    if column != "code":
        names = table.column(column)
        code_of = {name: names[code] for name, code in code_of.items() if code in names}
    shown = tuple(f"{code} {row[table.columns.index(_NAME)]}" for code, row in table.rows.items())
    return LookedUp(
        table=table.name + (f" to {asked.to}" if asked.to != "code" else ""),
        entries=MappingProxyType(code_of),
        names=(*table.column(_NAME).values(), *shown),
    )


def _codes(table: CodeTable, also: Mapping[str, str]) -> dict[str, str]:
    """Return code, and name as `spelt` has it, → code; a name of several codes is of none."""
    found: dict[str, str] = {}
    doubled: set[str] = set()
    for code, row in table.rows.items():
        for name in {spelt(cell) for cell in row if cell}:
            if found.setdefault(name, code) != code:
                doubled.add(name)
    named = {name: code for name, code in found.items() if name not in doubled}
    codes = {spelling: code for code in table.rows for spelling in (code, spelt(code))}
    return named | codes | {spelt(name): code for name, code in also.items()}


def _digest(table: CodeTable) -> str:
    rows = "\n".join("\t".join((code, *row)) for code, row in table.rows.items())
    return hashlib.sha256(f"{' '.join(table.columns)}\n{rows}".encode()).hexdigest()


def _in_file(asked: WrittenLookup, tables: LookupTables, place: TablePlace) -> LookedUp:
    if asked.also is not None or asked.to != "code":
        raise place.error("also and to go with table, not with file", key="lookup")
    entries: dict[str, str] = {}
    for line, cells in _lines(asked, tables, place):
        key, value = cells.get(asked.key, "").strip(), cells.get(asked.value, "").strip()
        if not key or not value:
            raise place.error(f"{asked.file}, line {line}: an empty cell in a column that is looked up")
        if entries.setdefault(key, value) != value:
            raise place.error(f"{asked.file}, line {line}: {key} stands twice, with different values")
    return LookedUp(
        table=f"{asked.file} {asked.key} to {asked.value}",
        entries=MappingProxyType(entries),
        names=tuple(entries),
        exact=True,
    )


def _lines(
    asked: WrittenLookup, tables: LookupTables, place: TablePlace
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield line number and cells by head. Raises RulesError."""
    reader = csv.DictReader(io.StringIO(_read(asked.file, tables, place), newline=""), strict=True)
    try:
        heads = reader.fieldnames or ()
        for column in (asked.key, asked.value):
            if column not in heads:
                raise place.error(
                    f"{asked.file} has no column {column}: {', '.join(heads)}", key="lookup",
                    example='lookup = { file = "shops.csv", key = "shop", value = "code" }',
                )  # fmt: skip
        for row in reader:
            if None in row:
                raise place.error(f"{asked.file}, line {reader.line_num}: more cells than heads")
            if reader.line_num > ROWS_AT_MOST or any(len(cell or "") > CELL_AT_MOST for cell in row.values()):
                raise place.error(
                    f"{asked.file}: more than {ROWS_AT_MOST} lines, or a cell of more than {CELL_AT_MOST} characters"
                )
            yield reader.line_num, {head: cell or "" for head, cell in row.items()}
    except csv.Error as error:
        raise place.error(f"{asked.file}, line {reader.line_num}: {error}") from error


def _read(name: str, tables: LookupTables, place: TablePlace) -> str:
    if tables.beside is None or Path(name).name != name:
        raise place.error(
            "the file has to stand beside the mapping", key="lookup", example='file = "shops.csv"'
        )
    try:
        if name not in tables.files:
            at = tables.beside
            tables.files[name] = (at / name).read_bytes() if isinstance(at, Path) else at[name]
        return tables.files[name].decode("utf-8-sig")
    except (OSError, KeyError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "it is not there"
        raise place.error(
            f"cannot read {name}: {reason}", key="lookup", example='file = "shops.csv"'
        ) from error
    except UnicodeDecodeError as error:
        raise place.error(f"{name} is not UTF-8", key="lookup", example="save it as CSV in UTF-8") from error
