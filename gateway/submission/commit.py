"""Group commit: submissions of many callers that arrive at the same time are committed together, with one fsync.

`GroupCommit` runs in the event loop without a thread: while a commit is written to disk, further requests
wait in their sockets, are all read in the next turn of the loop, and form the next commit. Threads of
one interpreter would only slow each other down.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import repeat
from typing import Final, Protocol

from gateway.observe.log import gathered
from spool.entry import NewMessage, Note, PutResult
from spool.errors import SpoolError
from spool.locking import HELD_S
from spool.store import Spool

_LINGER_S: Final = 0.003
"""How long a commit waits for further items when the last one had several: a commit costs as much as several
messages, and 3 ms is little to one of many callers. A single caller does not wait."""

OnCommitted = Callable[[PutResult | Exception | None], None]
"""Called with the result of an item; None: a note is on disk."""
Committed = Callable[[int, float], None]
"""Called with the number of items of a commit and the seconds that it took."""


class Commit(Protocol):
    """Puts items on disk."""

    def enter(self, item: NewMessage | Note, on_done: OnCommitted) -> None:
        """Put an item on disk, now or later; `on_done` then gets the result, or the exception that prevented it."""
        ...


def _unheard(_items: int, _seconds: float) -> None:
    """Do nothing: no counter is set."""


class GroupCommit:
    """Collects what arrives while the disk is busy, and commits it together.

    While another process holds the spool, only the submitters wait: the event loop goes on, and is called back when
    the spool is free. Those who have waited for `HELD_S`, and those who come after that, get an error that names the
    holder.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        batch: int,
        committed: Committed = _unheard,
    ) -> None:
        """`batch`: most items in one commit."""
        self._spool = spool
        self._batch = batch
        self._committed = committed
        self._waiting: list[tuple[NewMessage | Note, OnCommitted]] = []
        self._timer: asyncio.Handle | None = None
        self._patience: asyncio.Handle | None = None
        """Set while another process holds the spool."""
        self._in_company = False

    def enter(self, item: NewMessage | Note, on_done: OnCommitted) -> None:
        """Put an item on disk; `on_done` then gets the result, or the exception that prevented it.

        That exception is a SpoolError, temporary when a retry may help, unless there is a defect.
        """
        self._waiting.append((item, on_done))
        if self._patience is not None:
            return
        if len(self._waiting) >= self._batch:
            self._commit()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = (
                loop.call_later(_LINGER_S, self._commit) if self._in_company else loop.call_soon(self._commit)
            )

    def _commit(self) -> None:
        """Commit the waiting items and notify the callers.

        Blocks the event loop while the disk writes, but never for another process.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        try:
            if not self._spool.reserve(partial(_call, loop, self._commit)):
                self._wait_for_it(loop)
                return
        except SpoolError as error:
            _tell(self._taken_out(), repeat(error))
            return
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        batch = self._taken_out()
        self._in_company = len(batch) > 1
        if self._waiting:
            self._timer = loop.call_soon(self._commit)
        try:
            if batch:
                _put(self._spool, batch, self._committed)
        finally:
            self._spool.pass_on()

    def _wait_for_it(self, loop: asyncio.AbstractEventLoop) -> None:
        """Keep the items waiting, unless the spool has been held for too long."""
        held_up = self._spool.held_up()
        if held_up is not None:
            _tell(self._taken_out(), repeat(held_up))
        elif self._patience is None:
            self._patience = loop.call_later(HELD_S, self._give_up)

    def _give_up(self) -> None:
        self._patience = None
        self._commit()

    def _taken_out(self) -> list[tuple[NewMessage | Note, OnCommitted]]:
        batch, self._waiting = self._waiting[: self._batch], self._waiting[self._batch :]
        return batch


def _call(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    """Schedule a call in the loop; may be called from any thread."""
    with suppress(RuntimeError):  # the loop has ended, so no caller waits
        loop.call_soon_threadsafe(what)


class BatchCommit:
    """Collects items until `commit` is called, and commits them together; for code without an event loop."""

    def __init__(self, spool: Spool, *, committed: Committed = _unheard) -> None:
        self._spool = spool
        self._committed = committed
        self._waiting: list[tuple[NewMessage | Note, OnCommitted]] = []

    def enter(self, item: NewMessage | Note, on_done: OnCommitted) -> None:
        """Put an item on disk with the next `commit`; see `Commit`."""
        self._waiting.append((item, on_done))

    def commit(self) -> None:
        """Commit all waiting items and notify the callers."""
        batch, self._waiting = self._waiting, []
        if batch:
            _put(self._spool, batch, self._committed)


def _put(spool: Spool, batch: Sequence[tuple[NewMessage | Note, OnCommitted]], committed: Committed) -> None:
    """Write the batch in one commit and notify every caller of its result."""
    began = time.monotonic()
    offers = [item for item, _ in batch if isinstance(item, NewMessage)]
    notes = [item for item, _ in batch if isinstance(item, Note)]
    outcomes: Iterator[PutResult | Exception | None]
    try:
        replies = iter(spool.put(offers, notes=notes))
    except Exception as error:  # noqa: BLE001 (each caller gets it, and answers for it)
        outcomes = repeat(error)
    else:
        outcomes = (next(replies) if isinstance(item, NewMessage) else None for item, _ in batch)
        committed(len(batch), time.monotonic() - began)
    _tell(batch, outcomes)


def _tell(
    batch: Sequence[tuple[NewMessage | Note, OnCommitted]], outcomes: Iterator[PutResult | Exception | None]
) -> None:
    """Notify every caller of its result."""
    deaf: list[Exception] = []
    with gathered():
        for (_, on_done), outcome in zip(batch, outcomes, strict=False):
            try:
                on_done(outcome)
            except Exception as error:  # noqa: BLE001 (the others have to be told; it is raised below)
                deaf.append(error)
    if deaf:
        raise ExceptionGroup("callers that could not be told", deaf)
