"""What spreadsheets and floating point numbers make of long numbers is no text: it is told, never passed on."""

import re
from typing import Final

_SHOWN: Final = re.compile(r"[+-]?[0-9](?:[.,][0-9]+[eE][+-]?|[eE][+-])[0-9]{1,3}")
"""How spreadsheets and programs write a number in exponent form; `12E3` and `1E5` are numbers of orders."""
_KEPT: Final = 2**53 - 1
"""The largest integer that all programs keep whole (RFC 8259, 6)."""
_DIGITS: Final = 15
"""Decimal digits that a floating point number keeps."""


def lost(text: str, *, bare: bool) -> str:
    """Give the rule by which a text is none, a key of `gateway.mapping.faults`; empty when it is one.

    `bare`: it stands in JSON without quotes. Then it is a number or a word, and programs on the way may have read it
    as such: a number in exponent form, with more digits than they keep, or a whole one with a decimal point.
    """
    if not bare:
        return "exponent_form" if _SHOWN.fullmatch(text) else ""
    if text in ("true", "false"):
        return "word_for_text"
    if "e" in text or "E" in text:
        return "exponent_form"
    whole, _, part = text.lstrip("-").partition(".")
    if not part:
        return "digits_lost" if len(whole) > len(str(_KEPT)) or int(whole) > _KEPT else ""
    return "digits_lost" if not part.strip("0") or len((whole + part).lstrip("0")) > _DIGITS else ""
