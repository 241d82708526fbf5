"""The XLSX template of a mapping that reads tables: heads, an example, explanations, and codes to choose from.

Columns whose digits must stay are formatted as text, so that a spreadsheet takes no zero from their front and makes no
exponent of a long number.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from gateway.mapping.language import ColumnHeads, SourceMapping
from gateway.mapping.rows import MARK_HEAD
from gateway.mapping.uses import ElementUse, element_uses
from gateway.rules.code_tables import CodeTable, CodeTables
from gateway.rules.loading import Rules
from gateway.rules.schema_model import ValueType

EXAMPLE_MARK: Final = "示例"
"""Marks the example row, which is refused when it is handed in."""
HELP_SHEET: Final = "说明 Help"
CODES_SHEET: Final = "代码 Codes"
LAST_ROW: Final = 100_000
"""Last row with drop-downs."""
_TEXT_FORMAT: Final = "@"
_REQUIRED: Final = PatternFill("solid", fgColor="FFE2CC")
_OPTIONAL: Final = PatternFill("solid", fgColor="E7EDF3")
_BOLD: Final = Font(bold=True)
_WRAPPED: Final = Alignment(wrap_text=True, vertical="top")
_HELP_HEADS: Final = {
    "列 Column": 24, "必填 Required": 9, "元素 Element": 36, "名称 Name": 26, "格式 Format": 34, "说明 Notes": 46,
    "示例 Example": 26, "也可写作 Also": 60,
}  # fmt: skip
"""Head → width in characters."""
_MARK_ABOUT: Final = "标有“示例”的行不可提交，请删除 / a row that is marked 示例 is refused: delete it"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateColumn:
    """A column of a template, with the elements that are filled from it."""

    heads: ColumnHeads
    uses: tuple[ElementUse, ...]

    @property
    def head(self) -> str:
        """The head as it is written: with `*` where the column is required."""
        return f"*{self.heads.name}" if self.heads.required else self.heads.name

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers; any other column stays text."""
        return all(use.kind.base in ("decimal", "int") for use in self.uses)


def template_columns(mapping: SourceMapping, rules: Rules) -> dict[str, list[TemplateColumn]]:
    """Return the columns by sheet, in the order in which the mapping lists them.

    Those are left out that only stand in for others, unless they are required: a template has the column that comes first.
    """
    uses = list(element_uses(mapping, rules.schemas))
    found: dict[str, list[TemplateColumn]] = {}
    for heads in mapping.columns:
        columns = [one for use in uses for one in use.columns if one.name == heads.name]
        own = [use for use in uses if use.column in columns] or [
            use for use in uses if heads.required and set(columns) & set(use.columns)
        ]
        for sheet in dict.fromkeys(one.sheet for one in columns) if own else ():
            column = TemplateColumn(heads=heads, uses=tuple(own))
            found.setdefault(sheet or mapping.sheet, []).append(column)
    return found


def template_xlsx(mapping: SourceMapping, rules: Rules) -> bytes:
    """Make the template of a mapping that reads a table."""
    book = Workbook()
    book.remove(book.worksheets[0])
    columns = template_columns(mapping, rules)
    codes = _CodeLists(rules.tables)
    for name, own in columns.items():
        sheet = book.create_sheet(name or f"{mapping.kind.number} {mapping.kind.title_zh}"[:31])
        _fill(sheet, own, codes)
    _explain(book.create_sheet(HELP_SHEET), mapping, columns)
    if codes.columns:
        codes.write(book.create_sheet(CODES_SHEET))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _fill(sheet: Worksheet, columns: Sequence[TemplateColumn], codes: "_CodeLists") -> None:
    """Write heads and example row, and give each column its format and its drop-down."""
    sheet.freeze_panes = "A2"
    _cell(sheet, 1, 1, MARK_HEAD, _OPTIONAL)
    _cell(sheet, 2, 1, EXAMPLE_MARK)
    for at, column in enumerate(columns, 2):
        letter = get_column_letter(at)
        _cell(sheet, 1, at, column.head, _REQUIRED if column.heads.required else _OPTIONAL)
        if not column.is_number:
            sheet.column_dimensions[letter].number_format = _TEXT_FORMAT
        example = sheet.cell(row=2, column=at, value=column.heads.example or None)
        example.number_format = "General" if column.is_number else _TEXT_FORMAT
        sheet.column_dimensions[letter].width = max(12, 2 * len(column.head) + 2)
        if listed := codes.range_of(column):
            choice = DataValidation(type="list", formula1=listed, allow_blank=True, showErrorMessage=False)
            choice.add(f"{letter}2:{letter}{LAST_ROW}")
            sheet.add_data_validation(choice)


def _explain(
    sheet: Worksheet, mapping: SourceMapping, columns: Mapping[str, Sequence[TemplateColumn]]
) -> None:
    """Write what each column means, in both languages."""
    sheet.freeze_panes = "A3"
    sheet.cell(row=1, column=1, value=mapping.about)
    for at, (head, width) in enumerate(_HELP_HEADS.items(), 1):
        _cell(sheet, 2, at, head, _OPTIONAL)
        sheet.column_dimensions[get_column_letter(at)].width = width
    rows: list[tuple[str, ...]] = [(MARK_HEAD, "", "", "", "", _MARK_ABOUT, EXAMPLE_MARK, "")]
    rows += [_help(one) for own in columns.values() for one in own]
    for number, row in enumerate(rows, 3):
        for at, text in enumerate(row, 1):
            cell = sheet.cell(row=number, column=at, value=text or None)
            cell.alignment, cell.number_format = _WRAPPED, _TEXT_FORMAT


def _help(column: TemplateColumn) -> tuple[str, ...]:
    heads, first = column.heads, column.uses[0]
    return (
        heads.name,
        "是 yes" if heads.required else "",
        "\n".join(use.path for use in column.uses),
        "\n".join(dict.fromkeys(use.leaf.name_zh for use in column.uses)),
        _format(first),
        heads.about,
        heads.example,
        "，".join(heads.also),
    )


def _format(use: ElementUse) -> str:
    """Say in both languages what a cell of the column looks like."""
    if use.is_time:
        return "日期或时间：YYYY-MM-DD hh:mm:ss 等 / a day or time: YYYY-MM-DD hh:mm:ss and others"
    if use.codes:
        return "、".join(use.codes)
    if use.table:
        return f"见“{CODES_SHEET}” / see {CODES_SHEET}"
    return _type(use.kind)


def _type(kind: ValueType) -> str:
    match kind.base:
        case "int":
            return "整数 / a whole number"
        case "decimal":
            places = kind.fraction_digits or 0
            return f"数字，至多{places}位小数 / a number, at most {places} decimal places"
        case _ if kind.length is not None:
            return f"文本，{kind.length}个字符 / text, {kind.length} characters"
        case _ if kind.max_length is not None:
            return f"文本，至多{kind.max_length}个字符 / text, at most {kind.max_length} characters"
        case _:
            return "文本 / text"


def _cell(sheet: Worksheet, row: int, column: int, text: str, fill: PatternFill | None = None) -> None:
    cell = sheet.cell(row=row, column=column, value=text)
    cell.number_format = _TEXT_FORMAT
    if fill is not None:
        cell.fill, cell.font = fill, _BOLD


class _CodeLists:
    """The lists that drop-downs show, a column of a sheet of their own each."""

    def __init__(self, tables: CodeTables) -> None:
        self._tables = tables
        self.columns: dict[str, list[str]] = {}
        """Title → entries."""

    def range_of(self, column: TemplateColumn) -> str:
        """Return the cells with the list of a column, noting the list; empty: it has none."""
        use = column.uses[0]
        table = self._tables.get(use.table)
        title = table.title_zh if table is not None else column.heads.name
        entries = list(_entries(table)) if table is not None else list(use.codes)
        if not entries:
            return ""
        self.columns.setdefault(title, entries)
        letter = get_column_letter(list(self.columns).index(title) + 1)
        return f"'{CODES_SHEET}'!${letter}$2:${letter}${len(entries) + 1}"

    def write(self, sheet: Worksheet) -> None:
        """Write the lists."""
        sheet.freeze_panes = "A2"
        for at, (title, entries) in enumerate(self.columns.items(), 1):
            _cell(sheet, 1, at, title, _OPTIONAL)
            sheet.column_dimensions[get_column_letter(at)].width = 28
            for number, entry in enumerate(entries, 2):
                _cell(sheet, number, at, entry)


def _entries(table: CodeTable) -> Iterator[str]:
    """Yield `142-人民币` for each code."""
    return (f"{code}-{name}" for code, name in table.column("zh").items())
