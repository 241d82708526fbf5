"""memory_mb: how much memory a node uses, with a large backlog in its spool."""

import tempfile
import threading
from pathlib import Path
from typing import Final

from bench.depth import fill_up
from bench.figure import Figure
from bench.lines import happened, now_text
from bench.load import Answers, jobs, submit
from bench.processes import MemoryWatch, pids, resident_bytes
from bench.worlds import WARM, world

_LARGE: Final = 0.04
"""Share of messages with 100 declarations: enough for whole batches of them, the largest possible batches."""
_DOWN_S: Final = 3.0
"""How long customs stays down once the backlog is there."""


def memory(*, backlog: int, sent: int, pattern: int = 1000) -> Figure:
    """Measure the peak memory of all processes of a node together, with `backlog` messages waiting in the spool.

    While customs is down, `pattern` messages are accepted, first the large ones of 100 declarations, then single ones,
    and multiplied to the backlog (`spool.sqlite.copies`). The gateway starts with it, accepts new messages of both
    kinds, and when customs is back sends `sent` of those that wait; they are the large ones, and all are answered.
    The memory is that of `processes.resident_bytes`: RSS with shared pages counted once.
    """
    pattern = min(pattern, backlog)
    large = max(1, round(pattern * _LARGE))
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder,
        world(Path(folder), bodies=100) as running,
    ):
        assert running.customs is not None  # noqa: S101 (it is running)
        running.customs.stop()
        submit(running, jobs(large, 100, seed=13))
        submit(running, jobs(pattern - large, 1, seed=14))
        fill = fill_up(running, times=backlog // pattern)
        assert running.gateway is not None  # noqa: S101
        with MemoryWatch(running.gateway) as watch, Answers(running):
            submit(running, [*jobs(WARM, 1, seed=15), *jobs(large, 100, seed=16)])
            threading.Event().wait(_DOWN_S)
            since = now_text()
            running.start_customs()
            happened(running.gateway, "entry.sent", since=since, count=sent)
            processes = pids(running.gateway)
            roles = {role: round(resident_bytes([pid]) / 1e6, 1) for role, pid in processes.items()}
    return Figure(
        measure="memory_mb",
        value=round(watch.peak_bytes / 1e6, 1),
        unit="MB",
        n=backlog // pattern * pattern,
        detail={
            "counted": "anonymous PSS and each mapped file once, of all processes",
            "processes": len(processes),
            "mb_by_role_alone": roles,
            "looks": watch.looks,
            "large_messages_waiting": large * (backlog // pattern),
            "sent": sent,
            **fill,
        },
    )
