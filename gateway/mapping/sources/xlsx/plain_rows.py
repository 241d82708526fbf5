"""Rows that are written the plain way, as nearly all are: a pattern splits them, much faster than a parser.

A row is plain if nothing stands in it but the cells of `CELLS`: then it is well-formed, and what it says is known. Any
other row is left to the parser, which never sees the plain ones (rows.py).
"""

import re
from typing import Final

from gateway.mapping.sources.item import NOT_IN_XML

_TEXT: Final = r"[^<>&\x00-\x08\x0b-\x1f\ufffe\uffff]*+"
_INLINE: Final = _TEXT.replace("&", "")
"""The same with references."""
_SPACE: Final = r"[ \t\r\n]*+"
_ATTRIBUTES: Final = r'((?: (?:[A-Za-z]\w*+:)?[A-Za-z][\w.]*+="[^"<>&\t\n\r]*+")*)'
_ATTRIBUTE: Final = re.compile(r' ([\w.:]+)="([^"]*)"', re.ASCII)
CELLS: Final = re.compile(
    rf'<c r="([A-Z]{{1,3}})[0-9]{{1,7}}"{_ATTRIBUTES}(?:/>|>(<f>{_TEXT}</f>)?'
    rf'(?:<v>({_TEXT})</v>|<is><t( xml:space="preserve")?>({_INLINE})</t></is>)?</c>){_SPACE}|(.)',
    re.DOTALL | re.ASCII,
)
"""The letters of a column, attributes, a formula, a value, whether white space counts, an inline text; last what is no cell."""
ROW: Final = re.compile(rf"{_SPACE}<row{_ATTRIBUTES}(/?)>{_SPACE}", re.ASCII)
"""The beginning of a row: attributes, and a slash if it has no cells."""
ROW_END: Final = b"</row>"
DATA: Final = b"<sheetData>"
_REFERENCE: Final = re.compile("&(?:#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6})|amp|lt|gt|quot|apos);")
_UNKNOWN: Final = re.compile("&(?!(?:#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6}|amp|lt|gt|quot|apos);)")
_NAMED: Final = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'"}
_LAST_CHARACTER: Final = 0x10FFFF
_PREFIX: Final = re.compile(rb"\sxmlns:([A-Za-z]\w*)=")
_DECLARATION: Final = re.compile(rb"<\?xml\s([^>]*)\?>")
_MARK: Final = b"\xef\xbb\xbf"


def is_utf8(head: bytes) -> bool:
    """Say whether a part that begins like this is UTF-8: the patterns read nothing else."""
    declaration = _DECLARATION.match(head.removeprefix(_MARK))
    if declaration is None:
        return head.removeprefix(_MARK).startswith(b"<w")
    return b"encoding" not in declaration[1] or b"utf-8" in declaration[1].lower()


def prefixes_of(head: bytes) -> frozenset[str]:
    """Return the prefixes that are declared in what stands before the rows."""
    return frozenset(one.decode() for one in _PREFIX.findall(head))


def attributes_of(written: str, prefixes: frozenset[str]) -> dict[str, str] | None:
    """Return the attributes of a tag; None if it is not well-formed: one is there twice, or its prefix is not declared."""
    pairs = _ATTRIBUTE.findall(written)
    found = dict(pairs)
    if len(found) < len(pairs) or any(
        ":" in name and name.partition(":")[0] not in prefixes for name in found
    ):
        return None
    return found


def resolved(text: str) -> str | None:
    """Replace the references of a text by their characters; None if XML does not know one of them."""
    if _UNKNOWN.search(text):
        return None
    found = _REFERENCE.sub(_character, text)
    return None if NOT_IN_XML.search(found) else found


def _character(found: re.Match[str]) -> str:
    decimal, hexadecimal = found[1], found[2]
    if not decimal and not hexadecimal:
        return _NAMED[found[0]]
    code = int(decimal) if decimal else int(hexadecimal, 16)
    return chr(code) if code <= _LAST_CHARACTER else "\x00"  # which no text may hold, either
