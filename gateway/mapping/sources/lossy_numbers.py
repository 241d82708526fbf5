"""Detect long numbers that spreadsheets or floating point have damaged: they are reported, never passed on."""

import re
from typing import Final

_SHOWN: Final = re.compile(r"[+-]?[0-9](?:[.,][0-9]+[eE][+-]?|[eE][+-])[0-9]{1,3}")
"""Exponent form as spreadsheets and programs write it; `12E3` and `1E5` are valid order numbers, so not matched."""
_KEPT: Final = 2**53 - 1
"""The largest integer that all programs store exactly (RFC 8259, 6)."""
_DIGITS: Final = 15
"""Decimal digits that a floating point number stores exactly."""
_OF_SHEETS: Final = {"#": "error_value", "=": "no_stored_value"}


def lost(text: str, *, bare: bool) -> str:
    """Return the rule that a damaged text breaks, a key of `gateway.mapping.faults`; empty if it is undamaged.

    `bare`: it has no quotes in JSON, and is no text in a sheet. Then it is a number or a word, which other programs may
    have converted: a number in exponent form, with more digits than they store, or an integer with a decimal point.
    In a sheet it may also be an error (`#N/A`), or a formula whose value was not stored (`=`).
    """
    if not bare:
        return "exponent_form" if _SHOWN.fullmatch(text) else ""
    if text[0] in _OF_SHEETS:
        return _OF_SHEETS[text[0]]
    if text in ("true", "false"):
        return "word_for_text"
    if "e" in text or "E" in text:
        return "exponent_form"
    whole, _, part = text.lstrip("-").partition(".")
    if not part:
        return "digits_lost" if len(whole) > len(str(_KEPT)) or int(whole) > _KEPT else ""
    return "digits_lost" if not part.strip("0") or len((whole + part).lstrip("0")) > _DIGITS else ""
