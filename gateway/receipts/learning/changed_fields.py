"""Which fields of a declaration changed from one version to the next: names only, never values."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from lxml import etree

from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import EnvelopeError, Refused
from gateway.identity import identity
from gateway.rules.explain import own_text
from gateway.rules.loading import Rules
from gateway.submission.identify import CEB, identify
from gateway.xml.decode import decode
from gateway.xml.envelope import DXP, unwrap_tree

_PREFIX: Final = f"{{{CEB}}}"
_OF_THE_VERSION: Final = frozenset({"guid", "appTime", "appType"})
"""Fields that are another in every version."""
_DEPTH: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldValues:
    """The values of one declaration, in memory only."""

    fields: Mapping[tuple[str, int, str], str]
    """By the name of what holds it, the number of that among its like, and its own name."""
    holders: Mapping[str, int]
    """How often each holder of fields is there: items, and heads."""

    def values(self) -> frozenset[str]:
        """Return all values, without their names."""
        return frozenset(self.fields.values())


def changed_fields(before: FieldValues, after: FieldValues) -> frozenset[str]:
    """Name the fields whose values differ: `InventoryHead/buyerName`; positions of items are left out.

    Where the number of items is another, their fields cannot be compared one by one, and only the name of the items
    is returned: `InventoryList`.
    """
    counts = {*before.holders, *after.holders}
    recounted = {one for one in counts if before.holders.get(one, 0) != after.holders.get(one, 0)}
    differing = dict(before.fields.items() ^ after.fields.items())
    return frozenset(
        {f"{holder}/{name}" for holder, _, name in differing if holder not in recounted} | recounted
    )


@dataclass(frozen=True, slots=True)
class MessageFields:
    """The declarations of one accepted message, by their identities; the fields of each are read when asked for."""

    bodies: Mapping[str, etree._Element]

    def of(self, named: str) -> FieldValues | None:
        """Return the fields of the declaration of this identity; None: it is not in the message."""
        body = self.bodies.get(named)
        return None if body is None else _values_of(body)


def fields_in(body: bytes, rules: Rules, limits: LimitsConfig) -> MessageFields:
    """Read an accepted message, bare or in a DxpMsg; nothing is in it if it cannot be read.

    A message that was accepted under other rules, or is no declaration, has nothing to compare.
    """
    try:
        root = decode(body, limits)
        if etree.QName(root).namespace == DXP:
            root = decode(unwrap_tree(root, body).business, limits)
        header = identify(root, rules.catalogue, rules.schemas.edition)
    except (Refused, EnvelopeError):
        return MessageFields({})
    bodies = root.iterchildren(_PREFIX + header.message_type.body)
    return MessageFields({identity(one): tree for one, tree in zip(header.declarations, bodies, strict=True)})


def _values_of(body: etree._Element) -> FieldValues:
    fields: dict[tuple[str, int, str], str] = {}
    holders: Counter[str] = Counter()
    for holder, texts in _holders(body, _DEPTH):
        holders[holder] += 1
        number = holders[holder]
        fields |= {(holder, number, name): text for name, text in texts.items() if text}
    return FieldValues(fields=fields, holders=holders)


def _holders(element: etree._Element, depth: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the name of each element that holds fields, with their texts by name, in document order."""
    texts: dict[str, str] = {}
    inner: list[etree._Element] = []
    for child in _elements(element):
        if next(_elements(child), None) is not None:
            inner.append(child)
        elif (name := child.tag[len(_PREFIX) :]) not in _OF_THE_VERSION:
            texts[name] = own_text(child).strip()
    if texts:
        yield element.tag[len(_PREFIX) :], texts
    for child in inner if depth else ():
        yield from _holders(child, depth - 1)


def _elements(element: etree._Element) -> Iterator[etree._Element]:
    """Yield the children that are of customs' namespace, no comments."""
    return (one for one in element if isinstance(one.tag, str) and one.tag.startswith(_PREFIX))
