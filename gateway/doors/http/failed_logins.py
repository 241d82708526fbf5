"""Failed logins: an address that fails repeatedly gets its answers later and later, and the log reports it.

Only failures are delayed, by a timer that delays no other request; a valid proof is answered at once, also from an
address with failures of others. Guessing 256 random bits is hopeless anyway: this keeps scanners and broken
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
"""Failures in a row that are answered at once: a client with an old token is not an attack."""
_FIRST_S: Final = 0.1
_PEACE_S: Final = 300.0
"""An address without failures for this time starts from zero."""
_QUIET_S: Final = 60.0
"""At most one log line per address in this time, and `_LINES` in total."""
_LINES: Final = 60


@dataclass(slots=True)
class _Record:
    failures: int
    last: float
    said: int
    """How many of the failures have been logged."""
    said_at: float


class Logins:
    """Remembers failed addresses; for one event loop. Bounded: the address whose last failure is oldest is dropped."""

    def __init__(
        self, *, longest_s: float, most: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`longest_s`: the longest delay, 0 for none; `most`: addresses remembered; `clock` returns seconds."""
        self._longest_s = longest_s
        self._most = most
        self._clock = clock
        self._records: dict[str, _Record] = {}
        self._minute = (clock(), 0)

    def failed(self, address: str, *, way: str, reason: str, enterprise: str = "") -> float:
        """Record a failure; returns for how many seconds its answer is delayed.

        `way` and `reason` are constants of ours; `enterprise` only when the caller proved or named it.
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
            known = address if where else ""  # an address passed on by a proxy may be any text
            log("login.failed", address=known, way=way, reason=reason, enterprise=enterprise, failures=count)
        beyond = record.failures - _FREE
        return 0.0 if beyond <= 0 else backoff_s(beyond, first_s=_FIRST_S, ceiling_s=self._longest_s)

    def _may_say(self, record: _Record, now: float) -> bool:
        """Reserve one of the allowed log lines, if there is one for this address."""
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
    """Return what one user can easily change addresses within: of IPv6 the first 64 bits; empty for a non-address."""
    try:
        known = ip_address(address)
    except ValueError:
        return ""
    if not isinstance(known, IPv6Address):
        return address
    return str(known.ipv4_mapped or IPv6Address(int(known) >> 64 << 64))
