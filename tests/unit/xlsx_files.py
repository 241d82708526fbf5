"""XLSX files made by hand, part by part, so that every part can be wrong."""

from collections.abc import Mapping
from io import BytesIO
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile

MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS: Final = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SHEET: Final = "xl/worksheets/sheet1.xml"


def sheet_xml(rows: str, *, before: str = "", after: str = "") -> str:
    """Write a worksheet as Excel does, with these rows."""
    return (
        f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<worksheet xmlns="{MAIN}" xmlns:r="{_OFFICE}"'
        f' xmlns:x14ac="http://schemas.microsoft.com/office/spreadsheetml/2009/9/ac">{before}'
        f"<sheetData>{rows}</sheetData>{after}</worksheet>"
    )


def text_row(number: int, *texts: str) -> str:
    """Write a row of inline texts."""
    cells = "".join(
        f'<c r="{chr(65 + at)}{number}" t="inlineStr"><is><t>{text}</t></is></c>'
        for at, text in enumerate(texts)
    )
    return f'<row r="{number}">{cells}</row>'


def parts(
    sheet: str = "",
    *,
    strings: str | None = None,
    formats: Mapping[int, str] | None = None,
    styles: tuple[int, ...] = (0,),
    since_1904: bool = False,
    states: tuple[str, ...] = ("visible",),
) -> dict[str, str]:
    """Return the parts of a workbook: all sheets have the same content; `styles`: numbers of formats."""
    codes = "".join(f'<numFmt numFmtId="{at}" formatCode="{code}"/>' for at, code in (formats or {}).items())
    used = "".join(f'<xf numFmtId="{one}"/>' for one in styles)
    sheets = "".join(
        f'<sheet name="S{at}" sheetId="{at}" state="{state}" r:id="rId{at}"/>'
        for at, state in enumerate(states, 1)
    )
    links = "".join(
        f'<Relationship Id="rId{at}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{at}.xml"/>'
        for at in range(1, len(states) + 1)
    )
    made = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r" Type="{_OFFICE}/officeDocument"'
        ' Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{_OFFICE}"><workbookPr date1904="{int(since_1904)}"/>'
        f"<sheets>{sheets}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_RELATIONS}">{links}'
        f'<Relationship Id="s" Type="{_OFFICE}/styles" Target="/xl/styles.xml"/>'
        f'<Relationship Id="t" Type="{_OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
        f'<Relationship Id="x" Type="{_OFFICE}/worksheet" Target="http://example.com/x" TargetMode="External"/>'
        "</Relationships>",
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><numFmts>{codes}</numFmts><cellXfs>{used}</cellXfs></styleSheet>',
        "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}">{strings or ""}</sst>',
    }
    return made | {f"xl/worksheets/sheet{at}.xml": sheet or sheet_xml("") for at in range(1, len(states) + 1)}


def packed(made: Mapping[str, str | bytes], method: int = ZIP_DEFLATED) -> bytes:
    """Put parts into an archive."""
    file = BytesIO()
    with ZipFile(file, "w", method) as archive:
        for name, content in made.items():
            archive.writestr(name, content)
    return file.getvalue()


def workbook(rows: str = "", **facts: object) -> bytes:
    """Return a file whose sheet has these rows; `facts`: see `parts`."""
    return packed(parts(sheet_xml(rows), **facts))  # type: ignore[arg-type]  # handed through
