"""The figures of DESIGN.md 9, each a ratio measured in one run, with the floors beside it.

Nothing here is a test: it measures what a real gateway, a real simulated customs and real callers do on
this machine now. CPU is what the kernel says the gateway's processes were on a core.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from gateway.config import Limits
from gateway.load import ENTERPRISES, KIND, Load, jobs
from gateway.playground import Playground, Transport, Watched
from gateway.rules import load_rules
from gateway.schemas import View
from gateway.stages.decode import decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measure: `value` in `unit` over `n` cases, and what it is made of."""

    measure: str
    value: float
    unit: str
    n: int
    detail: Mapping[str, object] = field(default_factory=dict)


def floor_sign() -> Figure:
    """CPU of one raw RSA-2048 signature, microseconds: the cost to stay close to."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = b"<ds:SignedInfo>" * 40
    algorithm = hashes.SHA1()  # noqa: S303 (what the rsa-sha1 suite signs with)
    rounds = []
    for _ in range(20):
        started = time.process_time_ns()
        for _ in range(50):
            key.sign(text, padding.PKCS1v15(), algorithm)
        rounds.append((time.process_time_ns() - started) / 50 / 1000)
    return Figure(
        measure="floor_sign_us", value=round(statistics.median(rounds), 1), unit="us", n=1000,
        detail={"least": round(min(rounds), 1)},
    )  # fmt: skip


def floor_fsync(folder: Path) -> Figure:
    """Wall time of appending 4 KiB and syncing it, microseconds, on the disk of `folder`."""
    times = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(300):
            started = time.perf_counter_ns()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            times.append((time.perf_counter_ns() - started) / 1000)
    return Figure(measure="floor_fsync_us", value=round(statistics.median(times), 1), unit="us", n=300)


def floor_validate() -> Figure:
    """CPU of parsing and judging one single-declaration message by libxml2 alone, microseconds."""
    rules = load_rules()
    body = jobs(1, 1)[0][1]
    schema = rules.schemas.schema_for(KIND, View.DECLARED)
    started = time.process_time_ns()
    for _ in range(1000):
        schema.validate(decode(body, Limits()))
    spent = (time.process_time_ns() - started) / 1000 / 1000
    return Figure(
        measure="floor_validate_us",
        value=round(spent, 1),
        unit="us",
        n=1000,
        detail={"size_bytes": len(body)},
    )


def overhead(measure: str, *, messages: int, bodies: int, transport: Transport, floor_us: float) -> Figure:
    """CPU of all gateway processes per declaration, accept to delivered receipt, over that of one signature.

    One receipt comes back for each declaration; callers submit as fast as they are answered and pull at
    the same time.
    """
    script = {"final_only": True, "check_signatures": False, "batch": bodies}
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder,
        Playground(Path(folder), transport=transport, script=script, enterprises=ENTERPRISES) as world,
    ):
        work = jobs(messages + 64, bodies)
        Load(world, work[:64], bodies).run()  # warm: schemas, connections, caches
        before = cpu_ns(_pids(world.gateway))
        started = time.perf_counter()
        accepted_s = Load(world, work[64:], bodies).run()
        wall_s = time.perf_counter() - started
        after = cpu_ns(_pids(world.gateway))
    spent = {role: (after[role] - before.get(role, 0)) / 1000 / messages for role in after}
    total = sum(spent.values())
    return Figure(
        measure=measure,
        value=round(total / bodies / floor_us, 3),
        unit="signatures",
        n=messages,
        detail={
            "declarations_per_message": bodies,
            "transport": transport,
            "cpu_us_per_message": round(total, 1),
            "cpu_us_by_role": {role: round(value, 1) for role, value in spent.items()},
            "accepted_per_s": round(messages / accepted_s, 1),
            "home_per_s": round(messages / wall_s, 1),
        },
    )


def _pids(gateway: Watched | None) -> dict[str, int]:
    """Role → process id, the supervisor included."""
    if gateway is None:
        return {}
    started: dict[str, Any] = {
        line["role"]: line["pid"]
        for line in gateway.events
        if line["event"] in ("role.started", "role.restarted")
    }
    return {**started, "supervisor": gateway.process.pid}


def cpu_ns(pids: Mapping[str, int]) -> dict[str, int]:
    """Nanoseconds that each process has been on a core, all its threads together."""
    return {role: sum(_thread_ns(pid)) for role, pid in pids.items()}


def _thread_ns(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield int((task / "schedstat").read_text().split()[0])
