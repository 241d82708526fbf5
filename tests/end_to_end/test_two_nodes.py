"""Two nodes on one PostgreSQL: one is killed in full load, and the other brings everything home."""

import hashlib
import os
import queue
import random
import signal
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.samples.compose import compose
from gateway.simulator.world import LocalWorld, WatchedProcess, free_port
from spool.lifecycle import State
from spool.postgres import PostgresSpool
from spool.store import Topic
from tests.crash.answers import bring_home, expected_bodies
from tests.nodes import start_gateway
from tests.platforms import NotNow, Platform, bodies_of, enterprises
from tests.servers.postgres import PostgresServer, running
from tests.shipped_rules import shipped

MESSAGES = 400
SUBMITTERS = 4
LEASE_S = 2.0
OWNERS = enterprises(8)


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with running() as made:
        yield made


class TwoNodes(LocalWorld):
    """One site, one customs side, one PostgreSQL; node `north` as everywhere, and `south` beside it."""

    def __init__(self, folder: Path, dsn: str) -> None:
        script = {"seed": 11, "delay_s": [0.0, 0.3], "duplicates": 0.1, "reorder": 0.2, "batch": 10}
        super().__init__(
            folder,
            transport="amqp",
            script=script,
            enterprises=OWNERS,
            more_config=f'[spool]\nkind = "postgres"\ndsn = "{dsn}"\n',
        )
        text = self.site.config.read_text("utf-8").replace("lease_s = 60.0", f"lease_s = {LEASE_S}")
        assert f"lease_s = {LEASE_S}" in text
        port = free_port()
        self.north_address, self.south_address = self.address, f"http://127.0.0.1:{port}"
        self.site.config.write_text(text.replace('name = "gateway"', 'name = "north"'), "utf-8")
        self.south_config = self.site.folder / "south.toml"
        south = text.replace('name = "gateway"', 'name = "south"').replace('"state"', '"south"')
        south = south.replace(f"port = {self.address.rpartition(':')[2]}", f"port = {port}")
        self.south_config.write_text(south, "utf-8")
        self.south: WatchedProcess | None = None

    def start_south(self) -> WatchedProcess:
        self.south = start_gateway(self.south_config, self.folder / "south.log")
        return self.south

    def __exit__(self, *_: object) -> None:
        if self.south is not None:
            self.south.stop()
        super().__exit__()


def work() -> list[tuple[str, bytes]]:
    """MESSAGES messages of all declaration types: (enterprise, body)."""
    rng = random.Random(11)
    types = [kind.name for kind in shipped().catalogue.declarations()]
    made = []
    for number in range(MESSAGES):
        one = OWNERS[number % len(OWNERS)]
        kind = types[number % len(types)]
        composed = compose(kind, cop_code=one.cop_codes[0], dxp_id=one.dxp_ids[0], bodies=1, rng=rng)
        made.append((one.id, composed.body))
    return made


class Submitters:
    """Platforms that know both addresses, and go to the other one when the first does not answer."""

    def __init__(self, world: TwoNodes, messages: Sequence[tuple[str, bytes]]) -> None:
        self.answered: list[tuple[str, bytes, dict[str, Any]]] = []
        self.errors: list[str] = []
        self.by_node: Counter[str] = Counter()
        self._progress = threading.Condition()
        self._world = world
        self._todo: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        for message in messages:
            self._todo.put(message)
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(SUBMITTERS)]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        addresses = [self._world.north_address, self._world.south_address][:: -1 if number % 2 else 1]
        while True:
            try:
                owner, body = self._todo.get_nowait()
            except queue.Empty:
                return
            for address in [*addresses, *addresses]:
                token = self._world.site.tokens[owner]  # type: ignore[index]
                with closing(
                    Platform(address, token, patience_s=15 if address == addresses[-1] else 0.5)
                ) as platform:
                    try:
                        reply = platform.submit(body)
                    except Exception as error:  # noqa: BLE001 (shown when the other node does not help)
                        failure = repr(error)
                        continue
                if reply.status in (200, 202):
                    self._done(owner, body, reply.json(), address)
                    break
                failure = f"{reply.status} {reply.body.decode()[:300]}"
            else:
                self.errors.append(failure)

    def _done(self, owner: str, body: bytes, reply: dict[str, Any], address: str) -> None:
        with self._progress:
            self.answered.append((owner, body, reply))
            self.by_node[address] += 1
            self._progress.notify_all()

    def wait_for(self, count: int) -> None:
        with self._progress:
            assert self._progress.wait_for(lambda: len(self.answered) + len(self.errors) >= count, 120)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive()


def kill_with_claims(node: WatchedProcess, spool: PostgresSpool, name: str) -> list[str]:
    """SIGKILL a whole node, at an instant at which it holds claims; returns whose."""
    with spool.listen(Topic.ENTRIES) as waiter:
        for _ in range(2000):
            for pid in family(node.process.pid):
                os.kill(pid, signal.SIGSTOP)
            held = spool.db.rows(
                "SELECT uid FROM entry WHERE state = 'sending' AND claimant LIKE %s", f"{name}/%"
            )
            if held:
                node.kill()  # its roles die with their supervisor
                return [uid for (uid,) in held]
            for pid in family(node.process.pid):
                os.kill(pid, signal.SIGCONT)
            waiter.wait(0.05)
    raise AssertionError(f"{name} never held a claim")


def family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def wait_until_sent(spool: PostgresSpool) -> None:
    with spool.listen(Topic.ENTRIES) as waiter:
        for _ in range(120):
            if not spool.depths():
                return
            waiter.wait(1.0)
    raise AssertionError(spool.depths())


def test_when_a_node_dies_in_full_load_the_other_brings_everything_home(
    tmp_path: Path, server: PostgresServer
) -> None:
    spool = PostgresSpool(server.dsn)
    with TwoNodes(tmp_path, server.dsn) as world:
        assert world.gateway is not None
        south = world.start_south()
        submitters = Submitters(world, work())
        submitters.wait_for(MESSAGES // 3)
        held = kill_with_claims(world.gateway, spool, "north")
        submitters.join()
        assert submitters.errors == []
        wait_until_sent(spool)
        arrived = world.customs_saw()
        world.address = world.south_address
        got = bring_home(world, 60)
        expired = south.wait_for(lambda line: line.get("event") == "lease.expired")

    assert min(submitters.by_node.values()) > MESSAGES // 20, "both nodes took their part"
    assert expired["entries"] > 0
    for uid in held:
        view = spool.message(uid)
        assert view is not None
        assert view.state is State.SENT
        assert any("found unfinished" in line.detail for line in spool.history(uid))
    assert len(submitters.answered) == MESSAGES
    ids: dict[str, set[str]] = defaultdict(set)
    for line in arrived:
        ids[line["original_sha256"]].add(line["cop_msg_id"])
    told = {hashlib.sha256(body).hexdigest(): {reply["id"]} for _, body, reply in submitters.answered}
    assert ids == told, "everything answered arrived, nothing else did, and under one id"
    assert {line["verdict"] for line in arrived} == {"processed"}
    expected = expected_bodies(world)
    assert expected
    assert got == expected
    spool.close()


def test_the_door_outlives_the_database(tmp_path: Path, server: PostgresServer) -> None:
    (owner, first), (_, second), *_ = [one for one in work() if one[0] == OWNERS[0].id]
    with TwoNodes(tmp_path, server.dsn) as world:
        assert world.gateway is not None
        platform = Platform(world.address, world.site.tokens[owner])  # type: ignore[index]
        assert platform.submit(first).status == 202
        server.stop()
        for method, path, body in (("POST", "/v1/messages", second), ("GET", "/v1/receipts", None)):
            with pytest.raises(NotNow):
                platform.once(method, path, body)
        server.start()
        assert platform.submit(second).status == 202
        spool = PostgresSpool(server.dsn)
        wait_until_sent(spool)
        spool.close()
        got: set[object] = set()
        while not (wanted := expected_bodies(world)[owner]) or got < wanted:
            receipts = list(platform.receipts(wait_s=30))
            assert receipts, "an answer that customs sent does not come home"
            got |= {body for receipt in receipts for body in bodies_of(receipt)}
        roles = [line["role"] for line in world.gateway.events if line.get("event") == "role.restarted"]
        assert "accept" not in roles
        platform.close()
