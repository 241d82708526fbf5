"""Watermarks: how full the spool may become before a warning, and before new messages are refused.

Receipts, reading, sending and collecting continue at any level: they free space or need little.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from gateway.config.gateway_toml import HOME, Watermarks
from gateway.model import Fault
from gateway.observe.log import log
from spool.errors import SpoolError
from spool.store import Spool

_REST_S: Final = 1.0
_SHARE: Final = 100
"""The check takes at most one part in so many of the time, at any depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FillLevel:
    """The values that are compared with the marks."""

    free_bytes: int
    """On the file system of the state folder, for this user."""
    entries: int = 0
    """Unsettled entries, counted no further than the highest mark."""
    oldest_s: float = 0.0
    """Age of the oldest message that waits to be sent and is not held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossed:
    """A mark that a value has crossed."""

    measure: Literal["free_bytes", "depth", "age_s"]
    refuses: bool
    """False: only a warning."""
    mark: float
    value: float

    @property
    def name(self) -> str:
        """Name of the mark in gateway.toml."""
        if self.measure == "age_s":
            return "age_warn_s"
        return f"{self.measure}_{'refuse' if self.refuses else 'warn'}"


def crossed(reading: FillLevel, marks: Watermarks) -> tuple[Crossed, ...]:
    """Return the marks that the values have crossed; a mark of 0 is never crossed."""
    found = [
        Crossed(measure="free_bytes", refuses=refuses, mark=mark, value=reading.free_bytes)
        for mark, refuses in ((marks.free_bytes_warn, False), (marks.free_bytes_refuse, True))
        if reading.free_bytes < mark
    ]
    found += [
        Crossed(measure="depth", refuses=refuses, mark=mark, value=reading.entries)
        for mark, refuses in ((marks.depth_warn, False), (marks.depth_refuse, True))
        if mark and reading.entries >= mark
    ]
    if marks.age_warn_s and reading.oldest_s > marks.age_warn_s:
        found.append(Crossed(measure="age_s", refuses=False, mark=marks.age_warn_s, value=reading.oldest_s))
    return tuple(found)


def free_bytes(folder: Path) -> int:
    """Return how many bytes this user may still write there. Raises SpoolError."""
    try:
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise SpoolError(
            f"cannot look at the disk: {error.strerror}", where=str(folder), temporary=True
        ) from error


class Gauge:
    """Measures disk and spool when asked, at most once a second, and caches the result."""

    def __init__(
        self,
        marks: Watermarks,
        *,
        spool: Spool,
        state_dir: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`spool` is used in the caller's thread; `clock` returns seconds."""
        self._marks = marks
        self._spool = spool
        self._state_dir = state_dir
        self._clock = clock
        self._seen: tuple[Crossed, ...] = ()
        self._until = float("-inf")

    def crossed(self) -> tuple[Crossed, ...]:
        """Return the crossed marks. Raises SpoolError."""
        began = self._clock()
        if began >= self._until:
            self._seen = crossed(self.read(), self._marks)
            took = self._clock() - began
            self._until = began + took + max(_REST_S, _SHARE * took)
        return self._seen

    def refusals(self) -> tuple[Fault, ...]:
        """Return why no message may be accepted now; empty: it may. Raises SpoolError."""
        return tuple(_fault(one) for one in self.crossed() if one.refuses)

    def read(self) -> FillLevel:
        """Measure now. Raises SpoolError."""
        free = free_bytes(self._state_dir)
        marks = self._marks
        at_most = max(marks.depth_warn, marks.depth_refuse)
        if not at_most and not marks.age_warn_s:
            return FillLevel(free_bytes=free)
        # a backlog of an enterprise's channel is no reason to refuse messages to customs
        backlogs = [
            one for one in self._spool.backlog(at_most=at_most) if not one.destination.startswith(HOME)
        ]
        oldest = min((one.oldest for one in backlogs if one.oldest is not None), default=None)
        return FillLevel(
            free_bytes=free,
            entries=sum(one.entries for one in backlogs),
            oldest_s=0.0 if oldest is None else (datetime.now(UTC) - oldest).total_seconds(),
        )


class WatermarkWatch:
    """Logs each mark once when it is crossed and once when it no longer is."""

    def __init__(self) -> None:
        self._before: dict[str, Crossed] = {}

    def look(self, found: tuple[Crossed, ...]) -> None:
        """Compare with the marks of the last call."""
        now = {one.name: one for one in found}
        for name, one in now.items():
            if name not in self._before:
                log("spool.watermark", mark=name, value=one.value, limit=one.mark, refuses=one.refuses)
        for name, one in self._before.items():
            if name not in now:
                log("spool.watermark_cleared", mark=name, limit=one.mark)
        self._before = now


def _fault(one: Crossed) -> Fault:
    value, mark = int(one.value), int(one.mark)
    if one.measure == "free_bytes":
        return Fault(
            rule=one.name,
            message=f"the disk of the spool has {value} bytes free, {mark} must stay free; nothing was taken",
            message_zh=f"暂存磁盘剩余{value}字节，低于下限{mark}字节，报文未接收",
            fix="send the same again later; the operator has to free disk space",
            fix_zh="请稍后重新发送；网关运营方须清理磁盘空间",
        )
    return Fault(
        rule=one.name,
        message=f"{value} messages or more wait to go out, the limit is {mark}; nothing was taken",
        message_zh=f"待发报文已达{value}份，上限为{mark}份，报文未接收",
        fix="send the same again later; the destinations have to take what waits",
        fix_zh="请稍后重新发送；须待各目的地取走积压的报文",
    )
