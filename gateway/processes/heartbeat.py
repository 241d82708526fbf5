"""Signs of life of a role: a number in memory that it shares with the supervisor, who restarts what falls silent."""

import time
from mmap import mmap
from struct import Struct
from typing import Final

_TIME: Final = Struct("d")


class Heartbeat:
    """When a process last said that it goes on, by the monotonic clock of the machine; survives a fork, both ways."""

    def __init__(self) -> None:
        self._shared = mmap(-1, _TIME.size)
        self.beat()

    def beat(self) -> None:
        """Say so."""
        _TIME.pack_into(self._shared, 0, time.monotonic())

    @property
    def last(self) -> float:
        """When that was, in seconds."""
        (at,) = _TIME.unpack_from(self._shared)
        return float(at)


class _Own:
    """The heartbeat of this process; none before `beats`."""

    heart: Heartbeat | None = None


def beats(heart: Heartbeat) -> None:
    """Let `beat` of this process be heard here."""
    _Own.heart = heart


def beat() -> None:
    """Say that this process goes on; without effect where nobody listens."""
    if _Own.heart is not None:
        _Own.heart.beat()
