"""Parse bytes safely into a document tree with all white space; the document keeps its bytes."""

import re
from dataclasses import dataclass
from typing import Final

from lxml import etree

from signing.errors import SigningError
from signing.xml.markup import (
    MOST_ATTRIBUTES,
    MOST_NAMESPACES,
    crowded_tag,
    has_ampersand_in_namespace,
    has_many_namespaces,
)

BOM: Final = b"\xef\xbb\xbf"
ENCODINGS: Final = frozenset({"UTF-8", "GB18030", "GBK", "GB2312"})
"""Encodings in which every ASCII character of markup is one byte, so that a splice is ASCII bytes."""

_VERSION = re.compile(rb"""<\?xml\s++version\s*+=\s*+["'](?!1\.0["'])""")
_DECLARED = re.compile(rb"""<\?xml\s[^>]*?\bencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_PROLOG_DOCTYPE = re.compile(rb"(?>(?:\s++|<\?.*?\?>|<!--.*?-->)*)<!DOCTYPE", re.DOTALL)
# One parser for all: creating one costs a fifth of a parse, and lxml guards it with a lock.
_PARSER = etree.XMLParser(
    resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, collect_ids=False
)
_LONG_TEXT_BYTES = 9_000_000
"""Longer documents need a parser without the limit of 10 million characters for a text."""
_LONG_TEXT_PARSER = etree.XMLParser(
    resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, collect_ids=False
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A well-formed document without a DTD: its original bytes, and its tree."""

    body: bytes
    encoding: str
    """Upper-case name, one of `ENCODINGS`."""
    root: etree._Element

    @property
    def tree(self) -> etree._ElementTree:
        """The whole document, processing instructions outside the root included."""
        return self.root.getroottree()


def parse(body: bytes) -> Document:
    """Parse without DTD, entities and network, and with limits on attributes and namespaces.

    Raises SigningError for any other document.
    """
    encoding = _encoding(body)
    if crowded_tag(body) is not None:
        raise SigningError(
            f"an element with more than {MOST_ATTRIBUTES} attributes",
            fix="leave out those that are not needed",
        )
    try:
        root = etree.fromstring(body, _PARSER if len(body) <= _LONG_TEXT_BYTES else _LONG_TEXT_PARSER)
    except (etree.LxmlError, ValueError, LookupError) as err:
        raise SigningError(
            "not a well-formed XML document", where=str(err), fix="send well-formed XML"
        ) from err
    return _checked(body, encoding, root)


def adopt(body: bytes, root: etree._Element) -> Document:
    """Make a Document of a tree that the caller has parsed from `body`; raises SigningError as `parse` does."""
    return _checked(body, _encoding(body), root)


def _checked(body: bytes, encoding: str, root: etree._Element) -> Document:
    if has_many_namespaces(body, root):
        raise SigningError(
            f"more than {MOST_NAMESPACES} namespaces are declared at one place",
            fix="declare those that are used, once each, on the root element",
        )
    if has_ampersand_in_namespace(body, root):
        # libxml2 does not escape it in canonical form, others do: the signature would be valid only here
        raise SigningError("a namespace name with an ampersand", fix="use a namespace name without it")
    return Document(body=body, encoding=encoding, root=root)


def _encoding(body: bytes) -> str:
    """Read the encoding from the XML declaration, UTF-8 when there is none (XML 1.0, 4.3.3)."""
    marked = body.startswith(BOM)
    start = len(BOM) if marked else 0
    if b"\0" in body[:4] or body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise _unsupported("UTF-16 or UTF-32")
    if b"<!DOCTYPE" in body and _PROLOG_DOCTYPE.match(body, start):
        # refused before parsing, so that no entity is ever read
        raise SigningError(
            "the document has a DOCTYPE", where="before the root element", fix="send it without"
        )
    if _VERSION.match(body, start):
        raise SigningError("the document is not XML 1.0", fix='begin it with <?xml version="1.0"?>')
    declared = _DECLARED.match(body, start)
    name = declared[1].decode("ascii").upper() if declared else "UTF-8"
    name = "UTF-8" if name == "UTF8" else name
    if name not in ENCODINGS:
        raise _unsupported(name)
    if marked and name != "UTF-8":
        raise SigningError(f"a UTF-8 byte order mark contradicts encoding {name}", fix="send one of the two")
    return name


def _unsupported(name: str) -> SigningError:
    return SigningError(f"encoding {name} is not supported", fix="send UTF-8 or GB18030")
