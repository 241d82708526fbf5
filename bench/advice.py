"""overhead_advice: what advice adds to the CPU of accepting a message, with and without it in turns in one process."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Final

from bench.figure import Figure
from bench.load import ENTERPRISES, KIND
from bench.worlds import world
from gateway.advice.adviser import Adviser
from gateway.app.build import App
from gateway.judges.judge import Examine, Judge
from gateway.model import EnterpriseId
from gateway.rules.rulebook import Rulebook
from gateway.samples.compose import compose
from gateway.submission.intake import ExaminedSubmission
from spool.store import Spool

_TURNS: Final = 20
_COMMIT: Final = 16
"""Messages in one commit."""
_SOUND: Final[Mapping[str, str]] = MappingProxyType(
    {
        "buyerIdNumber": "11010519491231002X", "payCode": "31222699S7", "ebpCode": "3101960E01", "ebcCode": "3101960E02",
        "unit": "007", "country": "502", "consigneeDistrict": "310115",
    }
)  # fmt: skip
"""Values that no rule objects to, in place of those of the samples that are wrong on purpose; the number is the standard's own."""


def overhead_advice(*, messages: int, batches: int) -> Figure:
    """Measure judging and committing sound messages, CPU of the process, with the shipped rules over without any.

    Without the door: what it costs to read a request would make the ratio smaller. `value`: of single declarations.
    """
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        app = App(world(Path(folder)).site.config)
        spool = app.spool()
        try:
            single = _ratio(app, spool, messages, bodies=1)
            batch = _ratio(app, spool, batches, bodies=100)
        finally:
            spool.close()
            app.close()
    return Figure(
        measure="overhead_advice",
        value=single[0],
        unit="ratio",
        n=messages,
        detail={
            "without_us": single[1],
            "with_us": single[2],
            "batch100": batch[0],
            "batch100_without_us": batch[1],
            "batch100_with_us": batch[2],
        },
    )


def _ratio(app: App, spool: Spool, count: int, *, bodies: int) -> tuple[float, float, float]:
    """Return with over without, and microseconds of CPU a message of each."""
    without = replace(app.judge, adviser=Adviser(Rulebook(rules={}), {}, app.rules.schemas))
    rng = Random(11)  # noqa: S311 (invented data)
    spent = {"without": 0, "with": 0}
    turn = max(1, count // _TURNS)
    for judge, name in ((without, ""), (app.judge, "")) + (
        (without, "without"),
        (app.judge, "with"),
    ) * _TURNS:
        work = [_sound(rng, bodies) for _ in range(turn)]
        taken = _accept(judge, spool, work)
        if name:
            spent[name] += taken
    each = {name: value / 1000 / turn / _TURNS for name, value in spent.items()}
    return round(each["with"] / each["without"], 3), round(each["without"], 1), round(each["with"], 1)


def _sound(rng: Random, bodies: int) -> bytes:
    one = ENTERPRISES[0]
    made = compose(
        KIND,
        cop_code=one.cop_codes[0],
        dxp_id=one.dxp_ids[0],
        bodies=bodies,
        rng=rng,
        items=3,
        overrides=_SOUND,
    )
    return made.body


def _accept(judge: Judge, spool: Spool, work: Sequence[bytes]) -> int:
    """Judge and commit these; returns nanoseconds of CPU."""
    caller = EnterpriseId(ENTERPRISES[0].id)
    began = time.process_time_ns()
    ready = []
    for body in work:
        judged = judge(Examine(body=body, caller=caller))
        if not isinstance(judged, ExaminedSubmission) or judged.advice:
            raise ValueError(f"a message of the benchmark is not sound: {judged}")
        ready.append(judged.new)
        if len(ready) == _COMMIT:
            spool.put(ready)
            ready = []
    spool.put(ready)
    return time.process_time_ns() - began
