"""Faults bound to elements of the tree, so that lines and columns can be found later, and told as the author made them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lxml import etree

from gateway.model import Fault
from gateway.rules.fault_texts import FaultPlace, fault
from gateway.rules.personal import hidden
from gateway.rules.schema_model import ElementDecl
from gateway.rules.texts import Fact, named


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFault:
    """A fault and the element whose start tag is its place; `fault` makes the texts."""

    node: etree._Element
    key: str
    """A rule or `rule.variant` of the texts of the schema."""
    place: FaultPlace
    within: ElementDecl | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)

    def fault(self) -> Fault:
        """Return it with its texts, without line and column."""
        return fault(self.key, self.place, self.within, **self.facts)


def relocated(found: Sequence[NodeFault]) -> list[NodeFault]:
    """Join each element that is missing in one place and unexpected in another to one fault, `wrong_parent`.

    Places in the same body go first: an element of one declaration seldom stands in another one.
    """
    missing: defaultdict[str, list[NodeFault]] = defaultdict(list)
    for one in found:
        if one.key == "missing":
            missing[one.place.element].append(one)
    joined: dict[int, NodeFault] = {}
    dropped: set[int] = set()
    for one in found:
        candidates = missing.get(one.place.element) if one.key == "unexpected" else None
        if candidates:
            wanted = min(candidates, key=lambda other: _body(other) != _body(one))
            candidates.remove(wanted)
            joined[id(one)] = _wrong_parent(one, wanted)
            dropped.add(id(wanted))
    return [joined.get(id(one), one) for one in found if id(one) not in dropped]


def _wrong_parent(stray: NodeFault, wanted: NodeFault) -> NodeFault:
    actual = named("", "") if stray.within is None else named(stray.within.name, stray.within.name_zh)
    place = FaultPlace(
        path=stray.place.path,
        element=wanted.place.element,
        name_zh=wanted.place.name_zh,
        value=hidden(stray.place.value),
    )
    return NodeFault(
        node=stray.node,
        key="wrong_parent",
        place=place,
        within=wanted.within,
        facts={"actual": actual, "position": wanted.facts["position"]},
    )


def _body(one: NodeFault) -> list[str]:
    return one.place.path.split("/")[:3]
