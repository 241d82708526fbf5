"""depth_5m: whether a node with five million declarations in its spool is as fast as one with an empty spool."""

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.figure import Figure
from bench.load import carry, jobs
from bench.overhead import spend
from bench.worlds import WARM, world
from gateway.simulator.world import LocalWorld
from spool.sqlite.copies import multiply

_ROUNDS: Final = 5
_BODY_BYTES: Final = 256
"""Size of the copies' bodies, which are stored apart from what is searched and never read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    home_per_s: float
    cpu_us: Mapping[str, float]
    """CPU a message, by role."""


def depth(*, declarations: int, messages: int, pattern: int = 1000) -> Figure:
    """Measure throughput with `declarations` in the spool over throughput with none, from submission to answer.

    Two gateways run in parallel, one with an empty spool, one with a deep one, and take turns: `messages` single
    declarations each, five rounds; the ratio is the median of the rounds'. The deep spool holds messages that were
    sent, answered and acknowledged: `pattern` of them really were, the others are copies of their rows
    (`spool.sqlite.copies`). All are messages of one declaration, which make the most rows and index entries.
    """
    pattern = min(pattern, declarations)
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        rounds = jobs(2 * (WARM + _ROUNDS * messages) + pattern, 1)
        with world(Path(folder) / "empty") as empty, world(Path(folder) / "deep") as deep:
            carry(deep, [rounds.pop() for _ in range(pattern)])
            fill = fill_up(deep, times=declarations // pattern, body_bytes=_BODY_BYTES)
            for one in (empty, deep):
                carry(one, [rounds.pop() for _ in range(WARM)])
            found: dict[str, list[_Round]] = {"empty": [], "deep": []}
            for _ in range(_ROUNDS):
                for name, one in (("empty", empty), ("deep", deep)):
                    carried, spent, _ = spend(one, [rounds.pop() for _ in range(messages)])
                    found[name].append(_Round(home_per_s=carried.home_per_s, cpu_us=spent))
    pairs = list(zip(found["deep"], found["empty"], strict=True))
    return Figure(
        measure="depth_5m",
        value=round(statistics.median(one.home_per_s / other.home_per_s for one, other in pairs), 3),
        unit="of the empty spool's throughput",
        n=declarations // pattern * pattern,
        detail={
            "messages_per_round": messages,
            "ratios": [round(one.home_per_s / other.home_per_s, 3) for one, other in pairs],
            "cpu_ratio": round(
                statistics.median(
                    sum(one.cpu_us.values()) / sum(other.cpu_us.values()) for one, other in pairs
                ),
                3,
            ),
            "cpu_us_empty": _by_role(found["empty"]),
            "cpu_us_deep": _by_role(found["deep"]),
            "empty_per_s": [round(one.home_per_s, 1) for one in found["empty"]],
            "deep_per_s": [round(one.home_per_s, 1) for one in found["deep"]],
            "body_bytes_of_copies": _BODY_BYTES,
            **fill,
        },
    )


def _by_role(rounds: Sequence[_Round]) -> dict[str, float]:
    """Return the median CPU a message of each role, in microseconds."""
    return {
        role: round(statistics.median(one.cpu_us[role] for one in rounds), 1) for role in rounds[0].cpu_us
    }


def fill_up(running: LocalWorld, *, times: int, body_bytes: int | None = None) -> Mapping[str, float]:
    """Stop the gateway, multiply its spool, start it again; returns the size of the spool and the time it took."""
    assert running.gateway is not None  # noqa: S101 (it is running)
    running.gateway.stop()
    started = time.perf_counter()
    if body_bytes is None:
        multiply(running.site.state, times)
    else:
        multiply(running.site.state, times, body_bytes=body_bytes)
    took = time.perf_counter() - started
    size = sum(file.stat().st_size for file in running.site.state.glob("spool.db*"))
    running.start_gateway()
    return {"disk_gb": round(size / 1e9, 3), "fill_s": round(took, 1)}
