"""`gateway check` looks at each door: it says what is there, or what to mend."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import invoke
from tests.door_node import DoorNode, FolderPlace
from tests.door_queues import QueuePlace
from tests.servers.rabbitmq import Brokers
from tests.servers.rabbitmq_site import Site
from tests.servers.tcp_door import TcpDoor


def graded(node: DoorNode, kind: str) -> tuple[str, str, str]:
    """Grade, detail and cure of ann's door."""
    told = [
        json.loads(line) for line in invoke("check", "-c", node.site.config, "--json").stdout.splitlines()
    ]
    (one,) = [line for line in told if line["name"] in (f"door ann {kind}", "doors")]
    return one["grade"], one["detail"], one["fix"]


def test_folders_that_can_be_written_are_ok_and_a_missing_one_is_named(tmp_path: Path) -> None:
    place = FolderPlace.make(tmp_path / "ann")
    node = DoorNode(tmp_path, {"ann": place.toml()})
    before = sorted(tmp_path.rglob("ann/**/*"))
    assert graded(node, "folder")[0] == "ok"
    assert sorted(tmp_path.rglob("ann/**/*")) == before, "nothing is left there"
    (place.root / "reports").rmdir()
    grade, detail, fix = graded(node, "folder")
    assert (grade, "reports_dir cannot be written" in detail, bool(fix)) == ("fail", True, True)


def test_folder_on_another_file_system_is_named(tmp_path: Path) -> None:
    place = FolderPlace.make(tmp_path / "ann")
    elsewhere = Path("/dev/shm")  # noqa: S108
    if elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system here")
    node = DoorNode(tmp_path, {"ann": place.toml().replace(str(place.root / "done"), str(elsewhere))})
    grade, detail, _ = graded(node, "folder")
    assert (grade, "another file system" in detail) == ("fail", True)


def test_doors_that_share_a_folder_are_named(tmp_path: Path) -> None:
    place = FolderPlace.make(tmp_path / "ann")
    node = DoorNode(tmp_path, {"ann": place.toml(), "bob": place.toml()})
    grade, detail, fix = graded(node, "folder")
    assert (grade, "another door" in detail, "of its own" in fix) == ("fail", True, True)


@pytest.fixture(params=["rabbitmq", "amqp"])
def queues(request: pytest.FixtureRequest, brokers: Brokers, tmp_path: Path) -> Iterator[QueuePlace]:
    if request.param == "amqp":
        pytest.importorskip("proton")
    made = QueuePlace(
        kind=request.param, site=Site(brokers.node.port, tmp_path), door=TcpDoor(brokers.node.port)
    )
    yield made
    made.door.stop()


def test_queues_are_looked_for_and_nothing_is_taken(tmp_path: Path, queues: QueuePlace) -> None:
    node = DoorNode(tmp_path, {"ann": queues.toml()})
    grade, _, fix = graded(node, queues.kind)
    assert (grade, bool(fix)) == ("fail", True), "there are no such queues"
    queues.site.declare(queues.queue, queues.reply_queue)
    queues.put(b"waits", "x")
    grade, detail, _ = graded(node, queues.kind)
    assert (grade, queues.queue in detail, queues.reply_queue in detail) == ("ok", True, True)
    assert queues.site.count(queues.queue) == 1
    queues.door.stop()
    assert graded(node, queues.kind)[0] == "fail"
