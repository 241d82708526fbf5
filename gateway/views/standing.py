"""The standing of a declaration, computed on request from its messages, its timeline and its owner's cursor.

Nothing of it is stored, so it cannot become outdated. It refers to the newest message: an answer that came before
that message was accepted belongs to an earlier one, unless there is no earlier one.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.config.gateway_toml import LOCAL
from gateway.identity import parse_identity
from gateway.model import CodeClass, Layer
from gateway.rules.codes import TAX_BILLS, Codes
from gateway.rules.loading import Rules
from gateway.rules.response_times import LAYERS, ResponseTimes
from gateway.views.api import (
    AnswerView,
    OverdueView,
    StandingView,
    SubmissionView,
    TaxView,
    WaitView,
    answer_views,
)
from gateway.views.waiting import asks_for_another_attempt, outcome_of, waits_for
from spool.entry import MessageView, TimelineEntry
from spool.lifecycle import State
from spool.store import Spool

MESSAGES: Final = 100
DECLARATIONS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """Answers to the newest message, by layer."""

    transport: str
    format: str
    business: tuple[AnswerView, ...]
    """Of customs, about the declaration itself."""
    tax: tuple[AnswerView, ...]
    """Of customs, about its tax bill."""
    all: tuple[AnswerView, ...]


def standings(
    spool: Spool, rules: Rules, owner: str, text: str, now: datetime, *, lanes: Collection[str] = ()
) -> tuple[StandingView, ...]:
    """Return the standings of the owner's declarations of this identity or handle; `lanes`: its channels' lanes."""
    names = dict.fromkeys(one.identity for one in spool.find([text], owner=owner))
    acknowledged = spool.acknowledged(owner)
    made = (
        standing(
            identity,
            spool.about(owner, identity, limit=MESSAGES),
            told := spool.timeline(owner, identity),
            rules,
            acknowledged=acknowledged,
            undelivered=undelivered(spool, lanes, told, acknowledged),
            now=now,
        )
        for identity in list(names)[:DECLARATIONS]
    )
    return tuple(one for one in made if one is not None)


def standing(
    identity: str,
    messages: Sequence[MessageView],
    rows: Sequence[TimelineEntry],
    rules: Rules,
    *,
    acknowledged: int,
    undelivered: Collection[int] = (),
    now: datetime,
) -> StandingView | None:
    """Return the standing of one declaration; None when no message is left. `messages`: newest first.

    `undelivered`: cursors of notices that are not delivered yet.
    """
    if not messages:
        return None
    newest = messages[0]
    earlier = any(one.uid != newest.uid for one in messages)
    heard = _heard([row for row in rows if not earlier or row.received_at >= newest.accepted_at], rules.codes)
    kind, key = parse_identity(identity)
    ways = [one for one in messages if one.uid == newest.uid]
    way = _slowest(ways)
    overdue = overdue_of(way, heard.all, rules.response_times, now)
    read = sum(row.notice <= acknowledged for row in rows)
    wait = waits_for(
        way,
        [heard.all],
        to_fetch=len(rows) - read,
        exchange_answers=bool(way.sent_at and rules.response_times.usual_s(kind, "transport", way.sent_at)),
    )
    return StandingView(
        type=kind,
        key=key,
        accepted_at=newest.accepted_at,
        sent_at=way.sent_at,
        transport=heard.transport,
        format=heard.format,
        business=max(heard.business, key=lambda one: one.time).status if heard.business else "",
        outcome=outcome_of(heard.all),
        answers=len(rows),
        delivered=sum(row.notice not in undelivered for row in rows),
        acknowledged=read,
        waits_for=WaitView(who=wait.who, why=wait.why.en, why_zh=wait.why.zh),
        overdue=overdue,
        overdue_since=min((one.since for one in overdue), default=None),
        messages=tuple(map(_submission, messages)),
        tax=_tax(heard.tax),
    )


def undelivered(
    spool: Spool, lanes: Collection[str], rows: Iterable[TimelineEntry], acknowledged: int
) -> frozenset[int]:
    """Return the notices of these answers that some channel has still to deliver.

    Without a channel there are none: an answer in the stream counts as delivered.
    """
    notices = {row.notice for row in rows if row.notice > acknowledged}
    return frozenset(
        notice for notice in notices if not all(_is_over(spool, f"{lane}/{notice}") for lane in lanes)
    )


def _is_over(spool: Spool, delivery: str) -> bool:
    view = spool.message(delivery)
    return view is not None and view.state in {State.SENT, State.DISCARDED}


def overdue_of(
    view: MessageView, answers: Iterable[AnswerView], response_times: ResponseTimes, now: datetime
) -> tuple[OverdueView, ...]:
    """Return the layers whose answer to this message is later than usual."""
    if view.state is not State.SENT or view.sent_at is None or view.destination == LOCAL:
        return ()
    counted = [one for one in answers if not asks_for_another_attempt(one)]
    silent = {
        "transport": not counted,
        "format": all(one.layer == Layer.TRANSPORT and not _refuses(one) for one in counted),
        "business": all(one.layer == Layer.TRANSPORT and not _refuses(one) for one in counted),
        "decision": outcome_of(counted) == "open",
    }
    found = []
    for layer in LAYERS:
        due = response_times.due(view.kind, layer, view.sent_at)
        if silent[layer] and due is not None and due <= now:
            usual_s = response_times.usual_s(view.kind, layer, view.sent_at)
            found.append(OverdueView(layer=layer, since=due, usual_s=usual_s))
    return tuple(found)


def _heard(rows: Sequence[TimelineEntry], codes: Codes) -> _Heard:
    answers = answer_views(rows, codes)
    told = [one for one in answers if one.layer == Layer.BUSINESS]
    business = tuple([one for one in told if one.message_type not in TAX_BILLS])
    formats = [one for one in answers if one.layer == Layer.FORMAT]
    transports = [one for one in answers if one.layer == Layer.TRANSPORT]
    return _Heard(
        transport="ok" if told or formats else _said(transports),
        format="ok" if told else _said(formats),
        business=business,
        tax=tuple([one for one in told if one.message_type in TAX_BILLS]),
        all=answers,
    )


def _tax(bills: Sequence[AnswerView]) -> TaxView | None:
    if not bills:
        return None
    newest = max(bills, key=lambda one: one.time)
    return TaxView(
        message_type=newest.message_type, status=newest.status, meaning=newest.meaning, time=newest.time
    )


def _said(answers: Sequence[AnswerView]) -> str:
    """Summarise the answers of one layer, the newest last; only a status known to refuse counts as refused."""
    if not answers:
        return "unanswered"
    if asks_for_another_attempt(answers[-1]):
        return "again"
    return "refused" if any(map(_refuses, answers)) else "ok"


def _refuses(answer: AnswerView) -> bool:
    return answer.meaning.kind == CodeClass.REFUSED


def _slowest(ways: Sequence[MessageView]) -> MessageView:
    """Return the way of a message that is furthest from being sent."""
    return min(ways, key=lambda one: (one.sent_at is not None, one.state is State.DISCARDED, one.entry))


def _submission(view: MessageView) -> SubmissionView:
    return SubmissionView(
        id=view.uid,
        state=view.state.value,
        accepted_at=view.accepted_at,
        destination=view.destination,
        sent_at=view.sent_at,
    )
