"""Answers that ask for another attempt: which entry they refer to, and when it is sent again (docs/adr/0014).

Only answers that name the CopMsgId of an envelope count, those of the exchange platform (DxpRep) and of the format
check (CEB900): they mean that the message went no further. A receipt of customs names a declaration, which may
also be in other messages, together with accepted ones; it only goes to its owner.
"""

import random
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from gateway.config.channels import Deliver
from gateway.config.gateway_toml import HOME, Config, Destination
from gateway.facts import way_facts
from gateway.model import Answer, Code, Layer
from gateway.observe.log import log
from gateway.rules.codes import Codes
from spool.entry import Bounce, Ended, Latest, Travelled
from spool.lifecycle import State
from spool.retry import RetryPolicy

AGAIN: Final = "retry"
"""`Code.retry` of a code that asks to send the same message again (mappings/codes.toml)."""


def policy_of(config: Config, destination: Destination | Deliver) -> RetryPolicy:
    """Return the back-off limits of a destination or channel: its own, else the common ones."""
    retry = destination.retry or config.retry
    return RetryPolicy(
        first_s=retry.first_s,
        ceiling_s=retry.ceiling_s,
        attempts=retry.attempts,
        max_age_s=retry.max_age_s,
    )


class ResendPolicy:
    """Resend policy: decides by the codes of an answer and the back-off of the destination it came from."""

    def __init__(
        self,
        config: Config,
        codes: Codes,
        *,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._policies: Mapping[str, RetryPolicy] = {
            one.name: policy_of(config, one) for one in config.destination if one.retry_on_answer
        }
        self._codes = codes
        self._chance = chance
        self._clock = clock

    def judge(self, answer: Answer, travelled: Travelled, *, origin: str, receipt: int) -> Bounce | None:
        """Return the resend that an answer asks for; None when it asks for none, or for no particular entry.

        `origin` is the destination whose feed brought the answer: the answer counts only for entries sent there.
        """
        policy = self._policies.get(origin)
        meaning = _meaning(answer, self._codes)
        if policy is None or meaning is None or meaning.retry != AGAIN:
            return None
        entry = _answered(answer, [one for one in travelled.entries if one.destination == origin])
        if entry is None:
            return None
        now = self._clock()
        attempts = entry.attempts + 1
        said = f"{answer.message_type} {answer.status}: {meaning.zh} / {meaning.en}, receipt {receipt}"
        next_at = policy.after(attempts, travelled.accepted_at, now, self._chance())
        if next_at is None:
            why = f"no attempt is left after {attempts}: {said}"
            return Bounce(entry=entry.entry, claim=entry.claim, next_at=None, reason=why)
        return Bounce(entry=entry.entry, claim=entry.claim, next_at=next_at, reason=said)


def log_ended(ended: Iterable[Ended]) -> None:
    """Log what was sent back or became a dead letter without its forwarder."""
    for one in ended:
        about = {
            "message_id": one.uid,
            "enterprise": one.owner,
            "message_type": one.kind,
            "destination": one.destination,
            "cop_msg_id": one.cop_msg_id,
            "attempt": one.attempts,
            "error": one.why,
        }
        if one.state is State.DEAD:
            log("notice.dead" if one.destination.startswith(HOME) else "entry.dead", **about)
        else:
            log("entry.bounced", **about, next_attempt_at=one.due_at.isoformat())


def _meaning(answer: Answer, codes: Codes) -> Code | None:
    match answer.layer:
        case Layer.TRANSPORT:
            return codes.dxp(answer.status)
        case Layer.FORMAT:
            return codes.status(answer.message_type, answer.status)
        case Layer.BUSINESS:
            return None


def _answered(answer: Answer, entries: list[Latest]) -> Latest | None:
    """Return the entry that an answer refers to.

    Of several copies to one destination, one for each receiver, it is the one with the answer's receivers.
    """
    if len(entries) > 1:
        named = frozenset(answer.receiver_ids)
        entries = [one for one in entries if frozenset(way_facts(one.facts).receivers) == named]
    return entries[0] if len(entries) == 1 else None
