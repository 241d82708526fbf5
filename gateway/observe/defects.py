"""Log lines that outsiders can cause as often as they like: limited in rate and size, and JSON like all others.

Lines of libraries through `logging` and `warnings`, and errors that end a thread, would go to stderr as raw text: they
are logged as events too.
"""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Final

from gateway.observe.log import log

_TRACE: Final = 2500
"""Most characters of a trace, from its end: so a line is short enough for one atomic write (`man 7 pipe`, PIPE_BUF)."""
_SAID: Final = 500


class RateLimit:
    """Allows one line of each kind per `every_s`; safe for several threads.

    At most `lines` of all kinds in that time; only the `most` latest kinds are remembered.
    """

    def __init__(
        self,
        *,
        every_s: float = 60.0,
        lines: int = 60,
        most: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` returns seconds."""
        self._every_s = every_s
        self._lines = lines
        self._most = most
        self._clock = clock
        self._kinds: dict[str, tuple[float, int]] = {}
        """Kind → time of its last line, and how often it occurred since."""
        self._window = (clock(), 0)
        self._lock = threading.Lock()

    def times(self, kind: str) -> int:
        """Count one of this kind; return how many the line to be written now stands for, 0: write no line."""
        with self._lock:
            return self._count(kind)

    def _count(self, kind: str) -> int:
        now = self._clock()
        said_at, times = self._kinds.pop(kind, (float("-inf"), 0))
        times += 1
        began, lines = self._window
        if now - began >= self._every_s:
            began, lines = now, 0
        says = now - said_at >= self._every_s and lines < self._lines
        self._window = (began, lines + says)
        self._kinds[kind] = (now, 0) if says else (said_at, times)
        if len(self._kinds) > self._most:
            del self._kinds[next(iter(self._kinds))]
        return times if says else 0


_LIMIT: Final = RateLimit()


def defect(event: str, error: BaseException, **fields: object) -> None:
    """Log an internal error with the end of its trace; the same error only once a minute."""
    kind = type(error).__name__ + "".join(
        str(frame.lineno) for frame in traceback.extract_tb(error.__traceback__)
    )
    trace = "".join(traceback.format_exception(error))[-_TRACE:]
    if times := _LIMIT.times(f"{event} {kind}"):
        log(event, **fields, error=f"{type(error).__name__}: {error}"[:_SAID], trace=trace, times=times)


def capture_libraries() -> None:
    """Log as events what would go to stderr: warnings of libraries, and errors that end a thread."""
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    if not any(isinstance(one, _Events) for one in root.handlers):
        root.addHandler(_Events(logging.WARNING))
    threading.excepthook = _thread_failed
    sys.unraisablehook = _unraisable


class _Events(logging.Handler):
    """Logs a line of a library as an event."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the line, rate-limited; lines with the same template are of one kind."""
        if times := _LIMIT.times(f"{record.name} {record.msg}"[:_SAID]):
            log("library.warned", library=record.name, error=record.getMessage()[:_SAID], times=times)


def _thread_failed(met: threading.ExceptHookArgs) -> None:
    if met.exc_value is not None:
        defect("thread.failed", met.exc_value, thread="" if met.thread is None else met.thread.name)


def _unraisable(met: "sys.UnraisableHookArgs") -> None:
    if met.exc_value is not None:
        defect("thread.failed", met.exc_value, thread=threading.current_thread().name)
