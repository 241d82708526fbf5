"""What one released import inventory counts towards the yearly limit of its buyer. Pure.

A released list counts. One that is refused, cancelled or returned in time gives its amount back, a return by its items
(docs/spec/business_rules.md). The result depends on what is known, not on the order in which it came.

The amount is the sum of the items' totalPrice, exact, less what was returned, and is rounded to whole fen once, half up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Final

from gateway.model import SECOND, CodeClass
from gateway.parcels.facts import ItemFacts

RELEASED: Final = frozenset({"800", "899"})
"""Statuses of 622 and 626 that release: 放行, 结关."""
CANCELLED: Final = frozenset({"399", "800", "899"})
"""Statuses of 624 with which a cancel request went through."""
APPLIED_WITHIN: Final = timedelta(days=30)
BACK_WITHIN: Final = timedelta(days=45)
"""A return is in time if it is applied for and done so long after the release (docs/spec/business_rules.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One answer of customs, as far as it decides."""

    at: str
    """`returnTime`, 17 digits, Beijing time."""
    status: str
    kind: CodeClass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnRequest:
    """A return request (625) about the list, and what customs said of it."""

    app_time: str
    """14 digits, Beijing time."""
    items: Sequence[ItemFacts]
    decisions: Sequence[Decision]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a list counts."""

    year: str
    """Of its release, Beijing time; empty: it was not released."""
    fen: int


NOTHING: Final = Usage(year="", fen=0)


def usage(
    items: Sequence[ItemFacts],
    decisions: Sequence[Decision],
    cancels: Iterable[Sequence[Decision]] = (),
    returns: Iterable[ReturnRequest] = (),
) -> Usage:
    """Return what a list with these answers counts; `cancels`: answers to each request to cancel it."""
    released = min((one.at for one in decisions if one.status in RELEASED), default="")
    if not released or not went_through(decisions, RELEASED):
        return NOTHING
    if any(went_through(one, CANCELLED) for one in cancels):
        return Usage(year=released[:4], fen=0)
    back: dict[str, Fraction] = {}
    for one in returns:
        if _in_time(one, released):
            for item in one.items:
                back[item.gnum] = back.get(item.gnum, Fraction(0)) + _fraction(item.qty)
    return Usage(year=released[:4], fen=fen_of(items, back))


def went_through(decisions: Sequence[Decision], good: frozenset[str]) -> bool:
    """Say whether the newest answer that decides is a good one; a refusal of a repeated delivery decides nothing."""
    deciding = [
        (one.at, one.status in good)
        for one in decisions
        if one.status in good or one.kind is CodeClass.REFUSED
    ]
    return bool(deciding) and max(deciding)[1]


def fen_of(items: Sequence[ItemFacts], back: Mapping[str, Fraction] | None = None) -> int:
    """Return the amount of these items in fen, without the quantities `back` by gnum."""
    rest = Fraction(0)
    for item in items:
        total = _fraction(item.total)
        if gone := (back or {}).get(item.gnum):
            qty = _fraction(item.qty)
            total = total * (qty - min(gone, qty)) / qty if qty else total
        rest += total
    hundred = rest * 100
    return int((hundred.numerator * 2 + hundred.denominator) // (hundred.denominator * 2))


def _in_time(request: ReturnRequest, released: str) -> bool:
    done = min((one.at for one in request.decisions if one.status in RELEASED), default="")
    if not done or not went_through(request.decisions, RELEASED):
        return False
    start, applied, end = _instant(released), _instant(request.app_time), _instant(done)
    if start is None or applied is None or end is None:
        return False
    return applied - start <= APPLIED_WITHIN and end - start <= BACK_WITHIN


def _instant(text: str) -> datetime | None:
    """Read the first 14 digits of a time of customs or an enterprise; None: it is no time."""
    try:
        return datetime.strptime(text[:14], SECOND)  # noqa: DTZ007 (both are of Beijing, only compared with each other)
    except ValueError:
        return None


def _fraction(text: str) -> Fraction:
    try:
        return Fraction(Decimal(text)) if text else Fraction(0)
    except (InvalidOperation, ValueError, OverflowError):
        return Fraction(0)
