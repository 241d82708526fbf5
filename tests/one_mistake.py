"""Whole valid documents of every type, made from the schemas, and the mistakes that can be planted into them, one each."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from random import Random

from lxml import etree

from gateway.rules.loading import load_rules
from gateway.rules.schema_model import ElementDecl, Grammar, ValueType
from gateway.rules.schemas import CEB_NAMESPACE, SIGNATURE
from tests.unit.ceb_documents import SIGNATURE as SIGNED

rules = cache(load_rules)
SAMPLES = {"decimal": "1", "int": "1", "base64Binary": "QUJD", "dateTime": "2024-11-11T08:00:00", "ID": "id1"}
Target = tuple[etree._Element, ElementDecl, int]
"""An element, its declaration, and how many of it its parent must have."""
Mistake = Callable[[etree._Element, Random], set[str]]
"""Plants one mistake and returns the rules that may be reported for it; nothing: it does not fit this document."""


def types() -> list[str]:
    return sorted(name for name in rules().schemas.roots if name.startswith("CEB"))


def grammar_of(root: etree._Element) -> Grammar:
    return rules().schemas.grammar_for(etree.QName(root).localname)


def whole_document(name: str) -> etree._Element:
    """Make a valid document with every element that the schema declares; lists have two members."""
    grammar = rules().schemas.grammar_for(name)

    def made(decl: ElementDecl) -> etree._Element:
        if decl.tag == SIGNATURE:
            return etree.fromstring(SIGNED)
        node = etree.Element(decl.tag, nsmap={"ceb": CEB_NAMESPACE})
        shape = grammar.shape(decl)
        for attribute in shape.attributes:
            node.set(attribute.name, attribute.fixed or sample(attribute.type))
        if shape.text is not None:
            node.text = decl.fixed or sample(shape.text)
        for slot in shape.slots:
            if slot.decl is not None:
                node.extend(made(slot.decl) for _ in range(1 if slot.high == 1 else 2))
        return node

    return made(rules().schemas.declaration(name))


def sample(kind: ValueType) -> str:
    return SAMPLES.get(kind.base) or "7" * (kind.length or max(kind.min_length or 0, 1))


def targets(root: etree._Element) -> Iterator[Target]:
    """Give every element below the root that our schemas describe, nothing inside a Signature."""
    grammar = grammar_of(root)

    def below(node: etree._Element, decl: ElementDecl) -> Iterator[Target]:
        slots = {slot.decl.tag: slot for slot in grammar.shape(decl).slots if slot.decl is not None}
        for child in node.iterchildren("*"):
            slot = slots[str(child.tag)]
            if slot.decl is not None and child.tag != SIGNATURE:
                yield child, slot.decl, slot.low
                yield from below(child, slot.decl)

    yield from below(root, rules().schemas.declaration(etree.QName(root).localname))


def leaves(root: etree._Element) -> list[tuple[etree._Element, ElementDecl, int, ValueType]]:
    grammar = grammar_of(root)
    found = ((node, decl, low, grammar.shape(decl).text) for node, decl, low in targets(root))
    return [(node, decl, low, kind) for node, decl, low, kind in found if kind is not None]


def alone(node: etree._Element) -> bool:
    parent = node.getparent()
    return parent is not None and len(parent.findall(str(node.tag))) == 1


def parent_of(node: etree._Element) -> etree._Element:
    parent = node.getparent()
    assert parent is not None
    return parent


def swapped(name: str) -> str:
    """Swap the third and fourth letter, or double the last one where those are equal or missing."""
    if len(name) > 4 and name[2] != name[3]:
        return name[:2] + name[3] + name[2] + name[4:]
    return name + name[-1]


def misspell(root: etree._Element, random: Random) -> set[str]:
    node, decl, low = random.choice(list(targets(root)))
    rule = "misspelt" if low and alone(node) else "unexpected"
    node.tag = f"{{{decl.namespace}}}{swapped(decl.name)}"
    return {rule}


def drop(root: etree._Element, random: Random) -> set[str]:
    required = [node for node, _, low in targets(root) if low and alone(node)]
    node = random.choice(required)
    parent_of(node).remove(node)
    return {"missing"}


def duplicate(root: etree._Element, random: Random) -> set[str]:
    single = [node for node, *_ in leaves(root) if alone(node)]
    node = random.choice(single)
    parent = parent_of(node)
    parent.insert(random.randint(0, len(parent)), deepcopy(node))
    return {"too_many"}


def move(root: etree._Element, random: Random) -> set[str]:
    single = [node for node, *_ in targets(root) if alone(node) and len(parent_of(node)) > 1]
    if not single:
        return set()
    node = random.choice(single)
    parent = parent_of(node)
    at = parent.index(node)
    parent.insert(random.choice([place for place in range(len(parent)) if place != at]), node)
    return {"out_of_order"} if parent.index(node) != at else set()


def move_into_another(root: etree._Element, random: Random) -> set[str]:
    """Move a required value into another element of the same body that does not know it."""
    grammar = grammar_of(root)
    pairs = [
        (node, other)
        for node, decl, low, _ in leaves(root)
        if low and alone(node)
        for other, around, _ in targets(root)
        if other is not parent_of(node)
        and grammar.shape(around).slots
        and all(slot.decl is not None and slot.decl.tag != decl.tag for slot in grammar.shape(around).slots)
    ]
    if not pairs:
        return set()
    node, other = random.choice(pairs)
    other.insert(random.randint(0, len(other)), node)
    return {"wrong_parent"}


def leave_namespace(root: etree._Element, random: Random) -> set[str]:
    node, decl, _ = random.choice(list(targets(root)))
    node.tag = decl.name
    return {"wrong_namespace"}


def leave_namespace_everywhere(root: etree._Element, random: Random) -> set[str]:
    for node, decl, _ in list(targets(root)):
        node.tag = decl.name
    return {"wrong_namespace"}


def lengthen(root: etree._Element, random: Random) -> set[str]:
    found = ((node, kind.length or kind.max_length) for node, decl, _, kind in leaves(root) if not decl.fixed)
    limited = [(node, limit) for node, limit in found if limit]
    if not limited:
        return set()
    node, limit = random.choice(limited)
    node.text = "7" * (limit + 1)
    return {"too_long", "wrong_length"}


def empty(root: etree._Element, random: Random) -> set[str]:
    filled = [
        node
        for node, decl, _, kind in leaves(root)
        if (kind.length or kind.min_length or kind.base in {"decimal", "int"})
        and decl.fixed is None
        and decl.default is None
    ]
    if not filled:
        return set()
    random.choice(filled).text = None
    return {"too_short", "wrong_length", "not_decimal", "not_integer"}


def spoil_number(root: etree._Element, random: Random) -> set[str]:
    numbers = [
        node for node, decl, _, kind in leaves(root) if kind.base in {"decimal", "int"} and not decl.fixed
    ]
    if not numbers:
        return set()
    random.choice(numbers).text = "1,000"
    return {"not_decimal", "not_integer"}


def put_into_a_value(root: etree._Element, random: Random) -> set[str]:
    node, *_ = random.choice(leaves(root))
    child = etree.SubElement(node, "b")
    child.text, node.text = node.text, None
    return {"unexpected"}


def write_between(root: etree._Element, random: Random) -> set[str]:
    grammar = grammar_of(root)
    holders = [node for node, decl, _ in targets(root) if grammar.shape(decl).slots and len(node)]
    random.choice([root, *holders]).text = "stray"
    return {"text_not_allowed"}


def misspell_attribute(root: etree._Element, random: Random) -> set[str]:
    name = random.choice([str(name) for name in root.attrib])
    root.set(swapped(name), root.attrib.pop(name))
    return {"misspelt"}


def drop_attribute(root: etree._Element, random: Random) -> set[str]:
    root.attrib.pop(random.choice([str(name) for name in root.attrib]))
    return {"attribute_missing"}


def add_attribute(root: etree._Element, random: Random) -> set[str]:
    random.choice([root, *(node for node, *_ in targets(root))]).set("colour", "red")
    return {"attribute_unexpected"}


def add_stranger(root: etree._Element, random: Random) -> set[str]:
    node, decl, _ = random.choice([one for one in targets(root) if one[1].name != "Message"])
    parent = parent_of(node)
    parent.insert(random.randint(0, len(parent)), etree.Element(f"{{{decl.namespace}}}zzz"))
    return {"unexpected"}


MISTAKES: tuple[Mistake, ...] = (
    misspell,
    drop,
    duplicate,
    move,
    move_into_another,
    leave_namespace,
    leave_namespace_everywhere,
    lengthen,
    empty,
    spoil_number,
    put_into_a_value,
    write_between,
    misspell_attribute,
    drop_attribute,
    add_attribute,
    add_stranger,
)
