"""Faults of a source, in English and Chinese, with the place in the source and the XPath of the field."""

from dataclasses import asdict, dataclass
from typing import Final

from gateway.mapping.sources.item import NoTextError, Spot, shortened
from gateway.model import Fault
from gateway.rules.personal import masked
from gateway.rules.texts import filled, named

PLACE_SHOWN: Final = 200
"""Most characters of a place in the source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFault(Fault):
    """A fault of a document that was made from a source; line and column are those in the source."""

    source: str = ""
    """Place in the source: `/orders/3/buyer/name`, `row 17, column consignee`."""


def source_fault(wrong: NoTextError, *, path: str, name: str, name_zh: str) -> SourceFault:
    """Make the fault for `wrong`; `path` is the XPath of the field that could not be written."""
    element = name.removeprefix("@")
    words = filled(f"source.{wrong.rule}", {"label": named(element, name_zh), **wrong.facts})
    return SourceFault(
        source=shortened(wrong.spot.text, PLACE_SHOWN),
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
    )
