"""correlate: how many answers a second find their owner, and whether each finds the right one."""

import os
import tempfile
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import Final

from bench.correlating import World
from bench.figure import Figure
from gateway.observe.log import configure_logs, reset_logs
from spool.sqlite import SqliteSpool

_ENTERPRISES: Final = 50


def correlate(*, receipts: int) -> Figure:
    """Answers kept and filed a second, on disk, one process: shuffled over 50 enterprises that share their copNos.

    One in twenty is an orphan until its declaration is accepted, after all the answers; the keeper then matches it.
    Half say no agentCode, a half carry nothing but an invtNo that another one teaches. `exact` when every timeline
    holds just the answers to its declaration, nobody heard of another's, and no orphan is left.
    """
    world = World(receipts=receipts, enterprises=_ENTERPRISES)
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder,
        closing(SqliteSpool(Path(folder))) as spool,
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        redirect_stdout(nowhere),
    ):
        configure_logs("info")  # as a role writes them
        result = world.run(spool)
        reset_logs()
    return Figure(
        measure="correlate",
        value=round(result.receipts / result.filing_s, 1),
        unit="receipts/s",
        n=result.receipts,
        detail={
            "exact": not (result.left or result.wrong or result.strangers),
            "enterprises": _ENTERPRISES,
            "orphans": result.orphans,
            "rematched": result.rematched,
            "rematched_per_s": round(result.rematched / result.rematching_s, 1),
            "orphans_left": result.left,
            "wrong_timelines": result.wrong,
        },
    )
