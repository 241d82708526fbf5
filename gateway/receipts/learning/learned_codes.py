"""The names under which codes are counted: the same for the scan that learns, and for whoever shows what was learned."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from gateway.facts import AnswerFacts
from gateway.model import Code, CodeClass, Layer
from gateway.rules.codes import ALL, Codes, codes_in

OTHER: Final = "other"
"""Counts whatever finds no place of its own."""
SEEN: Final = "code.seen"
"""Name of the counts: answers with the code."""
DECLARATIONS: Final = "code.declarations"
"""Name of the counts: declarations that were refused with it."""
CURED: Final = "code.cured"
"""Name of the counts: declarations that were refused with it, and of which a later version was accepted."""
FIELD: Final = "code.field"
"""Name of the counts: of those, the ones where the field of that key had changed."""
FEWEST: Final = 3
"""Fewest declarations from which something learned is shown: what fewer have in common may be about somebody."""
RETURNED: Final = "100"
_FORMAT: Final = "900"
_PLAIN_CODE: Final = re.compile(r"[A-Za-z0-9]{1,10}", re.ASCII)
_ERROR: Final = re.compile(r"-?[0-9]{1,9}", re.ASCII)
_TEXT: Final = re.compile(rf"(?:{RETURNED}|{_FORMAT}): ")


def is_text(code: str) -> bool:
    """Say whether a code is the shape of a text, `100: …` or `900: …`."""
    return _TEXT.match(code) is not None


def meaning_of(kind: str, status: str, known: AnswerFacts, codes: Codes) -> Code:
    """Explain an answer, the receipt's or the platform's."""
    return codes.dxp(status) if known.layer == Layer.TRANSPORT else codes.said(kind, status, known.info)


def codes_told(
    meaning: Code, known: AnswerFacts, codes: Codes, shape: Callable[[str], str]
) -> tuple[str, ...]:
    """Return the codes that an answer counts for, 20 at most; empty: it says nothing that is worth counting.

    `[Code:n;…]`, and known texts, count in every answer. A refusal without them counts by its status, and one that
    only says that it is one (100, CEB900) by the shape of its text.
    """
    told = [one if _PLAIN_CODE.fullmatch(one) else OTHER for one in codes_in(known.info)]
    if known.layer != Layer.TRANSPORT:
        told += [one.code for one in codes.in_text(meaning.code, known.info) if one.code not in told]
    told = [one for one in told if _PLAIN_CODE.fullmatch(one) or one == OTHER or _is_pattern(one, codes)]
    if not told and meaning.kind in {CodeClass.REFUSED, CodeClass.HOLD}:
        told = [own_code(meaning, known, shape)]
    return tuple(dict.fromkeys(told))


def own_code(meaning: Code, known: AnswerFacts, shape: Callable[[str], str]) -> str:
    """Return the code of an answer itself, whatever is in its text: its status, or the shape of its text."""
    status = meaning.code.strip()
    if known.layer == Layer.TRANSPORT:
        return f"DxpRep {status}" if _ERROR.fullmatch(status) else OTHER
    if known.layer == Layer.FORMAT:
        return f"{_FORMAT}: {shape(known.info)}" if known.info else _FORMAT
    if status == RETURNED and known.info:
        return f"{RETURNED}: {shape(known.info)}"
    return status if _ERROR.fullmatch(status) else OTHER


def in_tables(code: str, codes: Codes) -> bool:
    """Say whether our own tables explain a code."""
    plain = code.removeprefix("DxpRep ")
    return (
        code in {OTHER, _FORMAT}
        or plain in codes.brackets
        or plain in codes.errors
        or plain in codes.platform
        or any(status == plain for _, status in codes.statuses)
        or _is_pattern(code, codes)
    )


def tabled(codes: Codes) -> list[str]:
    """Return every code that our tables explain by itself: in brackets, texts, statuses of receipts, negative numbers."""
    statuses = [status for kind, status in codes.statuses if kind == ALL]
    return [
        *codes.brackets,
        *(one.meaning.code for one in codes.patterns if not one.codes),
        *statuses,
        *codes.errors,
    ]


def explained(code: str, codes: Codes) -> Code:
    """Explain a code by the name under which it counts; `unknown` if no table of ours does."""
    if code.startswith("DxpRep "):
        return codes.dxp(code.removeprefix("DxpRep "))
    if code.startswith(_FORMAT):
        return codes.status("CEB900Message", "-1")
    if is_text(code):
        return codes.any_of(RETURNED)
    by_name = (one.meaning for one in codes.patterns if one.meaning.code == code)
    return next(by_name, None) or codes.any_of(code)


def may_be_shown(code: str, declarations: int) -> bool:
    """Say whether enough declarations had a code: a text that only one or two had may be about somebody."""
    return not is_text(code) or declarations >= FEWEST


def ranked(fields: Iterable[tuple[str, int]], overall: Mapping[str, int]) -> list[tuple[str, int]]:
    """Order fields and how often each changed before a code was gone, the most frequent first.

    Of two that changed as often, the one that seldom changes otherwise says more (`overall`: changes for any code).
    """
    return sorted(fields, key=lambda one: (-one[1], overall.get(one[0], 0), one[0]))


def _is_pattern(code: str, codes: Codes) -> bool:
    return any(one.meaning.code == code for one in codes.patterns)
