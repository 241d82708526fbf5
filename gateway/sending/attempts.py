"""What the failure of an attempt means for an entry: another attempt later, none, or that there was no attempt.

One rule for everything that leaves the spool, entries for customs and notices for enterprises alike (docs/adr/0003).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from gateway.errors import EnvelopeError
from gateway.observe.log import log
from gateway.printable import escaped
from spool.entry import Claimed, Fate, Settlement
from spool.retry import RetryPolicy


class Postponing(Protocol):
    """An error that is not the entry's own: a key that cannot sign now, a claim that has ended, a receiver that is gone."""

    retry_after_s: float
    """When trying again may help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Decides and logs; `chance` in [0, 1) is the jitter of the back-off."""

    policy: RetryPolicy
    chance: Callable[[], float]
    noun: str = "entry"
    """What log and journal call what is sent: `entry` or `notice`."""
    postponed_as: str = "postponed"
    """The log event of what was not attempted."""

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
            return self._settled(entry, Fate.UNDELIVERABLE, "dead", error)
        asked = now + timedelta(seconds=self._bounded(getattr(error, "retry_after_s", 0.0)))
        return self._settled(entry, Fate.DEFERRED, "deferred", error, max(next_at, asked))

    def postponed(self, entry: Claimed, why: Postponing) -> Settlement:
        """Put back what was not attempted; no attempt is counted."""
        next_at = datetime.now(UTC) + timedelta(seconds=self._bounded(why.retry_after_s))
        return self._settled(entry, Fate.POSTPONED, self.postponed_as, why, next_at)

    def about(self, entry: Claimed) -> dict[str, object]:
        """Return the fields that every log event about an attempt has."""
        travels = {} if self.noun == "notice" else {"cop_msg_id": entry.cop_msg_id}
        return {
            "message_id": entry.uid,
            "enterprise": entry.owner,
            "message_type": entry.kind,
            "destination": entry.destination,
            **travels,
            "attempt": entry.attempts + 1,
        }

    def _bounded(self, wait_s: float) -> float:
        """A wait longer than the longest back-off is taken for the work of a wrong clock (`Spool.repair_clock`)."""
        return min(wait_s, self.policy.ceiling_s)

    def _settled(
        self, entry: Claimed, fate: Fate, event: str, why: object, next_at: datetime | None = None
    ) -> Settlement:
        error = escaped(str(why))
        when = {} if next_at is None else {"next_attempt_at": next_at.isoformat()}
        log(f"{self.noun}.{event}", **self.about(entry), error=error, **when)
        return Settlement(
            entry=entry.entry, claim=entry.claim, fate=fate, error=error, next_at=next_at, noun=self.noun
        )
