"""Faults of a source, in English and Chinese, with the place in the source and the XPath of the field."""

from dataclasses import asdict, dataclass
from typing import Final, TypedDict

from gateway.mapping.sources.item import NoTextError, Spot, shortened
from gateway.model import Fault
from gateway.rules.personal import masked
from gateway.rules.texts import filled, named

PLACE_SHOWN: Final = 200
"""Most characters of a place in the source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSpot(Spot):
    """A place in a table."""

    sheet: str
    """Empty: there is only one."""
    row: int
    head: str
    """Empty: the row as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFault(Fault):
    """A fault of a document that was made from a source; line and column are those in the source."""

    source: str = ""
    """Place in the source: `/orders/3/buyer/name`, `row 17, column consignee`."""
    sheet: str = ""
    """Of a table with several sheets: the name of the sheet."""
    row: int = 0
    """Of a table: the number of the row, as in a spreadsheet; 0: no table."""
    head: str = ""
    """Of a table: the column, as the mapping names it."""


def source_fault(wrong: NoTextError, *, path: str, name: str, name_zh: str) -> SourceFault:
    """Make the fault for `wrong`; `path` is the XPath of the field that could not be written."""
    element = name.removeprefix("@")
    words = filled(f"source.{wrong.rule}", {"label": named(element, name_zh), **wrong.facts})
    return SourceFault(
        source=shortened(wrong.spot.text, PLACE_SHOWN),
        **_cell(wrong.spot),
        path=path,
        line=wrong.spot.line,
        column=wrong.spot.column,
        element=element,
        name_zh=name_zh,
        value=masked(element, shortened(wrong.value)),
        rule=wrong.rule,
        message=words.message,
        message_zh=words.message_zh,
        fix=words.fix,
        fix_zh=words.fix_zh,
    )


def told_of(fault: Fault, spot: Spot) -> SourceFault:
    """Add the place in the source to a fault of the document."""
    return SourceFault(
        **{**asdict(fault), "line": spot.line, "column": spot.column},
        source=shortened(spot.text, PLACE_SHOWN),
        **_cell(spot),
    )


class _Cell(TypedDict):
    sheet: str
    row: int
    head: str


def _cell(spot: Spot) -> _Cell:
    """Return sheet, row and column of a place in a table."""
    if isinstance(spot, CellSpot):
        return _Cell(sheet=spot.sheet, row=spot.row, head=spot.head)
    return _Cell(sheet="", row=0, head="")
