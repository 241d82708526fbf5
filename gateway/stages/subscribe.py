"""Whom a declaration message names to get copies of it and of the answers to it: BaseSubscribe (spec ceb/messages.md)."""

import re
from typing import Final

from gateway.model import Subscribers
from gateway.stages.spans import child_spans

_NAME: Final = "BaseSubscribe"
_MARK: Final = _NAME.encode()
_FIELD: Final = re.compile(rb"<(?:[\w.-]+:)?(status|dxpAddress)(?:\s[^>]*)?>\s*([^<&]*?)\s*</")
"""A status is a word and a DXP id is ASCII: what is written in any other way names nobody of this node."""
_DATA: Final = frozenset({b"ALL", b"DATA"})
_RECEIPTS: Final = frozenset({b"ALL", b"RET"})
NONE: Final = Subscribers()


def subscribers_of(body: bytes) -> Subscribers:
    """Read the BaseSubscribe elements of a document that was examined; costs a search where there is none.

    Whatever encoding is taken in has ASCII as ASCII.
    """
    if _MARK not in body:
        return NONE
    found = [
        dict(_FIELD.findall(body[span.start : span.end])) for span in child_spans(body) if span.name == _NAME
    ]

    def addresses(wanted: frozenset[bytes]) -> tuple[str, ...]:
        named = [one.get(b"dxpAddress", b"") for one in found if one.get(b"status") in wanted]
        return tuple(dict.fromkeys(one.decode() for one in named if one and one.isascii()))

    return Subscribers(data=addresses(_DATA), receipts=addresses(_RECEIPTS))
