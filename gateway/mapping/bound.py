"""A mapping bound to one source: of every leaf a function from an item to its text.

What can be settled once for a source is settled here, before its first declaration: which column a name is, which of several places
is there, what never changes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar
from xml.sax.saxutils import escape

from gateway.mapping.functions import NotApplicableError, PlainNumber, guid
from gateway.mapping.language import (
    ArrayMembers,
    Branch,
    Condition,
    Constant,
    Copied,
    Given,
    Guid,
    Leaf,
    Origin,
    Places,
    Position,
    RowGroups,
)
from gateway.mapping.registered import RegisteredGoods
from gateway.mapping.rows import blank
from gateway.mapping.sources.item import NoTextError, Spot
from gateway.mapping.sources.lossy_numbers import lost
from gateway.mapping.sources.table import Bare

Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)
Fetch = Callable[[Item], str | None]
"""The text at some places as it is written; None or blank: there is none. Raises NoTextError."""
TextOf = Callable[[Item, int], str | None]
"""The text of an element, of an item and its position; None: none. Raises NoTextError."""
Holds = Callable[[Item], bool]
HASHED: Final = "(made of all else that is written)"
"""What `TextOf` returns of a text that is not known yet; told by its identity, not by what it reads."""


class _Raw(Protocol[Item_contra]):
    """A text without functions; of use as a TextOf, too."""

    def __call__(self, item: Item_contra, number: int = 1, /) -> str | None:
        """Return the text. Raises NoTextError."""


class Binding(Protocol[Item]):
    """What a mapping needs of one kind of source."""

    def fetch(self, places: Places) -> Fetch[Item]:
        """Return what reads the first of these places that is there."""

    def spot(self, item: Item, places: Places = ()) -> Spot:
        """Return that place of an item, or of the item itself."""

    def items(self, each: ArrayMembers | RowGroups) -> Callable[[Item], Sequence[Item]]:
        """Return what yields the items inside an item. Raises NoTextError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenFacts:
    """What a translation is given beside its source."""

    mapping: str
    kind: str
    app_time: str
    goods: RegisteredGoods | None


@dataclass(frozen=True, slots=True)
class BoundOrigin(Generic[Item]):
    """One origin, without what is used instead of it."""

    origin: Origin
    text: TextOf[Item]
    holds: Holds[Item] | None
    """None: always."""


@dataclass(frozen=True, slots=True, eq=False)
class BoundLeaf(Generic[Item]):
    """An element or attribute with a text."""

    leaf: Leaf
    before: str
    after: str
    fixed: str | None
    """All of the element, where it is always the same."""
    text: TextOf[Item]
    chain: tuple[BoundOrigin[Item], ...]
    """What `text` goes through, for the trace."""


@dataclass(frozen=True, slots=True, eq=False)
class BoundBranch(Generic[Item]):
    """An element with elements."""

    branch: Branch
    before: str
    after: str
    parts: "tuple[BoundLeaf[Item] | BoundBranch[Item], ...]"
    attributes: tuple[BoundLeaf[Item], ...]
    items: Callable[[Item], Sequence[Item]] | None
    """None: written once."""
    holds: Holds[Item] | None
    path: str
    """Its name, as a step of an XPath."""


def bound_branch(branch: Branch, binding: Binding[Item], facts: GivenFacts) -> BoundBranch[Item]:
    """Bind an element and all below it."""
    parts: list[BoundLeaf[Item] | BoundBranch[Item]] = []
    for part in branch.parts:
        if isinstance(part, Branch):
            parts.append(bound_branch(part, binding, facts))
        else:
            parts.append(_leaf(part, binding, facts))
    return BoundBranch(
        branch=branch,
        before=f"<ceb:{branch.name}>",
        after=f"</ceb:{branch.name}>",
        parts=tuple(parts),
        attributes=tuple([_leaf(one, binding, facts) for one in branch.attributes]),
        items=None if branch.each is None else binding.items(branch.each),
        holds=bound_conditions(branch.when, binding),
        path=f"/{branch.name}",
    )


def bound_conditions(conditions: Sequence[Condition], binding: Binding[Item]) -> Holds[Item] | None:
    """Return what says whether all of these hold; None: there are none."""
    every = [_holding(one, binding.fetch(one.at)) for one in conditions]
    if len(every) <= 1:
        return every[0] if every else None
    return lambda item: all(holds(item) for holds in every)


def _holding(condition: Condition, fetch: Fetch[Item]) -> Holds[Item]:
    among, not_among, present = condition.among, condition.not_among, condition.present

    def holds(item: Item) -> bool:
        text = (fetch(item) or "").strip()
        if among is not None:
            return text in among
        if not_among is not None:
            return text not in not_among
        return bool(text) is present

    return holds


def _leaf(leaf: Leaf, binding: Binding[Item], facts: GivenFacts) -> BoundLeaf[Item]:
    element = leaf.name
    before, after = f"<ceb:{element}>", f"</ceb:{element}>"
    source = leaf.origin.source
    constant = isinstance(source, Constant) and not leaf.origin.when
    chain = tuple([_one(one, element, binding, facts) for one in leaf.origin.chain()])
    return BoundLeaf(
        leaf=leaf,
        before=before,
        after=after,
        fixed=f"{before}{escape(source.text)}{after}" if constant and isinstance(source, Constant) else None,
        text=chain[0].text if len(chain) == 1 and chain[0].holds is None else _in_turn(chain),
        chain=chain,
    )


def _in_turn(chain: Sequence[BoundOrigin[Item]]) -> TextOf[Item]:
    def text(item: Item, number: int) -> str | None:
        for one in chain:
            if one.holds is not None and not one.holds(item):
                return None
            found = one.text(item, number)
            if found is not None:
                return found
        return None

    return text


def _one(origin: Origin, element: str, binding: Binding[Item], facts: GivenFacts) -> BoundOrigin[Item]:
    match origin.source:
        case Copied():
            text = _copied(origin, origin.source, binding, facts)
        case Constant(text=constant):
            text = _always(constant)
        case Position():
            text = _position
        case Given():
            text = _given(origin, binding, facts)
        case Guid(key=key):
            text = _guid(key, element, binding, facts)
    return BoundOrigin(origin, text, bound_conditions(origin.when, binding))


def _always(constant: str) -> TextOf[Item]:
    return lambda _item, _number: constant


def _position(_item: object, number: int) -> str:
    return str(number)


def _guid(key: Sequence[Places], element: str, binding: Binding[Item], facts: GivenFacts) -> TextOf[Item]:
    if not key:
        return _always(HASHED)
    fetches = [binding.fetch(places) for places in key]
    name = f"{facts.kind} {element}"
    return lambda item, _number: guid(facts.mapping, name, [(fetch(item) or "").strip() for fetch in fetches])


def _given(origin: Origin, binding: Binding[Item], facts: GivenFacts) -> TextOf[Item]:
    def text(item: Item, _number: int) -> str:
        if not facts.app_time:
            raise NoTextError("not_given", binding.spot(item))
        return _through(origin, facts.app_time, facts, lambda: binding.spot(item))

    return text


def _copied(origin: Origin, copied: Copied, binding: Binding[Item], facts: GivenFacts) -> TextOf[Item]:
    first = next(piece for piece in copied.pieces if not isinstance(piece, str))
    pieces = [
        piece if isinstance(piece, str) else _checked(origin, piece, binding) for piece in copied.pieces
    ]
    raw = (
        pieces[0] if len(pieces) == 1 and not isinstance(pieces[0], str) else _joined(pieces, copied.between)
    )
    if not origin.steps and origin.goods is None:
        return raw

    def text(item: Item, _number: int) -> str | None:
        found = raw(item)
        if found is None:
            return None
        return _through(origin, found, facts, lambda: binding.spot(item, first))

    return text


def _checked(origin: Origin, places: Places, binding: Binding[Item]) -> _Raw[Item]:
    """Return what reads a place: None for a blank text, refused where a program has damaged it."""
    if origin.literal:
        return _literal(origin, places, binding)
    fetch, trim, as_written = binding.fetch(places), origin.trim, origin.reads_numbers

    def text(item: Item, _number: int = 1) -> str | None:
        found = fetch(item)
        if not found or found.isspace():
            return None
        if not as_written and _may_be_lost(found) and (rule := lost(found.strip(), bare=type(found) is Bare)):
            raise NoTextError(rule, binding.spot(item, places), found)
        return found.strip() if trim else found

    return text


def _literal(origin: Origin, places: Places, binding: Binding[Item]) -> _Raw[Item]:
    """Return what reads a place of a tree: a text as it stands, numbers and words checked as ever."""
    fetch, as_written = binding.fetch(places), origin.reads_numbers

    def text(item: Item, _number: int = 1) -> str | None:
        found = fetch(item)
        if type(found) is Bare and not as_written and (rule := lost(found, bare=True)):
            raise NoTextError(rule, binding.spot(item, places), found)
        return found

    return text


def _may_be_lost(text: str) -> bool:
    """Say whether it is worth asking: in text without quotes, or with an exponent's letter. Most texts have neither."""
    return "E" in text or "e" in text or type(text) is Bare


def _joined(pieces: Sequence[str | _Raw[Item]], between: str) -> _Raw[Item]:
    def text(item: Item, _number: int = 1) -> str | None:
        found = [(piece, True) if isinstance(piece, str) else (piece(item), False) for piece in pieces]
        if all(always or one is None for one, always in found):
            return None
        return between.join([one for one, _ in found if one is not None])

    return text


def _through(origin: Origin, raw: str, facts: GivenFacts, spot: Callable[[], Spot]) -> str:
    """Apply the functions. Raises NoTextError."""
    text = raw
    try:
        if origin.goods is not None:
            text = origin.goods(text.strip(), facts.goods)
        for step in origin.steps:
            text = step(text)
    except NotApplicableError as wrong:
        raise NoTextError(wrong.rule, spot(), raw, **wrong.facts) from wrong
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """Where the text of a leaf comes from."""

    source: str
    """Places in the source; empty when the text comes from the mapping itself."""
    function: str
    spot: Spot


def traced(
    leaf: BoundLeaf[Item], item: Item, number: int, binding: Binding[Item], facts: GivenFacts
) -> Traced:
    """Say where the text of a leaf comes from. Raises NoTextError as `leaf.text` does."""
    first = leaf.chain[0].origin
    for one in leaf.chain:
        if one.holds is not None and not one.holds(item):
            return _told(first, "when", item, binding)
        text = one.text(item, number)
        if text is not None:
            instead = one.origin is not first and isinstance(one.origin.source, Constant)
            if instead:
                return _told(first, "default", item, binding)
            return _told(one.origin, _shown(one.origin, text, item, binding, facts), item, binding)
    return _told(first, "nothing", item, binding)


def _told(origin: Origin, function: str, item: Item, binding: Binding[Item]) -> Traced:
    spots = [binding.spot(item, places) for places in places_of(origin)]
    filled = (
        binding.spot(item, places)
        for places in places_of(origin)
        if not blank(binding.fetch(places)(item) or "")
    )
    return Traced(
        source=", ".join([spot.text for spot in spots]),
        function=function,
        spot=next(filled, spots[0] if spots else binding.spot(item)),
    )


def _shown(origin: Origin, text: str, item: Item, binding: Binding[Item], facts: GivenFacts) -> str:
    match origin.source:
        case Constant():
            return "constant"
        case Position():
            return "position"
        case Guid():
            return "guid"
        case Given():
            names = ["given app_time"]
        case Copied(pieces=pieces):
            names = ["join"] if len(pieces) > 1 else []
    if origin.trim:
        names.append("trim")
    if origin.goods is not None:
        names.append(origin.goods.shown(facts.goods))
    unchanged = {binding.fetch(places)(item) for places in places_of(origin)} == {text}
    names += [one.shown for one in origin.steps if not (isinstance(one, PlainNumber) and unchanged)]
    return ", ".join(names) or "copy"


def places_of(origin: Origin) -> Iterator[Places]:
    """Yield the places that an origin takes its text from."""
    match origin.source:
        case Copied(pieces=pieces):
            yield from (piece for piece in pieces if not isinstance(piece, str))
        case Guid(key=key):
            yield from key
