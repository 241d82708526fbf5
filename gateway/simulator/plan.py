"""The planned answers to a declaration or message, as values."""

from dataclasses import dataclass
from enum import StrEnum


class PlannedFate(StrEnum):
    """How a message as a whole is answered."""

    ANSWERED = "answered"
    SILENT = "silent"
    FORMAT = "format"
    """CEB900, although the message has no faults."""
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
    """Customs has assigned its number by now."""
    at_s: float = 0.0
    """The time in returnTime, seconds after the arrival."""
    due_s: tuple[float, ...] = (0.0,)
    """When it is sent, seconds after the arrival; several times for a duplicate, early or late if reordered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All answers to one declaration, in the order of returnTime."""

    outcome: PlannedOutcome
    steps: tuple[PlannedStep, ...]
    stray: bool = False
    """Also send a receipt about a declaration that was never submitted."""
    garbage: bool = False
    """Also send bytes that are no receipt."""
    bare: bool = False
    """Its receipts leave out the optional owner codes."""
