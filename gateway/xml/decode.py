"""Bytes → document tree: the only place where bytes from outside are given to the XML parser.

Whatever could cost more than its size is refused before a tree exists: a document type declaration
(so there are no entities of any kind), an unknown encoding, too many bytes, elements, attributes or
namespaces. The bytes themselves are never changed; the tree is only for reading.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from lxml import etree

from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import Refused
from gateway.rules.texts import fault_of
from gateway.xml.positions import UNKNOWN, TextPosition, positions
from gateway.xml.syntax_errors import variant_of
from signing.xml.markup import MOST_ATTRIBUTES, MOST_NAMESPACES, crowded_tag, has_many_namespaces

UTF8_MARK: Final = b"\xef\xbb\xbf"
ENCODINGS: Final = {"utf-8": "utf-8", "gb18030": "gb18030", "gbk": "gbk", "gb2312": "gb2312"}
"""Declared encoding in lower case → codec; others are not in use on this exchange and are refused."""

_WIDE: Final = (b"\xfe\xff", b"\xff\xfe", b"\x00\x00\xfe\xff", b"\x00<\x00", b"<\x00", b"\x00\x00\x00<")
_VERSION: Final = re.compile(rb"""<\?xml\s++version\s*+=\s*+["'](?!1\.0["'])([^"'<>]{0,20})""")
_DECLARATION: Final = re.compile(rb"<\?xml\s[^>]{0,200}?\bencoding\s*=\s*[\"']([^\"'>]{0,60})[\"']")
# Possessive, so that each byte is read once; it stops at an unclosed construct, and the parser reports that.
_PROLOG: Final = re.compile(rb"(?>(?:\s++|<\?.*?\?>|<!--.*?-->)*)", re.DOTALL)
_RESOURCE_LIMIT: Final = 114
"""libxml2's XML_ERR_RESOURCE_LIMIT, for which lxml has no name."""
_PARSERS_DEPTH: Final = 256
"""libxml2's own limit of depth while parsing."""
SMALLEST_ELEMENT: Final = len(b"<a/>")
_PARSER: Final = etree.XMLParser(
    resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, collect_ids=False
)
_LONG_TEXT_BYTES: Final = 9_000_000
"""Longer documents need a parser without the limit of 10 million characters for a text."""
_LONG_TEXT_PARSER: Final = etree.XMLParser(
    resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, collect_ids=False
)
_TOLD_AT_THE_END: Final = frozenset({"no_root", "after_root", "end_tag", "comment", "cdata", "instruction"})
"""Errors that keep their own text at the end of the document; any other one there means that it is cut off."""


def decode(body: bytes, limits: LimitsConfig) -> etree._Element:
    """Parse one document and give its root element. docs/spec/messages.md; limits: docs/http-api.md, Bounds.

    Raises Refused with one fault: `too-large` (rule `size`), `unsafe-xml` (`elements`, `depth`), and as `parse`.
    """
    _check_size(body, limits)
    root = parse(body, elements=limits.elements)
    if _too_deep(limits.depth)(root):
        raise _refused("unsafe-xml", "depth", _place_of_depth(body, root, limits.depth), limit=limits.depth)
    return root


def parse(body: bytes, *, elements: int = 0) -> etree._Element:
    """Parse bytes whose size has been checked; `elements`: most elements allowed, 0: no limit.

    Raises Refused with one fault: `unsafe-xml` (rules `doctype`, `elements`, `attributes`, `namespaces`),
    `wrong-encoding` (`encoding`) or `not-xml` (`not_xml`, `version`). Lines and columns count from 1.
    """
    codec = encoding_of(body)
    _check_version(body)
    _check_start(body, codec)
    _check_characters(body, codec)
    if elements:
        _check_elements(body, elements)
    _check_attributes(body, codec)
    try:
        root = etree.fromstring(body, _PARSER if len(body) <= _LONG_TEXT_BYTES else _LONG_TEXT_PARSER)
    except etree.XMLSyntaxError as error:
        raise _not_xml(body, codec, error) from error
    if has_many_namespaces(body, root):
        raise _refused("unsafe-xml", "namespaces", limit=MOST_NAMESPACES)
    return root


def encoding_of(body: bytes) -> str:
    """Return the codec of the document: by its byte order mark, else its XML declaration, else UTF-8.

    Raises Refused `wrong-encoding` for anything but UTF-8, GB18030, GBK and GB2312.
    """
    if body.startswith(_WIDE):
        raise _refused("wrong-encoding", "encoding.unknown", (1, 1), codec="UTF-16, UTF-32")
    marked = body.startswith(UTF8_MARK)
    found = _DECLARATION.match(body, len(UTF8_MARK) if marked else 0)
    if found is None:
        return "utf-8"
    declared = found[1].decode("latin-1")
    codec = ENCODINGS.get(declared.lower())
    if codec is None:
        raise _refused("wrong-encoding", "encoding.unknown", (1, 1), codec=declared)
    if marked and codec != "utf-8":
        raise _refused("wrong-encoding", "encoding.contradiction", (1, 1), codec=declared)
    return codec


def positions_of(
    body: bytes, root: etree._Element, wanted: Iterable[etree._Element]
) -> Mapping[etree._Element, TextPosition]:
    """Return lines and columns of elements of `root`, which `decode` or `parse` made of `body`; see `positions`."""
    return positions(body, encoding_of(body), root, wanted)


def prolog_end(body: bytes) -> int:
    """Return the offset after byte order mark, XML declaration, comments and white space: the root, if any."""
    found = _PROLOG.match(body, len(UTF8_MARK) if body.startswith(UTF8_MARK) else 0)
    return found.end() if found else 0


def _check_size(body: bytes, limits: LimitsConfig) -> None:
    if len(body) > limits.size_bytes:
        raise _refused("too-large", "size", size=len(body), limit=limits.size_bytes)


def _check_version(body: bytes) -> None:
    found = _VERSION.match(body, len(UTF8_MARK) if body.startswith(UTF8_MARK) else 0)
    if found is not None:
        raise _refused("not-xml", "version", (1, 1), version=found[1].decode("ascii", "replace"))


def _check_start(body: bytes, codec: str) -> None:
    """Check that the root element follows the prolog; a DOCTYPE can only be before it."""
    start = prolog_end(body)
    if body.startswith(b"<!DOCTYPE", start):
        raise _refused("unsafe-xml", "doctype", _place(body, codec, start))
    if not body.startswith(b"<", start):
        nothing = "no_root" if b"<" in body else "empty"
        what = nothing if start == len(body) else "no_xml"
        raise _refused("not-xml", f"not_xml.{what}", _place(body, codec, start))


def _check_characters(body: bytes, codec: str) -> None:
    at = body.find(b"\0")
    if at >= 0:
        raise _refused("not-xml", "not_xml.nul", _place(body, codec, at))


def _check_elements(body: bytes, most: int) -> None:
    """Check the element count without parsing: every `<` that is not an end tag may open an element."""
    if len(body) <= most * SMALLEST_ELEMENT:
        return
    if body.count(b"<") - body.count(b"</") > most:
        raise _refused("unsafe-xml", "elements", limit=most)


def _check_attributes(body: bytes, codec: str) -> None:
    at = crowded_tag(body)
    if at is not None:
        raise _refused("unsafe-xml", "attributes", _place(body, codec, at), limit=MOST_ATTRIBUTES)


@lru_cache(maxsize=8)
def _too_deep(depth: int) -> etree.XPath:
    """Return an XPath that tests for elements below `depth` levels; it stops as soon as a level is empty."""
    return etree.XPath("boolean(" + "/*" * (depth + 1) + ")")


def _place_of_depth(body: bytes, root: etree._Element, depth: int) -> tuple[int, int]:
    """Return line and column of the first element below `depth` levels."""
    first = next((node for node in root.iter("*") if sum(1 for _ in node.iterancestors()) == depth), root)
    place = positions_of(body, root, [first]).get(first, UNKNOWN)
    return place.line, place.column


def _not_xml(body: bytes, codec: str, error: etree.XMLSyntaxError) -> Refused:
    """Return the error at the place where parsing failed, or at the first byte outside the encoding if earlier."""
    line, column = error.position
    code = getattr(error, "code", 0)
    if code == etree.ErrorTypes.ERR_INVALID_ENCODING:
        return _wrong_bytes(codec, _first_bad(body, codec) or (line, column))
    first_bad = _first_bad(body, codec)
    if first_bad is not None and first_bad[0] <= line:
        return _wrong_bytes(codec, first_bad)
    if code == _RESOURCE_LIMIT and "depth" in (error.msg or ""):
        return _refused("unsafe-xml", "depth", (line, column), limit=_PARSERS_DEPTH)
    variant = variant_of(code, error.msg or "")
    if variant not in _TOLD_AT_THE_END and (line, column) >= _place(body, codec, len(body)):
        variant = "unfinished"
    return _refused("not-xml", f"not_xml.{variant}" if variant else "not_xml", (line, column))


def _first_bad(body: bytes, codec: str) -> tuple[int, int] | None:
    """Return line and column of the first byte that is not in the encoding, or None."""
    try:
        body.decode(codec)
    except UnicodeDecodeError as wrong:
        return _place(body, codec, wrong.start)
    return None


def _wrong_bytes(codec: str, place: tuple[int, int]) -> Refused:
    return _refused("wrong-encoding", "encoding.bytes", place, codec=codec.upper())


def _place(body: bytes, codec: str, offset: int) -> tuple[int, int]:
    """Convert a byte offset to line and column, both from 1, the column in characters."""
    start = body.rfind(b"\n", 0, offset) + 1
    if start == 0 and body.startswith(UTF8_MARK):
        start = min(len(UTF8_MARK), offset)
    return body.count(b"\n", 0, offset) + 1, len(body[start:offset].decode(codec, "replace")) + 1


def _refused(problem: str, key: str, place: tuple[int, int] = (0, 0), **facts: str | int) -> Refused:
    return Refused(problem, [fault_of(f"xml.{key}", facts, line=place[0], column=place[1])])
