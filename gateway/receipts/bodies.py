"""What is a body of a receipt and what is the frame around the bodies; opening and cutting both use this file only.

A body belongs to one owner, the frame to none. The owner of all bodies gets the document as it came. The owner of
some gets those, whole, in the part of the frame that concerns everybody (docs/adr/0030): the XML declaration and the
tags of the root.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final

from lxml import etree

from gateway.errors import EnvelopeError
from gateway.model import DXP_REP
from gateway.rules.explain import own_text
from gateway.xml.decode import UTF8_MARK
from gateway.xml.envelope import DXP
from gateway.xml.spans import child_spans, root_span

_RESPONSE: Final = "Response"
_WRAPPERS: Final = frozenset({"BaseTransfer", "BaseSubscribe", "ExtendMessage", "Signature"})
_RECEIVER: Final = "RecevierId"
"""That spelling: to whom a DxpRep goes (docs/spec/dxp.md, DxpRep)."""
_SENDER: Final = f"{{{DXP}}}OriHead/{{{DXP}}}SenderId"
_DECLARATION: Final = re.compile(rb"<\?xml\s[^<>]*\?>")
_START_TAG: Final = re.compile(rb"(<[^\s<>/]+)((?>(?:[^<>\"']|\"[^\"]*\"|'[^']*')*))>")
_ATTRIBUTE: Final = re.compile(rb"([^\s=\"']+)\s*=\s*(\"[^\"]*\"|'[^']*')")
_COMMON: Final = re.compile(rb"guid|version|ver|Id|xmlns(?::.*)?", re.DOTALL)
"""Attributes of a root that its schemas know (docs/spec/messages.md, Root and wrapper; docs/spec/dxp.md, DxpRep), and its namespaces."""


def is_body(name: str, root: str) -> bool:
    """Say by local names whether a child of the root is a body, in any namespace."""
    return name == _RESPONSE if root == DXP_REP else name not in _WRAPPERS


def bodies_of(root: etree._Element) -> list[etree._Element]:
    """Return the bodies in document order; the position of a body is its `Answer.index`."""
    name = local_name(root)
    return [child for child in root.iterchildren(etree.Element) if is_body(local_name(child), name)]


def local_name(element: etree._Element) -> str:
    """Return the name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def cut(document: bytes, root: etree._Element, keep: Collection[int]) -> bytes:
    """Return the document with these bodies only; the same object when it has no others.

    Every byte of a kept body stays, and the white space around the bodies. Of the rest, only these stay: the XML
    declaration, the root's tags with the attributes that its schemas know, and the RecevierId of a DxpRep when one of
    the kept bodies names it as its sender. Removed are comments, processing instructions, text between bodies,
    wrappers and the signature (it covers the whole document). `root` is the tree of the document. Raises
    EnvelopeError.
    """
    bodies = bodies_of(root)
    kept = [body for index, body in enumerate(bodies) if index in keep]
    if len(kept) == len(bodies):
        return document
    children, spans = list(root.iterchildren(etree.Element)), child_spans(document)
    if len(spans) != len(children):
        raise EnvelopeError("its elements are read in two ways", fix="look at the raw bytes")
    wanted = {*kept, *_receiver(root, kept)}
    whole = root_span(document)
    tag, at = _start_tag(document, whole.start)
    pieces = [*_prolog(document[: whole.start]), tag]
    for child, span in zip(children, spans, strict=True):
        pieces += [
            _blank(document[at : span.start]),
            document[span.start : span.end] if child in wanted else b"",
        ]
        at = span.end
    end = document.rindex(b"</", at, whole.end)
    pieces += [_blank(document[at:end]), document[end : whole.end], _blank(document[whole.end :])]
    return b"".join(pieces)


def _receiver(root: etree._Element, kept: list[etree._Element]) -> Iterator[etree._Element]:
    """Yield the elements of the frame that disclose no more than the kept bodies do."""
    senders = {own_text(sender).strip() for body in kept for sender in body.iterfind(_SENDER)}
    for child in root.iterchildren(etree.Element):
        bare = local_name(child) == _RECEIVER and len(child) == 0 and not child.attrib
        if bare and own_text(child).strip() in senders:
            yield child


def _prolog(before: bytes) -> tuple[bytes, ...]:
    """Return what precedes the root, without comments and processing instructions."""
    at = len(UTF8_MARK) if before.startswith(UTF8_MARK) else 0
    found = _DECLARATION.match(before, at)
    if found is not None:
        at = found.end()
    return before[:at], _blank(before[at:])


def _blank(between: bytes) -> bytes:
    """Return the text between elements if it is only white space, else one line break."""
    return between if not between or between.isspace() else b"\n"


def _start_tag(document: bytes, at: int) -> tuple[bytes, int]:
    """Return the root's start tag with the attributes that concern everybody, and where it ends in the document.

    ASCII characters are single bytes in every encoding that is accepted.
    """
    found = _START_TAG.match(document, at)
    if found is None:
        raise EnvelopeError("its root cannot be read", fix="look at the raw bytes")
    common = [b" " + one[0] for one in _ATTRIBUTE.finditer(found[2]) if _COMMON.fullmatch(one[1])]
    return b"".join((found[1], *common, b">")), found.end()
