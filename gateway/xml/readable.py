"""Answers whose bytes are not as their label says → the same documents in UTF-8, so that they can be read and cut.

What is kept, proved and handed on whole are the bytes as they came; this form is for reading, and for cutting out of it.
A guess is made at the label and never at the text: a document is read only when all of its bytes fit one encoding.
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
"""Declared encoding in lower case → what a document of single bytes is read as. GB18030 holds all of GBK and GB2312; what
says UTF-16 and is not was converted on its way, label excepted."""
_WIDE_MARKS: Final = {
    b"\xff\xfe\x00\x00": "utf-32-le",
    b"\x00\x00\xfe\xff": "utf-32-be",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}
_ENDS: Final = " \t\r\n\0\ufeff"
"""What may stand around a document: white space, NUL, byte order marks."""
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
    """Leave out the one 0x00 byte before what some links send; in UTF-16 it is half of the first character."""
    if not raw.startswith(b"\0") or (len(raw) % 2 == 0 and _codec(raw) == "utf-16-be"):
        return raw
    return raw[1:]


def _codec(document: bytes) -> str | None:
    """Name what the bytes are read as; None for a label that nobody here knows."""
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
    """Leave out half a character at the end that is a NUL alone."""
    odd = codec.startswith("utf-16") and len(document) % 2 and document.endswith(b"\0")
    return document[:-1] if odd else document
