"""What a declaration or message is going to be told, as values."""

from dataclasses import dataclass
from enum import StrEnum


class PlannedFate(StrEnum):
    """What becomes of a message as a whole."""

    ANSWERED = "answered"
    SILENT = "silent"
    FORMAT = "format"
    """CEB900, although nothing is wrong with it."""
    PLATFORM = "platform"
    """DxpRep with an error of the exchange platform."""


class PlannedOutcome(StrEnum):
    """How a declaration ends."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """Returned by customs, status 100."""
    NEGATIVE = "negative"
    """A processing error, status below zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One receipt to come for one declaration."""

    receipt: str
    """Receipt type."""
    status: str
    info: str = ""
    """Text that only this step has; empty: the usual text of the status."""
    accepted: bool = False
    """Customs has given its number by now."""
    at_s: float = 0.0
    """When it is so, seconds after the arrival: what returnTime says."""
    due_s: tuple[float, ...] = (0.0,)
    """When it is sent, seconds after the arrival; more than once for a duplicate, early or late if reordered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that one declaration will be told, in the order in which it becomes true."""

    outcome: PlannedOutcome
    steps: tuple[PlannedStep, ...]
    stray: bool = False
    """Besides, a receipt about a declaration that nobody made."""
    garbage: bool = False
    """Besides, bytes that are no receipt at all."""
    bare: bool = False
    """Its receipts leave out the optional owner codes."""
