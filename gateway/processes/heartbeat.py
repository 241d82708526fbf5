"""Heartbeats of a role: a time in memory shared with the supervisor, which restarts a role that stops beating."""

import time
from mmap import mmap
from struct import Struct
from typing import Final

_TIME: Final = Struct("d")


class Heartbeat:
    """The last time a process reported progress, by the machine's monotonic clock; shared across a fork, both ways."""

    def __init__(self) -> None:
        self._shared = mmap(-1, _TIME.size)
        self.beat()

    def beat(self) -> None:
        """Record progress now."""
        _TIME.pack_into(self._shared, 0, time.monotonic())

    @property
    def last(self) -> float:
        """The time of the last beat, in seconds."""
        (at,) = _TIME.unpack_from(self._shared)
        return float(at)


class _Own:
    """The heartbeat of this process; none before `beats`."""

    heart: Heartbeat | None = None


def beats(heart: Heartbeat) -> None:
    """Make `beat` of this process write to `heart`."""
    _Own.heart = heart


def beat() -> None:
    """Report progress of this process; no effect before `beats`."""
    if _Own.heart is not None:
        _Own.heart.beat()
