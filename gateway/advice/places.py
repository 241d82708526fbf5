"""The places in a document on which advice is given."""

from collections.abc import Sequence

from lxml import etree
from msgspec import structs

from gateway.model import Advice
from gateway.xml.element_paths import positions_at


def on_lines(advice: Sequence[Advice], body: bytes, root: etree._Element) -> tuple[Advice, ...]:
    """Return the advice with lines and columns; of a field that is not there, those of what should hold it.

    `root` is the tree of `body`.
    """
    if not advice:
        return ()
    places = positions_at(body, root, [one.path for one in advice])
    return tuple(
        [structs.replace(one, line=places[one.path].line, column=places[one.path].column) for one in advice]
    )
