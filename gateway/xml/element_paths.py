"""Positions of the elements that paths name: `/CEB311Message/Order[2]/OrderHead/orderNo`."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from lxml import etree

from gateway.xml.decode import positions_of
from gateway.xml.positions import UNKNOWN, TextPosition


def positions_at(body: bytes, root: etree._Element, paths: Iterable[str]) -> Mapping[str, TextPosition]:
    """Return by path the position of its element, or of the nearest around it that is there.

    `root` is the tree of `body`; both are read once. `UNKNOWN` where the position cannot be told.
    """
    tree = _ChildrenByName()
    nodes = {path: tree.nearest(root, path.split("/")[2:]) for path in paths}
    found = positions_of(body, root, nodes.values())
    return {path: found.get(node, UNKNOWN) for path, node in nodes.items()}


class _ChildrenByName:
    """Children by name, collected once for each parent, so that many paths cost no more than the document."""

    def __init__(self) -> None:
        self._known: dict[etree._Element, dict[str, list[etree._Element]]] = {}

    def nearest(self, root: etree._Element, steps: Sequence[str]) -> etree._Element:
        """Follow the steps below `root` as far as there are elements."""
        node = root
        for name, position in map(step_of, steps):
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


def step_of(step: str) -> tuple[str, int]:
    """Read `Order[2]`, `orderNo`, `ds:Signature`; an attribute is no element and ends the way."""
    name, _, position = step.rstrip("]").partition("[")
    return name.rpartition(":")[2], int(position) if position.isdecimal() else 1
