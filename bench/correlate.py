"""correlate: how many answers a second are matched to their owner, and whether each match is right."""

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
    """Measure answers kept and filed a second, on disk, in one process: shuffled over 50 enterprises with equal copNos.

    One in twenty is an orphan until its declaration is accepted, after all answers; the keep role then matches it.
    Half have no agentCode, half only an invtNo, known from another answer. `exact`: every timeline holds exactly the
    answers to its declaration, no enterprise got another's, and no orphan is left.
    """
    world = World(receipts=receipts, enterprises=_ENTERPRISES)
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder,
        closing(SqliteSpool(Path(folder))) as spool,
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        redirect_stdout(nowhere),
    ):
        configure_logs("info")  # the same logs as a role writes
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
