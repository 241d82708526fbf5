"""SIGKILL of the notify role, and of the whole node, between any two steps: every answer is delivered all the same."""

import json
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.app.open_spool import build_spool
from gateway.config.gateway_toml import load_config
from tests.crash.answers import Bodies, delivered, expected_bodies, wait_until_answered, wait_until_sent
from tests.crash.load import Load, die_at_each
from tests.crash.points import NOTIFY, NOTIFY_IN_HAND, Whom
from tests.crash.ports import simulated_amqp
from tests.crash.world import World
from tests.platforms import bodies_of
from tests.servers.receiver import Receiver
from tests.waiting import RECOVERY_S, until

MESSAGES = 40
SCRIPT: dict[str, object] = {"seed": 7, "delay_s": [0.0, 0.1], "duplicates": 0.1, "reorder": 0.2}


def folder_toml(outbox: Path) -> str:
    outbox.mkdir()
    return f'\n[[deliver]]\nname = "files"\n[deliver.folder]\nsend_dir = "{outbox}"\n'


def forms_in(outbox: Path) -> list[Any]:
    forms = [json.loads(file.read_bytes()) for file in sorted(outbox.glob("[!.]*.json"))]
    for form in forms:
        assert (outbox / form["receipt_file"]).stat().st_size, "the receipt is there before what tells of it"
    return forms


def linger(world: World) -> None:
    """A second, or until somebody dies."""
    waiting = world.points.waiting()
    with suppress(AssertionError):
        until(lambda: world.points.waiting() != waiting, seconds=1)


@pytest.mark.parametrize("whom", ["role", "node"])
def test_every_answer_is_delivered_whoever_is_killed_at_whatever_point(tmp_path: Path, whom: Whom) -> None:
    (tmp_path / "customs").mkdir()
    port = simulated_amqp(tmp_path / "customs", SCRIPT)
    with ExitStack() as stack:
        world = World(tmp_path, port)
        outbox = tmp_path / "outbox"
        receivers = {one.id: stack.enter_context(Receiver(tmp_path)) for one in world.owners}
        for name, receiver in receivers.items():
            with (world.site.enterprises / f"{name}.toml").open("a", encoding="utf-8") as file:
                file.write(receiver.toml(timeout_s=1.0))
                file.write(folder_toml(outbox) if name == "e00" else "")
        stack.enter_context(world)
        load = Load(world, seed=7, count=MESSAGES)
        points = (*NOTIFY_IN_HAND, *sorted({*NOTIFY} - {*NOTIFY_IN_HAND}))
        die_at_each(world, load, points, whom, lambda: linger(world))
        wait_until_answered(world, {one.uid for one in load.answered}, RECOVERY_S)
        expected = expected_bodies(world)
        with closing(build_spool(load_config(world.site.config))) as spool:
            until(lambda: got(receivers) == expected, seconds=RECOVERY_S)
            assert wait_until_sent(world, RECOVERY_S)
            until(lambda: not any(spool.outstanding().unacknowledged.values()))
        deaths = world.points.deaths()
        files = forms_in(outbox)

    assert load.errors == []
    assert {death.point for death in deaths} == {*NOTIFY}
    assert {death.whom for death in deaths} == {whom}
    doubled = 0
    for receiver in receivers.values():
        first: dict[str, Any] = {}
        for one in receiver.taken:
            assert receiver.verifies(one)
            assert first.setdefault(one.id, one.json()) == one.json(), "what comes twice is the same"
        assert sorted(form["receipt"]["cursor"] for form in first.values()) == sorted(
            {form["receipt"]["cursor"] for form in first.values()}
        ), "one notice, one id"
        doubled += len(receiver.taken) - len(first)
    assert {body for form in files for body in bodies_of(form["receipt"])} == expected["e00"]
    print(f"\nkilled the {whom} at {len(deaths)} points; delivered twice, under the same id: {doubled}")


def got(receivers: dict[str, Receiver]) -> Bodies:
    return {name: delivered(one) for name, one in receivers.items()}
