"""A clock of the node that a test can set back: seconds in a file, added to the time of the system."""

import mmap
import struct
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import ModuleType

_SECONDS = struct.Struct("d")


class ShiftedClock:
    """One shift, shared by every process that has opened the file."""

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.write_bytes(_SECONDS.pack(0.0))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), _SECONDS.size)

    @property
    def shift_s(self) -> float:
        (seconds,) = _SECONDS.unpack_from(self._shared)
        return float(seconds)

    def move(self, seconds: float) -> None:
        """Set the clock forward, or back when negative."""
        _SECONDS.pack_into(self._shared, 0, self.shift_s + seconds)

    def rule(self, module: ModuleType) -> None:
        """Let `datetime.now` of a module tell this time."""

        class Shifted(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return datetime.now(tz) + timedelta(seconds=self.shift_s)

        if getattr(module, "datetime", None) is datetime:
            module.datetime = Shifted  # type: ignore[attr-defined]
