"""Texts that an index can hold."""

import hashlib
from typing import Final

_LONGEST: Final = 1500
"""Bytes; PostgreSQL's B-tree takes 2,704 for a whole row."""


def short(text: str) -> str:
    """Return the text, or for one that no index takes its beginning with a digest of the whole.

    Answers may hold anything, and a text of any length must be stored and found the same way.
    """
    data = text.encode("utf-8", "replace")
    if len(data) <= _LONGEST:
        return text
    return data[:1000].decode("utf-8", "ignore") + "…" + hashlib.sha256(data).hexdigest()
