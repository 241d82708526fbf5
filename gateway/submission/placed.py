"""Give lines and columns to faults that were found without the tree, by their paths."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from lxml import etree

from gateway.model import Fault
from gateway.xml.decode import positions_of
from gateway.xml.positions import UNKNOWN

Parsed = tuple[etree._Element, bytes]  # noqa: SLF001 (its public type)
"""The root of a document, and the bytes that it was made of."""


def placed(faults: Sequence[Fault], *documents: Parsed) -> tuple[Fault, ...]:
    """Return the faults; those with a path and no line get the place of that element, or of the nearest around it.

    The first step of a path tells which of the documents it is about. Each document is read once at most.
    """
    found = list(faults)
    for root, body in documents:
        name = etree.QName(root).localname
        tree = _ChildrenByName()
        nodes = {
            index: tree.nearest(root, fault.path.split("/")[2:])
            for index, fault in enumerate(found)
            if not fault.line and fault.path.split("/")[1:2] == [name]
        }
        if nodes:
            places = positions_of(body, root, nodes.values())
            for index, node in nodes.items():
                place = places.get(node, UNKNOWN)
                found[index] = replace(found[index], line=place.line, column=place.column)
    return tuple(found)


class _ChildrenByName:
    """Children by name, collected once for each parent, so that many paths cost no more than the document."""

    def __init__(self) -> None:
        self._known: dict[etree._Element, dict[str, list[etree._Element]]] = {}

    def nearest(self, root: etree._Element, steps: Sequence[str]) -> etree._Element:
        """Follow the steps below `root` as far as there are elements."""
        node = root
        for name, position in map(_read, steps):
            alike = self._children(node).get(name, [])
            if not 0 < position <= len(alike):
                break
            node = alike[position - 1]
        return node

    def _children(self, node: etree._Element) -> dict[str, list[etree._Element]]:
        if node not in self._known:
            found: defaultdict[str, list[etree._Element]] = defaultdict(list)
            for child in node.iterchildren("*"):
                found[etree.QName(child).localname].append(child)
            self._known[node] = found
        return self._known[node]


def _read(step: str) -> tuple[str, int]:
    """Read `Order[2]`, `orderNo`, `ds:Signature`; an attribute is no element and ends the way."""
    name, _, position = step.rstrip("]").partition("[")
    return name.rpartition(":")[2], int(position) if position.isdecimal() else 1
