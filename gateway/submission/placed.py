"""Give lines and columns to faults that were found without the tree, by their paths."""

from collections.abc import Sequence
from dataclasses import replace

from lxml import etree

from gateway.model import Fault
from gateway.xml.element_paths import positions_at

Parsed = tuple[etree._Element, bytes]  # noqa: SLF001 (its public type)
"""The root of a document, and the bytes that it was made of."""


def placed(faults: Sequence[Fault], *documents: Parsed) -> tuple[Fault, ...]:
    """Return the faults; those with a path and no line get the place of that element, or of the nearest around it.

    The first step of a path tells which of the documents it is about. Each document is read once at most.
    """
    found = list(faults)
    for root, body in documents:
        name = etree.QName(root).localname
        paths = {
            index: fault.path
            for index, fault in enumerate(found)
            if not fault.line and fault.path.split("/")[1:2] == [name]
        }
        places = positions_at(body, root, paths.values()) if paths else {}
        for index, path in paths.items():
            found[index] = replace(found[index], line=places[path].line, column=places[path].column)
    return tuple(found)
