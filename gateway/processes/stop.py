"""The stop request of a role: a flag, and a descriptor that interrupts its waits."""

import os
import select
import signal
import time
from collections.abc import Iterable
from typing import Final

from gateway.observe.log import log
from gateway.processes.heartbeat import beat
from spool.errors import SpoolError

_TOLD_EVERY_S: Final = 30.0


class Stop:
    """Set by SIGTERM or `set()`; safe to set from a signal handler, unlike a threading.Event."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._set = False
        self._told_at = float("-inf")

    def on_sigterm(self) -> "Stop":
        """Make SIGTERM of this process set it."""
        signal.signal(signal.SIGTERM, lambda _number, _frame: self.set())
        return self

    def set(self) -> None:
        """Request the stop."""
        self._set = True
        os.eventfd_write(self._descriptor, 1)

    def __call__(self) -> bool:
        """Whether it is time to stop; each call also sends a heartbeat to the supervisor."""
        beat()
        return self._set

    def fileno(self) -> int:
        """Return a descriptor that is readable once it is set."""
        return self._descriptor

    def waited(self, error: SpoolError) -> None:
        """Let the spool go on waiting for a lock of another process; raises `error` if it is time to stop.

        The work in progress is not lost meanwhile, and the caller need not repeat it.
        """
        if self():
            raise error
        if time.monotonic() - self._told_at >= _TOLD_EVERY_S:
            self._told_at = time.monotonic()
            log("spool.unavailable", error=str(error))

    def pause(self, seconds: float, descriptors: Iterable[int] = ()) -> None:
        """Wait so long, or until it is set, or until one of the descriptors is readable."""
        select.select([self._descriptor, *descriptors], [], [], max(0.0, seconds))
