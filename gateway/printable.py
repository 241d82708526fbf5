r"""Text from outside, made safe for a terminal, a database or a log: characters that could act are written as escapes.

Escaped are control characters (C0, DEL, C1), format characters (bidirectional marks, zero width), surrogates, line
and paragraph separators, and code points that Unicode has not assigned or leaves to private use. A byte that is not
UTF-8, which Python carries as a surrogate (PEP 383), becomes `\xb6`, any other character its Python escape.
"""

import hashlib
import re
import unicodedata
from typing import Final

LONGEST: Final = 1000
"""Most characters of a text that are stored."""
_RAW: Final = range(0xDC80, 0xDD00)


def printable(text: str) -> str:
    """Escape a text for a terminal; line ends are escaped too, so that no text can imitate a line of ours."""
    return text if text.isprintable() else "".join(map(_written, text))


def escaped(text: str, at_most: int = LONGEST) -> str:
    """Escape a name or text from outside for a database or a log.

    A longer text is cut, and the beginning of its SHA-256 is appended: two different texts stay different.
    """
    if len(text) <= at_most and text.isprintable():
        return text
    written = printable(text[: at_most + 1])
    if len(written) <= at_most:
        return written
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{written[:at_most]}…{mark}"


def is_plain(body: bytes) -> bool:
    """Say whether bytes are UTF-8 text of lines and tabs that can be shown unchanged; a byte order mark is allowed."""
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
    """Escape in JSON the characters that a terminal acts on; they can only occur in strings. C0 is escaped already."""
    if document.isascii() and b"\x7f" not in document:
        return document
    return _UNSAFE.sub(_escaped, document.decode()).encode()


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
