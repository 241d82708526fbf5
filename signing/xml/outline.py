"""Find the byte offsets of elements, for a splice, without changing or rewriting the document.

Most offsets are found by one search; if that could match the same characters inside a comment, a CDATA
section, an attribute or a nested element, the markup is scanned from the start instead.
"""

import re
from dataclasses import dataclass

from lxml import etree

from signing.errors import SigningError
from signing.xml.document import Document

_MARKUP = re.compile(
    rb"""<(?: !--.*?-->
            | !\[CDATA\[.*?\]\]>
            | \?.*?\?>
            | (?P<close>/) [^>]*+ >
            | (?P<open>[^\s/>!?]) (?>(?: [^"'>] | "[^"]*+" | '[^']*+' )*) >
        )""",
    re.DOTALL | re.VERBOSE,
)
_WIDE = re.compile(rb"[\x81-\xfe](?:[\x40-\x7e\x80-\xfe]|[\x30-\x39][\x81-\xfe][\x30-\x39])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """Byte offsets of the first level of a document."""

    children: tuple[tuple[int, int], ...]
    """Start and end of each child element of the root, in document order."""
    end: int
    """Offset of the root end tag."""


def root_end(document: Document) -> int:
    """Return the byte offset of the root end tag. Raises SigningError for a root that is an empty-element tag."""
    if document.root.getnext() is not None:  # a comment or PI follows, and might contain "</"
        return outline(document).end
    if document.body.rstrip(b" \t\r\n").endswith(b"/>"):
        raise _no_inside()
    return document.body.rindex(b"</")


def child_start(document: Document, child: etree._Element) -> int:
    """Return the byte offset of the start tag of `child`, an element child of the root."""
    local = etree.QName(child).localname
    tag = f"<{child.prefix}:{local}" if child.prefix else f"<{local}"
    # The start tag itself is one occurrence, so a single occurrence must be the start tag.
    if tag.isascii() and document.body.count(tag.encode()) == 1:
        return document.body.index(tag.encode())
    return child_span(document, child)[0]


def child_span(document: Document, child: etree._Element) -> tuple[int, int]:
    """Return the byte offsets (start, end) of `child`, an element child of the root, both its tags included."""
    return outline(document).children[list(document.root.iterchildren("*")).index(child)]


def outline(document: Document) -> Outline:
    """Scan the markup of a well-formed document and return the offsets of its first level."""
    children: list[tuple[int, int]] = []
    depth = start = 0
    for tag in _MARKUP.finditer(_narrow(document)):
        if tag["close"]:
            depth -= 1
            if depth == 0:
                return Outline(children=tuple(children), end=tag.start())
            if depth == 1:
                children.append((start, tag.end()))
        elif tag["open"]:
            empty = tag[0].endswith(b"/>")
            if depth == 1:
                start = tag.start()
                if empty:
                    children.append((start, tag.end()))
            depth += not empty
    raise _no_inside()


def _narrow(document: Document) -> bytes:
    """Replace the multi-byte characters of a GB encoding by filler bytes: their second byte may look like `]`."""
    if document.encoding == "UTF-8":
        return document.body
    return _WIDE.sub(lambda wide: b"\x80" * len(wide[0]), document.body)


def _no_inside() -> SigningError:
    return SigningError(
        "the root is one empty-element tag and cannot hold a Signature", fix="send its content"
    )
