"""parcels_5m: what finding the documents of a parcel takes, of memory and time, with millions of them in the spool."""

import random
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from bench.figure import Figure
from bench.parcel_links import CONFIG, OURS, accept, trades
from bench.processes import peak_bytes
from gateway.parcels.facts import Linker
from gateway.parcels.reading import reader_of
from gateway.rules.loading import load_rules
from gateway.views.parcels import own_documents, parcel_view
from spool.sqlite import SqliteSpool
from spool.sqlite.copies import multiply

_PATTERN: Final = 1000
_BODY_BYTES: Final = 256
_LINKER: Final = Linker(b"secret of the bench, of 32 bytes")


def parcels_deep(*, parcels: int, messages: int) -> Figure:
    """Measure the memory of a process with `parcels` linked documents in the spool over that with 20,000.

    These are enough to fill SQLite's cache. The process takes `messages` more in, in commits of 64, and looks as many up as `GET /v1/parcels` does. In `detail` the CPU of
    both in each spool.
    """
    found: dict[str, Mapping[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        for name, times in (("few", 20), ("many", max(1, parcels // _PATTERN))):
            state = Path(folder) / name
            with closing(SqliteSpool(state)) as spool:
                accept(trades(_PATTERN, random.Random(1)), _LINKER, load_rules(), spool)  # noqa: S311 (invented data)
            multiply(state, times, body_bytes=_BODY_BYTES)
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                found[name] = pool.submit(_measured, state, messages).result()
    return Figure(
        measure="parcels_5m",
        value=round(found["many"]["memory_mb"] / found["few"]["memory_mb"], 3),
        unit="of the memory with 20,000",
        n=parcels // _PATTERN * _PATTERN,
        detail=found,
    )


def _measured(state: Path, messages: int) -> Mapping[str, float]:
    """Take documents in and look them up, in this process; the peak of its memory, and microseconds of CPU for each."""
    rules = load_rules()
    bodies = trades(messages, random.Random(2))  # noqa: S311 (invented data)
    with closing(SqliteSpool(state)) as spool:
        accept(trades(64, random.Random(3)), _LINKER, rules, spool)  # noqa: S311 (invented data)
        accept_us = accept(bodies, _LINKER, rules, spool)
        reader = reader_of(spool, rules, CONFIG.matching)
        numbers = _numbers(spool, messages)
        began, shown = time.process_time_ns(), 0
        for number in numbers:
            own = own_documents(reader, spool, OURS, order_no=number)
            view = parcel_view(reader, spool, rules, own, lanes=(), now=datetime.now(UTC))
            shown += len(view.documents)
        look_up_us = (time.process_time_ns() - began) / 1000 / len(numbers)
    return {
        "memory_mb": round(peak_bytes() / 1e6, 1),
        "accept_us": round(accept_us, 1),
        "look_up_us": round(look_up_us, 1),
        "documents_shown": round(shown / len(numbers), 2),
        "disk_gb": round((state / "spool.db").stat().st_size / 1e9, 2),
    }


def _numbers(spool: SqliteSpool, count: int) -> list[str]:
    """Choose order numbers from all over the spool."""
    ((last,),) = spool.db.rows("SELECT max(id) FROM declaration")
    chosen = random.Random(4).choices(range(1, last + 1), k=count)  # noqa: S311 (invented data)
    return [one.link.order_no for one in spool.links_of(chosen) if one.link.order_no]
