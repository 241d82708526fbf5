"""Collects and shows everything that is known about one message."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import isinf

from msgspec import structs

from gateway.cli.advice import advice_on_accepted, summary, tell_advice
from gateway.cli.output import emit, facts, instant
from gateway.cli.terminal import echo
from gateway.config.gateway_toml import HOME, Config
from gateway.facts import MessageFacts, message_facts, way_facts
from gateway.keys.backlog import KeyBacklog
from gateway.rules.loading import Rules
from gateway.upkeep.retention import archive_dir
from gateway.views.api import (
    AdviceView,
    AnswerView,
    StandingView,
    answer_views,
    entry_view,
    status_view,
)
from gateway.views.standing import MESSAGES, standing, undelivered
from gateway.views.waiting import Waiting, waits_for
from spool.archive import Archive, Shelved
from spool.entry import JournalLine, MessageView
from spool.lifecycle import State
from spool.store import Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageHistory:
    """One message and everything known about it."""

    view: MessageView
    ways: tuple[MessageView, ...]
    """All its entries; `view` shows the first."""
    history: tuple[JournalLine, ...]
    answers: Mapping[str, tuple[AnswerView, ...]]
    """By the identity of its declarations, in the order of customs' own time."""
    waiting: Waiting
    standings: tuple[StandingView, ...] = ()
    """The current standing of its declarations, from the newest message about each; in the order of `answers`."""
    queue: KeyBacklog | None = None
    """The signing queue it waits in; None: it needs no device, or is signed."""
    advice: tuple[AdviceView, ...] | None = None
    """What customs is likely to object to; None: not told, because it is archived or too large for today's limits."""
    archived_in: str = ""
    """The archive file that holds it; empty: it is in the spool."""


def history_of(spool: Spool, uid: str, rules: Rules) -> MessageHistory | None:
    """Collect what is known about one message; None when there is none with this id."""
    view = spool.message(uid)
    if view is None:
        return None
    own = () if view.destination.startswith(HOME) else view.identities  # a delivery has placeholders only
    rows = {identity: spool.timeline(view.owner, identity) for identity in own}
    answers = {identity: answer_views(told, rules.codes) for identity, told in rows.items()}
    home = f"{HOME}/{view.owner}/"  # lanes are read from the spool, because enterprise files may be broken
    lanes = {one.destination for one in spool.depths() if one.destination.startswith(home)}
    acknowledged, now = spool.acknowledged(view.owner), datetime.now(UTC)
    stand = (
        standing(
            identity,
            spool.about(view.owner, identity, limit=MESSAGES),
            told,
            rules,
            acknowledged=acknowledged,
            undelivered=undelivered(spool, lanes, told, acknowledged),
            now=now,
        )
        for identity, told in rows.items()
    )
    return MessageHistory(
        view=view,
        ways=tuple(spool.ways(uid)),
        history=_history(spool, view),
        answers=answers,
        waiting=waits_for(
            view,
            list(answers.values()),
            to_fetch=sum(row.notice > acknowledged for told in rows.values() for row in told),
            exchange_answers=bool(
                view.sent_at and rules.response_times.usual_s(view.kind, "transport", view.sent_at)
            ),
        ),
        standings=tuple(one for one in stand if one is not None),
    )


def _history(spool: Spool, view: MessageView) -> tuple[JournalLine, ...]:
    """Return the journal lines of a message and of its CopMsgId, oldest first."""
    names = dict.fromkeys((view.uid, view.cop_msg_id))
    return tuple(sorted((one for name in names for one in spool.history(name)), key=lambda one: one.at))


def with_advice(life: MessageHistory, config: Config, spool: Spool, rules: Rules) -> MessageHistory:
    """Add the advice on a message in the spool. Raises RulesError for a rule that cannot be compiled."""
    return replace(life, advice=advice_on_accepted(life.view, spool, rules, config.accept.limits))


def archived_histories(
    config: Config, key: str, rules: Rules, *, besides: frozenset[str] = frozenset()
) -> list[MessageHistory]:
    """Search the archive for messages that left the spool; `besides`: uids that are known already."""
    archive = Archive(archive_dir(config))
    shelved = [archive.get(uid) for uid in archive.search(key) if uid not in besides]
    return [_archived_life(one, rules) for one in shelved if one is not None]


def _archived_life(shelved: Shelved, rules: Rules) -> MessageHistory:
    """Build the history of a message that has left the spool."""
    message = shelved.message
    view = message.ways[0]
    answers = {identity: answer_views(rows, rules.codes) for identity, rows in message.timelines.items()}
    return MessageHistory(
        view=view,
        ways=tuple(message.ways),
        history=message.history,
        answers=answers,
        waiting=waits_for(view, list(answers.values())),
        archived_in=str(shelved.file),
    )


def emit_history(life: MessageHistory) -> None:
    """Write a history as one JSON object."""
    known = status_view(life.view)
    emit(
        {
            "id": known.id,
            "enterprise": life.view.owner,
            "message_type": known.message_type,
            "edition": known.edition,
            "sha256": known.sha256,
            "accepted_at": known.accepted_at,
            "destination": known.destination,
            "cop_msg_id": known.cop_msg_id,
            "state": known.state,
            "attempts": known.attempts,
            "next_attempt_at": known.next_attempt_at,
            "error": life.view.error,
            "sent_at": known.sent_at,
            "sent_sha256": life.view.sent_sha256.hex(),
            "waits_for": known.waits_for,
            "archived_in": life.archived_in,
            "entries": [structs.replace(entry_view(way), error=way.error) for way in life.ways],
            "waiting": {"who": life.waiting.who, "why": _why(life)},
            "signing": _queue(life.queue),
            "advice": life.advice,
            "history": [{"at": one.at, "event": one.event, "detail": one.detail} for one in life.history],
            "declarations": [
                {
                    "identity": identity,
                    "answers": [_answer(one) for one in answers],
                    "standing": life.standings[place] if place < len(life.standings) else None,
                }
                for place, (identity, answers) in enumerate(life.answers.items())
            ],
        }
    )


def _why(life: MessageHistory) -> str:
    """Return why it waits: the reason its enterprise sees and, for the operator only, the error and what to do."""
    view, why = life.view, life.waiting.why.en
    match view.state:
        case State.HELD:
            return f"{why}; `gateway spool release {view.uid}`"
        case State.DEAD:
            return f"{why}: {view.error}; then `gateway spool retry {view.uid}`"
        case State.READY if view.error and not view.waits_for:
            return f"{why}: {view.error}"
        case _:
            return why


def _queue(queue: KeyBacklog | None) -> dict[str, object] | None:
    if queue is None:
        return None
    wait_s = None if isinf(queue.wait_s) else round(queue.wait_s, 1)
    return {
        "key": queue.key,
        "entries": queue.entries,
        "wait_s": wait_s,
        "in_order": queue.in_order,
        "why": queue.why,
    }


def _before_the_key(queue: KeyBacklog | None) -> str:
    if queue is None:
        return ""
    if isinf(queue.wait_s):
        return f"{queue.key}, {queue.entries} wait for it; {queue.why}"
    wrong = f"; {queue.why}" if queue.why else ""
    return f"{queue.key}, {queue.entries} wait for it, all signed in about {queue.wait_s:.0f} s{wrong}"


def _answer(answer: AnswerView) -> dict[str, object]:
    return {
        "message_type": answer.message_type,
        "layer": answer.layer,
        "status": answer.status,
        "meaning": answer.meaning,
        "time": answer.time,
        "info": answer.info,
        "receipt": answer.receipt,
        "index": answer.index,
    }


def tell_history(life: MessageHistory) -> None:
    """Print a history for people."""
    view = life.view
    known = message_facts(view.facts)
    echo(f"{view.kind} {view.uid}")
    facts(
        {
            "enterprise": view.owner,
            "edition": known.edition,
            "handed in": _handed_in(view, known),
            "SHA-256": view.sha256.hex(),
            "CopMsgId": view.cop_msg_id,
            "destination": view.destination,
            "state": view.state,
            "failed attempts": str(view.attempts or ""),
            "error": view.error,
            "sent SHA-256": view.sent_sha256.hex(),
            "archived in": life.archived_in,
            "signing key": _before_the_key(life.queue),
            "waits for": f"{life.waiting.who}: {_why(life)}",
        },
        indent="  ",
    )
    if len(life.ways) > 1 or way_facts(view.way).receivers:
        for way in life.ways:
            _tell_way(way)
    for one in life.history:
        echo(f"  {instant(one.at)}  {one.event}  {detail_text(one)}".rstrip())
    if life.advice:
        echo(f"  advice: {summary(life.advice)}")
        tell_advice(life.advice, indent="    ")
    for place, (identity, answers) in enumerate(life.answers.items()):
        echo(f"  {identity}")
        if place < len(life.standings):
            _tell_standing(life.standings[place], but=view.uid)
        _tell_answers(answers)


def _handed_in(view: MessageView, known: MessageFacts) -> str:
    if view.destination.startswith(HOME):
        return ""  # it is the delivery of an answer
    return f"{'as a DxpMsg' if known.wrapped else 'bare'}, {'signed' if known.signed else 'unsigned'}"


def detail_text(one: JournalLine) -> str:
    """Return the detail of a journal line for people: `name value, name value` if it is JSON, without signatures."""
    try:
        known = json.loads(one.detail)
    except ValueError:
        return one.detail
    if not isinstance(known, dict):
        return one.detail
    if known.pop("delivered", False):
        known["delivered to"] = known.pop("owner", "")
    return ", ".join(f"{name} {value}" for name, value in known.items() if name not in {"value", "key"})


def _tell_way(way: MessageView) -> None:
    known = way_facts(way.way)
    part = f" part {way.part}" if way.part else ""
    how = f" answered {known.response_code}" if known.response_code else ""
    whom = f",{how} for {', '.join(known.receivers)}" if known.receivers else ""
    failed = f", {way.attempts} failed attempts" if way.attempts else ""
    again = f", next attempt at {instant(way.due_at)}" if way.attempts and way.state is State.READY else ""
    why = f": {way.error}" if way.error else ""
    echo(f"  to {way.destination}{part}: {way.state}{whom}{failed}{again}{why}")


def _tell_standing(one: StandingView, *, but: str) -> None:
    """Print the standing of a declaration; `but`: the message being shown, not listed again."""
    said = f"transport {one.transport}, format {one.format}, business {one.business or 'unanswered'}, {one.outcome}"
    echo(f"    {said}; {one.acknowledged} of {one.answers} answers acknowledged")
    for late in one.overdue:
        echo(
            f"    overdue since {instant(late.since)}: {late.layer}, which usually takes {late.usual_s} s at most"
        )
    for other in one.messages:
        if other.id != but:
            echo(f"    also in {other.id}, {other.state}, accepted {instant(other.accepted_at)}")


def _tell_answers(answers: Sequence[AnswerView]) -> None:
    if not answers:
        echo("    no answer yet")
    for answer in answers:
        meaning = answer.meaning
        echo(
            f"    {answer.time}  {answer.message_type} {answer.status}  {meaning.zh} / {meaning.en}  "
            f"[{meaning.kind}]  receipt {answer.receipt}"
        )
        if answer.info:
            echo(f"      {answer.info}")
        if meaning.advice_en:
            echo(f"      {meaning.advice_zh} / {meaning.advice_en}")
