"""Whom a declaration message names to get copies of it and of the answers to it: BaseSubscribe (docs/spec/messages.md)."""

from typing import Final

from gateway.model import Subscribers
from gateway.submission.identify import CEB, texts
from gateway.xml.decode import parse

_NAME: Final = "BaseSubscribe"
_MARK: Final = _NAME.encode()
_FIELDS: Final = ("status", "dxpAddress")
_DATA: Final = frozenset({"ALL", "DATA"})
_RECEIPTS: Final = frozenset({"ALL", "RET"})
NONE: Final = Subscribers()


def subscribers_of(body: bytes) -> Subscribers:
    """Read the BaseSubscribe elements of an examined document; costs only one search where there are none.

    A DXP id is ASCII; any other address names no enterprise of this node.
    """
    if _MARK not in body:
        return NONE
    found = [texts(element, _FIELDS) for element in parse(body).iterchildren(f"{{{CEB}}}{_NAME}")]

    def addresses(wanted: frozenset[str]) -> tuple[str, ...]:
        named = [one.get("dxpAddress", "") for one in found if one.get("status") in wanted]
        return tuple(dict.fromkeys(one for one in named if one and one.isascii()))

    return Subscribers(data=addresses(_DATA), receipts=addresses(_RECEIPTS))
