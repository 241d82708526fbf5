"""Texts of strangers (file names, message ids, what a peer says), as they may go into a database, a log or JSON."""

import hashlib
import unicodedata
from typing import Final

LONGEST: Final = 1000
"""Characters that are left of such a text."""
_RAW: Final = range(0xDC80, 0xDD00)
"""Surrogates by which Python carries bytes that are no UTF-8 (PEP 383)."""


def escaped(text: str, at_most: int = LONGEST) -> str:
    r"""Write out what no text should hold: `\xb6` for a byte that is no UTF-8, `\u202e` for a control character.

    So are NUL, line ends, lone surrogates, and marks that turn the direction of writing. What is longer is cut, with the beginning of its SHA-256 behind it: two different ones stay different.
    """
    if text.isprintable() and len(text) <= at_most:
        return text
    written = "".join(one if one.isprintable() else _written_out(one) for one in text[: at_most + 1])
    if len(written) <= at_most:
        return written
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{written[:at_most]}…{mark}"


def _written_out(one: str) -> str:
    if unicodedata.category(one) == "Zs":  # a space of another width, as in Chinese texts
        return one
    if ord(one) in _RAW:
        return f"\\x{ord(one) - 0xDC00:02x}"
    return ascii(one)[1:-1]
