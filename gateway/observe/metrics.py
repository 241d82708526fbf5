"""Metrics for Prometheus: counters of the accept process and of all roles, and values read from the spool on demand.

Labels are our own names (destinations, states, enterprises, problem codes), never anything from a message.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.observe.metric_files import RoleMetrics
from spool.entry import AGE_CLASSES, Backlog, Depth, Outstanding
from spool.errors import SpoolError
from spool.store import Spool

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
NO_PROBLEM: Final = "none"
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BATCHES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_REST_S: Final = 5.0
_SHARE: Final = 20
"""A slow reading is cached longer, so that reading takes at most one part in so many of the time."""


More = Callable[[Spool], Sequence[Metric]]


class Meter:
    """The counters of one accept process, kept in its memory, and the output of `/metrics`; thread-safe."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "gateway_requests",
            "Answered requests by operation and problem code",
            ["operation", "problem"],
            registry=self.registry,
        )
        self._accepted = Counter(
            "gateway_messages_accepted",
            "Messages taken and on disk, by enterprise",
            ["enterprise"],
            registry=self.registry,
        )
        self._duplicates = Counter(
            "gateway_messages_duplicate",
            "Messages that had been taken before, by enterprise",
            ["enterprise"],
            registry=self.registry,
        )
        self._accept_s = Histogram(
            "gateway_accept_seconds",
            "From the request to the answer, of messages that were taken",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._batches = Histogram(
            "gateway_commit_batch",
            "Messages and journal lines that one commit took",
            buckets=_BATCHES,
            registry=self.registry,
        )
        self._commit_s = Histogram(
            "gateway_commit_seconds", "How long one commit took", buckets=_SECONDS, registry=self.registry
        )
        ProcessCollector(namespace="gateway_accept", registry=self.registry)
        self.registry.register(RoleMetrics())
        # in the library, the look-up by labels takes longer than counting
        self._request = cache(self._requests.labels)
        self._first, self._again = cache(self._accepted.labels), cache(self._duplicates.labels)

    def answered(self, operation: str, problem: str = NO_PROBLEM) -> None:
        """Count a request; `operation` is method and route, `problem` a code or `none`."""
        self._request(operation, problem).inc()

    def accepted(self, enterprise: str, seconds: float, *, first: bool) -> None:
        """Count a message that was answered 202, or 200 if it was a duplicate."""
        (self._first if first else self._again)(enterprise).inc()
        self._accept_s.observe(seconds)

    def committed(self, items: int, seconds: float) -> None:
        """Count a commit."""
        self._batches.observe(items)
        self._commit_s.observe(seconds)

    def text(self) -> bytes:
        """Return everything in the text format of Prometheus."""
        return generate_latest(self.registry)


class SpoolCollector(Collector):
    """Reads the spool on demand, through its own connection, and caches the reading for a while."""

    def __init__(
        self, open_spool: Callable[[], Spool], free_bytes: Callable[[], int], more: More = lambda _: []
    ) -> None:
        """`more` returns further metrics that need the spool."""
        self._open_spool = open_spool
        self._free_bytes = free_bytes
        self._more = more
        self._spool: Spool | None = None
        self._lock = threading.Lock()
        self._kept: list[Metric] = []
        self._until = 0.0

    def describe(self) -> list[Metric]:
        """Return nothing: registering must not read the spool."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the current metrics, or those of a few seconds ago."""
        with self._lock:
            began = time.monotonic()
            if began >= self._until:
                self._kept = self._read()
                took = time.monotonic() - began
                self._until = began + took + max(_REST_S, _SHARE * took)
            yield from self._kept

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._spool is not None:
                self._spool.close()
                self._spool = None

    def _read(self) -> list[Metric]:
        readable = GaugeMetricFamily("gateway_spool_readable", "1 when the spool can be read, else 0")
        families: list[Metric] = [readable]
        try:
            if self._spool is None:
                self._spool = self._open_spool()
            families += _families(
                self._spool.depths(), self._spool.backlog(at_most=0), self._spool.outstanding()
            )
            free = GaugeMetricFamily(
                "gateway_spool_free_bytes", "Free bytes on the file system of the state folder"
            )
            free.add_metric([], self._free_bytes())
            families.append(free)
            families += self._more(self._spool)
            readable.add_metric([], 1)
        except (SpoolError, OSError):
            readable.add_metric([], 0)
        return families


def _families(
    depths: Sequence[Depth], backlogs: Sequence[Backlog], outstanding: Outstanding
) -> list[GaugeMetricFamily]:
    entries = GaugeMetricFamily(
        "gateway_spool_entries",
        "Entries not settled or dead, by destination, state and age since acceptance (younger than)",
        labels=["destination", "state", "age"],
    )
    for depth in depths:
        entries.add_metric([depth.destination, depth.state.value, AGE_CLASSES[depth.age_s]], depth.entries)
    oldest = GaugeMetricFamily(
        "gateway_spool_oldest_seconds",
        "Age of the oldest entry that waits to go and is not held back; 0 when none does",
        labels=["destination"],
    )
    for backlog in backlogs:
        age_s = 0.0 if backlog.oldest is None else max(0.0, time.time() - backlog.oldest.timestamp())
        oldest.add_metric([backlog.destination], age_s)
    orphans = GaugeMetricFamily("gateway_orphans", "Answers of customs that nobody was found for")
    orphans.add_metric([], outstanding.orphans)
    notices = GaugeMetricFamily(
        "gateway_notices_unacknowledged",
        "Answers that an enterprise has not acknowledged",
        labels=["enterprise"],
    )
    for owner, count in sorted(outstanding.unacknowledged.items()):
        notices.add_metric([owner], count)
    overdue = GaugeMetricFamily(
        "gateway_answers_overdue", "Declarations whose answer is overdue, by layer", labels=["layer"]
    )
    for layer, count in sorted(outstanding.overdue.items()):
        overdue.add_metric([layer], count)
    return [entries, oldest, orphans, notices, overdue]


@contextmanager
def spool_metrics(
    meter: Meter,
    open_spool: Callable[[], Spool],
    free_bytes: Callable[[], int],
    more: More = lambda _: [],
) -> Iterator[None]:
    """Add the metrics of the spool to those of the meter during the block."""
    collector = SpoolCollector(open_spool, free_bytes, more)
    meter.registry.register(collector)
    try:
        yield
    finally:
        meter.registry.unregister(collector)
        collector.close()
