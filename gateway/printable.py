"""Text from outside, made safe for a terminal: what would move its cursor, colour it or turn its order is escaped.

Control characters (C0, DEL, C1), format characters (bidirectional marks, zero width), lone surrogates, line and paragraph
separators, and what Unicode has not assigned or leaves to private use.
"""

import re
import unicodedata
from typing import Final


def printable(text: str) -> str:
    """Write what is not to be seen as its escape in Python; line ends too, so that nothing looks like a line of ours."""
    return text if text.isprintable() else "".join(map(_shown, text))


def is_plain(body: bytes) -> bool:
    """Say whether bytes are UTF-8 text of lines and tabs that can be shown as they are; a mark before them may be."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return all(printable(part) == part for part in re.split(r"[\r\n\t]", text))


def _shown(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode("ascii")


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
