"""`python -m tests.crash.soak`: fault runs of rising seeds for SOAK_MINUTES (60), and the sum of all counts.

SOAK_SEED is the first seed, SOAK_MESSAGES and SOAK_FAULTS are the load of a run; SOAK_RUNS ends it earlier. A run that
failed is played again alone by `SOAK_SEED=<seed> SOAK_RUNS=1 make soak`. SOAK_ONLY names a kind of fault: nothing else strikes.
"""

import os
import sys
import time
import traceback
from collections import defaultdict
from itertools import chain

import pytest

from gateway.observe.log import configure_logs
from tests.crash.fault_run import BrokenRunError
from tests.crash.stages import StageServers, stage_servers
from tests.crash.tally import PROMISES, Tally

COLUMNS = (
    "runs", "accepted", "changes", "arrived", "repeats", "stale", "home", "kills", *PROMISES, "broken",
)  # fmt: skip


def number(name: str, default: int) -> int:
    return int(os.environ.get(name, default))


def main() -> int:
    """Play until time is up; 0 when every count is 0 and every run came to its end."""
    configure_logs("error")
    until = time.monotonic() + 60 * number("SOAK_MINUTES", 60)
    seed, runs = number("SOAK_SEED", 1000), number("SOAK_RUNS", sys.maxsize)
    done: defaultdict[str, list[Tally | None]] = defaultdict(list)
    with stage_servers() as stages:
        while time.monotonic() < until and runs:
            name, result = play(stages, seed)
            done[name].append(result)
            seed, runs = seed + 1, runs - 1
    return report(done)


def play(stages: StageServers, seed: int) -> tuple[str, Tally | None]:
    """Play one run; None when it broke off."""
    began = time.monotonic()
    try:
        name = str(stages.stage(seed))
    except pytest.skip.Exception as missing:
        print(f"seed {seed}: skipped, {missing}", flush=True)
        return "skipped", Tally()
    try:
        result = stages.play(
            seed,
            messages=number("SOAK_MESSAGES", 600),
            faults=number("SOAK_FAULTS", 8),
            only=os.environ.get("SOAK_ONLY", ""),
        )
    except BrokenRunError as error:
        result = error.result
    except Exception:  # noqa: BLE001 (told, and the next run goes on)
        traceback.print_exc()
        result = None
    bad = result is None or result.broken
    told = f"BROKEN, again by SOAK_SEED={seed} SOAK_RUNS=1 make soak: " if bad else ""
    print(f"seed {seed}, {name}, {time.monotonic() - began:.0f} s: {told}{result}", flush=True)
    return name, result


def report(done: dict[str, list[Tally | None]]) -> int:
    """Print a line for each stage, their sum and how often each fault struck."""
    print(f"\n{'stage':20}" + "".join(f"{name:>13}" for name in COLUMNS))
    total, broken = Tally(), 0
    for name, results in [*done.items(), ("all", list(chain.from_iterable(done.values())))]:
        whole = [one for one in results if one is not None]
        total, broken = sum(whole, Tally()), len(results) - len(whole)
        shown = {"runs": len(results), "broken": broken}
        print(f"{name:20}" + "".join(f"{shown.get(one, getattr(total, one, 0)):13}" for one in COLUMNS))
    print("\n" + "\n".join(f"{count:6} × {fault}" for fault, count in sorted(total.faults.items())))
    return int(broken > 0 or bool(total.broken) or total.accepted == 0)


if __name__ == "__main__":
    sys.exit(main())
