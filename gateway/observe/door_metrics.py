"""Metrics of the folder and queue doors: each process writes its own to a file, and `/metrics` reads all files.

The files are temporary: a process starts at zero, as Prometheus allows for counters, and removes its file at the end.
"""

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.json import Decoder, encode
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

DOORS: Final = "doors"
"""Folder in `state_dir`."""
ACCEPTED: Final = "accepted"
DUPLICATE: Final = "duplicate"


class Counted(NamedTuple):
    """The labels of one counter."""

    enterprise: str
    door: str
    outcome: str
    """`accepted`, `duplicate`, or the code of the problem."""


class _Figures(Struct, frozen=True, kw_only=True):
    pid: int = 0
    messages: list[tuple[Counted, int]] = []
    in_order: list[tuple[str, str, bool]] = []


_decode = Decoder(_Figures).decode


class DoorFigures:
    """The door metrics of one process."""

    def __init__(self, state_dir: Path, role: str) -> None:
        """`role`: the name of the process, unique in its node."""
        self._file = state_dir / DOORS / f"{role.replace('/', '.')}.json"
        self._messages: Counter[Counted] = Counter()
        self._in_order: dict[tuple[str, str], bool] = {}

    def count(self, enterprise: str, door: str, outcome: str) -> None:
        """Count a message; visible after the next `write`."""
        self._messages[Counted(enterprise, door, outcome)] += 1

    def stands(self, enterprise: str, door: str, *, in_order: bool) -> None:
        """Record whether a door works; a change is visible at once."""
        if self._in_order.get((enterprise, door)) is not in_order:
            self._in_order[enterprise, door] = in_order
            self.write()

    def write(self) -> None:
        """Write the metrics for other processes; a failure is ignored, and the next write that succeeds has all.

        On a full disk a door must go on answering messages; other metrics and watermarks report the disk.
        """
        figures = _Figures(
            pid=os.getpid(),
            messages=list(self._messages.items()),
            in_order=[(*door, in_order) for door, in_order in self._in_order.items()],
        )
        draft = self._file.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            self._file.parent.mkdir(exist_ok=True, mode=0o700)
            draft.write_bytes(encode(figures))
            draft.replace(self._file)

    def close(self) -> None:
        """Remove the file, unless the successor of this process has written its own."""
        if _read(self._file).pid == os.getpid():
            self._file.unlink(missing_ok=True)


def door_families(state_dir: Path) -> Sequence[Metric]:
    """Return the summed metrics of all processes; without samples if there is no door. Raises OSError."""
    messages = CounterMetricFamily(
        "gateway_door_messages",
        "Messages judged at doors beside HTTP, by enterprise, door and outcome",
        labels=["enterprise", "door", "outcome"],
    )
    order = GaugeMetricFamily(
        "gateway_door_in_order",
        "1 when the door works, 0 when it fails or is closed at a watermark",
        labels=["enterprise", "door"],
    )
    total: Counter[Counted] = Counter()
    stand: dict[tuple[str, str], bool] = {}
    for file in sorted((state_dir / DOORS).glob("*.json")):
        figures = _read(file)
        for counted, number in figures.messages:
            total[counted] += number
        for enterprise, door, in_order in figures.in_order:
            stand[enterprise, door] = stand.get((enterprise, door), True) and in_order
    for counted, number in total.items():
        messages.add_metric(list(counted), number)
    for (enterprise, door), in_order in stand.items():
        order.add_metric([enterprise, door], int(in_order))
    return [messages, order]


def _read(file: Path) -> _Figures:
    try:
        return _decode(file.read_bytes())
    except FileNotFoundError:  # its process has just ended
        return _Figures()
