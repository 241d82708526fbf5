"""An open-loop load in its own process: messages arrive at planned times, however slow the gateway is.

Callers that wait for an answer before they send the next message hide stalls: the messages that would have
come meanwhile are never sent, and their waiting is never counted (coordinated omission). Here the times of
all arrivals are drawn before the first, and each latency counts from the drawn time.
"""

import multiprocessing
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from types import TracebackType
from typing import Final, Self

from bench.load import ENTERPRISES, GuardedLoad, Job
from gateway.client import GatewayClient, Submitted
from gateway.errors import GatewayError
from gateway.model import EnterpriseId
from gateway.simulator.world import LocalWorld

_CALLERS: Final = 24
"""Connections for the arrivals; an arrival that finds none free waits, and the waiting counts."""
_START_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    address: str
    tokens: dict[str, str]
    jobs: tuple[Job, ...]
    due_s: tuple[float, ...]
    """When each arrives, seconds after the first."""


def schedule(count: int, per_s: float, *, seed: int = 7) -> tuple[float, ...]:
    """Draw `count` arrival times, ascending, in seconds: a Poisson process of this rate, the same for each call."""
    rng = random.Random(seed)  # noqa: S311 (no secret)
    at = 0.0
    times = []
    for _ in range(count):
        at += rng.expovariate(per_s)
        times.append(at)
    return tuple(times)


class Arrivals:
    """Submits `jobs` at the rate `per_s` while entered; `wait` returns when all are accepted, `stop` ends earlier."""

    def __init__(self, world: LocalWorld, jobs: Sequence[Job], *, per_s: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._over = context.Event()
        self._begun = context.Event()
        self._results, theirs = context.Pipe(duplex=False)
        plan = _Plan(
            address=world.address,
            tokens={one.id: world.site.tokens[EnterpriseId(one.id)] for one in ENTERPRISES},
            jobs=tuple(jobs),
            due_s=schedule(len(jobs), per_s),
        )
        self._process = context.Process(
            target=_arrive, args=(plan, self._begun, self._over, theirs), daemon=True
        )
        self._theirs = theirs
        self._latencies: list[float] | None = None

    def __enter__(self) -> Self:
        """Start the process of callers; returns when it begins to send."""
        self._process.start()
        self._theirs.close()
        if not self._begun.wait(_START_S):
            raise GatewayError("the callers of the benchmark do not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._process.pid is not None:
            self._process.join(_START_S)
        self._results.close()

    def wait(self) -> list[float]:
        """Block and return the latency of each message, in seconds from its drawn time to its 202, in order of arrival.

        Raises GatewayError when a message was not accepted.
        """
        if self._latencies is None:
            try:
                answer: list[float] | str = self._results.recv()
            except EOFError:
                answer = "they ended without a word"
            if isinstance(answer, str):
                raise GatewayError(f"the callers of the benchmark failed: {answer}")
            self._latencies = answer
        return self._latencies

    def stop(self) -> list[float]:
        """End the arrivals; returns the latencies of those that came."""
        self._over.set()
        return self.wait()


def _arrive(plan: _Plan, begun: Event, over: Event, results: Connection) -> None:
    """Run the process of callers."""
    try:
        latencies = _call_all(plan, begun, over)
    except BaseException as error:  # noqa: BLE001 (told to the other side, which raises it)
        results.send(f"{type(error).__name__}: {error}")
    else:
        results.send(latencies)
    results.close()


def _call_all(plan: _Plan, begun: Event, over: Event) -> list[float]:
    todo = iter(enumerate(zip(plan.jobs, plan.due_s, strict=True)))
    lock, never = threading.Lock(), threading.Event()
    found: dict[int, float] = {}
    started = time.perf_counter()

    def call() -> None:
        clients = {owner: GatewayClient(plan.address, token) for owner, token in plan.tokens.items()}
        while True:
            with lock:
                number, (job, due_s) = next(todo, (-1, (None, 0.0)))
            if job is None:
                break
            never.wait(max(0.0, started + due_s - time.perf_counter()))
            if over.is_set():
                break
            answer = clients[job.owner].submit(job.body)
            if not isinstance(answer, Submitted):
                raise GatewayError(f"a message of the benchmark was refused: {answer}")
            found[number] = time.perf_counter() - started - due_s
        for one in clients.values():
            one.close()

    begun.set()
    for caller in [GuardedLoad(call) for _ in range(_CALLERS)]:
        caller.join()
    return [found[number] for number in sorted(found)]
