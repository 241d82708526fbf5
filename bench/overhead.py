"""overhead_*: the CPU cost of the gateway for each declaration, in signatures."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench.figure import Figure
from bench.floors import Signature
from bench.lines import now_text
from bench.load import PATIENCE_S, CarriedLoad, Job, carry, jobs
from bench.processes import cpu_ns, pids, processors_ns
from bench.worlds import WARM, world
from gateway.simulator.world import LocalWorld, TransportName

_LINES: Final = 3
"""Journal lines of a message: accepted, sent, and the receipt filed."""


def overhead(
    measure: str, *, messages: int, bodies: int, transport: TransportName, floor: Signature
) -> Figure:
    """Measure the CPU of all gateway processes per declaration, accept to delivered receipt, over that of a signature.

    One receipt comes back for each declaration; callers submit as fast as they are answered and pull at
    the same time. The signature is that of busy processors, as in the run (`floors.floor_sign`);
    `processors_busy` is their busy share, and `over_lone_signature` is the ratio to a signature at rest.
    """
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder,
        world(Path(folder), transport=transport, bodies=bodies) as running,
    ):
        work = jobs(messages + WARM, bodies)
        carry(running, work[:WARM])
        carried, spent, busy = spend(running, work[WARM:], sealed=True)
    total = sum(spent.values())
    return Figure(
        measure=measure,
        value=round(total / bodies / floor.busy_us, 3),
        unit="signatures",
        n=messages,
        detail={
            "declarations_per_message": bodies,
            "transport": transport,
            "over_lone_signature": round(total / bodies / floor.alone_us, 3),
            "signature_us": round(floor.busy_us, 1),
            "cpu_us_per_message": round(total, 1),
            "cpu_us_by_role": {role: round(value, 1) for role, value in spent.items()},
            "processors_busy": round(busy, 2),
            "accepted_per_s": round(carried.accepted_per_s, 1),
            "home_per_s": round(carried.home_per_s, 1),
        },
    )


def spend(
    running: LocalWorld, work: list[Job], *, sealed: bool = False
) -> tuple[CarriedLoad, dict[str, float], float]:
    """Carry a load; also returns microseconds of CPU a message by role, and the busy share of all processors.

    `sealed`: count the sealing of the journal for these messages too, in the keep role.
    """
    since = now_text()
    before, idle_before, all_before = cpu_ns(pids(running.gateway)), *processors_ns()
    carried = carry(running, work)
    idle_after, all_after = processors_ns()
    if sealed:
        _wait_for_seal(running, since, _LINES * len(work))
    after = cpu_ns(pids(running.gateway))
    spent = {role: (after[role] - before.get(role, 0)) / 1000 / len(work) for role in after}
    return carried, spent, 1 - (idle_after - idle_before) / max(1, all_after - all_before)


def _wait_for_seal(running: LocalWorld, since: str, lines: int) -> None:
    """Block until so many journal lines have been sealed since then."""
    assert running.gateway is not None  # noqa: S101 (it is running)
    taken = 0

    def enough(line: Mapping[str, Any]) -> bool:
        nonlocal taken
        if line.get("event") == "journal.sealed" and line["time"] >= since:
            taken += int(line["events"])
        return taken >= lines

    running.gateway.wait_for(enough, PATIENCE_S)
