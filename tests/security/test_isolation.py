"""One tenant sends the worst at every door; another, beside it, notices nothing, and the node lives.

`ISOLATION_S` in the environment is how long; the inputs and the operator's schema that nothing can mend:
`tests/security/worst.py`. The door that is a queue: `tests/contract/test_queue_doors.py`.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.config.site import NewEnterprise
from gateway.model import EnterpriseId
from tests.documents import order
from tests.door_node import DoorNode, FolderPlace
from tests.platforms import Reply
from tests.security.worst import OWNER, endless, pathological_rules, payments, worst
from tests.waiting import until

SECONDS = float(os.environ.get("ISOLATION_S", "8"))
REPOSITORY = Path(__file__).resolve().parents[2]
CALM = NewEnterprise(id="calm", name="Calm", cop_codes=("4400000009",), dxp_ids=("DXPENT0000000009",))
P99_S = 0.5
HEALTH_S = 1.0
SLOW_MACHINE = 5.0
"""Times what the same takes with no flood: where even that is slow, the limits above say nothing of the gateway."""


@dataclass
class Times:
    """How long answers took, in seconds."""

    plain: list[float] = field(default_factory=list)
    judged: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)

    @property
    def handed_in(self) -> list[float]:
        return [*self.plain, *self.judged]


def p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


class Node(DoorNode):
    """With a folder of each enterprise, and rules that hold what nobody can judge in time."""

    def __init__(self, folder: Path) -> None:
        self.places = {owner.id: FolderPlace.make(folder / owner.id) for owner in (OWNER, CALM)}
        doors = {name: place.toml() for name, place in self.places.items()}
        super().__init__(folder, doors, owners=(OWNER, CALM))
        config = self.site.config.read_text("utf-8")
        for old, new in (
            ('# rules_dir = "rules"', f'rules_dir = "{pathological_rules(folder / "rules")}"'),
            ("[judges]\n", "[judges]\ncpu_s = 0.5\n"),
        ):
            assert config.count(old) == 1
            config = config.replace(old, new)
        self.site.config.write_text(config, "utf-8")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("isolation"))
    made.start()
    yield made
    made.stop()


@contextmanager
def flooding(node: Node) -> Iterator[list[tuple[str, int, str]]]:
    """Have the worst sent over HTTP by a process of its own; gives what it is answered."""
    command = [
        sys.executable,
        "-m",
        "tests.security.flood",
        node.address,
        node.site.tokens[EnterpriseId(OWNER.id)],
    ]
    told: list[tuple[str, int, str]] = []
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as flood:
        assert flood.stdout is not None
        stdout = flood.stdout

        def hear() -> None:
            for line in stdout:
                if line.endswith(b"\n"):  # the last may be cut short when the flood is killed
                    name, status, code = json.loads(line)
                    told.append((name, status, code))

        ear = threading.Thread(target=hear)
        ear.start()
        try:
            until(lambda: told)
            yield told
        finally:
            flood.kill()
            ear.join()


def measured(node: Node, seconds: float, *, first: int) -> Times:
    """Hand in small messages, plain ones, others and sources, one after the other, and ask for the health."""
    times = Times()
    calm, monitor = node.platform("calm"), node.platform("calm")
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            times.health.append(_timed(lambda: monitor.once("GET", "/healthz"), 200))

    watcher = threading.Thread(target=watch)
    watcher.start()
    number = first
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        number += 1
        plain = order(f"CALM-{number}", cop_code=CALM.cop_codes[0], dxp_id=CALM.dxp_ids[0])
        other = plain.replace(b"CALM-", b"TREE-").replace(b"?>", b"?><!-- not plain -->", 1)
        source = payments(1, code=CALM.cop_codes[0], dxp_id=CALM.dxp_ids[0], first=number)
        for kept, query, body, headers in (
            (times.plain, "", plain, {}),
            (times.judged, "", other, {}),
            (times.judged, "?mapping=payments", source, {"Content-Type": "application/json"}),
        ):
            kept.append(_timed(partial(calm.once, "POST", f"/v1/messages{query}", body, headers), 202))
    over.set()
    watcher.join()
    calm.close()
    monitor.close()
    return times


def _timed(ask: Callable[[], Reply], wanted: int) -> float:
    began = time.perf_counter()
    reply = ask()
    assert reply.status == wanted, reply.body
    return time.perf_counter() - began


def test_tenant_beside_the_worst_notices_nothing(node: Node) -> None:
    places = node.places
    calm = measured(node, 3.0, first=0)
    for number, one in enumerate(worst()):
        places["flood"].lay(f"{number}-{one.name.replace(' ', '-')}.xml", one.body)
    with flooding(node) as told:
        places["calm"].lay("mine.xml", order("FOLDER-1", cop_code=CALM.cop_codes[0], dxp_id=CALM.dxp_ids[0]))
        beside = measured(node, SECONDS, first=1_000_000)
        until(lambda: places["calm"].names("reports"))
        until(lambda: any(code == "too-expensive" for _, _, code in told))
    print(
        f"{len(beside.handed_in)} handed in beside {len(told)} of the worst: p99 {p99(beside.handed_in):.3f} s"
        f" (plain {p99(beside.plain):.3f}, judged {p99(beside.judged):.3f}; with no flood {p99(calm.handed_in):.3f}),"
        f" /healthz at most {max(beside.health):.3f} s (with no flood {max(calm.health):.3f})"
    )
    assert p99(beside.handed_in) < max(P99_S, SLOW_MACHINE * p99(calm.handed_in))
    assert max(beside.health) < max(HEALTH_S, SLOW_MACHINE * max(calm.health))
    assert not {code for _, _, code in told} & {"internal-error", "not-your-identity", "unauthorised"}
    assert not node.events("role.restarted")
    assert node.events("judge.killed")


def test_input_that_ended_its_judge_is_told_of_journaled_and_never_read_again(node: Node) -> None:
    place = node.places["flood"]
    body = endless() + b"<!-- once -->"
    place.lay("once.xml", body)
    report = until(lambda: [one for one in place.names("rejected") if one == "once.xml.problem.json"])
    assert json.loads(place.read(f"rejected/{report[0]}"))["code"] == "too-expensive"
    until(lambda: "once.xml" in place.names("rejected"))
    assert "once.xml" not in place.names("in")
    refused = node.event("message.refused", enterprise="flood", sha256=sha256(body).hexdigest())
    assert (refused["problem"], refused["rules"]) == ("too-expensive", ["too_expensive"])
    reasons = ("processor", "time")
    node.process.wait_for(lambda line: line.get("event") == "judge.killed" and line["reason"] in reasons)
    assert len([one for one in node.events("message.refused") if one.get("sha256") == refused["sha256"]]) == 1
