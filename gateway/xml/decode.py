"""Bytes → document tree: the only place where bytes from outside are given to the XML parser.

Whatever could cost more than its size is refused before a tree exists: a document type declaration
(so there are no entities of any kind), an unknown encoding, too many bytes, elements, attributes or
namespaces. The bytes themselves are never changed; the tree is only for reading.
"""

import re
from functools import lru_cache
from typing import Final

from lxml import etree

from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import Refused
from gateway.model import Fault
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
_REASON_SHOWN: Final = 300
"""Most characters of the parser's message: it contains names from the document."""


def decode(body: bytes, limits: LimitsConfig) -> etree._Element:
    """Parse one document and give its root element. docs/spec/messages.md; limits: docs/http-api.md, Bounds.

    Raises Refused with one fault: `too-large` (rule `size`), `unsafe-xml` (`elements`, `depth`), and as `parse`.
    """
    _check_size(body, limits)
    root = parse(body, elements=limits.elements)
    if _too_deep(limits.depth)(root):
        raise _deep(limits.depth, _line_of_depth(root, limits.depth), 1)
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
        raise _many_namespaces()
    return root


def encoding_of(body: bytes) -> str:
    """Return the codec of the document: by its byte order mark, else its XML declaration, else UTF-8.

    Raises Refused `wrong-encoding` for anything but UTF-8, GB18030, GBK and GB2312.
    """
    if body.startswith(_WIDE):
        raise _wrong_encoding("UTF-16 or UTF-32")
    marked = body.startswith(UTF8_MARK)
    found = _DECLARATION.match(body, len(UTF8_MARK) if marked else 0)
    if found is None:
        return "utf-8"
    declared = found[1].decode("latin-1")
    codec = ENCODINGS.get(declared.lower())
    if codec is None:
        raise _wrong_encoding(declared)
    if marked and codec != "utf-8":
        raise _wrong_encoding(f"{declared} in the declaration, but a UTF-8 byte order mark")
    return codec


def prolog_end(body: bytes) -> int:
    """Return the offset after byte order mark, XML declaration, comments and white space: the root, if any."""
    found = _PROLOG.match(body, len(UTF8_MARK) if body.startswith(UTF8_MARK) else 0)
    return found.end() if found else 0


def _check_size(body: bytes, limits: LimitsConfig) -> None:
    if len(body) > limits.size_bytes:
        raise _refused(
            "too-large",
            rule="size",
            message=f"{len(body)} bytes are more than the {limits.size_bytes} allowed",
            message_zh=f"报文{len(body)}字节，超过上限{limits.size_bytes}字节",
            fix="split the declarations over several messages (at most 100 in one)",
        )


def _check_version(body: bytes) -> None:
    found = _VERSION.match(body, len(UTF8_MARK) if body.startswith(UTF8_MARK) else 0)
    if found is not None:
        version = found[1].decode("ascii", "replace")
        raise _refused(
            "not-xml",
            rule="version",
            line=1,
            column=1,
            message=f"XML {version} is not supported",
            message_zh=f"不支持XML {version}",
            fix='write XML 1.0: <?xml version="1.0" encoding="UTF-8"?>',
        )


def _check_start(body: bytes, codec: str) -> None:
    """Check that the root element follows the prolog; a DOCTYPE can only be before it."""
    start = prolog_end(body)
    if body.startswith(b"<!DOCTYPE", start):
        line, column = _place(body, codec, start)
        raise _refused(
            "unsafe-xml",
            rule="doctype",
            line=line,
            column=column,
            message="a document type declaration (DOCTYPE) is not allowed",
            message_zh="不允许文档类型声明（DOCTYPE）",
            fix="remove the DOCTYPE; customs messages need no entities",
        )
    if not body.startswith(b"<", start):
        what = ("the body is empty", "报文为空") if not body else ("there is no XML here", "内容不是XML")
        raise _no_document(body, codec, start, what)


def _check_characters(body: bytes, codec: str) -> None:
    at = body.find(b"\0")
    if at >= 0:
        raise _no_document(body, codec, at, ("a NUL byte cannot be in XML", "XML文档中不能有NUL字节"))


def _no_document(body: bytes, codec: str, at: int, what: tuple[str, str]) -> Refused:
    line, column = _place(body, codec, at)
    return _refused(
        "not-xml",
        rule="not_xml",
        line=line,
        column=column,
        message=what[0],
        message_zh=what[1],
        fix="send the XML document itself, uncompressed and unencrypted",
    )


def _check_elements(body: bytes, most: int) -> None:
    """Check the element count without parsing: every `<` that is not an end tag may open an element."""
    if len(body) <= most * SMALLEST_ELEMENT:
        return
    if body.count(b"<") - body.count(b"</") > most:
        raise _refused(
            "unsafe-xml",
            rule="elements",
            message=f"more than {most} elements",
            message_zh=f"元素超过{most}个",
            fix="split the declarations over several messages",
        )


def _check_attributes(body: bytes, codec: str) -> None:
    at = crowded_tag(body)
    if at is not None:
        line, column = _place(body, codec, at)
        raise _refused(
            "unsafe-xml",
            rule="attributes",
            line=line,
            column=column,
            message=f"an element has more than {MOST_ATTRIBUTES} attributes",
            message_zh=f"一个元素的属性超过{MOST_ATTRIBUTES}个",
            fix="leave out the attributes and namespace declarations that are not needed",
        )


def _many_namespaces() -> Refused:
    return _refused(
        "unsafe-xml",
        rule="namespaces",
        message=f"more than {MOST_NAMESPACES} namespaces are declared on an element and those around it",
        message_zh=f"一个元素及其上级元素声明的命名空间超过{MOST_NAMESPACES}个",
        fix="declare the namespaces that are used, once each, on the root element",
    )


@lru_cache(maxsize=8)
def _too_deep(depth: int) -> etree.XPath:
    """Return an XPath that tests for elements below `depth` levels; it stops as soon as a level is empty."""
    return etree.XPath("boolean(" + "/*" * (depth + 1) + ")")


def _line_of_depth(root: etree._Element, depth: int) -> int:
    """Return the line of the first element below `depth` levels."""
    first = root.xpath(f"({'/*' * (depth + 1)})[1]")
    element = first[0] if isinstance(first, list) and first else root
    line = getattr(element, "sourceline", 1)
    return line if isinstance(line, int) else 1


def _not_xml(body: bytes, codec: str, error: etree.XMLSyntaxError) -> Refused:
    """Return the error at the place where parsing failed, or at the first byte outside the encoding if earlier."""
    line, column = error.position
    code = getattr(error, "code", 0)
    reason = (error.msg or "not well-formed").partition(", line ")[0][:_REASON_SHOWN]
    if code == etree.ErrorTypes.ERR_INVALID_ENCODING:
        return _wrong_bytes(codec, *(_first_bad(body, codec) or (line, column)))
    first_bad = _first_bad(body, codec)
    if first_bad is not None and first_bad[0] <= line:
        return _wrong_bytes(codec, *first_bad)
    if code == _RESOURCE_LIMIT and "depth" in reason:
        return _deep(_PARSERS_DEPTH, line, column)
    return _refused(
        "not-xml",
        rule="not_xml",
        line=line,
        column=column,
        message=f"not well-formed XML: {reason}",
        message_zh=f"不是格式正确的XML（第{line}行第{column}列）：{reason}",
        fix="check that the document is complete and that & and < in values are escaped",
    )


def _deep(depth: int, line: int = 0, column: int = 0) -> Refused:
    return _refused(
        "unsafe-xml",
        rule="depth",
        line=line,
        column=column,
        message=f"elements are nested more than {depth} levels deep",
        message_zh=f"元素嵌套超过{depth}层",
        fix="no customs message is nested deeper than a few levels: check what produced this document",
    )


def _first_bad(body: bytes, codec: str) -> tuple[int, int] | None:
    """Return line and column of the first byte that is not in the encoding, or None."""
    try:
        body.decode(codec)
    except UnicodeDecodeError as wrong:
        return _place(body, codec, wrong.start)
    return None


def _wrong_bytes(codec: str, line: int, column: int) -> Refused:
    return _refused(
        "wrong-encoding",
        rule="encoding",
        line=line,
        column=column,
        message=f"bytes that are not {codec.upper()}",
        message_zh=f"第{line}行第{column}列的字节不符合声明的编码{codec.upper()}",
        fix="declare the encoding the document is really in, or write it in UTF-8",
    )


def _wrong_encoding(found: str) -> Refused:
    return _refused(
        "wrong-encoding",
        rule="encoding",
        line=1,
        column=1,
        message=f"the encoding is not supported: {found}",
        message_zh=f"不支持的编码：{found}",
        fix="use UTF-8 (or GB18030, GBK, GB2312, declared in the XML declaration)",
    )


def _place(body: bytes, codec: str, offset: int) -> tuple[int, int]:
    """Convert a byte offset to line and column, both from 1, the column in characters."""
    start = body.rfind(b"\n", 0, offset) + 1
    if start == 0 and body.startswith(UTF8_MARK):
        start = min(len(UTF8_MARK), offset)
    return body.count(b"\n", 0, offset) + 1, len(body[start:offset].decode(codec, "replace")) + 1


def _refused(
    problem: str, *, rule: str, message: str, message_zh: str, fix: str, line: int = 0, column: int = 0
) -> Refused:
    fault = Fault(line=line, column=column, rule=rule, message=message, message_zh=message_zh, fix=fix)
    return Refused(problem, [fault])
