"""Who has to do something next about a message: the one line that everybody wants to read first."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, assert_never

from msgspec import Struct

from gateway.config import HOME, LOCAL
from gateway.doors.views import AnswerView
from gateway.model import CodeClass, Layer
from gateway.roles.bouncing import AGAIN
from spool.entry import MessageView
from spool.lifecycle import State

Outcome = Literal["accepted", "refused", "open"]
Who = Literal[
    "gateway", "key", "destination", "message", "operator", "exchange", "customs", "enterprise", "nobody"
]
_DECIDED: Final[Mapping[str, Outcome]] = {
    CodeClass.ACCEPTED: "accepted",
    CodeClass.FINAL: "accepted",
    CodeClass.REFUSED: "refused",
}


class Waiting(Struct, frozen=True, kw_only=True):
    """Who has to do something next."""

    who: Who
    """`gateway` (it goes by itself), `key` (that signs it cannot now), `destination` (does not take it), `message`
    (another goes first), `operator`, `exchange` (its word on the envelope), `customs`, `enterprise` (to mend it, or to
    fetch its answers), `nobody`."""
    why: str
    next_attempt_at: datetime | None = None


def waits_for(
    view: MessageView,
    answers: Sequence[Sequence[AnswerView]],
    *,
    to_fetch: int = 0,
    exchange_answers: bool = False,
) -> Waiting:
    """Say who a message waits for; `answers` are the timelines of its declarations, one each.

    `to_fetch`: answers that the enterprise has not acknowledged. `exchange_answers`: the exchange platform usually
    says a word about each envelope, so that its silence is its own.
    """
    match view.state:
        case State.READY:
            return _ready(view)
        case State.SENDING:
            return Waiting(who="gateway", why=f"is on its way to {view.destination}")
        case State.HELD:
            return Waiting(who="operator", why=f"is held back; `gateway spool release {view.uid}`")
        case State.DEAD:
            return Waiting(
                who="operator", why=f"is a dead letter: {view.error}; then `gateway spool retry {view.uid}`"
            )
        case State.DISCARDED:
            return Waiting(who="nobody", why="was given up by an operator")
        case State.SENT:
            return _sent(view, answers, to_fetch, exchange_answers=exchange_answers)
        case _ as never:
            assert_never(never)


def outcome_of(answers: Iterable[AnswerView]) -> Outcome:
    """Say what customs decided about a declaration: the newest answer that decides anything counts.

    A tax bill or a note that comes after the release leaves it released. When the exchange asks for another
    attempt, nobody has decided anything: the gateway makes it. Nor does a refusal of a delivery alone, because it came
    twice or behind a newer one (`unknown` in `mappings/codes.toml`).
    """
    decided = [
        (one.time, _DECIDED[one.meaning.kind])
        for one in answers
        if one.meaning.kind in _DECIDED and not asks_for_another_attempt(one)
    ]
    return max(decided)[1] if decided else "open"


def asks_for_another_attempt(answer: AnswerView) -> bool:
    """Say whether the exchange or the format check asks for the same message once more (docs/adr/0014)."""
    return answer.layer != Layer.BUSINESS and answer.meaning.retry == AGAIN


def _ready(view: MessageView) -> Waiting:
    if view.waits_for:
        earlier = ", ".join(view.waits_for)
        return Waiting(who="message", why=f"goes after {earlier}, which is about the same declarations")
    if view.attempts:
        return Waiting(
            who="destination",
            why=f"failed {view.attempts} times, next attempt at {_instant(view.due_at)}: {view.error}",
            next_attempt_at=view.due_at,
        )
    if view.error:  # postponed: no attempt is counted
        return Waiting(
            who="key",
            why=f"is not signed, tried again at {_instant(view.due_at)}: {view.error}",
            next_attempt_at=view.due_at,
        )
    return Waiting(who="gateway", why=f"is ready to go to {view.destination}", next_attempt_at=view.due_at)


def _sent(
    view: MessageView, answers: Sequence[Sequence[AnswerView]], to_fetch: int, *, exchange_answers: bool
) -> Waiting:
    """The slowest of its declarations counts; an enterprise of ours owes no answer."""
    unanswered = sum(not timeline for timeline in answers)
    if view.destination.startswith(HOME) or (view.destination == LOCAL and unanswered):
        where = "at this gateway" if view.destination == LOCAL else "on this channel"
        return Waiting(who="nobody", why=f"was delivered {where}")
    if unanswered:
        return Waiting(
            who="exchange" if exchange_answers else "customs",
            why=f"{unanswered} of {len(answers)} declarations have no answer yet",
        )
    outcomes = [outcome_of(timeline) for timeline in answers]
    undecided = outcomes.count("open")
    if undecided:
        return Waiting(who="customs", why=f"{undecided} of {len(answers)} declarations are not decided yet")
    refused = outcomes.count("refused")
    if refused:
        return Waiting(
            who="enterprise",
            why=f"{refused} of {len(answers)} declarations were refused: to be mended and sent anew",
        )
    if to_fetch:
        return Waiting(who="enterprise", why=f"has {to_fetch} answers to fetch and acknowledge")
    return Waiting(who="nobody", why="every declaration has its answer")


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
