"""Convert answers whose encoding label is wrong to UTF-8, so that they can be read and cut.

The original bytes are what is stored, proved and passed on whole; this form is only for reading and cutting.
Only the label is guessed, never the text: a document is converted only if all its bytes fit one encoding.
"""

import re
from typing import Final

_CODECS: Final = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "utf_8": "utf-8",
    "gb18030": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "cp936": "gb18030",
    "ms936": "gb18030",
    "gb2312": "gb18030",
    "gb_2312-80": "gb18030",
    "euc-cn": "gb18030",
    "utf-16": "utf-8",
    "utf-16le": "utf-8",
    "utf-16be": "utf-8",
    "utf16": "utf-8",
    "ucs-2": "utf-8",
    "unicode": "utf-8",
}
"""Declared encoding in lower case → codec for a document that is not UTF-16 or UTF-32. GB18030 contains all of GBK and
GB2312; a document that only claims UTF-16 was converted on its way without changing the label."""
_WIDE_MARKS: Final = {
    b"\xff\xfe\x00\x00": "utf-32-le",
    b"\x00\x00\xfe\xff": "utf-32-be",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}
_ENDS: Final = " \t\r\n\0\ufeff"
"""Characters allowed around a document: white space, NUL, byte order marks."""
_BEFORE: Final = re.compile(rb"(?>\xef\xbb\xbf|[ \t\r\n\0])*")
_LABEL: Final = re.compile(r"(<\?xml\s[^<>]{0,200}?\bencoding\s*=\s*)([\"'])([^\"'<>]{0,60})\2")


def as_utf8(document: bytes) -> bytes:
    """Write a document in UTF-8, with that label, and nothing around it; the same object when that cannot be done."""
    codec = _codec(document)
    if codec is None:
        return document
    try:
        text = _even(document, codec).decode(codec).strip(_ENDS)
        found = _LABEL.match(text)
        if found is not None:
            text = f"{found[1]}{found[2]}UTF-8{found[2]}{text[found.end() :]}"
        return text.encode()
    except UnicodeError:
        return document


def without_header(raw: bytes) -> bytes:
    """Remove the 0x00 byte that some links send first, unless it is half of the first character in UTF-16."""
    if not raw.startswith(b"\0") or (len(raw) % 2 == 0 and _codec(raw) == "utf-16-be"):
        return raw
    return raw[1:]


def _codec(document: bytes) -> str | None:
    """Return the codec for the bytes; None for an unknown label."""
    for mark, codec in _WIDE_MARKS.items():
        if document.startswith(mark):
            return codec
    pair = document[:4]
    if len(pair) == 4 and (pair[0], pair[2]) == (0, 0) and pair[1] and pair[3]:  # noqa: PLR2004 (two characters)
        return "utf-16-be"
    if len(pair) == 4 and (pair[1], pair[3]) == (0, 0) and pair[0] and pair[2]:  # noqa: PLR2004
        return "utf-16-le"
    before = _BEFORE.match(document)
    start = before.end() if before else 0
    if b"\xef\xbb\xbf" in document[:start]:
        return "utf-8"
    found = _LABEL.match(document[start : start + 300].decode("latin-1"))
    return "utf-8" if found is None else _CODECS.get(found[3].strip().lower())


def _even(document: bytes, codec: str) -> bytes:
    """Remove a single NUL at the end that is half a UTF-16 character."""
    odd = codec.startswith("utf-16") and len(document) % 2 and document.endswith(b"\0")
    return document[:-1] if odd else document
