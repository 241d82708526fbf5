"""What the failure of an attempt means for an entry: another attempt later, none, or that there was no attempt.

One rule for everything that leaves the spool, entries for customs and notices for enterprises alike (docs/adr/0003).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from gateway.errors import EnvelopeError
from gateway.observe.log import log
from gateway.observe.role_metrics import OutcomeCounter
from gateway.printable import escaped
from spool.entry import Claimed, Fate, Settlement
from spool.retry import RetryPolicy

_OUTCOMES: Final[Mapping[Fate, str]] = {
    Fate.DELIVERED: "sent",
    Fate.DEFERRED: "deferred",
    Fate.UNDELIVERABLE: "dead",
    Fate.POSTPONED: "postponed",
}


class Postponing(Protocol):
    """An error that is not the entry's own: a key that cannot sign now, a claim that has ended, a receiver that is gone."""

    retry_after_s: float
    """When trying again may help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Decides, logs and counts; `chance` in [0, 1) is the jitter of the back-off."""

    policy: RetryPolicy
    chance: Callable[[], float]
    counter: OutcomeCounter
    noun: str = "entry"
    """What log and journal call what is sent: `entry` or `notice`."""

    def failed(self, entry: Claimed, error: Exception) -> Settlement:
        """Count a failed attempt: deferred, or dead if it cannot succeed or was the last.

        An error without `temporary` counts as temporary: attempts are bounded. Where the other side has said when to
        come again (`retry_after_s`), the next attempt is not before.
        """
        now = datetime.now(UTC)
        temporary = not isinstance(error, EnvelopeError) and getattr(error, "temporary", True)
        next_at = (
            self.policy.after(entry.attempts + 1, entry.accepted_at, now, self.chance())
            if temporary
            else None
        )
        if next_at is None:
            return self._settled(entry, Fate.UNDELIVERABLE, error)
        asked = now + timedelta(seconds=self._bounded(getattr(error, "retry_after_s", 0.0)))
        return self._settled(entry, Fate.DEFERRED, error, max(next_at, asked))

    def postponed(self, entry: Claimed, why: Postponing) -> Settlement:
        """Put back what was not attempted; no attempt is counted."""
        next_at = datetime.now(UTC) + timedelta(seconds=self._bounded(why.retry_after_s))
        return self._settled(entry, Fate.POSTPONED, why, next_at)

    def sent(self, entry: Claimed, sha256: bytes, record: str) -> Settlement:
        """Settle what the other side confirmed; `record`: what the journal says of it."""
        self._record(entry, Fate.DELIVERED, sha256=sha256.hex())
        return Settlement(
            entry=entry.entry,
            claim=entry.claim,
            fate=Fate.DELIVERED,
            sent_sha256=sha256,
            record=record,
            noun=self.noun,
        )

    def _bounded(self, wait_s: float) -> float:
        """A wait longer than the longest back-off is taken for the work of a wrong clock (`Spool.repair_clock`)."""
        return min(wait_s, self.policy.ceiling_s)

    def _settled(
        self, entry: Claimed, fate: Fate, why: object, next_at: datetime | None = None
    ) -> Settlement:
        error = escaped(str(why))
        self._record(entry, fate, error=error, at="" if next_at is None else next_at.isoformat())
        return Settlement(
            entry=entry.entry, claim=entry.claim, fate=fate, error=error, next_at=next_at, noun=self.noun
        )

    def _record(self, entry: Claimed, fate: Fate, *, error: str = "", at: str = "", sha256: str = "") -> None:
        """Log and count one outcome."""
        self.counter.count(_OUTCOMES[fate])
        about = {
            "message_id": entry.uid,
            "enterprise": entry.owner,
            "message_type": entry.kind,
            "destination": entry.destination,
            "attempt": entry.attempts + 1,
        }
        travels = {"cop_msg_id": entry.cop_msg_id}
        match (self.noun, fate):
            case ("notice", Fate.DELIVERED):
                log("notice.sent", **about, sha256=sha256)
            case ("notice", Fate.UNDELIVERABLE):
                log("notice.dead", **about, error=error)
            case ("notice", _):
                log("notice.deferred", **about, error=error, next_attempt_at=at)
            case (_, Fate.DELIVERED):
                log("entry.sent", **about, **travels, sha256=sha256)
            case (_, Fate.UNDELIVERABLE):
                log("entry.dead", **about, **travels, error=error)
            case (_, Fate.DEFERRED):
                log("entry.deferred", **about, **travels, error=error, next_attempt_at=at)
            case (_, Fate.POSTPONED):
                log("entry.postponed", **about, **travels, error=error, next_attempt_at=at)
