"""Where two sets of schemas judge differently: on sample declarations, valid ones and ones with one thing changed."""

import random
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Final

from lxml import etree

from gateway.rules.schema_model import ValueType
from gateway.rules.schemas import Schemas, View
from gateway.samples.compose import compose

_LONGEST: Final = 5_000
"""Texts and lists are not made longer than this, whatever a schema allows."""
_CHANGELESS: Final = "as it is"
_OPTIONAL: Final = {"preNo": "B20270101000000001", "invtNo": "510020271000000001", "note": "-"}
"""Elements that samples leave out, with a value that every edition takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditionDifference:
    """One sample that one set of schemas takes and the other refuses."""

    message_type: str
    what: str
    """`Inventory/InventoryHead/ebpName, empty`."""
    theirs_take: bool
    """Whether the second set is the one that takes it."""


def differences(ours: Schemas, theirs: Schemas, message_type: str) -> Iterator[EditionDifference]:
    """Yield the samples of one declaration type on which the two differ, each change of one element at most.

    Both must know the type. The samples are invented. Raises RulesError for a schema that does not compile.
    """
    root = etree.fromstring(sample(message_type))
    judges = [schemas.schema_for(message_type, View.DECLARED) for schemas in (ours, theirs)]
    for what in _variants(root, (ours, theirs), message_type):
        verdicts = [bool(schema.validate(root)) for schema in judges]
        if verdicts[0] != verdicts[1]:
            yield EditionDifference(message_type=message_type, what=what, theirs_take=verdicts[1])


def sample(message_type: str) -> bytes:
    """Return the declaration that is changed: as complete as samples are, of invented data."""
    return compose(
        message_type,
        cop_code="4400000001",
        dxp_id="DXPENT0000000001",
        rng=random.Random(1),  # noqa: S311 (invented data)
        overrides=_OPTIONAL,
    ).body


def _variants(root: etree._Element, both: tuple[Schemas, Schemas], message_type: str) -> Iterator[str]:
    """Change the document in place, one element at a time; yields what is changed, and takes it back afterwards."""
    yield _CHANGELESS
    seen: set[str] = set()
    for node in list(root.iterdescendants("*")):
        path = _path(node)
        if path in seen:
            continue
        seen.add(path)
        yield from (f"{path}, {how}" for how in _absent(node))
        if len(node):
            yield from (f"{path}, {how}" for how in _repeated(node, both, message_type))
        else:
            yield from (f"{path}, {how}" for how in _texts(node, both, message_type))


def _absent(node: etree._Element) -> Iterator[str]:
    parent = node.getparent()
    if parent is None:
        return
    place = parent.index(node)
    parent.remove(node)
    yield "left out"
    parent.insert(place, node)


def _texts(node: etree._Element, both: tuple[Schemas, Schemas], message_type: str) -> Iterator[str]:
    """Try texts at the limits that either schema names, an empty one, and one with blanks around it."""
    before, limits = node.text, set[int]()
    for schemas in both:
        limits |= _limits(_value_type(node, schemas, message_type))
    for length in sorted({at for limit in limits for at in (limit - 1, limit, limit + 1)}):
        if 0 < length <= _LONGEST:
            node.text = "1" * length
            yield "1 character" if length == 1 else f"{length} characters"
    node.text = ""
    yield "empty"
    node.text = f" {before} "
    yield "with blanks around it"
    node.text = before


def _repeated(node: etree._Element, both: tuple[Schemas, Schemas], message_type: str) -> Iterator[str]:
    """Try as many of a group of elements as either schema allows, and one more."""
    parent = node.getparent()
    if parent is None:
        return
    there = len(parent.findall(str(node.tag)))
    most = {_most(node, schemas, message_type) for schemas in both}
    for number in sorted({one + more for one in most if one is not None for more in (0, 1)}):
        if there < number <= _LONGEST:
            added = [deepcopy(node) for _ in range(number - there)]
            for one in added:
                node.addnext(one)
            yield f"{number} times"
            for one in added:
                parent.remove(one)


def _limits(kind: ValueType | None) -> set[int]:
    if kind is None:
        return set()
    named = (kind.length, kind.min_length, kind.max_length, kind.total_digits)
    return {limit for limit in named if limit is not None}


def _value_type(node: etree._Element, schemas: Schemas, message_type: str) -> ValueType | None:
    grammar, decl = schemas.grammar_for(message_type), schemas.declaration(message_type)
    for name in _path(node).split("/"):
        found = grammar.child(decl, name)
        if found is None:
            return None
        decl = found
    return grammar.shape(decl).text


def _most(node: etree._Element, schemas: Schemas, message_type: str) -> int | None:
    """Return how many of an element its schema allows; None: it does not know it, or does not say."""
    grammar, decl = schemas.grammar_for(message_type), schemas.declaration(message_type)
    *above, last = _path(node).split("/")
    for name in above:
        found = grammar.child(decl, name)
        if found is None:
            return None
        decl = found
    slots = grammar.shape(decl).slots
    return next((slot.high for slot in slots if slot.decl is not None and slot.decl.name == last), None)


def _path(node: etree._Element) -> str:
    """Return the names below the root: `Inventory/InventoryHead/ebpName`."""
    names = [etree.QName(node).localname]
    names += [etree.QName(one).localname for one in node.iterancestors()]
    return "/".join(reversed(names[:-1]))
