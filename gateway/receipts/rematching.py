"""Orphans find home by themselves: tried again when what their texts point at has changed, and only then.

A message may be accepted after the answer to it came, or two processes file at once and neither sees what the other
learns. So the keeper walks over the orphans in every round. Nearly all of them point at nothing and cost a look into
three indexes; those that do point somewhere and still are nobody's (two owners fit) are not opened again before
something more is there.
"""

import time
from typing import Final

from gateway.processes.heartbeat import beat
from gateway.receipts.filing import TOO_EXPENSIVE, ReceiptFiler
from spool.entry import Orphan
from spool.store import Spool

_PAGE: Final = 500
_ROUND_S: Final = 1.0
"""How long one round looks at most."""
_REMEMBERED: Final = 100_000
"""Orphans that were tried in vain; with more the oldest are tried once more."""


class Rematching:
    """Walks over the orphans, a stretch a round, and begins again at the end."""

    def __init__(self, spool: Spool, filer: ReceiptFiler) -> None:
        self._spool = spool
        self._filer = filer
        self._after = 0
        self._tried: dict[int, int] = {}
        """Orphan → what it pointed at when it was tried."""

    def look(self) -> int:
        """Try again those for whom something came; returns how many found their owner."""
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
        """Try again what came for an enterprise that nobody knew, and what could not be read, but for what was too expensive to open; returns as `look`."""
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
