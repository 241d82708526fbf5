"""Find every fault of a document that libxml2 has refused, in document order and in the terms of the field.

libxml2 stops checking an element after the first unexpected child; here all children are matched with the declared
sequence (`gateway.rules.matched_children`), and one mistake of the author gives one fault.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from lxml import etree

from gateway.rules.fault_texts import VALUE_SHOWN, FaultPlace
from gateway.rules.matched_children import ChildMatcher, DeclaredNode, MatchedChildren, local, nearest
from gateway.rules.node_faults import NodeFault
from gateway.rules.personal import hidden
from gateway.rules.schema_model import AttributeDecl, ElementDecl, Grammar, Shape, ValueType
from gateway.rules.schema_values import value_faults
from gateway.rules.schemas import SIGNATURE, View
from gateway.rules.texts import NOTHING, Bilingual, Fact, phrase

_XSI: Final = "{http://www.w3.org/2001/XMLSchema-instance}"
_BLANK: Final = " \t\r\n"


class Explanation:
    """A walk over one document; it is lazy, so a caller that wants few faults saves the work for the rest."""

    def __init__(self, grammar: Grammar, view: View) -> None:
        """Check against `grammar`; in the declared view a ds:Signature is never reported as missing."""
        self._grammar = grammar
        self._optional = SIGNATURE if view is View.DECLARED else ""
        self._matcher = ChildMatcher(ignored=self._optional)
        self._namespaces: set[tuple[str, str]] = set()
        """Wrong and right namespace of each mistake that was reported: once for the whole document."""
        self.touched: list[etree._Element] = []
        """Elements that the faults so far concern, or whose children they concern."""

    def faults(self, root: etree._Element, decl: ElementDecl) -> Iterator[NodeFault]:
        """Yield the faults in document order; a missing element is reported where it should be."""
        yield from self._element(DeclaredNode(node=root, decl=decl, path=f"/{decl.name}"))

    def _element(self, spot: DeclaredNode) -> Iterator[NodeFault]:
        shape = self._grammar.shape(spot.decl)
        if shape.open:
            return
        yield from self._attributes(spot, shape.attributes)
        if shape.text is not None:
            yield from self._value(spot, shape.text)
        else:
            yield from self._content(spot, shape)

    def _attributes(self, spot: DeclaredNode, declared: Iterable[AttributeDecl]) -> Iterator[NodeFault]:
        known = {attribute.name: attribute for attribute in declared}
        unknown = [
            name for name in map(str, spot.node.attrib) if name not in known and not name.startswith(_XSI)
        ]
        missing = [name for name, one in known.items() if one.required and spot.node.get(name) is None]
        for name, attribute in known.items():
            text = spot.node.get(name)
            place = _attribute_place(spot, name, attribute.name_zh)
            if text is None and attribute.required:
                misspelt = next((one for one in unknown if nearest(_short(one), missing) == name), "")
                if misspelt:
                    unknown.remove(misspelt)
                    yield self._misspelt_attribute(spot, attribute, _short(misspelt))
                else:
                    yield self._about(spot.node, spot.node, "attribute_missing", place, spot.decl)
            elif text is not None and attribute.fixed is not None and text != attribute.fixed:
                yield self._about(spot.node, spot.node, "fixed_value", place, expected=attribute.fixed)
            elif text is not None:
                yield from self._broken(spot.node, text, attribute.type, place)
        for name in unknown:
            place = _attribute_place(spot, name, "", value=hidden(str(spot.node.get(name, ""))))
            facts = {"hint": _hint(place.element, known)}
            yield self._about(spot.node, spot.node, "attribute_unexpected", place, spot.decl, **facts)

    def _misspelt_attribute(self, spot: DeclaredNode, meant: AttributeDecl, actual: str) -> NodeFault:
        place = FaultPlace(
            path=f"{spot.path}/@{actual}", element=meant.name, name_zh=meant.name_zh, value=actual
        )
        return self._about(spot.node, spot.node, "misspelt.attribute", place, spot.decl, actual=actual)

    def _value(self, spot: DeclaredNode, kind: ValueType) -> Iterator[NodeFault]:
        children = list(spot.node.iterchildren("*"))
        for child in children:
            name = shown(child)
            place = FaultPlace(path=f"{spot.path}/{name}", element=name, name_zh="")
            yield self._about(spot.node, child, "unexpected", place, spot.decl)
        text = own_text(spot.node)
        empty = not text and (spot.decl.fixed is not None or spot.decl.default is not None)
        if children or empty:
            return
        place = _place(spot, text)
        if spot.decl.fixed is not None and text != spot.decl.fixed:
            yield self._about(spot.node, spot.node, "fixed_value", place, expected=spot.decl.fixed)
        else:
            yield from self._broken(spot.node, text, kind, place)

    def _broken(
        self, node: etree._Element, text: str, kind: ValueType, place: FaultPlace
    ) -> Iterator[NodeFault]:
        for broken in value_faults(text, kind):
            yield self._about(node, node, broken.rule, place, **broken.facts)

    def _content(self, spot: DeclaredNode, shape: Shape) -> Iterator[NodeFault]:
        text = own_text(spot.node).strip(_BLANK)
        if shape.ordered and text:
            place = _place(spot, hidden(text[:VALUE_SHOWN]))
            yield self._about(spot.node, spot.node, "text_not_allowed", place)
        children = list(spot.node.iterchildren("*"))
        if any(slot.decl is None for slot in shape.slots):
            yield from self._wildcard(spot, shape, children)
        else:
            yield from self._children(self._matcher.matched(spot, shape, children))

    def _wildcard(
        self, spot: DeclaredNode, shape: Shape, children: Sequence[etree._Element]
    ) -> Iterator[NodeFault]:
        """Check the number of children under a wildcard; only a wildcard that is the only slot is checked."""
        limit = shape.slots[0].high
        if shape.ordered and limit is not None and len(children) > limit:
            extra = children[limit]
            place = FaultPlace(path=f"{spot.path}/*[{limit + 1}]", element=shown(extra), name_zh="")
            yield self._about(
                spot.node, extra, "too_many", place, spot.decl, count=len(children), limit=limit
            )

    def _children(self, row: MatchedChildren) -> Iterator[NodeFault]:
        seen: Counter[int] = Counter()
        awaited = 0
        for index, (child, rank) in enumerate(zip(row.children, row.ranks, strict=True)):
            decl = row.shape.slots[rank].decl if rank >= 0 else None
            if decl is None:
                yield self._unexpected(row, child)
                continue
            if index in row.in_place and rank >= awaited:
                yield from self._missing(row, range(awaited, rank), child)
                awaited = rank + 1
            seen[rank] += 1
            misspelt = index in row.misspelt
            path = row.stranger_path(child) if misspelt else row.path_of(rank, seen[rank])
            spot = DeclaredNode(node=child, decl=decl, path=path)
            if misspelt:
                yield self._misspelt(row, spot, index)
            else:
                yield from self._order(row, spot, index)
                yield from self._namespace(spot)
            if not self._is_fine(child, decl):
                yield from self._element(spot)
        yield from self._missing(row, range(awaited, len(row.shape.slots)), row.parent.node)

    def _is_fine(self, node: etree._Element, decl: ElementDecl) -> bool:
        """Check the usual case quickly: whether it is a valid value without attributes."""
        kind = self._grammar.shape(decl).text
        if kind is None or decl.fixed is not None or len(node) or node.attrib:
            return False
        return next(value_faults(node.text or "", kind), None) is None

    def _namespace(self, spot: DeclaredNode) -> Iterator[NodeFault]:
        if spot.node.tag == spot.decl.tag:
            return
        actual = etree.QName(spot.node).namespace or ""
        if (actual, spot.decl.namespace) in self._namespaces:
            self.touched.append(spot.node)
            return
        self._namespaces.add((actual, spot.decl.namespace))
        facts = {"actual": actual[:VALUE_SHOWN], "expected": spot.decl.namespace}
        yield self._about(spot.node, spot.node, "wrong_namespace", _place(spot, ""), **facts)

    def _unexpected(self, row: MatchedChildren, child: etree._Element) -> NodeFault:
        name = shown(child)
        value = hidden((child.text or "")[:VALUE_SHOWN])
        place = FaultPlace(path=row.stranger_path(child), element=name, name_zh="", value=value)
        parent, hint = row.parent, _hint(name, row.unfilled())
        return self._about(parent.node, child, "unexpected", place, parent.decl, hint=hint)

    def _misspelt(self, row: MatchedChildren, spot: DeclaredNode, index: int) -> NodeFault:
        """Report a name that is nearly right: `element` is the one that is meant, `value` the name that stands there."""
        name, parent = shown(spot.node), row.parent
        place = FaultPlace(path=spot.path, element=spot.decl.name, name_zh=spot.decl.name_zh, value=name)
        moved = phrase("and_move", position=row.position(row.ranks[index]))
        facts: dict[str, Fact] = {"actual": name, "move": NOTHING if index in row.in_place else moved}
        return self._about(parent.node, spot.node, "misspelt", place, parent.decl, **facts)

    def _missing(self, row: MatchedChildren, ranks: range, before: etree._Element) -> Iterator[NodeFault]:
        """Report the slots that no child fills, neither in place nor misplaced; their place is `before`."""
        for rank in ranks:
            slot = row.shape.slots[rank]
            if not row.shape.ordered or slot.decl is None or row.counts[rank] >= slot.low:
                continue
            if slot.decl.tag == self._optional:
                continue
            path = row.path_of(rank, row.counts[rank] + 1)
            place = FaultPlace(path=path, element=slot.decl.name, name_zh=slot.decl.name_zh)
            parent, position = row.parent, row.position(rank)
            yield self._about(parent.node, before, "missing", place, parent.decl, position=position)

    def _order(self, row: MatchedChildren, spot: DeclaredNode, index: int) -> Iterator[NodeFault]:
        """Report once that there are too many, or that this one is in the wrong place."""
        rank, parent = row.ranks[index], row.parent
        limit, count = row.shape.slots[rank].high, row.counts[rank]
        if not row.shape.ordered:
            return
        if limit is not None and count > limit:
            if row.surplus[rank] == index:
                place = _place(spot, "")
                yield self._about(
                    parent.node, spot.node, "too_many", place, parent.decl, count=count, limit=limit
                )
        elif index not in row.in_place:
            place, position = _place(spot, own_text(spot.node).strip(_BLANK)), row.position(rank)
            yield self._about(parent.node, spot.node, "out_of_order", place, parent.decl, position=position)

    def _about(
        self,
        touched: etree._Element,
        node: etree._Element,
        key: str,
        place: FaultPlace,
        within: ElementDecl | None = None,
        /,
        **facts: Fact,
    ) -> NodeFault:
        self.touched.append(touched)
        return NodeFault(node=node, key=key, place=place, within=within, facts=facts)


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


def _place(spot: DeclaredNode, value: str) -> FaultPlace:
    return FaultPlace(path=spot.path, element=spot.decl.name, name_zh=spot.decl.name_zh, value=value)


def _attribute_place(spot: DeclaredNode, name: str, name_zh: str, *, value: str | None = None) -> FaultPlace:
    short = _short(name)
    said = str(spot.node.get(name, "")) if value is None else value
    return FaultPlace(path=f"{spot.path}/@{short}", element=short, name_zh=name_zh, value=said)


def _short(name: str) -> str:
    return etree.QName(name).localname[:VALUE_SHOWN]


def _hint(name: str, known: Iterable[str]) -> Bilingual:
    near = nearest(name, known)
    return phrase("or_write", name=near) if near else NOTHING
