"""Callers that submit as fast as they are answered and pull their answers: what benchmarks put on a gateway."""

import threading
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from gateway.client import GatewayClient, Submitted
from gateway.doors.views import ReceiptsView
from gateway.errors import GatewayError
from gateway.model import EnterpriseId
from gateway.playground import Playground
from gateway.simulator.compose import compose
from gateway.site import NewEnterprise

CALLERS: Final = 16
PULL_EVERY_S: Final = 0.5
"""A caller asks for its answers twice a second, whatever has come."""
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
_PATIENCE_S: Final = 300.0
Job = tuple[NewEnterprise, bytes]


def jobs(count: int, bodies: int) -> list[Job]:
    """Compose messages of `bodies` declarations each, in turn of the enterprises; the same each time."""
    rng = Random(11)  # noqa: S311 (invented data)
    return [
        (
            one,
            compose(
                KIND, cop_code=one.cop_codes[0], dxp_id=one.dxp_ids[0], bodies=bodies, rng=rng, items=3
            ).body,
        )
        for number in range(count)
        for one in (ENTERPRISES[number % len(ENTERPRISES)],)
    ]


class Load:
    """One load on one gateway: `run` returns when every answer is home."""

    def __init__(self, world: Playground, work: Sequence[Job], bodies: int) -> None:
        self._world = world
        self._work = work
        self._bodies = bodies
        self._todo = iter(work)
        self._lock = threading.Lock()
        self._errors: list[BaseException] = []

    def run(self) -> float:
        """Submit from CALLERS connections, pull for every enterprise; returns seconds until all was accepted."""
        started = time.perf_counter()
        pullers = [self._thread(lambda one=one: self._pull(one)) for one in ENTERPRISES]  # type: ignore[misc]
        submitters = [self._thread(self._submit) for _ in range(CALLERS)]
        for thread in submitters:
            thread.join()
        accepted_s = time.perf_counter() - started
        for thread in pullers:
            thread.join()
        if self._errors:
            raise self._errors[0]
        return accepted_s

    def _thread(self, act: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                act()
            except BaseException as error:  # noqa: BLE001 (raised again by `run`)
                self._errors.append(error)

        thread = threading.Thread(target=guarded)
        thread.start()
        return thread

    def _next(self) -> Job | None:
        with self._lock:
            return next(self._todo, None)

    def _submit(self) -> None:
        clients = {one.id: self._client(one) for one in ENTERPRISES}
        while (job := self._next()) is not None:
            answer = clients[job[0].id].submit(job[1])
            if not isinstance(answer, Submitted):
                raise GatewayError(f"a message of the benchmark was refused: {answer}")
        for client in clients.values():
            client.close()

    def _pull(self, one: NewEnterprise) -> None:
        wanted = sum(owner is one for owner, _ in self._work) * self._bodies
        client = self._client(one)
        cursor: int | None = None
        paused = threading.Event()
        until = time.monotonic() + _PATIENCE_S
        while wanted > 0:
            paused.wait(PULL_EVERY_S)
            page = client.receipts(after=cursor, limit=500, wait_s=5)
            if not isinstance(page, ReceiptsView) or time.monotonic() > until:
                raise GatewayError(f"answers of {one.id} did not come home", where=str(page)[:200])
            wanted -= sum(len(body.declarations) for receipt in page.receipts for body in receipt.bodies)
            if page.receipts:
                cursor = page.cursor
                client.acknowledge(cursor)
        client.close()

    def _client(self, one: NewEnterprise) -> GatewayClient:
        return GatewayClient(self._world.address, self._world.site.tokens[EnterpriseId(one.id)], timeout_s=90)
