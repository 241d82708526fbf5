"""The list of figures, in the order of measuring: quick ones first, disk-heavy ones last."""

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from bench import floors
from bench.advice import overhead_advice
from bench.correlate import correlate
from bench.depth import depth
from bench.drain import drain
from bench.figure import Figure
from bench.latency import accept_p99
from bench.memory import memory
from bench.overhead import overhead
from bench.parcel_links import parcel_links
from bench.sheets import sheets
from bench.translating import translating
from gateway.simulator.world import TransportName


@dataclass(frozen=True, kw_only=True)
class Measures:
    """The measures of bench/RESULTS.md for one run, and their sizes."""

    messages: int
    """Single-declaration messages a measure."""
    batches: int
    """Messages of 100 declarations a measure."""
    declarations: int
    """Declarations in the deep spool of `depth_5m`."""
    backlog: int
    """Messages that wait in `memory_mb`."""
    receipts: int = 100_000
    """Answers in `correlate`."""
    rows: int = 100_000
    """Rows of the sheet in `sheet_rows_s` and `translate_rows_s`."""

    @cached_property
    def _signature(self) -> floors.Signature:
        """The cost of a signature, measured once a run, when a figure first needs it."""
        return floors.signature()

    @cached_property
    def _all(self) -> Mapping[str, Callable[[], Figure]]:
        return {
            "floor_fsync_us": _floor_fsync,
            "floor_validate_us": floors.floor_validate,
            "floor_sign_us": lambda: floors.floor_sign(self._signature),
            "overhead_single": partial(self._overhead, "overhead_single", "amqp"),
            "overhead_batch100": partial(self._overhead, "overhead_batch100", "amqp", bodies=100),
            "overhead_single_sftp": partial(self._overhead, "overhead_single_sftp", "sftp"),
            "overhead_batch100_sftp": partial(self._overhead, "overhead_batch100_sftp", "sftp", bodies=100),
            "overhead_advice": lambda: overhead_advice(messages=self.messages, batches=self.batches),
            "accept_p99_fsyncs": lambda: accept_p99(messages=self.messages),
            "correlate": lambda: correlate(receipts=self.receipts),
            "parcel_links": lambda: parcel_links(messages=self.messages),
            "sheet_rows_s": lambda: sheets(rows=self.rows),
            "translate_rows_s": lambda: translating(rows=self.rows),
            "drain": lambda: drain(messages=self.messages),
            "memory_mb": lambda: memory(backlog=self.backlog, sent=max(100, self.messages // 5)),
            "depth_5m": lambda: depth(declarations=self.declarations, messages=self.messages),
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all measures, in order."""
        return tuple(self._all)

    def figures(self, only: Collection[str] = ()) -> Iterator[Figure]:
        """Measure one after the other, all or only those named; ignores unknown names."""
        for name, measured in self._all.items():
            if not only or name in only:
                yield measured()

    def _overhead(self, measure: str, transport: TransportName, *, bodies: int = 1) -> Figure:
        return overhead(
            measure,
            messages=self.messages if bodies == 1 else self.batches,
            bodies=bodies,
            transport=transport,
            floor=self._signature,
        )


def _floor_fsync() -> Figure:
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        return floors.floor_fsync(Path(folder))
