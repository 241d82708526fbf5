"""Who has to act next on a message: the one line that everybody wants to read first."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, assert_never

from msgspec import Struct

from gateway.config.gateway_toml import HOME, LOCAL
from gateway.model import CodeClass, Layer, MessageId
from gateway.rules.codes import TAX_BILLS
from gateway.sending.resend import AGAIN
from gateway.views.api import AnswerView, NewsView
from gateway.views.causes import Cause, Phrase, dead_of, phrase
from spool.entry import MessageView
from spool.lifecycle import State

DeclarationOutcome = Literal["accepted", "refused", "open"]
Who = Literal[
    "gateway", "key", "destination", "message", "operator", "exchange", "customs", "enterprise", "nobody"
]
_DECIDED: Final[Mapping[str, DeclarationOutcome]] = {
    CodeClass.ACCEPTED: "accepted",
    CodeClass.FINAL: "accepted",
    CodeClass.REFUSED: "refused",
}


class Waiting(Struct, frozen=True, kw_only=True):
    """Who has to act next."""

    who: Who
    """`gateway` (it continues by itself), `key` (which cannot sign it now), `destination` (does not take it), `message`
    (another goes first), `operator`, `exchange` (its answer to the envelope), `customs`, `enterprise` (to correct it,
    or to fetch its answers), `nobody`."""
    why: Phrase


def waits_for(
    view: MessageView,
    answers: Sequence[Sequence[AnswerView]],
    *,
    to_fetch: int = 0,
    exchange_answers: bool = False,
) -> Waiting:
    """Say who a message waits for; `answers` are the timelines of its declarations, one each.

    `to_fetch`: answers that the enterprise has not acknowledged. `exchange_answers`: the exchange platform usually
    answers each envelope, so that a missing answer is the exchange's.
    """
    match view.state:
        case State.READY:
            return _ready(view)
        case State.SENDING:
            return Waiting(who="gateway", why=phrase(Cause.ON_ITS_WAY))
        case State.HELD:
            return Waiting(who="operator", why=phrase(Cause.HELD))
        case State.DEAD:
            return Waiting(who="operator", why=phrase(dead_of(view)))
        case State.DISCARDED:
            return Waiting(who="nobody", why=phrase(Cause.DISCARDED))
        case State.SENT:
            return _sent(view, answers, to_fetch, exchange_answers=exchange_answers)
        case _ as never:
            assert_never(never)


def outcome_of(answers: Iterable[AnswerView]) -> DeclarationOutcome:
    """Return customs' decision about a declaration: the newest answer that decides anything counts.

    A tax bill decides nothing, and a note that comes after the release leaves it released. A request of the exchange for another
    attempt decides nothing: the gateway makes the attempt. Nor does the refusal of a delivery alone, because it came
    twice or after a newer one (`unknown` in `mappings/codes.toml`).
    """
    decided = [
        (one.time, _DECIDED[one.meaning.kind])
        for one in answers
        if one.meaning.kind in _DECIDED
        and one.message_type not in TAX_BILLS
        and not asks_for_another_attempt(one)
    ]
    return max(decided)[1] if decided else "open"


def stalling(answers: Iterable[AnswerView]) -> NewsView | None:
    """Return what customs' newest answer says in its text that keeps a declaration from going on; None: nothing.

    An answer of a later time took the declaration further, so an older text counts no more; nor does any of a
    declaration that is decided.
    """
    told = [one for one in answers if one.layer == Layer.BUSINESS and one.message_type not in TAX_BILLS]
    if not told or outcome_of(told) != "open":
        return None
    newest = max(one.time for one in told)
    news = (one for answer in told if answer.time == newest for one in answer.meaning.news)
    return next((one for one in news if one.kind == CodeClass.HOLD), None)


def asks_for_another_attempt(answer: AnswerView) -> bool:
    """Say whether the exchange or the format check asks to send the same message again (docs/adr/0014)."""
    return answer.layer != Layer.BUSINESS and answer.meaning.retry == AGAIN


def _ready(view: MessageView) -> Waiting:
    if view.waits_for:
        messages = tuple(map(MessageId, view.waits_for))
        return Waiting(who="message", why=phrase(Cause.GOES_AFTER, messages=messages))
    if view.attempts:
        tried_again = phrase(Cause.TRIED_AGAIN, count=view.attempts, at=view.due_at)
        return Waiting(who="destination", why=tried_again)
    if view.error:  # postponed: no attempt is counted
        return Waiting(who="key", why=phrase(Cause.NOT_SIGNED, at=view.due_at))
    return Waiting(who="gateway", why=phrase(Cause.READY))


def _sent(
    view: MessageView, answers: Sequence[Sequence[AnswerView]], to_fetch: int, *, exchange_answers: bool
) -> Waiting:
    """The slowest of its declarations counts; a receiver of this node owes no answer."""
    of, unanswered = len(answers), sum(not timeline for timeline in answers)
    if view.destination.startswith(HOME) or (view.destination == LOCAL and unanswered):
        here = view.destination == LOCAL
        return Waiting(who="nobody", why=phrase(Cause.DELIVERED_HERE if here else Cause.DELIVERED_HOME))
    news = [found for timeline in answers if (found := stalling(timeline)) is not None]
    if news:
        return _stalled(news, of)
    if unanswered:
        who: Who = "exchange" if exchange_answers else "customs"
        return Waiting(who=who, why=phrase(Cause.UNANSWERED, count=unanswered, of=of))
    return _answered(answers, to_fetch)


def _answered(answers: Sequence[Sequence[AnswerView]], to_fetch: int) -> Waiting:
    of = len(answers)
    outcomes = [outcome_of(timeline) for timeline in answers]
    undecided = outcomes.count("open")
    if undecided:
        return Waiting(who="customs", why=phrase(Cause.UNDECIDED, count=undecided, of=of))
    refused = outcomes.count("refused")
    if refused:
        return Waiting(who="enterprise", why=phrase(Cause.REFUSED, count=refused, of=of))
    if to_fetch:
        return Waiting(who="enterprise", why=phrase(Cause.TO_FETCH, count=to_fetch))
    return Waiting(who="nobody", why=phrase(Cause.ANSWERED))


def _stalled(news: Sequence[NewsView], of: int) -> Waiting:
    """Name what keeps the first of them from going on, and what its enterprise has to do."""
    found, count = news[0], phrase(Cause.STALLED, count=len(news), of=of)
    en, zh = f"{count.en}: {found.en}; {found.advice_en}", f"{count.zh}：{found.zh}。{found.advice_zh}"
    return Waiting(who="enterprise", why=Phrase(en, zh))
