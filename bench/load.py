"""The load of benchmarks: callers that submit as fast as they are answered, and pull their answers."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Final, Self

from bench.lines import happened, now_text
from gateway.client import GatewayClient, Submitted
from gateway.config.site import NewEnterprise
from gateway.errors import GatewayError
from gateway.model import EnterpriseId
from gateway.samples.compose import compose
from gateway.simulator.world import LocalWorld
from gateway.views.api import ReceiptsView

CALLERS: Final = 16
PULL_EVERY_S: Final = 0.5
"""Interval at which a caller pulls its answers, whatever has come."""
KIND: Final = "CEB311Message"
ENTERPRISES: Final = tuple(
    NewEnterprise(
        id=f"bench{number}",
        name=f"Benchmark {number}",
        cop_codes=(f"44{number:08d}",),
        dxp_ids=(f"DXPENT{number:010d}",),
    )
    for number in range(4)
)
PATIENCE_S: Final = 300.0
"""Time limit until all answers to accepted messages are pulled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One message to submit."""

    owner: str
    """Id of the enterprise that submits it."""
    body: bytes
    declarations: int


def jobs(count: int, bodies: int, *, seed: int = 11) -> list[Job]:
    """Compose messages of `bodies` declarations each, for each enterprise in turn; the same for each call."""
    rng = Random(seed)  # noqa: S311 (invented data)
    return [
        Job(
            owner=one.id,
            body=compose(
                KIND, cop_code=one.cop_codes[0], dxp_id=one.dxp_ids[0], bodies=bodies, rng=rng, items=3
            ).body,
            declarations=bodies,
        )
        for number in range(count)
        for one in (ENTERPRISES[number % len(ENTERPRISES)],)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedLoad:
    """How long a load took from its first submission, in seconds."""

    messages: int
    accepted_s: float
    """Until the last message was accepted."""
    home_s: float
    """Until the last answer was on its timeline."""

    @property
    def accepted_per_s(self) -> float:
        """Messages accepted a second, while others were being sent and answered."""
        return self.messages / self.accepted_s

    @property
    def home_per_s(self) -> float:
        """Messages carried a second, from submission to answer: what the node can sustain."""
        return self.messages / self.home_s


def carry(world: LocalWorld, work: Sequence[Job]) -> CarriedLoad:
    """Submit as fast as answered, pull for every enterprise; block until all answers are there. Raises GatewayError."""
    assert world.gateway is not None  # noqa: S101 (it is running)
    since, started, began = now_text(), time.time(), time.perf_counter()
    wanted = sum(job.declarations for job in work)
    with Answers(world) as answers:
        submit(world, work)
        accepted_s = time.perf_counter() - began
        answers.wait_for(wanted)
    home = happened(world.gateway, "receipt.matched", since=since, count=wanted)
    return CarriedLoad(messages=len(work), accepted_s=accepted_s, home_s=max(home) - started)


def submit(world: LocalWorld, work: Iterable[Job]) -> None:
    """Submit everything over CALLERS connections, each as fast as it is answered; blocks. Raises GatewayError."""
    todo, lock = iter(work), threading.Lock()

    def call() -> None:
        clients = {one.id: client(world, one.id) for one in ENTERPRISES}
        try:
            while True:
                with lock:
                    job = next(todo, None)
                if job is None:
                    return
                answer = clients[job.owner].submit(job.body)
                if not isinstance(answer, Submitted):
                    raise GatewayError(f"a message of the benchmark was refused: {answer}")
        finally:
            for one in clients.values():
                one.close()

    callers = [GuardedLoad(call) for _ in range(CALLERS)]
    for caller in callers:
        caller.join()


class Answers:
    """Pulls and acknowledges the answers of every enterprise while entered: `with Answers(world) as answers`."""

    def __init__(self, world: LocalWorld) -> None:
        self._world = world
        self._over = threading.Event()
        self._came = threading.Condition()
        self._count: Counter[str] = Counter()
        self._pullers: list[GuardedLoad] = []

    def __enter__(self) -> Self:
        self._pullers = [GuardedLoad(lambda one=one: self._pull(one.id)) for one in ENTERPRISES]  # type: ignore[misc]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for puller in self._pullers:
            puller.join()

    def wait_for(self, wanted: int) -> None:
        """Block until answers about so many declarations have come. Raises GatewayError when they do not."""

        def enough() -> bool:
            return self._count.total() >= wanted or any(puller.error for puller in self._pullers)

        with self._came:
            if not self._came.wait_for(enough, PATIENCE_S):
                raise GatewayError(f"{wanted - self._count.total()} answers did not come home")

    def _pull(self, owner: str) -> None:
        puller = client(self._world, owner)
        cursor: int | None = None
        try:
            while not self._over.wait(PULL_EVERY_S):
                page = puller.receipts(after=cursor, limit=500, wait_s=1)
                if not isinstance(page, ReceiptsView):
                    raise GatewayError(f"answers of {owner} were not given: {page}"[:300])
                if page.receipts:
                    cursor = page.cursor
                    puller.acknowledge(cursor)
                with self._came:
                    self._count[owner] += sum(
                        len(body.declarations) for one in page.receipts for body in one.bodies
                    )
                    self._came.notify_all()
        finally:
            puller.close()
            with self._came:
                self._came.notify_all()


class GuardedLoad:
    """A thread that starts at once and whose error `join` raises."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._act = act
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._act()
        except BaseException as error:  # noqa: BLE001 (raised again by `join`)
            self.error = error

    def join(self) -> None:
        """Wait for its end; raises its error."""
        self._thread.join()
        if self.error is not None:
            raise self.error


def client(world: LocalWorld, owner: str) -> GatewayClient:
    """Return a client of one of the ENTERPRISES."""
    return GatewayClient(world.address, world.site.tokens[EnterpriseId(owner)], timeout_s=90)
