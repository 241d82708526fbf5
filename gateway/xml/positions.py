"""Lines and columns of elements, from the bytes as handed in: a parsed tree has no columns, and lines up to 65534 only.

The document is read once, up to the last element that is asked for, so the cost is linear; nothing is read when
nothing is asked. CDATA sections, comments and processing instructions may hold anything that looks like a tag.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from lxml import etree

# In a well-formed document without DOCTYPE, every other `<` begins a start tag or an end tag.
_MARKUP: Final = re.compile(r"<(?:!--.*?-->|!\[CDATA\[.*?\]\]>|\?.*?\?>|(?P<start>[^/!?]))", re.DOTALL)
_MARK: Final = "\ufeff"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPosition:
    """Where the `<` of a start tag is: both from 1, the column in characters; 0: not known."""

    line: int = 0
    column: int = 0


UNKNOWN: Final = TextPosition()


def positions(
    body: bytes, codec: str, root: etree._Element, wanted: Iterable[etree._Element]
) -> Mapping[etree._Element, TextPosition]:
    """Return the position of each `wanted` element of `root`, which is the tree of `body` in `codec`.

    A line ends with a line feed; a byte order mark does not count. What is not in the tree or whose place cannot be
    told, because these are not the bytes of the tree, is left out.
    """
    asked = set(wanted)
    if not asked:
        return {}
    numbers = dict(_numbered(root, asked))
    text = body.decode(codec, "replace").removeprefix(_MARK)
    found = dict(_found(text, set(numbers.values())))
    return {node: found[number] for node, number in numbers.items() if number in found}


def _numbered(root: etree._Element, asked: set[etree._Element]) -> Iterator[tuple[etree._Element, int]]:
    """Yield each asked element with its number in document order, the root's being 0."""
    left = len(asked)
    for number, node in enumerate(root.iter("*")):
        if node in asked:
            yield node, number
            left -= 1
            if not left:
                return


def _found(text: str, numbers: set[int]) -> Iterator[tuple[int, TextPosition]]:
    """Yield the position of the start tags with these numbers."""
    last = max(numbers, default=-1)
    number = -1
    line, line_start, counted = 1, 0, 0
    for tag in _MARKUP.finditer(text):
        if tag["start"] is None:
            continue
        number += 1
        if number in numbers:
            at = tag.start()
            line += text.count("\n", counted, at)
            line_start = max(line_start, text.rfind("\n", counted, at) + 1)
            counted = at
            yield number, TextPosition(line=line, column=at - line_start + 1)
        if number >= last:
            return
