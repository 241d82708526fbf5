"""What the HTTP API says of the documents of one parcel, as typed values."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from gateway.model import Advice


class MatchingView(Struct, frozen=True, kw_only=True):
    """A field of a document of yours that does not agree with another document of its parcel, or a document that is missing."""

    rule: str
    """Name of the rule, stable: `parcel-amount`."""
    severity: str
    """`error`: customs is known to refuse it; `warning`: it is likely to; `hint`: unusual."""
    type: str
    key: Mapping[str, str]
    """Type and business key of your document."""
    path: str
    """XPath of the field in your message."""
    element: str
    name_zh: str
    code: str
    """Code that customs would answer with; empty: not known."""
    who: str
    """Who has to act: `platform`, `payment_firm`, `logistics_firm`, `broker`."""
    message: str
    message_zh: str
    fix: str
    fix_zh: str
    grade: str
    """How well the rule is supported: `O` the authority's own text, `V` several sources, `S` one, `U` unverified."""
    source: str


class FieldMatchView(Struct, frozen=True, kw_only=True):
    """Whether one field of your document agrees with another document."""

    field: str
    against: str
    """The other document: `order`, `payment`, `waybill`, `inventory`."""
    match: bool
    rule: str


class OtherDocumentView(Struct, frozen=True, kw_only=True):
    """Another document of the parcel; nothing of its content is said."""

    kind: str
    """`order`, `payment`, `waybill`, `inventory`."""
    present: bool
    """It has passed here, and you may be told so."""
    age_s: int
    """Seconds since it was accepted; of one that is missing, since yours was."""


class ComparedView(Struct, frozen=True, kw_only=True):
    """What comparing one of your documents with the others of its parcel has found."""

    matching: tuple[MatchingView, ...]
    matches: tuple[FieldMatchView, ...]
    others: tuple[OtherDocumentView, ...]
    limited: bool
    """You have handed in too many versions under its numbers within 24 hours: documents of others are left out for now."""


def matching_view(said: Advice, message_type: str, key: Mapping[str, str]) -> MatchingView:
    """Show advice on a field of one document."""
    return MatchingView(
        rule=said.rule,
        severity=said.severity.value,
        type=message_type,
        key=key,
        path=said.path,
        element=said.element,
        name_zh=said.name_zh,
        code=said.code,
        who=said.who.value,
        message=said.message,
        message_zh=said.message_zh,
        fix=said.fix,
        fix_zh=said.fix_zh,
        grade=said.grade,
        source=said.source,
    )


def seconds_since(time: datetime, now: datetime) -> int:
    """Return whole seconds, never negative: clocks of nodes differ a little."""
    return max(0, int((now - time).total_seconds()))
