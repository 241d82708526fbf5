"""Roles are killed at random while platforms submit: nothing answered 202 is lost, changed or misdelivered.

GATEWAY_MESSAGES are submitted (`make soak`: 8,000), with a kill among every few of them.
"""

import hashlib
import os
import queue
import random
import threading
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from gateway.samples.compose import compose
from gateway.simulator.world import LocalWorld, WatchedProcess
from tests.crash.answers import bring_home, expected_bodies, wait_until_sent
from tests.nodes import kill_role, pids
from tests.platforms import Platform, enterprises
from tests.shipped_rules import shipped
from tests.waiting import RECOVERY_S

MESSAGES = int(os.environ.get("GATEWAY_MESSAGES", "400"))
KILLS = max(24, MESSAGES * 24 // 800)
SUBMITTERS = 4
SEED = int(os.environ.get("GATEWAY_SEED", "20261111"))


class Killer(threading.Thread):
    """Kills one role after another, each time after so many more answers, and sees it come back."""

    def __init__(self, gateway: WatchedProcess, rng: random.Random) -> None:
        super().__init__(daemon=True)
        self.answered = threading.Semaphore(0)
        self.kills: Counter[str] = Counter()
        self._gateway = gateway
        self._rng = rng
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            for number in range(KILLS):
                for _ in range(self._rng.randint(MESSAGES // KILLS // 2, MESSAGES // KILLS)):
                    self.answered.acquire()
                self._kill(number)
        except BaseException as error:  # noqa: BLE001 (shown by the test)
            self.error = error

    def _kill(self, number: int) -> None:
        alive = pids(self._gateway.events)
        role = sorted(alive)[number % len(alive)]
        kill_role(self._gateway, role)
        self.kills[role.partition("/")[0]] += 1


def work(seed: int) -> list[tuple[str, str, bytes]]:
    """MESSAGES messages of all declaration types: (enterprise, type, body)."""
    rng = random.Random(seed)
    types = [kind.name for kind in shipped().catalogue.declarations()]
    made = []
    for number in range(MESSAGES):
        one = enterprises(8)[number % 8]
        kind = types[number % len(types)]
        bodies = rng.choice((1, 1, 1, 3)) if kind != "CEB711Message" else 1
        composed = compose(kind, cop_code=one.cop_codes[0], dxp_id=one.dxp_ids[0], bodies=bodies, rng=rng)
        made.append((one.id, kind, composed.body))
    return made


def submit_all(
    world: LocalWorld, messages: list[tuple[str, str, bytes]], killer: Killer
) -> list[tuple[str, str, bytes, dict[str, Any]]]:
    """Submit everything from several threads; returns what was answered with 202 or 200."""
    todo: queue.SimpleQueue[tuple[str, str, bytes]] = queue.SimpleQueue()
    for message in messages:
        todo.put(message)
    done: list[tuple[str, str, bytes, dict[str, Any]]] = []
    errors: list[str] = []

    def run() -> None:
        platforms = {str(owner): Platform(world.address, token) for owner, token in world.site.tokens.items()}
        while True:
            try:
                owner, kind, body = todo.get_nowait()
            except queue.Empty:
                break
            try:
                reply = platforms[owner].submit(body)
            except Exception as error:  # noqa: BLE001 (shown by the test)
                errors.append(f"{kind}: {error!r}")
                continue
            if reply.status not in (200, 202):
                errors.append(f"{kind}: {reply.status} {reply.body.decode()[:500]}")
                continue
            done.append((owner, kind, body, reply.json()))
            killer.answered.release()
        for platform in platforms.values():
            platform.close()

    threads = [threading.Thread(target=run) for _ in range(SUBMITTERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[:5]
    return done


def test_nothing_answered_202_is_lost_changed_or_misdelivered_when_roles_are_killed(tmp_path: Path) -> None:
    script = {
        "seed": SEED,
        "delay_s": [0.0, 0.5],
        "duplicates": 0.1,
        "reorder": 0.2,
        "refuse": 0.1,
        "batch": 20,
    }
    messages = work(SEED)
    with LocalWorld(tmp_path, script=script, enterprises=enterprises(8), forwarders=2) as world:
        assert world.gateway is not None
        killer = Killer(world.gateway, random.Random(SEED))
        killer.start()
        answered = submit_all(world, messages, killer)
        killer.join(RECOVERY_S)
        assert killer.error is None, killer.error
        assert not killer.is_alive()
        assert wait_until_sent(world, RECOVERY_S)
        arrived = world.customs_saw()
        got = bring_home(world, RECOVERY_S)

    assert sum(killer.kills.values()) == KILLS
    assert set(killer.kills) == {"accept", "judges", "forward", "collect", "import", "keep"}
    assert len(answered) == MESSAGES

    by_original: dict[str, set[str]] = defaultdict(set)
    for line in arrived:
        by_original[line["original_sha256"]].add(line["cop_msg_id"])
    lost = [
        reply["id"] for _, _, body, reply in answered if hashlib.sha256(body).hexdigest() not in by_original
    ]
    assert lost == []
    doubled = {original: ids for original, ids in by_original.items() if len(ids) != 1}
    assert doubled == {}
    wrong_id = [
        reply["id"] for _, _, body, reply in answered
        if by_original[hashlib.sha256(body).hexdigest()] != {reply["id"]}
    ]  # fmt: skip
    assert wrong_id == []
    accepted = {hashlib.sha256(body).hexdigest() for _, _, body, _ in answered}
    changed = set(by_original) - accepted
    assert changed == set()
    assert {line["verdict"] for line in arrived} == {"processed"}

    expected = expected_bodies(world)
    misdelivered = {owner: got[owner] - expected[owner] for owner in got if got[owner] - expected[owner]}
    missing = {owner: expected[owner] - got[owner] for owner in expected if expected[owner] - got[owner]}
    assert misdelivered == {}
    assert missing == {}
    repeats = sum(line["repeat"] for line in arrived)
    print(
        f"{len(answered)} accepted, {sum(killer.kills.values())} kills {dict(killer.kills)}, "
        f"{len(arrived)} arrivals of which {repeats} repeats, "
        f"{sum(map(len, got.values()))} receipt bodies at home, lost 0, changed 0, misdelivered 0, doubled 0"
    )
