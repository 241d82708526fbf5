"""What the HTTP API says, as typed values: the OpenAPI document is made from these classes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Annotated, Final

from msgspec import Meta, Struct

from gateway import facts
from gateway.facts import MessageFacts
from gateway.identity import parse_identity
from gateway.model import Code, Header, Layer
from gateway.rules.codes import Codes
from gateway.views.causes import failure_of
from gateway.views.parcel_views import MatchingView
from spool.entry import MessageView, Notice, TimelineEntry
from spool.lifecycle import State

CURSOR_AT_MOST: Final = 10**18 - 1
"""18 digits fit the 63 bits of both spools."""


class DeclarationView(Struct, frozen=True, kw_only=True):
    """One declaration of a message."""

    key: Mapping[str, str]
    """Business key: field name to value."""
    guid: str


class AcceptedView(Struct, frozen=True, kw_only=True):
    """The answer to a submission."""

    id: str
    """Id of the message here, and its CopMsgId unless the sender's own DxpMsg names one; empty for a dry run."""
    sha256: str
    """Hex, of the bytes as they were handed in."""
    message_type: str
    edition: str
    declarations: tuple[DeclarationView, ...]
    state: str = "accepted"
    """`accepted`, or `valid` for a dry run."""


class EntryView(Struct, frozen=True, kw_only=True):
    """One way of a message to one destination, with a fate of its own."""

    destination: str
    """Its name, or `@local`: it stays at this gateway."""
    part: str
    """`1` to `5`: which copy, when the message is split over its receivers; `copy`, `copy2` …: for subscribers; else empty."""
    receivers: tuple[str, ...] = ()
    """The receivers that this entry alone is for; empty: those of the message."""
    response_code: str = ""
    """`2001`: nobody knows these receivers, and the sender is answered with a DxpRep; else empty."""
    state: str
    attempts: int
    """Failed attempts so far."""
    next_attempt_at: datetime | None
    sent_at: datetime | None
    error: str
    """What went wrong last, by kind: who runs the gateway knows more; empty: nothing."""
    error_zh: str = ""


class StatusView(Struct, frozen=True, kw_only=True):
    """A message as it stands; what is said of its way is said of its first entry."""

    id: str
    sha256: str
    message_type: str
    edition: str
    declarations: tuple[DeclarationView, ...]
    state: str
    """`ready`, `sending`, `sent`, `held`, `dead`, `discarded`."""
    accepted_at: datetime
    sent_at: datetime | None
    destination: str
    cop_msg_id: str
    attempts: int
    """Failed attempts so far."""
    next_attempt_at: datetime | None
    waits_for: tuple[str, ...]
    """Ids of messages about the same declarations that have to go first."""
    error: str
    """As of `EntryView`."""
    error_zh: str = ""
    entries: tuple[EntryView, ...] = ()
    """Every way of the message, the first one too."""


class MeaningView(Struct, frozen=True, kw_only=True):
    """What a status code means."""

    kind: str
    """`progress`, `accepted`, `refused`, `hold`, `final`, `unknown`."""
    zh: str
    en: str
    advice_zh: str
    advice_en: str
    retry: str
    """`retry` as it is, `fix` and send again, `never`; or empty."""


class AnsweredView(Struct, frozen=True, kw_only=True):
    """A declaration that an answer is about."""

    type: str
    key: Mapping[str, str]


class AnswerView(Struct, frozen=True, kw_only=True):
    """One answer about one or more declarations."""

    message_type: str
    layer: str
    """`transport` (DxpRep), `format` (CEB900), `business`."""
    status: str
    meaning: MeaningView
    time: str
    """When customs says it happened: 17 digits, as sent."""
    info: str
    declarations: tuple[AnsweredView, ...]
    fields: Mapping[str, str]
    """Every field of the answer by name."""
    receipt: str
    """Id of the receipt message it came in."""
    index: int
    """0-based position among the bodies of that message."""


class ReceiptView(Struct, frozen=True, kw_only=True):
    """One receipt message, as far as it is the caller's, or a message that another one addressed to the caller."""

    cursor: int
    id: str
    message_type: str
    received_at: datetime
    content: str
    """Path of the receipt's bytes; of one that speaks of several enterprises the bodies of the caller alone."""
    bodies: tuple[AnswerView, ...]
    """Empty for a message that is no answer, and for an answer that cannot be read, whose `message_type` is `unreadable`: its
    DxpMsg is at `content`, byte for byte."""


class ReceiptsView(Struct, frozen=True, kw_only=True):
    """A page of receipts."""

    receipts: tuple[ReceiptView, ...]
    cursor: int
    """Ask with `after=` this for what comes next; acknowledge with it."""


class WaitView(Struct, frozen=True, kw_only=True):
    """Who has to do something next."""

    who: str
    """`gateway`, `key`, `destination`, `message`, `operator`, `exchange`, `customs`, `enterprise`, `nobody`."""
    why: str
    why_zh: str = ""


class OverdueView(Struct, frozen=True, kw_only=True):
    """An answer that usually is there by now."""

    layer: str
    """`transport`, `format`, `business`: no answer yet; `decision`: none that decides."""
    since: datetime
    usual_s: int
    """How long it usually takes, for this type and the hour in which it was sent; seconds from `sent_at`."""


class SubmissionView(Struct, frozen=True, kw_only=True):
    """A message that spoke of a declaration, by one way."""

    id: str
    state: str
    """`ready`, `sending`, `sent`, `held`, `dead`, `discarded`."""
    accepted_at: datetime
    destination: str
    sent_at: datetime | None


class StandingView(Struct, frozen=True, kw_only=True):
    """How one declaration stands; each field says one thing and none is guessed from another."""

    type: str
    key: Mapping[str, str]
    accepted_at: datetime
    """Of the newest message about it; what follows is said of that one."""
    sent_at: datetime | None
    """Its destination confirmed it; null: not yet."""
    transport: str
    """`unanswered`; `ok`: the exchange said so, or somebody behind it answered; `refused`; `again`: we send once more."""
    format: str
    """`unanswered`; `ok`: customs answered, so it passed; `refused`."""
    business: str
    """Status of the newest receipt of customs; empty: none."""
    outcome: str
    """What customs decided: `open`, `accepted`, `refused`."""
    answers: int
    delivered: int
    """Answers that have come home: on every channel of yours, or, where there is none, in your stream of receipts."""
    acknowledged: int
    """Answers that you have acknowledged, or your channels for you."""
    waits_for: WaitView
    overdue: tuple[OverdueView, ...]
    overdue_since: datetime | None
    """The earliest of them; null: nothing is overdue."""
    messages: tuple[SubmissionView, ...]
    """Those that spoke of it, newest first, 100 at most."""


class TimelineView(Struct, frozen=True, kw_only=True):
    """All answers about one declaration, in the order of customs' own time, and how it stands."""

    type: str
    key: str
    answers: tuple[AnswerView, ...]
    declarations: tuple[StandingView, ...] = ()
    """Yours that the key names: one, unless it is only the field that all receipts repeat; 20 at most."""
    matching: tuple[MatchingView, ...] = ()
    """What of them does not agree with the other documents of their parcels (docs/parcels.md)."""


class CursorView(Struct, frozen=True, kw_only=True):
    """How far the caller has read."""

    cursor: Annotated[int, Meta(ge=0, le=CURSOR_AT_MOST)]


class AcknowledgementView(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is safe with the caller."""

    cursor: Annotated[int, Meta(ge=0, le=CURSOR_AT_MOST)]
    """The `cursor` of the page, or of a receipt, up to which everything is stored."""


class HealthView(Struct, frozen=True, kw_only=True):
    """Whether the gateway is alive, or can accept."""

    status: str
    reasons: tuple[str, ...] = ()
    """Why it cannot; of one that is alive, what keeps it from writing."""
    reasons_zh: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """What of the configuration is not in force; it can accept all the same."""
    warnings_zh: tuple[str, ...] = ()


def _declarations(known: MessageFacts) -> tuple[DeclarationView, ...]:
    return tuple(DeclarationView(key=one.key, guid=one.guid) for one in known.declarations)


def accepted_view(view: MessageView) -> AcceptedView:
    """Say what was accepted; the same for the first answer and every later one."""
    known = facts.message_facts(view.facts)
    return AcceptedView(
        id=view.uid,
        sha256=view.sha256.hex(),
        message_type=view.kind,
        edition=known.edition,
        declarations=_declarations(known),
    )


def first_view(uid: str, header: Header, sha256: str, *, state: str = "accepted") -> AcceptedView:
    """Say what was accepted just now; equal to what `accepted_view` says of it ever after."""
    return AcceptedView(
        id=uid,
        sha256=sha256,
        message_type=header.message_type.name,
        edition=header.edition,
        declarations=tuple([DeclarationView(key=one.key, guid=one.guid) for one in header.declarations]),
        state=state,
    )


def status_view(view: MessageView, ways: Sequence[MessageView] = ()) -> StatusView:
    """Say how a message stands; `ways` are all its entries, `view` the first."""
    failure = failure_of(view)
    known = facts.message_facts(view.facts)
    return StatusView(
        id=view.uid,
        sha256=view.sha256.hex(),
        message_type=view.kind,
        edition=known.edition,
        declarations=_declarations(known),
        state=view.state.value,
        accepted_at=view.accepted_at,
        sent_at=view.sent_at,
        destination=view.destination,
        cop_msg_id=view.cop_msg_id,
        attempts=view.attempts,
        next_attempt_at=_next_attempt(view),
        waits_for=view.waits_for,
        error=failure.en,
        error_zh=failure.zh,
        entries=tuple(map(entry_view, ways)),
    )


def entry_view(view: MessageView) -> EntryView:
    """Say how one entry of a message stands."""
    way, failure = facts.way_facts(view.way), failure_of(view)
    return EntryView(
        destination=view.destination,
        part=view.part,
        receivers=way.receivers,
        response_code=way.response_code,
        state=view.state.value,
        attempts=view.attempts,
        next_attempt_at=_next_attempt(view),
        sent_at=view.sent_at,
        error=failure.en,
        error_zh=failure.zh,
    )


def _next_attempt(view: MessageView) -> datetime | None:
    return view.due_at if view.state is State.READY else None


def receipts_view(notices: Sequence[Notice], codes: Codes, *, after: int) -> ReceiptsView:
    """Show notices, each with the caller's bodies only."""
    return ReceiptsView(
        receipts=tuple([receipt_view(notice, codes) for notice in notices]),
        cursor=notices[-1].cursor if notices else after,
    )


def receipt_view(notice: Notice, codes: Codes) -> ReceiptView:
    """Show one notice, with its owner's bodies only."""
    return ReceiptView(
        cursor=notice.cursor,
        id=str(notice.arrival),
        message_type=notice.kind,
        received_at=notice.received_at,
        content=f"/v1/receipts/{notice.arrival}/content",
        bodies=answer_views(notice.rows, codes),
    )


def answer_views(rows: Sequence[TimelineEntry], codes: Codes) -> tuple[AnswerView, ...]:
    """Show rows, those of one body together (a CEB900 speaks of every declaration of its message)."""
    if len(rows) == 1:
        return (_answer_view(rows, codes),)
    groups = groupby(rows, key=attrgetter("arrival", "index", "digest"))
    return tuple([_answer_view(list(group), codes) for _, group in groups])


def _answer_view(rows: Sequence[TimelineEntry], codes: Codes) -> AnswerView:
    row = rows[0]
    known = facts.answer_facts(row.facts)
    code = (
        codes.dxp(row.status)
        if known.layer == Layer.TRANSPORT
        else codes.said(row.kind, row.status, known.info)
    )
    return AnswerView(
        message_type=row.kind,
        layer=known.layer,
        status=row.status,
        meaning=_meaning(code),
        time=row.at,
        info=known.info,
        declarations=tuple([_answered(one.identity) for one in rows]),
        fields=known.fields,
        receipt=str(row.arrival),
        index=row.index,
    )


def _meaning(code: Code) -> MeaningView:
    return MeaningView(
        kind=code.kind.value,
        zh=code.zh,
        en=code.en,
        advice_zh=code.advice_zh,
        advice_en=code.advice_en,
        retry=code.retry,
    )


def _answered(text: str) -> AnsweredView:
    message_type, key = parse_identity(text)
    return AnsweredView(type=message_type, key=key)
