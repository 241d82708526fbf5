"""What became of each declaration of a source: in which message it is, and what customs said of it last."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.facts import message_facts
from gateway.identity import lookup_text
from gateway.imports.facts import KeptBody, PartFacts, RefusedBody, decoded
from gateway.model import Layer
from gateway.rules.codes import TAX_BILLS, Codes
from gateway.views.api import AnswerView, answer_views
from spool.entry import MessageView
from spool.imports import ImportJob
from spool.lifecycle import State
from spool.store import Spool

_PAGE: Final = 1000
_STATES: Final[Mapping[State, str]] = {
    State.READY: "待发送",
    State.SENDING: "发送中",
    State.SENT: "已发往海关，暂无回执",
    State.HELD: "已暂停发送",
    State.DEAD: "发送失败，待运营方处理",
    State.DISCARDED: "已放弃发送",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyOutcome:
    """How one declaration of a source stands, in Chinese; empty where there is nothing to say."""

    body: KeptBody
    outcome: str
    declaration: str = ""
    """What answers are looked up by: message type and business key."""
    message_id: str = ""
    status: str = ""
    """The code of the last answer."""
    meaning: str = ""
    """Of that code; of a refused declaration, why it was refused."""
    info: str = ""
    """What customs wrote beside the code."""
    time: str = ""


def outcomes(spool: Spool, job: ImportJob, codes: Codes, start: int = 0) -> Iterator[BodyOutcome]:
    """Yield what was made and then what was refused, from the declaration `start` on, each with what became of it."""
    passed = 0
    for uid, bodies, facts in _parts(spool, job):
        if passed + bodies <= start:
            passed += bodies
            continue
        view = spool.message(uid, owner=job.owner)
        names = _declared(view)
        for place, body in enumerate(decoded(facts, PartFacts).bodies):
            if passed >= start:
                name = names[place] if place < len(names) else ""
                yield _outcome(spool, view, body, name, codes) if view else _archived(body, uid)
            passed += 1
    for refused in refused_bodies(spool, job, after=max(0, start - passed), limit=job.refused):
        why = joined_texts(one.message_zh for one in refused.faults)
        yield BodyOutcome(body=refused.body, outcome="未接收", meaning=why)


def refused_bodies(spool: Spool, job: ImportJob, *, after: int, limit: int) -> Iterator[RefusedBody]:
    """Yield up to `limit` refused declarations, from number `after` + 1 on."""
    end = after + limit
    while after < end and (
        page := spool.import_refusals(job.number, after=after, limit=min(_PAGE, end - after))
    ):
        for one in page:
            yield decoded(one.facts, RefusedBody)
        after = page[-1].number


def bodies_of(spool: Spool, job: ImportJob) -> Iterator[KeptBody]:
    """Yield every declaration of a source."""
    for _, _, facts in _parts(spool, job):
        yield from decoded(facts, PartFacts).bodies
    for refused in refused_bodies(spool, job, after=0, limit=job.refused):
        yield refused.body


def joined_texts(texts: Iterable[str]) -> str:
    """Return texts that say something, each once, each on a line."""
    return "\n".join(dict.fromkeys(text for text in texts if text))


def _parts(spool: Spool, job: ImportJob) -> Iterator[tuple[str, int, bytes]]:
    after = 0
    while page := spool.import_parts(job.number, after=after, limit=_PAGE):
        for one in page:
            yield one.uid, one.bodies, one.facts
        after = page[-1].number


def _declared(view: MessageView | None) -> list[str]:
    """Return what answers to each declaration of a message are looked up by, in order."""
    if view is None:
        return []
    return [lookup_text(view.kind, one.key.items()) for one in message_facts(view.facts).declarations]


def _archived(body: KeptBody, uid: str) -> BodyOutcome:
    return BodyOutcome(body=body, outcome="已归档", message_id=uid)


def _outcome(spool: Spool, view: MessageView, body: KeptBody, name: str, codes: Codes) -> BodyOutcome:
    told = answer_views(spool.timeline(view.owner, name), codes) if name else ()
    answers = [one for one in told if one.message_type not in TAX_BILLS]
    if not answers:
        return BodyOutcome(body=body, outcome=_STATES[view.state], declaration=name, message_id=view.uid)
    last = max(answers, key=_weight)
    return BodyOutcome(
        body=body,
        outcome="已有回执",
        declaration=name,
        message_id=view.uid,
        status=last.status,
        meaning=last.meaning.zh,
        info=last.info,
        time=last.time,
    )


def _weight(answer: AnswerView) -> tuple[bool, str]:
    """Order answers: customs' own before those of the exchange, later before earlier."""
    return answer.layer != Layer.TRANSPORT, answer.time
