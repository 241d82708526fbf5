"""The machine's own costs: one signature, one fsync, one schema check. The other figures are ratios to these."""

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from bench.figure import Figure
from bench.load import KIND, jobs
from gateway.config.gateway_toml import LimitsConfig
from gateway.rules.loading import load_rules
from gateway.rules.schemas import View
from gateway.submission.plain import read_plain
from gateway.xml.decode import decode

_ROUNDS: Final = 20
_SIGNATURES: Final = 50
"""Signatures a round."""
_START_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """CPU of one raw RSA-2048 signature in microseconds, the median of many rounds, in two situations."""

    alone_us: float
    """The benchmark keeps no other processor busy."""
    busy_us: float
    """Another process signs on each other processor, as in a loaded gateway."""
    least_us: float
    """The best round of all."""


def signature(rounds: int = _ROUNDS) -> Signature:
    """Measure alone, with all processors busy, and alone again, because other load on the machine changes meanwhile."""
    before = _signing(rounds)
    with _signing_elsewhere():
        busy = _signing(rounds)
    after = _signing(rounds)
    return Signature(
        alone_us=statistics.median([*before, *after]),
        busy_us=statistics.median(busy),
        least_us=min([*before, *busy, *after]),
    )


def floor_sign(found: Signature) -> Figure:
    """Measure the CPU of a raw RSA-2048 signature, microseconds, while every processor signs: divisor of `overhead_*`.

    During those runs gateway, customs and callers keep every processor busy. Processors of a machine may be
    threads of one core or share its clock and caches; then the same signature takes more time than on an idle
    machine, and a cost under load must not be divided by a cost at rest, nor the other way round.
    `alone_us` and `busy_over_alone` show how much of the value comes from that.
    """
    return Figure(
        measure="floor_sign_us",
        value=round(found.busy_us, 1),
        unit="us",
        n=_ROUNDS * _SIGNATURES,
        detail={
            "alone_us": round(found.alone_us, 1),
            "busy_over_alone": round(found.busy_us / found.alone_us, 3),
            "least_us": round(found.least_us, 1),
            "processes": os.cpu_count() or 1,
        },
    )


def floor_fsync(folder: Path) -> Figure:
    """Measure the wall time of appending and syncing 4 KiB, microseconds, on the idle disk of `folder`."""
    times = fsyncs_us(folder)
    return Figure(
        measure="floor_fsync_us",
        value=round(statistics.median(times), 1),
        unit="us",
        n=len(times),
        detail={"p99": round(percentile(times, 0.99), 1)},
    )


def fsyncs_us(folder: Path, count: int = 300) -> list[float]:
    """Append 4 KiB and fdatasync, `count` times; microseconds each."""
    times = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(count):
            started = time.perf_counter_ns()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            times.append((time.perf_counter_ns() - started) / 1000)
    return times


def floor_validate() -> Figure:
    """Measure the CPU of parsing and validating one single-declaration message by libxml2 alone, microseconds.

    `plain_us` in the detail: the same check, with the header read, by the plain form of its schema.
    """
    rules = load_rules()
    body = jobs(1, 1)[0].body
    schema = rules.schemas.schema_for(KIND, View.DECLARED)
    started = time.process_time_ns()
    for _ in range(1000):
        schema.validate(decode(body, LimitsConfig()))
    spent = (time.process_time_ns() - started) / 1000 / 1000
    started = time.process_time_ns()
    for _ in range(1000):
        read_plain(body, rules.plain, LimitsConfig())
    plain = (time.process_time_ns() - started) / 1000 / 1000
    return Figure(
        measure="floor_validate_us",
        value=round(spent, 1),
        unit="us",
        n=1000,
        detail={"size_bytes": len(body), "plain_us": round(plain, 1)},
    )


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share (0 to 1] of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = -int(-share * len(ordered) // 1)
    return ordered[min(len(ordered), max(1, rank)) - 1]


def _signing(rounds: int) -> list[float]:
    """Return the CPU of a signature in each round, microseconds."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = b"<ds:SignedInfo>" * 40
    algorithm = hashes.SHA1()  # noqa: S303 (what the rsa-sha1 suite signs with)
    found = []
    for _ in range(rounds):
        started = time.process_time_ns()
        for _ in range(_SIGNATURES):
            key.sign(text, padding.PKCS1v15(), algorithm)
        found.append((time.process_time_ns() - started) / _SIGNATURES / 1000)
    return found


@contextmanager
def _signing_elsewhere() -> Iterator[None]:
    """Keep every other processor busy with signatures."""
    context = multiprocessing.get_context("spawn")
    over = context.Event()
    begun = [context.Event() for _ in range(1, os.cpu_count() or 1)]
    others = [context.Process(target=_sign_until, args=(one, over), daemon=True) for one in begun]
    for other in others:
        other.start()
    try:
        for one in begun:
            one.wait(_START_S)
        yield
    finally:
        over.set()
        for other in others:
            other.join(_START_S)


def _sign_until(begun: Event, over: Event) -> None:
    begun.set()
    while not over.is_set():
        _signing(1)
