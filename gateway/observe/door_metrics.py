"""Figures about the doors beside HTTP: each process leaves its own in a file, and `/metrics` reads them all.

The files are no memory: a process begins at zero, as Prometheus expects of counters, and removes its file when it ends.
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
    """What is counted together."""

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
    """Of one process."""

    def __init__(self, state_dir: Path, role: str) -> None:
        """`role`: the name of the process, unique in its node."""
        self._file = state_dir / DOORS / f"{role.replace('/', '.')}.json"
        self._messages: Counter[Counted] = Counter()
        self._in_order: dict[tuple[str, str], bool] = {}

    def count(self, enterprise: str, door: str, outcome: str) -> None:
        """Count a message; seen after the next `write`."""
        self._messages[Counted(enterprise, door, outcome)] += 1

    def stands(self, enterprise: str, door: str, *, in_order: bool) -> None:
        """Say whether a door works; seen at once when that has changed."""
        if self._in_order.get((enterprise, door)) is not in_order:
            self._in_order[enterprise, door] = in_order
            self.write()

    def write(self) -> None:
        """Let others see the figures; on a full disk later, with the next that can be written.

        A door must go on telling what became of messages; of the disk there are other figures and watermarks.
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
        """Remove them, unless the process that takes our place has written its own."""
        if _read(self._file).pid == os.getpid():
            self._file.unlink(missing_ok=True)


def door_families(state_dir: Path) -> Sequence[Metric]:
    """Read what every process says; nothing where there is no door. Raises OSError."""
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
    except FileNotFoundError:  # its process has ended just now
        return _Figures()
