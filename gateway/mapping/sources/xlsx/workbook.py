"""Open an XLSX file: its sheets, styles and shared strings."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import BinaryIO, Final

from lxml import etree

from gateway.errors import Refused
from gateway.mapping.sources.refusing import refused
from gateway.mapping.sources.table import Form, SourceLimits, SourceNote
from gateway.mapping.sources.xlsx.archive import WorkbookArchive
from gateway.mapping.sources.xlsx.cell_texts import CellTexts, DateFormats
from gateway.mapping.sources.xlsx.cells import shows_date
from gateway.mapping.sources.xlsx.markup import NAMESPACES
from gateway.mapping.sources.xlsx.sheet import XlsxSheet
from gateway.mapping.sources.xlsx.strings import SharedStrings, strings_of
from gateway.xml.decode import parse

_PART_BYTES: Final = 8 * 1024 * 1024
"""Of the parts that are read whole: the list of sheets, relations, styles."""
_ELEMENTS: Final = 300_000
_TRUE: Final = ("1", "true")
_DIGITS: Final = 9
_WORKBOOKS: Final = frozenset(f"{{{one}}}workbook" for one in NAMESPACES)
_ID: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_STRICT_ID: Final = "{http://purl.oclc.org/ooxml/officeDocument/relationships}id"


class XlsxWorkbook:
    """One XLSX file."""

    form = Form.XLSX

    def __init__(self, file: BinaryIO, limits: SourceLimits) -> None:
        """Read all but the rows, and verify the sheets that are not hidden. Raises Refused `not-xlsx`, `too-large`."""
        self._archive = WorkbookArchive(file, limits)
        self._limits = limits
        path = next(iter(self._related("", "officeDocument").values()), "")
        if not path:
            raise refused("not-xlsx", "missing_part", part="xl/workbook.xml")
        root = self._tree(path)
        if root.tag not in _WORKBOOKS:
            raise refused("not-xlsx", "damaged", part=path)
        strings = self._strings(path)
        properties = root.find("{*}workbookPr")
        since_1904 = properties is not None and properties.get("date1904") in _TRUE
        dates = DateFormats(shown=self._date_styles(path), since_1904=since_1904)
        self.sheets: Sequence[XlsxSheet] = tuple(self._sheets(root, path, CellTexts(strings, dates)))
        for sheet in self.sheets:
            if not sheet.hidden:
                sheet.verify()

    def _sheets(self, root: etree._Element, path: str, texts: CellTexts) -> Iterator[XlsxSheet]:
        parts = self._related(path, "worksheet")
        listed, taken = root.findall("{*}sheets/{*}sheet"), set[str]()
        if len(listed) > self._limits.sheets:
            raise refused("too-large", "sheets", limit=self._limits.sheets)
        for one in listed:
            part = parts.get(one.get(_ID, "") or one.get(_STRICT_ID, ""))
            if part is None:  # a sheet that is a chart or a dialogue
                continue
            if part in taken:  # or one part would be unpacked as often as it is listed
                raise refused("not-xlsx", "damaged", part=path)
            taken.add(part)
            name, hidden = one.get("name", ""), one.get("state", "visible") != "visible"
            yield XlsxSheet(
                archive=self._archive, part=part, name=name, hidden=hidden, texts=texts,
                limits=self._limits, notes=(_hidden(name),) if hidden else (),
            )  # fmt: skip

    def _strings(self, path: str) -> SharedStrings:
        strings = SharedStrings()
        for part in self._related(path, "sharedStrings").values():
            strings.fill(strings_of(self._archive, part, self._limits))
            break
        return strings

    def _date_styles(self, path: str) -> Mapping[str, tuple[bool, bool]]:
        """Return the styles that show dates, by number."""
        for part in self._related(path, "styles").values():
            root = self._tree(part)
            codes = {
                one.get("numFmtId", ""): one.get("formatCode", "")
                for one in root.iterfind("{*}numFmts/{*}numFmt")
            }
            used = [one.get("numFmtId", "0") for one in root.iterfind("{*}cellXfs/{*}xf")]
            shown = {str(at): _shown(id_, codes.get(id_, "")) for at, id_ in enumerate(used)}
            return {at: one for at, one in shown.items() if any(one)}
        return {}

    def _related(self, part: str, kind: str) -> Mapping[str, str]:
        """Return the parts of a kind that a part relates to, by their id; what is outside the file is left alone."""
        at = PurePosixPath(part)
        relations = str(at.parent / "_rels" / f"{at.name}.rels").lstrip("./") if part else "_rels/.rels"
        if relations not in self._archive:
            return {}
        found = {}
        for one in self._tree(relations).iterfind("{*}Relationship"):
            if one.get("Type", "").rpartition("/")[2] == kind and one.get("TargetMode") != "External":
                found[one.get("Id", "")] = _resolved(one.get("Target", ""), at.parent)
        return found

    def _tree(self, part: str) -> etree._Element:
        try:
            return parse(self._archive.read(part, _PART_BYTES), elements=_ELEMENTS)
        except Refused as wrong:
            if wrong.problem in ("not-xlsx", "too-large"):
                raise
            raise refused("not-xlsx", "damaged", part=part) from wrong


def _resolved(target: str, folder: PurePosixPath) -> str:
    """Return the name of a member: targets are relative to the folder, or begin with a slash."""
    steps: list[str] = []
    for step in (target if target.startswith("/") else f"{folder}/{target}").split("/"):
        if step == ".." and steps:
            steps.pop()
        elif step not in ("", ".", ".."):
            steps.append(step)
    return "/".join(steps)


def _shown(format_id: str, code: str) -> tuple[bool, bool]:
    return shows_date(int(format_id) if format_id.isdecimal() and len(format_id) < _DIGITS else 0, code)


def _hidden(name: str) -> SourceNote:
    return SourceNote(
        rule="hidden_sheet", sheet=name, message=f"the sheet {name} is hidden, and was not read",
        message_zh=f"工作表“{name}”已隐藏，未读取",
    )  # fmt: skip
