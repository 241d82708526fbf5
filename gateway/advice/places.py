"""The lines of a document on which advice is given."""

from collections.abc import Sequence

from lxml import etree
from msgspec import structs

from gateway.model import Advice
from gateway.rules.explain import line_of


def on_lines(advice: Sequence[Advice], root: etree._Element) -> tuple[Advice, ...]:
    """Return the advice with the lines of its fields; of a field that is not there, that of what should hold it."""
    return tuple([structs.replace(one, line=line_of(_at(one.path, root))) for one in advice])


def _at(path: str, root: etree._Element) -> etree._Element:
    """Return the element of a path, or the innermost one around it that is there."""
    steps = path.strip("/").split("/")[1:]
    node = root
    for step in steps:
        found = node.find("{*}" + step)
        if found is None:
            return node
        node = found
    return node
