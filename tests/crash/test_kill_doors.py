"""SIGKILL of the doors beside HTTP, again and again, at every point between taking and putting away."""

import hashlib
import json
import random
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from gateway.config.site import NewEnterprise
from tests.crash.points import AT_DOORS, Points
from tests.documents import order
from tests.door_node import DoorNode, FolderPlace
from tests.door_queues import QueuePlace
from tests.servers.rabbitmq import Brokers, need_rabbitmq
from tests.servers.rabbitmq_site import Site
from tests.servers.tcp_door import TcpDoor
from tests.waiting import until

SEED = 20261111
ROUNDS = 25
A_ROUND = 4
OWNERS = tuple(
    NewEnterprise(
        id=name, name=name, cop_codes=(f"440100000{number}",), dxp_ids=(f"DXPENT000000000{number}",)
    )
    for number, name in enumerate(("ann", "bob", "cid"), start=1)
)


@pytest.fixture
def brokers() -> Iterator[Brokers]:
    need_rabbitmq()
    pytest.importorskip("proton")
    with Brokers() as made:
        yield made


def mine(owner: NewEnterprise, number: int) -> bytes:
    return order(f"{owner.id}-{number}", cop_code=owner.cop_codes[0], dxp_id=owner.dxp_ids[0])


def test_nothing_handed_in_is_lost_or_taken_twice_whenever_a_door_dies(
    tmp_path: Path, brokers: Brokers
) -> None:
    folder = FolderPlace.make(tmp_path / "ann")
    site, port = Site(brokers.node.port, tmp_path), TcpDoor(brokers.node.port)
    rabbitmq, amqp = (QueuePlace(kind=kind, site=site, door=port) for kind in ("rabbitmq", "amqp"))
    site.declare(
        *(name for one in (rabbitmq, amqp) for name in (one.queue, one.reply_queue)), queue_type="quorum"
    )
    doors = {"ann": folder.toml(), "bob": rabbitmq.toml(), "cid": amqp.toml()}
    points, rng = Points(tmp_path / "faults"), random.Random(SEED)
    for point in AT_DOORS:
        points.arm(point, passage=rng.randint(1, 3))

    node = DoorNode(tmp_path, doors, owners=OWNERS)
    node.start(program=("-m", "tests.crash.node", str(tmp_path / "faults")))
    bodies: dict[str, bytes] = {}
    refused: set[str] = set()
    numbers = count(1)

    def hand_in() -> int:
        for number in (next(numbers) for _ in range(A_ROUND)):
            sent = [mine(owner, number) for owner in OWNERS]
            bodies.update({f"{owner.id}-{number}": body for owner, body in zip(OWNERS, sent, strict=True)})
            folder.lay(f"ann-{number}.xml", sent[0])
            rabbitmq.put(sent[1], f"bob-{number}")
            amqp.put(sent[2], f"cid-{number}")
        folder.lay(f"bad-{len(bodies)}.xml", b"<refused/>")
        refused.update({f"bad-{len(bodies)}.xml", f"bad-{len(bodies)}.xml.problem.json"})
        return len(bodies) // len(OWNERS)

    def is_taken(each: int) -> bool:
        return len(folder.names("done")) >= each and not any(
            site.count(one.queue) for one in (rabbitmq, amqp)
        )

    for _ in range(ROUNDS):
        each = hand_in()
    for _ in range(ROUNDS):  # some points are passed once for all that lies there
        if points.waiting():
            until(partial(is_taken, each))
            each = hand_in()

    until(lambda: len(folder.names("done")), lambda done: done >= each)
    rejected = until(lambda: set(folder.names("rejected")), refused.__le__)
    ids = {
        name.removesuffix(".xml.accepted.json"): json.loads(folder.read(f"reports/{name}"))["id"]
        for name in folder.names("reports")
    }
    for place in (rabbitmq, amqp):
        ids |= {name: json.loads(body)["id"] for name, (body, _) in place.answers(each).items()}
    arrived = until(node.at_customs, lambda found: len(found) >= len(bodies))
    node.stop()
    port.stop()

    deaths = points.deaths()
    print(f"{len(bodies)} handed in at three doors, {len(deaths)} deaths, {len(arrived)} at customs")
    assert {death.point for death in deaths} == {*AT_DOORS}
    assert ids.keys() == bodies.keys()
    assert len({*ids.values()}) == len(bodies)
    assert arrived == {ids[name]: body for name, body in bodies.items()}, (
        "each once, untouched, as it was told"
    )
    assert len(list((node.site.folder / "customs/out").iterdir())) == len(bodies)
    assert folder.names("in") == []
    assert rejected == refused, "each refused file beside its report"
    assert [site.count(one.queue) for one in (rabbitmq, amqp)] == [0, 0]
    with closing(node.app().spool()) as spool:
        for name, body in bodies.items():
            found = spool.message(ids[name])
            assert found is not None
            assert (found.owner, found.sha256) == (name.partition("-")[0], hashlib.sha256(body).digest())
