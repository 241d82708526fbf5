"""Who a message waits for: the one line that an operator wants to read first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, assert_never

from gateway.cli.output import instant
from gateway.config import HOME, LOCAL
from gateway.doors.views import AnswerView
from gateway.model import CodeClass, Layer
from gateway.roles.bouncing import AGAIN
from spool.entry import MessageView
from spool.lifecycle import State

Outcome = Literal["accepted", "refused", "open"]
_DECIDED: Final[Mapping[str, Outcome]] = {
    CodeClass.ACCEPTED: "accepted",
    CodeClass.FINAL: "accepted",
    CodeClass.REFUSED: "refused",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Who has to do something next."""

    who: str
    """`gateway`, `message` (another that goes first), `operator`, `customs`, `enterprise`, `nobody`."""
    why: str
    next_attempt_at: datetime | None = None


def waits_for(view: MessageView, answers: Sequence[Sequence[AnswerView]]) -> Waiting:
    """Say who a message waits for; `answers` are the timelines of its declarations, one each."""
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
            return _sent(view, answers)
        case _ as never:
            assert_never(never)


def outcome_of(answers: Iterable[AnswerView]) -> Outcome:
    """Say what customs decided about a declaration: the newest answer that decides anything counts.

    A tax bill or a note that comes after the release leaves it released. When the exchange asks for another
    attempt, nobody has decided anything: the gateway makes it.
    """
    decided = [
        (one.time, _DECIDED[one.meaning.kind])
        for one in answers
        if one.meaning.kind in _DECIDED and not _asks_for_another_attempt(one)
    ]
    return max(decided)[1] if decided else "open"


def _asks_for_another_attempt(answer: AnswerView) -> bool:
    return answer.layer != Layer.BUSINESS and answer.meaning.retry == AGAIN


def _ready(view: MessageView) -> Waiting:
    if view.waits_for:
        earlier = ", ".join(view.waits_for)
        return Waiting(who="message", why=f"goes after {earlier}, which is about the same declarations")
    if view.attempts:
        return Waiting(
            who="gateway",
            why=f"failed {view.attempts} times, next attempt at {instant(view.due_at)}: {view.error}",
            next_attempt_at=view.due_at,
        )
    return Waiting(who="gateway", why=f"is ready to go to {view.destination}", next_attempt_at=view.due_at)


def _sent(view: MessageView, answers: Sequence[Sequence[AnswerView]]) -> Waiting:
    """The slowest of its declarations counts; an enterprise of ours owes no answer."""
    if view.destination.startswith(HOME):
        return Waiting(who="nobody", why="was delivered on this channel")
    unanswered = sum(not timeline for timeline in answers)
    if view.destination == LOCAL and unanswered:
        return Waiting(who="nobody", why="was delivered at this gateway")
    if unanswered:
        return Waiting(who="customs", why=f"{unanswered} of {len(answers)} declarations have no answer yet")
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
    return Waiting(who="nobody", why="every declaration has its answer")
