"""Finds versions of a declaration that are twice in one message with different content (docs/adr/0037)."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from lxml import etree

from gateway.errors import FAULTS_COUNTED
from gateway.identity import SHORTEST_KEY, identity, version
from gateway.model import Declaration, Fault, Header
from gateway.rules.explain import own_text
from gateway.rules.texts import NOTHING, fault_of, phrase
from gateway.submission.identify import CEB
from gateway.xml.decode import positions_of
from gateway.xml.positions import UNKNOWN, TextPosition

_NAME_SHOWN: Final = 200
"""Most characters of a declaration's name in a fault; a valid name is shorter."""
_Content = tuple[tuple[object, ...], ...]


def named_twice(declarations: Sequence[Declaration]) -> bool:
    """Say whether one version of a declaration is there more than once."""
    if len(declarations) == 1:
        return False
    told = [named for one in declarations if (named := _named(one)) is not None]
    return len(set(told)) < len(told)


def contradictions(root: etree._Element, header: Header, body: bytes) -> tuple[Fault, ...]:
    """Return faults of `root`, the tree of `body`, at both places of every version given twice with different content, at most `FAULTS_COUNTED`.

    Content is what the elements say: white space around texts, comments and prefixes are none of it. With equal content
    nothing is in doubt, and customs answers the second as a duplicate of the first (docs/spec/codes.md, -401007).
    """
    if not named_twice(header.declarations):
        return ()
    bodies = list(root.iterchildren(f"{{{CEB}}}{header.message_type.body}"))
    found = list(islice(_contradictions(bodies, header), FAULTS_COUNTED))
    if not found:
        return ()
    places = positions_of(body, root, [bodies[at] for one in found for at in (one.place, one.other)])
    return tuple(_fault(header, one, [places.get(each, UNKNOWN) for each in bodies]) for one in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contradiction:
    """Numbers of two bodies that contradict each other, and the name of their declaration."""

    place: int
    other: int
    name: str


def _contradictions(bodies: Sequence[etree._Element], header: Header) -> Iterator[_Contradiction]:
    places: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for place, one in enumerate(header.declarations):
        named = _named(one)
        if named is not None:
            places[named].append(place)
    for (name, _), (first, *others) in places.items():
        said = _content(bodies[first]) if others else ()
        different = [place for place in others if _content(bodies[place]) != said]
        if different:
            yield _Contradiction(place=first, other=different[0], name=name)
        for place in different:
            yield _Contradiction(place=place, other=first, name=name)


def _named(one: Declaration) -> tuple[str, str] | None:
    """Return the name of a version; None where no version is given, or the key is too incomplete to name one."""
    told = version(one)
    return (identity(one), told) if told and (one.numbers or len(one.key) >= SHORTEST_KEY) else None


def _content(body: etree._Element) -> _Content:
    """Return the content of a body: name, text, attributes and number of children of each element, in order."""
    return tuple(
        (
            str(one.tag),
            own_text(one).strip(),
            tuple(sorted(one.items())),
            sum(1 for _ in one.iterchildren("*")),
        )
        for one in body.iter("*")
    )


def _fault(header: Header, one: _Contradiction, places: Sequence[TextPosition]) -> Fault:
    kind, place = header.message_type, places[one.place]
    there, line = f"/{kind.name}/{kind.body}[{one.other + 1}]", places[one.other].line
    shown = one.name[:_NAME_SHOWN]
    at = phrase("at_line", line=line) if line else NOTHING
    return fault_of(
        "submission.conflict_version",
        {"there": there, "at": at, "named": shown},
        path=f"/{kind.name}/{kind.body}[{one.place + 1}]",
        line=place.line,
        column=place.column,
        element=kind.body,
    )
