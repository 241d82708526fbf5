"""drain: how fast the backlog of an outage is sent while new messages come in."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench.arrivals import Arrivals
from bench.figure import Figure
from bench.lines import happened, lines, moment, now_text
from bench.load import Answers, carry, jobs, submit
from bench.worlds import WARM, world

_SHARE: Final = 0.5
"""New messages come at this share of the steady rate."""
_PATIENCE_S: Final = 600.0


def drain(*, messages: int) -> Figure:
    """Measure messages sent a second after an outage, old and new, over the highest rate carried before it.

    Steady: `messages` as fast as they are accepted, until their answers are delivered. Then customs is down while twice
    as many are accepted; it comes back while new ones arrive at half the steady rate, whatever the gateway does. The
    drain counts from the first message sent after the return until the last one that waited is sent, slow start
    included; the detail has how long the gateway waited before that, and the rate of the backlog alone. Answers come
    and are pulled all the time.
    """
    backlog = 2 * messages
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder,
        world(Path(folder)) as running,
    ):
        assert running.gateway is not None  # noqa: S101 (it is running)
        assert running.customs is not None  # noqa: S101
        work = jobs(WARM + messages + backlog, 1)
        carry(running, work[:WARM])
        steady = carry(running, work[WARM : WARM + messages])

        running.customs.stop()
        down = now_text()
        submit(running, work[WARM + messages :])
        happened(running.gateway, "message.accepted", since=down, count=backlog)
        waiting = {str(one["message_id"]) for one in lines(running.gateway, "message.accepted", since=down)}

        coming = jobs(4 * backlog, 1, seed=12)
        with (
            Answers(running),
            Arrivals(running, coming, per_s=_SHARE * steady.home_per_s) as arrivals,
        ):
            returned, back = time.time(), now_text()
            running.start_customs()

            left = set(waiting)

            def last(line: Mapping[str, Any]) -> bool:
                if line.get("event") == "entry.sent":
                    left.discard(str(line["message_id"]))
                return not left

            running.gateway.wait_for(last, _PATIENCE_S)
            arrived = len(arrivals.stop())
            sent = lines(running.gateway, "entry.sent", since=back)
            failed = len(lines(running.gateway, "entry.deferred", since=down))
    first = min(moment(line) for line in sent)
    gone = max(moment(line) for line in sent if line["message_id"] in waiting)
    together = sum(moment(line) <= gone for line in sent)
    return Figure(
        measure="drain",
        value=round(together / (gone - first) / steady.home_per_s, 3),
        unit="of the steady rate",
        n=together,
        detail={
            "steady_per_s": round(steady.home_per_s, 1),
            "sent_per_s": round(together / (gone - first), 1),
            "backlog": len(waiting),
            "backlog_per_s": round(len(waiting) / (gone - first), 1),
            "arrived_meanwhile": arrived,
            "first_sent_after_s": round(first - returned, 2),
            "attempts_failed": failed,
        },
    )
