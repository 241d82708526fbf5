"""Bytes that were accepted before get their first answer again, whatever the check would say today (docs/adr/0037).

An expired certificate, new rules or a changed registration do not undo an acceptance. `Recall` is for the
event loop: all questions of one turn of the loop share one look-up.
"""

import asyncio
from collections.abc import Callable

from spool.entry import Conflict, Duplicate, Submission
from spool.store import Spool

Heard = Callable[[Duplicate | Conflict | Exception | None], None]
"""Called with the spool's reply about some bytes (`Spool.taken`), or with the exception that prevented it."""


class Recall:
    """Asks the spool about the submissions of many callers at once."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._waiting: list[tuple[Submission, Heard]] = []

    def ask(self, submission: Submission, heard: Heard) -> None:
        """Ask with the next look-up; `heard` gets the reply and must not raise."""
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
