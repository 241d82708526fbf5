"""Commits what one step of an import makes: the message, notes and the position after it, together."""

from gateway.submission.commit import OnCommitted
from spool.entry import Conflict, NewMessage, Note
from spool.imports import ImportStep
from spool.store import SpoolIntake


class StepCommit:
    """Collects items until `commit` is called with the step (`gateway.submission.commit.Commit`)."""

    def __init__(self, spool: SpoolIntake) -> None:
        self._spool = spool
        self._waiting: list[tuple[NewMessage | Note, OnCommitted]] = []

    def enter(self, item: NewMessage | Note, on_done: OnCommitted) -> None:
        """Put an item on disk with the next `commit`."""
        self._waiting.append((item, on_done))

    def commit(self, step: ImportStep, *notes: Note) -> bool:
        """Commit all that waits, with a step, and tell the results; False: a conflict made it void.

        Raises SpoolError; nothing is told then.
        """
        batch, self._waiting = self._waiting, []
        new = [item for item, _ in batch if isinstance(item, NewMessage)]
        told = [item for item, _ in batch if isinstance(item, Note)]
        replies = self._spool.put(new, notes=[*told, *notes], step=step)
        rest = iter(replies)
        for item, on_done in batch:
            on_done(next(rest) if isinstance(item, NewMessage) else None)
        return not any(isinstance(reply, Conflict) for reply in replies)

    def drop(self) -> None:
        """Forget what waits."""
        self._waiting = []
