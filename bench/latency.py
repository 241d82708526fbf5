"""accept_p99_fsyncs: how long a platform waits for its 202 at half load."""

import statistics
import tempfile
from pathlib import Path
from typing import Final

from bench.arrivals import Arrivals
from bench.figure import Figure
from bench.floors import fsyncs_us, percentile
from bench.load import Answers, carry, jobs
from bench.worlds import WARM, world

_SHARE: Final = 0.5
_FIRST: Final = 50
"""Arrivals that open the connections and do not count."""


def accept_p99(*, messages: int) -> Figure:
    """Measure the 99th percentile of the time to the 202, over the median of an fsync on the same disk in the same run.

    The load is half the highest rate that the node carried from submission to answer (not half of what it accepts in a
    burst, which it could not sustain), as an open-loop Poisson process; a latency counts from the planned time of the
    message. Answers come and are pulled meanwhile. The fsync is that of an idle disk, before and after.
    """
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder,
        world(Path(folder)) as running,
    ):
        work = jobs(WARM + 2 * messages + _FIRST, 1)
        carry(running, work[:WARM])
        fsyncs = fsyncs_us(Path(folder))
        most = carry(running, work[WARM : WARM + messages])
        per_s = _SHARE * most.home_per_s
        arriving = work[WARM + messages :]
        with Answers(running) as answers, Arrivals(running, arriving, per_s=per_s) as arrivals:
            latencies = arrivals.wait()[_FIRST:]
            answers.wait_for(len(arriving))
        fsyncs += fsyncs_us(Path(folder))
    fsync_us = statistics.median(fsyncs)
    p99_us = percentile(latencies, 0.99) * 1e6
    return Figure(
        measure="accept_p99_fsyncs",
        value=round(p99_us / fsync_us, 2),
        unit="fsyncs",
        n=len(latencies),
        detail={
            "fsync_us": round(fsync_us, 1),
            "p50_ms": round(percentile(latencies, 0.5) * 1000, 2),
            "p99_ms": round(p99_us / 1000, 2),
            "most_ms": round(max(latencies) * 1000, 2),
            "arrivals_per_s": round(per_s, 1),
            "most_home_per_s": round(most.home_per_s, 1),
            "most_accepted_per_s": round(most.accepted_per_s, 1),
        },
    )
