r"""Text from outside, made safe for a terminal, a database, a log: what no reader should obey is written out.

Control characters (C0, DEL, C1), format characters (bidirectional marks, zero width), surrogates, line and paragraph
separators, and what Unicode has not assigned or leaves to private use. A byte that is no UTF-8, which Python carries as a
surrogate (PEP 383), becomes `\xb6`, any other character its escape in Python.
"""

import hashlib
import re
import unicodedata
from typing import Final

LONGEST: Final = 1000
"""Characters that are left of a text that is stored."""
_RAW: Final = range(0xDC80, 0xDD00)


def printable(text: str) -> str:
    """Write a text for a terminal; line ends are written out too, so that nothing looks like a line of ours."""
    return text if text.isprintable() else "".join(map(_written, text))


def escaped(text: str, at_most: int = LONGEST) -> str:
    """Write a name or a word of a stranger for a database or a log.

    What is longer is cut, with the beginning of its SHA-256 behind it: two different ones stay different.
    """
    if len(text) <= at_most and text.isprintable():
        return text
    written = printable(text[: at_most + 1])
    if len(written) <= at_most:
        return written
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{written[:at_most]}…{mark}"


def is_plain(body: bytes) -> bool:
    """Say whether bytes are UTF-8 text of lines and tabs that can be shown as they are; a mark before them may be."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return all(printable(part) == part for part in re.split(r"[\r\n\t]", text))


def _written(one: str) -> str:
    if (
        one.isprintable() or unicodedata.category(one) == "Zs"
    ):  # a space of another width, as in Chinese texts
        return one
    if ord(one) in _RAW:
        return f"\\x{ord(one) - 0xDC00:02x}"
    return one.encode("unicode_escape").decode("ascii")


_UNSAFE: Final = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def safe_json(document: bytes) -> bytes:
    """Escape in JSON what a terminal acts on, which can only stand in a string there; C0 is escaped already."""
    if document.isascii() and b"\x7f" not in document:
        return document
    return _UNSAFE.sub(_escaped, document.decode()).encode()


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
