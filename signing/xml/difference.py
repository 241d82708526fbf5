"""Find the first difference between two documents in the bytes that a signature digests."""

from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from signing.keys.suite import DSIG
from signing.xml.c14n import canonical_document, canonical_without
from signing.xml.document import parse

_SIGNATURE: Final = f"{{{DSIG}}}Signature"
_CONTEXT_BYTES: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first byte that differs in the canonical text, where all white space inside the root counts.

    The excerpts are content of the document: show them only to a caller who has the document, never log them.
    """

    offset: int
    """0-based, in the canonical text (UTF-8, LF)."""
    line: int
    """1-based, in the canonical text."""
    original: str = field(repr=False)
    """Excerpt of the canonical original around the offset."""
    signed: str = field(repr=False)
    """The same excerpt of the signed document, without its Signature."""


def first_difference(signed: bytes, original: bytes) -> Difference | None:
    """Compare the digested bytes of both: Canonical XML without a Signature child of the root.

    Returns None when they are the same. Raises SigningError when one of them cannot be parsed.
    """
    ours, theirs = digested(original), digested(signed)
    if ours == theirs:
        return None
    offset = _common(ours, theirs)
    return Difference(
        offset=offset,
        line=ours.count(b"\n", 0, offset) + 1,
        original=_around(ours, offset),
        signed=_around(theirs, offset),
    )


def digested(body: bytes) -> bytes:
    """Return the bytes that a Signature in `body` digests, or would digest. Raises SigningError as `parse` does."""
    root = parse(body).root
    signature: etree._Element | None = next(root.iterchildren(_SIGNATURE), None)
    return canonical_document(root.getroottree()) if signature is None else canonical_without(root, signature)


def _common(one: bytes, other: bytes) -> int:
    """Return the length of the common prefix, by binary search: documents may have megabytes."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _around(text: bytes, offset: int) -> str:
    """Return the text around an offset; incomplete characters at its edges are left out."""
    return text[max(0, offset - _CONTEXT_BYTES) : offset + _CONTEXT_BYTES].decode("utf-8", "ignore")
