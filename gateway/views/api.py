"""What the HTTP API says, as typed values: the OpenAPI document is made from these classes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import groupby
from operator import attrgetter
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway import facts
from gateway.facts import DeclaredFacts, MessageFacts
from gateway.identity import parse_identity
from gateway.mapping.language import SourceMapping
from gateway.model import Advice, Code, Declaration, EditionNotice, Fault, Header, Layer
from gateway.receipts.learning.known_cures import KnownCures
from gateway.receipts.learning.learned_codes import meaning_of
from gateway.rules.codes import Codes
from gateway.views.causes import failure_of
from gateway.views.parcel_views import MatchingView
from spool.entry import MessageView, Notice, TimelineEntry
from spool.lifecycle import State

CURSOR_AT_MOST: Final = 10**18 - 1
"""18 digits fit the 63 bits of both spools."""


class MappingView(Struct, frozen=True, kw_only=True):
    """A mapping that this gateway has."""

    name: str
    """As `mapping=` takes it."""
    about: str
    message_type: str
    source: str
    """`table`: rows under heads; `json`: a tree."""
    sha256: str
    """Hex, of the mapping."""


class MappingsView(Struct, frozen=True, kw_only=True):
    """The mappings that this gateway has, by name."""

    mappings: tuple[MappingView, ...]


class DeclarationView(Struct, frozen=True, kw_only=True):
    """One declaration of a message."""

    key: Mapping[str, str]
    """Business key: field name to value."""
    guid: str


class EditionNoticeView(Struct, frozen=True, kw_only=True):
    """The message is valid today, and would be refused from a day on by the edition that comes into force then."""

    edition: str
    """The edition to come."""
    refused_from: date
    """Its first day, Beijing time."""
    message: str
    message_zh: str
    faults: tuple[Fault, ...]
    """What it finds wrong, 20 faults at most; their paths and lines are those of the CEB document."""


class AdviceView(Struct, frozen=True, kw_only=True):
    """One thing about a valid declaration that customs is likely to object to. It changes no byte and refuses nothing by itself."""

    rule: str
    """Stable name of the rule."""
    severity: str
    """`error`: customs is known to refuse it; `warning`: likely to; `hint`: unusual, and seldom meant."""
    path: str
    """Place in the document, as XPath."""
    line: int
    """1-based; 0: not known."""
    column: int
    """1-based; 0: not known."""
    element: str
    name_zh: str
    """Chinese name of the element."""
    value: str
    """What stands there, cut; of data of a natural person its length alone, as stars."""
    code: str
    """Code that customs would answer with; empty: not known."""
    who: str
    """Who has to act."""
    message: str
    message_zh: str
    fix: str
    fix_zh: str
    grade: str
    """How well the rule is supported: `O` the authority's own text, `V` several sources agree, `S` one source, `U` unverified."""
    source: str
    """Where the rule comes from."""
    source_place: str
    """Place in the JSON or CSV that was handed in, to which line and column refer; else empty."""
    key: Mapping[str, str]
    """Business key of the declaration that it is about; empty: of none in particular."""


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
    edition_notice: EditionNoticeView | UnsetType = UNSET
    """Only when another edition is about to come into force and would refuse this message."""
    advice: tuple[AdviceView, ...] | None = None
    """What customs is likely to object to, 100 at most; null: it cannot be told now, ask for the message later."""


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
    advice: tuple[AdviceView, ...] | None = None
    """What customs is likely to object to, by the rules of today and the declarations' own days, 100 at most; lines are those
    of the accepted bytes. null: it cannot be told now, ask again later."""


class NewsView(Struct, frozen=True, kw_only=True):
    """What the text of an answer says beside its status: a code in brackets, or a known text."""

    code: str
    """The number of `[Code:n;Desc:…]`, or the name of the text in `mappings/codes.toml`."""
    kind: str
    """As of the status; `hold`: it will not go on by itself, whatever the status says."""
    zh: str
    en: str
    advice_zh: str
    advice_en: str
    retry: str
    """As of the status."""
    who: tuple[str, ...] = ()
    """As of the status."""
    regional: bool = False
    """Seen in some customs regions only."""
    cured_by: tuple[str, ...] = ()
    """As of the status."""


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
    who: tuple[str, ...] = ()
    """Who has to act, the first of them first; empty: nobody needs to, or it is not known."""
    regional: bool = False
    """Seen in some customs regions only."""
    news: tuple[NewsView, ...] = ()
    """What the text says beside the status, at most some dozen; it never changes `kind`."""
    cured_by: tuple[str, ...] = ()
    """Fields that had changed most often when a declaration refused so was accepted after all; five at most, by what this
    gateway has learned. Empty: not learned yet, and in deliveries, which say the same however often they are made."""


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


class TaxView(Struct, frozen=True, kw_only=True):
    """The newest word about the tax bill of a declaration (CEB816, CEB818)."""

    message_type: str
    status: str
    meaning: MeaningView
    time: str
    """When customs says it happened: 17 digits, as sent."""


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
    """Status of the newest receipt of customs about the declaration itself; empty: none."""
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
    tax: TaxView | None = None
    """Its tax bill, which says nothing of the declaration; null: none came."""
    advice: tuple[AdviceView, ...] | None = None
    """What customs is likely to object to in it, as of `StatusView`; null too beyond the first 3 declarations."""


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


def accepted_view(view: MessageView, advice: Sequence[Advice] | None) -> AcceptedView:
    """Say what was accepted; the same for the first answer and every later one."""
    known = facts.message_facts(view.facts)
    return AcceptedView(
        id=view.uid,
        sha256=view.sha256.hex(),
        message_type=view.kind,
        edition=known.edition,
        declarations=_declarations(known),
        edition_notice=UNSET if known.edition_notice is UNSET else _edition_notice(known.edition_notice),
        advice=advice_views(advice, known.declarations),
    )


def first_view(
    uid: str,
    header: Header,
    sha256: str,
    advice: Sequence[Advice] | None,
    *,
    state: str = "accepted",
    notice: EditionNotice | None = None,
) -> AcceptedView:
    """Say what was accepted just now; equal to what `accepted_view` says of it ever after."""
    return AcceptedView(
        id=uid,
        sha256=sha256,
        message_type=header.message_type.name,
        edition=header.edition,
        declarations=tuple([DeclarationView(key=one.key, guid=one.guid) for one in header.declarations]),
        state=state,
        edition_notice=UNSET if notice is None else _edition_notice(notice),
        advice=advice_views(advice, header.declarations),
    )


def _edition_notice(notice: EditionNotice) -> EditionNoticeView:
    first = notice.faults[0] if notice.faults else None
    return EditionNoticeView(
        edition=notice.edition,
        refused_from=notice.refused_from,
        message=f"valid today, refused from {notice.refused_from} on, when edition {notice.edition} comes into force"
        + ("" if first is None else f", because {first.message}"),
        message_zh=f"目前有效；自{notice.refused_from}起施行{notice.edition}版报文规范，届时将被拒收"
        + ("" if first is None else f"，原因：{first.message_zh}"),
        faults=notice.faults,
    )


def advice_views(
    advice: Sequence[Advice] | None, declarations: Sequence[Declaration] | Sequence[DeclaredFacts]
) -> tuple[AdviceView, ...] | None:
    """Show advice on a message; `declarations`: all of the message, in order. None: it cannot be told."""
    if advice is None:
        return None
    return tuple(
        [
            AdviceView(
                rule=one.rule,
                severity=one.severity.value,
                path=one.path,
                line=one.line,
                column=one.column,
                element=one.element,
                name_zh=one.name_zh,
                value=one.value,
                code=one.code,
                who=one.who.value,
                message=one.message,
                message_zh=one.message_zh,
                fix=one.fix,
                fix_zh=one.fix_zh,
                grade=one.grade,
                source=one.source,
                source_place=one.source_place,
                key=declarations[one.declaration - 1].key if one.declaration else {},
            )
            for one in advice
        ]
    )


def status_view(
    view: MessageView, ways: Sequence[MessageView] = (), advice: Sequence[Advice] | None = None
) -> StatusView:
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
        advice=advice_views(advice, known.declarations),
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


def receipts_view(
    notices: Sequence[Notice], codes: Codes, *, after: int, cures: KnownCures | None = None
) -> ReceiptsView:
    """Show notices, each with the caller's bodies only; `cures`: what is learned, None: nothing is shown of it."""
    return ReceiptsView(
        receipts=tuple([receipt_view(notice, codes, cures) for notice in notices]),
        cursor=notices[-1].cursor if notices else after,
    )


def receipt_view(notice: Notice, codes: Codes, cures: KnownCures | None = None) -> ReceiptView:
    """Show one notice, with its owner's bodies only."""
    return ReceiptView(
        cursor=notice.cursor,
        id=str(notice.arrival),
        message_type=notice.kind,
        received_at=notice.received_at,
        content=f"/v1/receipts/{notice.arrival}/content",
        bodies=answer_views(notice.rows, codes, cures),
    )


def answer_views(
    rows: Sequence[TimelineEntry], codes: Codes, cures: KnownCures | None = None
) -> tuple[AnswerView, ...]:
    """Show rows, those of one body together (a CEB900 speaks of every declaration of its message)."""
    if len(rows) == 1:
        return (_answer_view(rows, codes, cures),)
    groups = groupby(rows, key=attrgetter("arrival", "index", "digest"))
    return tuple([_answer_view(list(group), codes, cures) for _, group in groups])


def _answer_view(rows: Sequence[TimelineEntry], codes: Codes, cures: KnownCures | None) -> AnswerView:
    row = rows[0]
    known = facts.answer_facts(row.facts)
    code = meaning_of(row.kind, row.status, known, codes)
    news = () if known.layer == Layer.TRANSPORT else codes.in_text(row.status, known.info)
    return AnswerView(
        message_type=row.kind,
        layer=known.layer,
        status=row.status,
        meaning=_meaning(
            code,
            tuple([_news(one, cures.of(one.code) if cures else ()) for one in news]),
            cures.of_answer(code, known) if cures else (),
        ),
        time=row.at,
        info=known.info,
        declarations=tuple([_answered(one.identity) for one in rows]),
        fields=known.fields,
        receipt=str(row.arrival),
        index=row.index,
    )


def _meaning(code: Code, news: tuple[NewsView, ...], cured_by: tuple[str, ...]) -> MeaningView:
    return MeaningView(
        kind=code.kind.value,
        zh=code.zh,
        en=code.en,
        advice_zh=code.advice_zh,
        advice_en=code.advice_en,
        retry=code.retry,
        who=code.who,
        regional=code.regional,
        news=news,
        cured_by=cured_by,
    )


def _news(code: Code, cured_by: tuple[str, ...]) -> NewsView:
    return NewsView(
        code=code.code,
        kind=code.kind.value,
        zh=code.zh,
        en=code.en,
        advice_zh=code.advice_zh,
        advice_en=code.advice_en,
        retry=code.retry,
        who=code.who,
        regional=code.regional,
        cured_by=cured_by,
    )


def _answered(text: str) -> AnsweredView:
    message_type, key = parse_identity(text)
    return AnsweredView(type=message_type, key=key)


class RegisteredView(Struct, frozen=True, kw_only=True):
    """The answer to a register that was handed in."""

    register: str
    """`goods` or `books`."""
    version: int
    """Counts up with each change."""
    rows: int
    sha256: str
    """Hex, of the bytes as they were handed in."""


class RegisterView(RegisteredView, frozen=True, kw_only=True):
    """A register that is in force."""

    form: str
    """Media type of what was handed in."""
    at: datetime
    """When it was handed in."""
    entries: tuple[Mapping[str, str], ...]
    """Of goods the rows of the item asked for, without one none; of books every switch. Columns that are empty are left out."""


class DroppedView(Struct, frozen=True, kw_only=True):
    """A register that was taken back."""

    register: str
    """`goods` or `books`."""


def mappings_view(mappings: Iterable[SourceMapping]) -> MappingsView:
    """Say which mappings there are."""
    return MappingsView(
        mappings=tuple(
            [
                MappingView(
                    name=one.name,
                    about=one.about,
                    message_type=one.kind.name,
                    source=one.source.value,
                    sha256=one.sha256,
                )
                for one in mappings
            ]
        )
    )
