"""Failed logins: each address that fails again and again waits longer for its answer, and the log says so.

Only failures wait, by a timer that holds up nobody else; a proof that is right is answered at once, also from an
address that others fail from. Guessing is hopeless anyway with 256 random bits: this keeps scanners and broken
clients cheap, and visible.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from gateway.observe.log import log
from spool.retry import backoff_s

_FREE: Final = 5
"""Failures in a row that are answered at once: a client with an old token is no attack."""
_FIRST_S: Final = 0.1
_PEACE_S: Final = 300.0
"""An address that did not fail for so long begins anew."""
_QUIET_S: Final = 60.0
"""Of one address at most a line in so many seconds, and `_LINES` of all."""
_LINES: Final = 60


@dataclass(slots=True)
class _Record:
    failures: int
    last: float
    said: int
    """How many of the failures the log knows of."""
    said_at: float


class Logins:
    """Remembers who failed; for one event loop. Bounded: the address that is longest at peace is forgotten."""

    def __init__(
        self, *, longest_s: float, most: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`longest_s`: the longest delay, 0 for none; `most`: addresses remembered; `clock` counts seconds."""
        self._longest_s = longest_s
        self._most = most
        self._clock = clock
        self._records: dict[str, _Record] = {}
        self._minute = (clock(), 0)

    def failed(self, address: str, *, way: str, reason: str, enterprise: str = "") -> float:
        """Take note of a failure; returns for how many seconds its answer is to wait.

        `way` and `reason` are words of ours; `enterprise` only when the caller proved or named it.
        """
        now = self._clock()
        where = _neighbourhood(address)
        record = self._records.pop(where, None)
        if record is None or now - record.last > _PEACE_S:
            record = _Record(0, now, 0, now - _QUIET_S)
        record.failures += 1
        record.last = now
        self._records[where] = record
        if len(self._records) > self._most:
            del self._records[next(iter(self._records))]
        if self._may_say(record, now):
            count = record.failures - record.said
            record.said, record.said_at = record.failures, now
            known = address if where else ""  # what a proxy passes on may be any text
            log("login.failed", address=known, way=way, reason=reason, enterprise=enterprise, failures=count)
        beyond = record.failures - _FREE
        return 0.0 if beyond <= 0 else backoff_s(beyond, first_s=_FIRST_S, ceiling_s=self._longest_s)

    def _may_say(self, record: _Record, now: float) -> bool:
        """Take one of the lines that may be written, if there is one for this address."""
        if now - record.said_at < _QUIET_S:
            return False
        began, lines = self._minute
        if now - began >= _QUIET_S:
            began, lines = now, 0
        if lines >= _LINES:
            return False
        self._minute = (began, lines + 1)
        return True


def _neighbourhood(address: str) -> str:
    """Return what one user can easily change within: of IPv6 the first 64 bits; empty for what is no address."""
    try:
        known = ip_address(address)
    except ValueError:
        return ""
    if not isinstance(known, IPv6Address):
        return address
    return str(known.ipv4_mapped or IPv6Address(int(known) >> 64 << 64))
