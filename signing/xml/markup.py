"""Limits on attributes and namespaces in start tags, because canonicalisation is quadratic in their number.

libxml2 sorts attributes by insertion, and looks up every namespace in scope among all the others, for each
element. Both limits are far above those of any document in this field; the rest of the work is linear.
"""

import re
from collections.abc import Iterator
from typing import Final

from lxml import etree

MOST_ATTRIBUTES: Final = 64
"""Per element, namespace declarations included."""
MOST_NAMESPACES: Final = 32
"""Declarations of one element and its ancestors; a repeated prefix counts again."""

# Each attempt goes from one `<` at most to the next, so each byte is read once or twice, well-formed or not.
_CROWDED_TAG: Final = re.compile(
    rb"<[^\s<>/=\"'!?]++(?>(?:\s++[^\s<>/=\"']++\s*+=\s*+(?:\"[^\"<]*+\"|'[^'<]*+')){%d})"
    % (MOST_ATTRIBUTES + 1)
)
_WITH_AMPERSAND: Final = re.compile(rb"""\sxmlns[^\s=<"'&]*+\s*+=\s*+(?:"[^"<&]*+&|'[^'<&]*+&)""")


def crowded_tag(body: bytes) -> int | None:
    """Return the offset of a start tag with more than `MOST_ATTRIBUTES` attributes; None when there is none.

    For unparsed bytes in any encoding that contains ASCII unchanged. A tag in a comment counts too.
    """
    if not _has_more_equals_than(body, MOST_ATTRIBUTES):
        return None
    found = _CROWDED_TAG.search(body)
    return None if found is None else found.start()


def has_many_namespaces(body: bytes, root: etree._Element) -> bool:
    """Whether more than `MOST_NAMESPACES` declarations are in scope anywhere in `root`, the tree of `body`."""
    if not _has_more_equals_than(body, MOST_NAMESPACES) or body.count(b"xmlns") <= MOST_NAMESPACES:
        return False
    is_open = 0
    for event, _ in etree.iterwalk(root, events=("start-ns", "end-ns")):
        is_open += 1 if event == "start-ns" else -1
        if is_open > MOST_NAMESPACES:
            return True
    return False


def has_ampersand_in_namespace(body: bytes, root: etree._Element) -> bool:
    """Whether a namespace name in `root`, the tree of `body`, contains an ampersand."""
    return (
        b"&" in body and _WITH_AMPERSAND.search(body) is not None and any("&" in uri for uri in names(root))
    )


def names(root: etree._Element) -> Iterator[str]:
    """Yield the namespace name of every declaration in a tree."""
    return (declared[1] for _, declared in etree.iterwalk(root, events=("start-ns",)))


def _has_more_equals_than(body: bytes, most: int) -> bool:
    """Whether there are more than `most` equals signs; much faster than counting all of them."""
    at = -1
    for _ in range(most + 1):
        at = body.find(b"=", at + 1)
        if at < 0:
            return False
    return True
