"""Bytes that were taken before get their first answer, whatever would be said of them today (docs/adr/0037).

A certificate that has ended since, other rules or another registration make nothing of it undone. `Recall` is for the
event loop: what is asked in one turn of it is one look-up.
"""

import asyncio
from collections.abc import Callable

from spool.entry import Conflict, Duplicate, Submission
from spool.store import Spool

Heard = Callable[[Duplicate | Conflict | Exception | None], None]
"""Hears what the spool says of some bytes (`Spool.taken`), or what kept it from saying it."""


class Recall:
    """Asks the spool for what many callers hand in at the same time."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._waiting: list[tuple[Submission, Heard]] = []

    def ask(self, submission: Submission, heard: Heard) -> None:
        """Ask with the next look-up; `heard` gets the reply, and never raises."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._look_up)
        self._waiting.append((submission, heard))

    def _look_up(self) -> None:
        batch, self._waiting = self._waiting, []
        try:
            replies: list[Duplicate | Conflict | None] = self._spool.taken([one for one, _ in batch])
        except Exception as error:  # noqa: BLE001 (each caller gets it, and answers for it)
            for _, heard in batch:
                heard(error)
            return
        for (_, heard), reply in zip(batch, replies, strict=True):
            heard(reply)
