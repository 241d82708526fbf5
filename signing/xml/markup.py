"""Bounds on what stands in start tags: canonical form takes the square of it.

libxml2 sorts attributes by insertion, and looks up every namespace in scope among all the others, for each
element. Both are bounded far above what any document of this field has; the rest of the work is linear.
"""

import re
from collections.abc import Iterator
from typing import Final

from lxml import etree

MOST_ATTRIBUTES: Final = 64
"""Of one element, namespace declarations included."""
MOST_NAMESPACES: Final = 32
"""Declarations of one element and all those around it; the same prefix again counts again."""

# From each `<` on at most to the next one, so that each byte is looked at once or twice, well-formed or not.
_CROWDED_TAG: Final = re.compile(
    rb"<[^\s<>/=\"'!?]++(?>(?:\s++[^\s<>/=\"']++\s*+=\s*+(?:\"[^\"<]*+\"|'[^'<]*+')){%d})"
    % (MOST_ATTRIBUTES + 1)
)
_WITH_AMPERSAND: Final = re.compile(rb"""\sxmlns[^\s=<"'&]*+\s*+=\s*+(?:"[^"<&]*+&|'[^'<&]*+&)""")


def crowded_tag(body: bytes) -> int | None:
    """Give the offset of a start tag with more than `MOST_ATTRIBUTES` attributes; None when there is none.

    For bytes that nobody has parsed yet, in any encoding that has ASCII as ASCII. One that is in a comment counts.
    """
    if not _has_more_equals_than(body, MOST_ATTRIBUTES):
        return None
    found = _CROWDED_TAG.search(body)
    return None if found is None else found.start()


def has_many_namespaces(body: bytes, root: etree._Element) -> bool:
    """Say whether more than `MOST_NAMESPACES` declarations are open somewhere in the tree `root` of `body`."""
    if not _has_more_equals_than(body, MOST_NAMESPACES) or body.count(b"xmlns") <= MOST_NAMESPACES:
        return False
    is_open = 0
    for event, _ in etree.iterwalk(root, events=("start-ns", "end-ns")):
        is_open += 1 if event == "start-ns" else -1
        if is_open > MOST_NAMESPACES:
            return True
    return False


def has_ampersand_in_namespace(body: bytes, root: etree._Element) -> bool:
    """Say whether a namespace name of the tree `root` of `body` holds an ampersand."""
    return (
        b"&" in body and _WITH_AMPERSAND.search(body) is not None and any("&" in uri for uri in names(root))
    )


def names(root: etree._Element) -> Iterator[str]:
    """Give the namespace name of every declaration in a tree."""
    return (declared[1] for _, declared in etree.iterwalk(root, events=("start-ns",)))


def _has_more_equals_than(body: bytes, most: int) -> bool:
    """Say whether there are more equals signs; unlike counting, finding the few that are there costs next to nothing."""
    at = -1
    for _ in range(most + 1):
        at = body.find(b"=", at + 1)
        if at < 0:
            return False
    return True
