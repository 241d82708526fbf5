"""Take messages in: what stands around the judgement of `spool.intake`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Final

from spool.entry import Accepted, Conflict, Duplicate, NewMessage, Note, PutResult, Submission
from spool.imports import ImportStep
from spool.intake import IntakeBatch, IntakeRows, Known
from spool.requests import Requests, recognised
from spool.shared.backend import Store, Transaction
from spool.shared.imports import record_step
from spool.store import NO_MARKS, Topic

_REACHED: Final = "SELECT reached FROM mark WHERE name = ?"
"""How far a mark has got."""
_MARK: Final = (
    "INSERT INTO mark (name, reached) VALUES (?, ?) ON CONFLICT (name) DO UPDATE"
    " SET reached = CASE WHEN excluded.reached > mark.reached THEN excluded.reached ELSE mark.reached END"
)
"""Move a mark forward, never back."""


class SharedIntake(ABC):
    """The part of a spool that takes messages in: `spool.store.SpoolIntake`."""

    def __init__(self, db: Store) -> None:
        self._store = db

    @abstractmethod
    def _known(self, transaction: Transaction, new_messages: Sequence[NewMessage]) -> Known:
        """Fetch what these messages are judged by."""

    @abstractmethod
    def _write(self, transaction: Transaction, rows: IntakeRows) -> None:
        """Insert the rows of what is accepted, but for the journal."""

    @abstractmethod
    def _requests(self, asked: Sequence[NewMessage | Submission]) -> Requests:
        """Fetch what was taken of all this."""

    def put(
        self,
        new_messages: Sequence[NewMessage],
        *,
        notes: Sequence[Note] = (),
        marks: Mapping[str, int] = NO_MARKS,
        step: ImportStep | None = None,
    ) -> list[PutResult]:
        """Take in new messages, in order, write notes in the journal and set marks, in one commit; one reply a message."""

        def work(transaction: Transaction) -> list[PutResult]:
            replies: list[PutResult] = []
            lines = [(note.event, note.uid, note.detail) for note in notes]
            if new_messages:
                batch = IntakeBatch(self._known(transaction, new_messages), transaction.now)
                replies = [batch.take(new) for new in new_messages]
            if step is not None and not record_step(transaction, step, replies):
                return replies
            if new_messages:
                if batch.rows.message:
                    self._write(transaction, batch.rows)
                lines = [*batch.rows.journal, *lines]
            transaction.journal(lines)
            for mark in sorted(marks.items()):
                transaction.run(_MARK, *mark)
            if any(isinstance(reply, Accepted) for reply in replies):
                transaction.wake(Topic.ENTRIES)
            return replies

        return self._store.transact(work)

    def judge(self, new_messages: Sequence[NewMessage]) -> list[PutResult]:
        """Return what `put` would reply now; nothing is written."""

        def work(transaction: Transaction) -> list[PutResult]:
            batch = IntakeBatch(self._known(transaction, new_messages), transaction.now)
            return [batch.take(new) for new in new_messages]

        return self._store.transact(work)

    def taken(self, submissions: Sequence[Submission]) -> list[Duplicate | Conflict | None]:
        """Result for each what `put` would answer if these bytes were taken before; None: they were not."""
        requests = self._requests(submissions) if submissions else {}
        return [recognised(one, requests) for one in submissions]

    def mark(self, name: str) -> int | None:
        """Return how far that mark has got; None when it was never set."""
        rows = self._store.rows(_REACHED, name)
        return int(rows[0][0]) if rows else None
