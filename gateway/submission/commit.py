"""Group commit: what many callers hand in at the same time goes to disk together, in one fsync.

`GroupCommit` lives in the event loop and has no thread: while a commit is on its way to the disk, further requests
pile up in their sockets, are all read in the next turn of the loop, and are the next commit. Threads of
one interpreter would take each other's time instead.
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
"""How long a commit waits for company when the last one had some: a commit costs as much as several
messages, and 3 ms is little to a caller that is one of many. One that is alone does not wait."""

OnCommitted = Callable[[PutResult | Exception | None], None]
"""Hears what became of an item; None: a note is on disk."""
Committed = Callable[[int, float], None]
"""Is told how many items a commit took and how many seconds."""


class Commit(Protocol):
    """What puts items on disk."""

    def enter(self, item: NewMessage | Note, on_done: OnCommitted) -> None:
        """Put an item on disk, now or later; `on_done` hears of it then, or gets what kept it from there."""
        ...


def _unheard(_items: int, _seconds: float) -> None:
    """Nobody counts."""


class GroupCommit:
    """Gathers what arrives while the disk is busy, and commits it together.

    While another process has the spool nobody is kept waiting but those who hand in: the loop goes on, and comes back
    when it is the spool's turn. Those who have waited for `HELD_S`, and whoever comes then, are told who has it.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        batch: int,
        committed: Committed = _unheard,
    ) -> None:
        """`batch`: items in a commit at most."""
        self._spool = spool
        self._batch = batch
        self._committed = committed
        self._waiting: list[tuple[NewMessage | Note, OnCommitted]] = []
        self._timer: asyncio.Handle | None = None
        self._patience: asyncio.Handle | None = None
        """Runs while the spool is another's."""
        self._in_company = False

    def enter(self, item: NewMessage | Note, on_done: OnCommitted) -> None:
        """Put an item on disk; `on_done` hears of it then, or gets the exception that kept it from there.

        That is a SpoolError, temporary when trying again may help, unless there is a defect.
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
        """Put what waits on disk, and let the callers know; blocks for as long as the disk does, and for nobody else."""
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
        """Let those who wait go on waiting, unless somebody has had the spool for too long."""
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
    """From any thread."""
    with suppress(RuntimeError):  # the loop has ended, and nobody waits
        loop.call_soon_threadsafe(what)


class BatchCommit:
    """Gathers until it is told that this is all, and commits it together: for a plain loop."""

    def __init__(self, spool: Spool, *, committed: Committed = _unheard) -> None:
        self._spool = spool
        self._committed = committed
        self._waiting: list[tuple[NewMessage | Note, OnCommitted]] = []

    def enter(self, item: NewMessage | Note, on_done: OnCommitted) -> None:
        """Put an item on disk with the next `commit`; see `Commit`."""
        self._waiting.append((item, on_done))

    def commit(self) -> None:
        """Put everything that waits on disk, and let the callers know."""
        batch, self._waiting = self._waiting, []
        if batch:
            _put(self._spool, batch, self._committed)


def _put(spool: Spool, batch: Sequence[tuple[NewMessage | Note, OnCommitted]], committed: Committed) -> None:
    """Make one commit of it and tell every caller what became of its own."""
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
    """Tell every caller what became of its own."""
    deaf: list[Exception] = []
    with gathered():
        for (_, on_done), outcome in zip(batch, outcomes, strict=False):
            try:
                on_done(outcome)
            except Exception as error:  # noqa: BLE001 (the others have to be told; it is raised below)
                deaf.append(error)
    if deaf:
        raise ExceptionGroup("callers that could not be told", deaf)
