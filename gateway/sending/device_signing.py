"""Signing queues of a forward process: devices sign in their own threads, beside everything else the process does.

Not used for messages that are signed already or whose key is in memory.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from gateway.facts import travel_facts
from gateway.keys.events import log_key_change
from gateway.ports import Parcel
from signing.keys.files import Signer
from signing.keys.pool import SigningKey
from signing.keys.queue import SigningQueue
from spool.entry import Claimed


class Prepared(NamedTuple):
    """The parcel of an entry, and what is recorded of it."""

    parcel: Parcel
    digest: bytes
    """SHA-256 of the business bytes."""
    record: str
    """`facts.SentFacts`, written to the journal once the parcel is confirmed."""


Work = Callable[[Claimed, Mapping[str, Signer]], Prepared]
_SHARE_OF_LEASE: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyParcel:
    """Result of an entry that was queued for signing."""

    entry: Claimed
    result: Future[Prepared] = field(repr=False)
    """Done."""


class DeviceSigning:
    """The signing queues of one forward process, by the name of the key."""

    def __init__(
        self, keys: Mapping[str, SigningKey], *, default_key: str, lease_s: float, batch: int, work: Work
    ) -> None:
        """`work` makes the parcel of an entry with the given keys, in a thread of the signing queue."""
        self._default = default_key
        self._work = work
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) if keys else -1
        self._lines: dict[str, SigningQueue[Prepared]] = {
            name: SigningQueue(
                key, hold_s=lease_s / _SHARE_OF_LEASE, depth=batch, changed=log_key_change, opened=self._ring
            )
            for name, key in keys.items()
        }
        self._lock = threading.Lock()
        self._given: dict[int, ReadyParcel] = {}
        self._done: list[ReadyParcel] = []

    def descriptors(self) -> tuple[int, ...]:
        """Return a descriptor that is readable when `take` has something or a key has room again; or none."""
        return (self._wakeup,) if self._lines else ()

    def room(self) -> dict[str, int]:
        """Return for each key how many entries may be queued for it."""
        return {name: line.room() for name, line in self._lines.items()}

    def takes(self, entry: Claimed) -> bool:
        """Queue an entry if a device has to sign it; False when no device has to."""
        if not self._lines:
            return False
        facts = travel_facts(entry.facts)
        name = facts.key_name or self._default
        line = self._lines.get(name)
        if line is None or facts.signed or facts.wrapped:
            return False
        result = line.put(lambda signer: self._work(entry, {name: signer}))
        with self._lock:
            self._given[entry.entry] = ReadyParcel(entry=entry, result=result)
        result.add_done_callback(partial(self._finished, entry.entry))
        return True

    def take(self) -> list[ReadyParcel]:
        """Return the finished entries, signed or failed, including those that took too long."""
        if not self._lines:
            return []
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wakeup)
        for line in self._lines.values():
            line.tend()
        with self._lock:
            done, self._done = self._done, []
        return done

    def wait_s(self) -> float | None:
        """Return seconds until `take` should be called although nothing rang; None: no need."""
        times = [line.tend() for line in self._lines.values()]
        return min((time for time in times if time is not None), default=None)

    def close(self) -> list[ReadyParcel]:
        """Close every signing queue; returns the remaining entries, done or given back."""
        for line in self._lines.values():
            line.close()
        return self.take()

    def _finished(self, entry: int, _result: Future[Prepared]) -> None:
        """Record a result; called by the thread that finished it."""
        with self._lock:
            self._done.append(self._given.pop(entry))
        self._ring()

    def _ring(self) -> None:
        os.eventfd_write(self._wakeup, 1)
