"""Retries orphans automatically, but only when what their look-up texts point at has changed.

A message may be accepted after the answer to it came, or two processes file at once and neither sees what the other
learns. So the keep role scans the orphans in every round. Nearly all of them point at nothing and cost a look-up in
three indexes; those that point at something and still have no owner (two owners fit) are not opened again before
there is more.
"""

import time
from typing import Final

from gateway.processes.heartbeat import beat
from gateway.receipts.filing import TOO_EXPENSIVE, ReceiptFiler
from spool.entry import Orphan
from spool.store import Spool

_PAGE: Final = 500
_ROUND_S: Final = 1.0
"""Longest time that one round scans."""
_REMEMBERED: Final = 100_000
"""Most orphans remembered as tried without success; beyond that, the oldest are tried once more."""


class Rematching:
    """Scans the orphans, some in every round, and begins again at the end."""

    def __init__(self, spool: Spool, filer: ReceiptFiler) -> None:
        self._spool = spool
        self._filer = filer
        self._after = 0
        self._tried: dict[int, int] = {}
        """Orphan → how much it pointed at when it was tried."""

    def look(self) -> int:
        """Try again the orphans that now point at more; returns how many found their owner."""
        until = time.monotonic() + _ROUND_S
        matched = 0
        while time.monotonic() < until:
            page = self._spool.orphans_after(self._after, limit=_PAGE)
            matched += self._try([one for one in page if one.pointers != self._tried.get(one.id, 0)])
            if len(page) < _PAGE:
                self._after = 0
                break
            self._after = page[-1].id
        return matched

    def look_at_mail(self) -> int:
        """Try again mail for receivers that were unknown, and unreadable arrivals; returns as `look`.

        Arrivals that were too expensive to open are left out.
        """
        matched = after = 0
        while page := self._spool.orphans_after(after, limit=_PAGE):
            matched += self._try([one for one in page if one.index < 0 and one.reason != TOO_EXPENSIVE])
            after = page[-1].id
            beat()
        return matched

    def _try(self, changed: list[Orphan]) -> int:
        if not changed:
            return 0
        for one in changed:
            self._tried.pop(one.id, None)
            self._tried[one.id] = one.pointers
        while len(self._tried) > _REMEMBERED:
            del self._tried[next(iter(self._tried))]
        return self._filer.rematch(changed)
