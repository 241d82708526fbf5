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


def field_values(body: bytes, rules: Rules, limits: LimitsConfig) -> dict[str, FieldValues]:
    """Read the declarations of an accepted message, bare or in a DxpMsg, by their identities; none if it cannot be read.

    A message that was accepted under other rules, or is no declaration, has nothing to compare.
    """
    try:
        root = decode(body, limits)
        if etree.QName(root).namespace == DXP:
            root = decode(unwrap_tree(root, body).business, limits)
        header = identify(root, rules.catalogue, rules.schemas.edition)
    except (Refused, EnvelopeError):
        return {}
    bodies = root.iterchildren(_PREFIX + header.message_type.body)
    return {identity(one): _values_of(tree) for one, tree in zip(header.declarations, bodies, strict=True)}


def _values_of(body: etree._Element) -> FieldValues:
    fields: dict[tuple[str, int, str], str] = {}
    holders: Counter[str] = Counter()
    for holder, children in _holders(body, _DEPTH):
        holders[holder] += 1
        for child in children:
            name, text = etree.QName(child).localname, own_text(child).strip()
            if text and name not in _OF_THE_VERSION:
                fields[holder, holders[holder], name] = text
    return FieldValues(fields=fields, holders=holders)


def _holders(element: etree._Element, depth: int) -> Iterator[tuple[str, list[etree._Element]]]:
    """Yield each element that holds fields, with them, in document order."""
    children = list(element.iterchildren(f"{_PREFIX}*"))
    leaves = [child for child in children if next(child.iterchildren(f"{_PREFIX}*"), None) is None]
    if leaves:
        yield etree.QName(element).localname, leaves
    for child in children if depth else ():
        if next(child.iterchildren(f"{_PREFIX}*"), None) is not None:
            yield from _holders(child, depth - 1)
