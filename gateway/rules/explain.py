"""Find every fault of a document that libxml2 has refused, in document order and in the terms of the field.

libxml2 stops checking an element after the first unexpected child. Here the children are compared with the
whole sequence at once: the longest run in the right order counts as in place, so one element that is
misplaced, missing or added gives one fault, and everything else is still checked.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from lxml import etree

from gateway.model import Fault
from gateway.rules.fault_texts import VALUE_SHOWN, FaultPlace, fault
from gateway.rules.schema_model import AttributeDecl, ElementDecl, Grammar, Shape, Slot, ValueType
from gateway.rules.schema_values import value_faults
from gateway.rules.schemas import SIGNATURE, View

_LINES_KNOWN: Final = 65535
"""libxml2 keeps 16 bits of a line number; larger ones are only approximate, so they are not reported."""
_XSI: Final = "{http://www.w3.org/2001/XMLSchema-instance}"
_BLANK: Final = " \t\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spot:
    """An element of the document, its declaration and its path."""

    node: etree._Element
    decl: ElementDecl
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """The children of one element, matched with the slots of its declaration."""

    parent: _Spot
    shape: Shape
    children: Sequence[etree._Element]
    ranks: Sequence[int]
    """Index of the slot of each child; -1: no slot has that name."""
    in_place: frozenset[int]
    """Indexes of the children that are in order; the others are in the wrong place."""
    counts: Counter[int]
    strangers: Counter[str]
    """Local names of the children that match no slot."""
    names: Counter[str] = field(default_factory=Counter)
    """How many of each of those have been reported so far."""


class Explanation:
    """A walk over one document; it is lazy, so a caller that wants few faults saves the work for the rest."""

    def __init__(self, grammar: Grammar, view: View) -> None:
        """Check against `grammar`; in the declared view a ds:Signature is never reported as missing."""
        self._grammar = grammar
        self._view = view
        self.touched: list[etree._Element] = []
        """Elements that the faults so far concern, or whose children they concern."""

    def faults(self, root: etree._Element, decl: ElementDecl) -> Iterator[Fault]:
        """Yield the faults in document order; a missing element is reported where it should be."""
        yield from self._element(_Spot(node=root, decl=decl, path=f"/{decl.name}"))

    def _element(self, spot: _Spot) -> Iterator[Fault]:
        shape = self._grammar.shape(spot.decl)
        if shape.open:
            return
        yield from self._attributes(spot, shape.attributes)
        if shape.text is not None:
            yield from self._value(spot, shape.text)
        else:
            yield from self._content(spot, shape)

    def _attributes(self, spot: _Spot, declared: Iterable[AttributeDecl]) -> Iterator[Fault]:
        known = {attribute.name: attribute for attribute in declared}
        for name, attribute in known.items():
            text = spot.node.get(name)
            place = _attribute_place(spot, name, attribute.name_zh)
            if text is None and attribute.required:
                yield self._about(spot.node, "attribute_missing", place, spot.decl)
            elif text is not None and attribute.fixed is not None and text != attribute.fixed:
                yield self._about(spot.node, "fixed_value", place, expected=attribute.fixed)
            elif text is not None:
                yield from self._broken(spot.node, text, attribute.type, place)
        for name in map(str, spot.node.attrib):
            if name not in known and not name.startswith(_XSI):
                place = _attribute_place(spot, name, "")
                hint = _hint(place.element, known)
                yield self._about(spot.node, "attribute_unexpected", place, spot.decl, hint=hint)

    def _value(self, spot: _Spot, kind: ValueType) -> Iterator[Fault]:
        for child in spot.node.iterchildren("*"):
            name = shown(child)
            place = FaultPlace(path=f"{spot.path}/{name}", line=line_of(child), element=name, name_zh="")
            yield self._about(spot.node, "unexpected", place, spot.decl)
        text = own_text(spot.node)
        if not text and (spot.decl.fixed is not None or spot.decl.default is not None):
            return
        place = _place(spot, text)
        if spot.decl.fixed is not None and text != spot.decl.fixed:
            yield self._about(spot.node, "fixed_value", place, expected=spot.decl.fixed)
        else:
            yield from self._broken(spot.node, text, kind, place)

    def _broken(self, node: etree._Element, text: str, kind: ValueType, place: FaultPlace) -> Iterator[Fault]:
        for broken in value_faults(text, kind):
            yield self._about(node, broken.rule, place, **broken.facts)

    def _content(self, spot: _Spot, shape: Shape) -> Iterator[Fault]:
        text = own_text(spot.node).strip(_BLANK)
        if shape.ordered and text:
            yield self._about(spot.node, "text_not_allowed", _place(spot, text))
        children = list(spot.node.iterchildren("*"))
        if any(slot.decl is None for slot in shape.slots):
            yield from self._wildcard(spot, shape, children)
        else:
            yield from self._row(_row(spot, shape, children))

    def _wildcard(self, spot: _Spot, shape: Shape, children: Sequence[etree._Element]) -> Iterator[Fault]:
        """Check the number of children under a wildcard; only a wildcard that is the only slot is checked."""
        limit = shape.slots[0].high
        if shape.ordered and limit is not None and len(children) > limit:
            surplus = children[limit]
            place = FaultPlace(
                path=f"{spot.path}/*[{limit + 1}]", line=line_of(surplus), element=shown(surplus), name_zh=""
            )
            yield self._about(spot.node, "too_many", place, spot.decl, count=len(children), limit=limit)

    def _row(self, row: _Row) -> Iterator[Fault]:
        seen: Counter[int] = Counter()
        awaited = 0
        for index, (child, rank) in enumerate(zip(row.children, row.ranks, strict=True)):
            decl = row.shape.slots[rank].decl if rank >= 0 else None
            if decl is None:
                yield self._unexpected(row, child)
                continue
            if index in row.in_place and rank >= awaited:
                yield from self._missing(row, range(awaited, rank), line_of(child))
                awaited = rank + 1
            seen[rank] += 1
            spot = _Spot(node=child, decl=decl, path=row.parent.path + _step(row, rank, seen[rank]))
            yield from self._order(row, spot, rank, seen[rank], in_place=index in row.in_place)
            if child.tag == decl.tag:
                if not self._is_fine(child, decl):
                    yield from self._element(spot)
            else:
                actual = (etree.QName(child).namespace or "")[:VALUE_SHOWN]
                facts = {"actual": actual, "expected": decl.namespace}
                yield self._about(child, "wrong_namespace", _place(spot, ""), **facts)
        yield from self._missing(row, range(awaited, len(row.shape.slots)), line_of(row.parent.node))

    def _is_fine(self, node: etree._Element, decl: ElementDecl) -> bool:
        """Check the usual case quickly: whether it is a valid value without attributes."""
        kind = self._grammar.shape(decl).text
        if kind is None or decl.fixed is not None or len(node) or node.attrib:
            return False
        return next(value_faults(node.text or "", kind), None) is None

    def _unexpected(self, row: _Row, child: etree._Element) -> Fault:
        whole, name = local(child), shown(child)
        row.names[whole] += 1
        repeated = row.strangers[whole] > 1
        path = f"{row.parent.path}/{name}" + (f"[{row.names[whole]}]" if repeated else "")
        place = FaultPlace(path=path, line=line_of(child), element=name, name_zh="", value=child.text or "")
        slots = enumerate(row.shape.slots)
        known = [slot.decl.name for rank, slot in slots if slot.decl is not None and not row.counts[rank]]
        parent, hint = row.parent, _hint(name, known)
        return self._about(parent.node, "unexpected", place, parent.decl, hint=hint)

    def _missing(self, row: _Row, ranks: range, line: int) -> Iterator[Fault]:
        """Report the slots that no child fills, neither in place nor misplaced."""
        for rank in ranks:
            slot = row.shape.slots[rank]
            if not row.shape.ordered or slot.decl is None or row.counts[rank] >= slot.low:
                continue
            if slot.decl.tag == SIGNATURE and self._view is View.DECLARED:
                continue
            path = row.parent.path + _step(row, rank, row.counts[rank] + 1)
            place = FaultPlace(path=path, line=line, element=slot.decl.name, name_zh=slot.decl.name_zh)
            parent, position = row.parent, _position(row, rank)
            yield self._about(parent.node, "missing", place, parent.decl, position=position)

    def _order(self, row: _Row, spot: _Spot, rank: int, nth: int, *, in_place: bool) -> Iterator[Fault]:
        """Report once that there are too many, or that this one is in the wrong place."""
        limit = row.shape.slots[rank].high
        if not row.shape.ordered:
            return
        if limit is not None and nth > limit:
            if nth == limit + 1:
                place, count = _place(spot, ""), row.counts[rank]
                yield self._about(
                    row.parent.node, "too_many", place, row.parent.decl, count=count, limit=limit
                )
        elif not in_place:
            place = _place(spot, own_text(spot.node).strip(_BLANK))
            parent, position = row.parent, _position(row, rank)
            yield self._about(parent.node, "out_of_order", place, parent.decl, position=position)

    def _about(
        self,
        node: etree._Element,
        rule: str,
        place: FaultPlace,
        within: ElementDecl | None = None,
        /,
        **facts: str | int,
    ) -> Fault:
        self.touched.append(node)
        return fault(rule, place, within, **facts)


def line_of(node: etree._Element) -> int:
    """Return the line on which an element begins, 0 when the parser does not know it (from line 65535 on)."""
    line = node.sourceline
    return line if isinstance(line, int) and line < _LINES_KNOWN else 0


def local(node: etree._Element) -> str:
    """Return the name of an element without its namespace."""
    return etree.QName(node).localname


def shown(node: etree._Element) -> str:
    """Return the local name, cut to `VALUE_SHOWN`, because an unauthenticated caller may have chosen it."""
    return local(node)[:VALUE_SHOWN]


def path_of(node: etree._Element) -> str:
    """Return the path of an element; with a position only where siblings have the same name.

    Walks all siblings of the element and of its ancestors, so use it for a few elements, not for each.
    """
    steps: list[str] = []
    for step in (node, *node.iterancestors()):
        name = local(step)
        before = sum(local(other) == name for other in step.itersiblings("*", preceding=True))
        alone = before == 0 and all(local(other) != name for other in step.itersiblings("*"))
        steps.append(shown(step) if alone else f"{shown(step)}[{before + 1}]")
    return "/" + "/".join(reversed(steps))


def own_text(node: etree._Element) -> str:
    """Join the text of the element itself, across comments and children."""
    if len(node) == 0:
        return node.text or ""
    return (node.text or "") + "".join(child.tail or "" for child in node)


def _row(spot: _Spot, shape: Shape, children: Sequence[etree._Element]) -> _Row:
    """Match each child with a slot: by its full name, else by its local name in a wrong namespace."""
    tags = {slot.decl.tag: rank for rank, slot in enumerate(shape.slots) if slot.decl is not None}
    names = {slot.decl.name: rank for rank, slot in enumerate(shape.slots) if slot.decl is not None}
    ranks = [tags.get(str(child.tag), names.get(local(child), -1)) for child in children]
    return _Row(
        parent=spot,
        shape=shape,
        children=children,
        ranks=ranks,
        in_place=_longest_run(ranks),
        counts=Counter(ranks),
        strangers=Counter(local(child) for child, rank in zip(children, ranks, strict=True) if rank < 0),
    )


def _longest_run(ranks: Sequence[int]) -> frozenset[int]:
    """Return the indexes of the longest non-decreasing subsequence of ranks; ranks of -1 are left out."""
    tails: list[int] = []
    ends: list[int] = []
    before: dict[int, int] = {}
    for index, rank in enumerate(ranks):
        if rank < 0:
            continue
        at = bisect_right(tails, rank)
        before[index] = ends[at - 1] if at else -1
        tails[at : at + 1] = [rank]
        ends[at : at + 1] = [index]
    run: list[int] = []
    index = ends[-1] if ends else -1
    while index >= 0:
        run.append(index)
        index = before[index]
    return frozenset(run)


def _step(row: _Row, rank: int, nth: int) -> str:
    """Return the last step of a path, with a position if the element may repeat or does."""
    slot: Slot = row.shape.slots[rank]
    name = slot.decl.name if slot.decl is not None else "*"
    return f"/{name}[{nth}]" if slot.high != 1 or row.counts[rank] > 1 else f"/{name}"


def _position(row: _Row, rank: int) -> str:
    """Return where a slot belongs in the sequence: after the nearest slot before it that is filled or required."""
    for earlier in range(rank - 1, -1, -1):
        slot = row.shape.slots[earlier]
        if slot.decl is not None and (row.counts[earlier] or slot.low):
            return f"after {slot.decl.name}"
    return f"as the first element of {row.parent.decl.name}"


def _place(spot: _Spot, value: str) -> FaultPlace:
    return FaultPlace(
        path=spot.path,
        line=line_of(spot.node),
        element=spot.decl.name,
        name_zh=spot.decl.name_zh,
        value=value,
    )


def _attribute_place(spot: _Spot, name: str, name_zh: str) -> FaultPlace:
    short = etree.QName(name).localname[:VALUE_SHOWN]
    return FaultPlace(
        path=f"{spot.path}/@{short}",
        line=line_of(spot.node),
        element=short,
        name_zh=name_zh,
        value=str(spot.node.get(name, "")),
    )


def _hint(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name[:50], list(known), n=1, cutoff=0.75)
    return f", or write {near[0]} if that is meant" if near else ""
