"""Match the children of one element with the sequence that is declared for it.

The children are compared with the whole sequence at once: the longest run in the right order counts as in place, so
one element that is misplaced, missing, misspelt or added is one mistake, and everything else is still checked.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from lxml import etree

from gateway.rules.schema_model import ElementDecl, Shape, Slot
from gateway.rules.texts import Bilingual, phrase

_SHOWN: Final = 100
"""Most characters of a name from an unauthenticated caller that a path shows."""
_NEAR: Final = 0.75
_NAME_COMPARED: Final = 50
"""Most characters of an unknown name that are compared with the known ones."""
_NAMES_COMPARED: Final = 500
"""Most unknown names of a document that are compared with those that are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredNode:
    """An element of the document, its declaration and its path."""

    node: etree._Element
    decl: ElementDecl
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedChildren:
    """The children of one element, each with the slot that it fills."""

    parent: DeclaredNode
    shape: Shape
    children: Sequence[etree._Element]
    ranks: Sequence[int]
    """Index of the slot of each child; -1: no slot has that name."""
    misspelt: frozenset[int]
    """Indexes of the children whose name is nearly that of a slot which is required and not filled otherwise."""
    in_place: frozenset[int]
    """Indexes of the children that are in order; the others are in the wrong place."""
    surplus: Mapping[int, int]
    """Rank of each slot that is filled too often → the index of the child that is reported for it."""
    counts: Counter[int]
    strangers: Counter[str]
    """Local names of the children that have the name of no slot."""
    names: Counter[str] = field(default_factory=Counter)
    """How many of each of those have been reported so far."""

    def stranger_path(self, child: etree._Element) -> str:
        """Return the path of the next child without a slot of its name; with a position where there are several."""
        whole = local(child)
        self.names[whole] += 1
        position = f"[{self.names[whole]}]" if self.strangers[whole] > 1 else ""
        return f"{self.parent.path}/{whole[:_SHOWN]}{position}"

    def path_of(self, rank: int, nth: int) -> str:
        """Return the path of a child, with a position if the element may repeat or does."""
        slot: Slot = self.shape.slots[rank]
        name = slot.decl.name if slot.decl is not None else "*"
        position = f"[{nth}]" if slot.high != 1 or self.counts[rank] > 1 else ""
        return f"{self.parent.path}/{name}{position}"

    def position(self, rank: int) -> Bilingual:
        """Return where a slot belongs: after the nearest slot before it that is filled or required."""
        for earlier in range(rank - 1, -1, -1):
            slot = self.shape.slots[earlier]
            if slot.decl is not None and (self.counts[earlier] or slot.low):
                return phrase("after", name=slot.decl.name)
        return phrase("first", name=self.parent.decl.name)

    def unfilled(self) -> list[str]:
        """Return the names of the slots that no child fills."""
        slots = enumerate(self.shape.slots)
        return [slot.decl.name for rank, slot in slots if slot.decl is not None and not self.counts[rank]]


class ChildMatcher:
    """Matches children for one document; the work on unknown names is bounded for all of it."""

    def __init__(self, ignored: str = "") -> None:
        """`ignored`: tag of an element that may be missing although its slot requires it."""
        self._ignored = ignored
        self._left = _NAMES_COMPARED

    def matched(
        self, spot: DeclaredNode, shape: Shape, children: Sequence[etree._Element]
    ) -> MatchedChildren:
        """Match each child: by its full name, by its local name in a wrong namespace, or by a nearly right name."""
        tags = {slot.decl.tag: rank for rank, slot in enumerate(shape.slots) if slot.decl is not None}
        names = {slot.decl.name: rank for rank, slot in enumerate(shape.slots) if slot.decl is not None}
        ranks = [tags.get(str(child.tag), names.get(local(child), -1)) for child in children]
        strangers = Counter(local(child) for child, rank in zip(children, ranks, strict=True) if rank < 0)
        misspelt = dict(self._misspelt(shape, children, ranks)) if strangers and shape.ordered else {}
        for index, rank in misspelt.items():
            ranks[index] = rank
        in_place = _longest_run(shape, ranks)
        counts = Counter(ranks)
        return MatchedChildren(
            parent=spot,
            shape=shape,
            children=children,
            ranks=ranks,
            misspelt=frozenset(misspelt),
            in_place=in_place,
            surplus=_surplus(shape, ranks, counts, in_place),
            counts=counts,
            strangers=strangers,
        )

    def _misspelt(
        self, shape: Shape, children: Sequence[etree._Element], ranks: Sequence[int]
    ) -> Iterator[tuple[int, int]]:
        """Yield index and rank of each child without a slot whose name is nearly that of a missing element."""
        filled = set(ranks)
        missing = {
            slot.decl.name: rank
            for rank, slot in enumerate(shape.slots)
            if slot.decl is not None and slot.low and rank not in filled and slot.decl.tag != self._ignored
        }
        taken: Counter[int] = Counter()
        known: dict[str, str] = {}
        for index, child in enumerate(children):
            name = local(child)
            if ranks[index] >= 0 or not missing or not (name in known or self._left):
                continue
            if name not in known:
                self._left -= 1
                known[name] = nearest(name, missing)
            rank = missing.get(known[name])
            high = 0 if rank is None else shape.slots[rank].high
            if rank is not None and (high is None or taken[rank] < high):
                taken[rank] += 1
                yield index, rank


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is nearly this one, whatever the case of its letters; empty: there is none."""
    folded = {one.lower(): one for one in known}
    near = get_close_matches(name[:_NAME_COMPARED].lower(), list(folded), n=1, cutoff=_NEAR)
    return folded[near[0]] if near else ""


def local(node: etree._Element) -> str:
    """Return the name of an element without its namespace."""
    return etree.QName(node).localname


def _surplus(
    shape: Shape, ranks: Sequence[int], counts: Mapping[int, int], in_place: frozenset[int]
) -> dict[int, int]:
    """Choose for each slot filled too often the child to report: one in the wrong place, else the first beyond the limit."""
    limits = {rank: slot.high for rank, slot in enumerate(shape.slots) if slot.high is not None}
    crowded = {rank: limit for rank, limit in limits.items() if counts.get(rank, 0) > limit}
    found: dict[int, int] = {}
    for rank, limit in crowded.items():
        those = [index for index, other in enumerate(ranks) if other == rank]
        found[rank] = next((index for index in those if index not in in_place), those[limit])
    return found


def _longest_run(shape: Shape, ranks: Sequence[int]) -> frozenset[int]:
    """Return the indexes of the longest subsequence of ranks in order; ranks of -1 are left out.

    The rank of an element that may repeat may be there several times, any other once.
    """
    tails: list[int] = []
    ends: list[int] = []
    before: dict[int, int] = {}
    for index, rank in enumerate(ranks):
        if rank < 0:
            continue
        at = bisect_right(tails, rank)
        if shape.slots[rank].high == 1 and at and tails[at - 1] == rank:
            continue
        before[index] = ends[at - 1] if at else -1
        tails[at : at + 1] = [rank]
        ends[at : at + 1] = [index]
    run: list[int] = []
    index = ends[-1] if ends else -1
    while index >= 0:
        run.append(index)
        index = before[index]
    return frozenset(run)
