"""Canonical XML 1.0, inclusive, without comments: of a whole document, and of a part in its context.

libxml2 canonicalises the whole document. For a part, inclusive canonicalisation copies every namespace in
scope and every inherited `xml:` attribute onto its first tag (Canonical XML 1.0, 2.4); lxml loses the unused
ones, so the part is written here, as far as SignedInfo needs it: elements, plain attributes and text.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Final

from lxml import etree

from signing.errors import SigningError

Namespaces = Mapping[str | None, str]
"""Prefix to namespace; None is the default namespace."""
NOTHING_ASSUMED: Final[Namespaces] = MappingProxyType({})
MOST_NODES: Final = 1000
"""Most elements, comments and processing instructions in a Signature."""

_SPECIAL = re.compile(r"[&<\"\t\n\r]")
_XML = "{http://www.w3.org/XML/1998/namespace}"


def canonical_document(tree: etree._ElementTree) -> bytes:
    """Canonicalise the whole document, as Reference URI="" selects it: without comments, with PIs, UTF-8.

    Raises SigningError for a document without a canonical form (a relative namespace name).
    """
    try:
        return etree.tostring(tree, method="c14n", with_comments=False)
    except (etree.LxmlError, ValueError) as err:
        raise SigningError(
            "the document has no canonical form", where=str(err), fix="use absolute namespace names"
        ) from err


def canonical_without(root: etree._Element, child: etree._Element) -> bytes:
    """Canonicalise the document without a child of its root: what Reference URI="" and `enveloped` select.

    The child is taken out of the tree; the text after it, which lxml would drop, stays (docs/spec/signing.md, What
    is digested). Raises SigningError as `canonical_document` does, and for a child with more than
    `MOST_NODES` nodes: removal in lxml takes quadratic time, and a Signature has some 20 nodes.
    """
    if next(islice(child.iter(), MOST_NODES, None), None) is not None:
        raise SigningError(f"a Signature of more than {MOST_NODES} nodes", fix="leave out what is not needed")
    if child.tail:
        before = child.getprevious()
        if before is None:
            root.text = (root.text or "") + child.tail
        else:
            before.tail = (before.tail or "") + child.tail
    root.remove(child)
    return canonical_document(root.getroottree())


def canonical_part(element: etree._Element, *, assumed: Namespaces = NOTHING_ASSUMED) -> bytes:
    """Canonicalise one element in the context of its document; `assumed` adds namespaces to the context.

    A prefix that is already in scope overrides `assumed`. Raises SigningError for comments, processing
    instructions and attributes with a prefix, which are not allowed in a SignedInfo.
    """
    pieces: list[str] = []
    _write(element, inherited_attributes(element.iterancestors()), {}, assumed, pieces)
    return "".join(pieces).encode()


def inherited_attributes(ancestors: Iterable[etree._Element]) -> dict[str, str]:
    """Collect the `xml:` attributes that a part inherits, nearest ancestor first, names like `xml:lang`."""
    found: dict[str, str] = {}
    for ancestor in ancestors:
        for name, value in ancestor.items():
            if str(name).startswith(_XML):
                found.setdefault("xml:" + str(name)[len(_XML) :], str(value))
    return found


def start_tag(name: str, namespaces: Namespaces, attributes: Mapping[str, str]) -> str:
    """Write a canonical start tag: namespaces by prefix, then attributes by name, `xml:` ones last."""
    declared = sorted(
        ("xmlns:" + prefix if prefix else "xmlns", uri)
        for prefix, uri in namespaces.items()
        if prefix != "xml"
    )
    ordered = sorted(attributes.items(), key=lambda item: (item[0].startswith("xml:"), item[0]))
    return "".join(("<", name, *[f' {key}="{_value(value)}"' for key, value in declared + ordered], ">"))


def _write(
    element: etree._Element,
    inherited: Mapping[str, str],
    outer: Namespaces,
    assumed: Namespaces,
    pieces: list[str],
) -> None:
    local = str(element.tag).rpartition("}")[2]
    name = f"{element.prefix}:{local}" if element.prefix else local
    scope: dict[str | None, str] = {**assumed, **element.nsmap}
    fresh = {prefix: uri for prefix, uri in scope.items() if outer.get(prefix, "") != uri}
    pieces += [start_tag(name, fresh, {**inherited, **_plain_attributes(element)}), _text(element.text)]
    for child in element:
        if not isinstance(child.tag, str):
            raise SigningError(f"a comment or processing instruction inside {name}", fix="sign without it")
        _write(child, {}, scope, assumed, pieces)
        pieces.append(_text(child.tail))
    pieces.append(f"</{name}>")


def _plain_attributes(element: etree._Element) -> dict[str, str]:
    attributes = {str(name): str(value) for name, value in element.items()}
    if any(name.startswith("{") for name in attributes):
        raise SigningError(f"an attribute with a prefix on {element.tag}", fix="sign without it")
    return attributes


def _text(text: str | None) -> str:
    if not text:
        return ""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#xD;")


def _value(text: str) -> str:
    if not _SPECIAL.search(text):
        return text
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return text.replace("\t", "&#x9;").replace("\n", "&#xA;").replace("\r", "&#xD;")
