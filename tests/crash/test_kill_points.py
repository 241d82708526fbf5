"""SIGKILL at every named point between two commits: of the role that passes it, and of the whole node."""

from collections import defaultdict
from pathlib import Path

import pytest

from gateway.doors.drop.loop import DropAdapter
from gateway.ports import Feed, Transport
from spool.archive import Archive
from spool.store import Spool
from tests.crash.answers import Bodies, bring_home, expected_bodies, wait_until_answered, wait_until_sent
from tests.crash.load import Load, pass_all
from tests.crash.node import COMMITS
from tests.crash.points import AT_DOORS, CONFIRMED, FROZEN_AT, IN_HAND, NOTIFY, POINTS, RARE, WITH_AGE, Whom
from tests.crash.ports import simulated_amqp
from tests.crash.tally import tally
from tests.crash.world import World
from tests.waiting import RECOVERY_S

MESSAGES = 40
THREE_DAYS_S = 3 * 86_400.0
OF: dict[str, type] = {
    "spool": Spool,
    "feed": Feed,
    "transport": Transport,
    "adapter": DropAdapter,
    "archive": Archive,
}
SCRIPT: dict[str, object] = {"seed": 7, "delay_s": [0.0, 0.1], "duplicates": 0.1, "reorder": 0.2}


def settle_down(world: World, load: Load, got: Bodies) -> None:
    """Wait until customs has said its last word: what is purged before that is an orphan when it comes."""
    assert wait_until_sent(world, RECOVERY_S)
    wait_until_answered(world, {one.uid for one in load.answered}, RECOVERY_S)
    bring_home(world, RECOVERY_S, got)


def test_every_point_is_at_a_method_that_there_is() -> None:
    """Whatever was given another name is passed by nobody: whoever waits for a death there waits in vain."""
    points = {*POINTS, *AT_DOORS, *NOTIFY, *RARE, *(point for at in FROZEN_AT.values() for point in at)}
    calls = {point.rpartition(":")[2] for point in points if not point.endswith(CONFIRMED.rpartition(":")[2])}
    calls |= {f"spool.{name}" for name in COMMITS}
    assert [call for call in sorted(calls) if not hasattr(OF[call.split(".")[0]], call.split(".")[1])] == []
    assert {call.split(".")[1] for call in calls if call.startswith("spool.")} == {*COMMITS}


@pytest.mark.parametrize("whom", ["role", "node"])
def test_nothing_is_lost_whoever_is_killed_at_whatever_point(tmp_path: Path, whom: Whom) -> None:
    (tmp_path / "customs").mkdir()
    port = simulated_amqp(tmp_path / "customs", SCRIPT)
    got: Bodies = defaultdict(set)
    with World(tmp_path, port, retention_days=1) as world:
        late = IN_HAND[:2]
        for point in sorted({*POINTS} - {*WITH_AGE, *late}):
            world.points.arm(point, whom=whom)
        load = Load(world, seed=7, count=MESSAGES)
        load.join()
        pass_all(world, load, lambda: bring_home(world, 1.0, got))
        assert wait_until_sent(world, RECOVERY_S)
        for point in late:
            world.points.arm(point, whom=whom)
        pass_all(world, load, lambda: bring_home(world, 1.0, got))
        settle_down(world, load, got)

        world.clock.move(
            THREE_DAYS_S
        )  # what is at home is old now, and the keeper that starts anew purges it
        for point in (*WITH_AGE, "keep:before:spool.recover"):
            world.points.arm(point, whom=whom)
        pass_all(world, load, lambda: bring_home(world, 1.0, got))
        settle_down(world, load, got)
        deaths = world.points.deaths()
        result = tally(load.answered, world.customs_saw(), expected_bodies(world), got, kills=len(deaths))

    print(f"\nkilled the {whom} at {len({death.point for death in deaths})} points: {result}")
    assert load.errors == []
    assert {death.point for death in deaths} == {*POINTS}
    assert {death.whom for death in deaths} == {whom}
    assert world.points.passed() - {*RARE} == {*POINTS}, (
        "every commit and every effect of a role is a point of the list"
    )
    assert (world.node.lives > 1) == (whom == "node")
    assert result.broken == {}
