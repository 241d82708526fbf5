"""Two nodes on one PostgreSQL, a cluster of three RabbitMQ nodes, and one of each is killed in full load.

GATEWAY_MESSAGES are submitted (`make soak`: 8,000).
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.answers import Reader, bring_home, expected_bodies, wait_until_answered, wait_until_sent
from tests.crash.load import Load
from tests.crash.ports import BrokerPort
from tests.crash.tally import tally
from tests.crash.world import World
from tests.servers import postgres, rabbitmq
from tests.waiting import RECOVERY_S

MESSAGES = int(os.environ.get("GATEWAY_MESSAGES", "300"))
SCRIPT: dict[str, object] = {"seed": 3, "delay_s": [0.0, 0.3], "duplicates": 0.1, "reorder": 0.2, "batch": 20}


@pytest.fixture
def database() -> Iterator[postgres.PostgresServer]:
    with postgres.running() as server:
        yield server


@pytest.fixture
def cluster() -> Iterator[rabbitmq.Brokers]:
    rabbitmq.need_rabbitmq()
    with rabbitmq.Brokers(3) as brokers:
        yield brokers


def test_when_a_broker_and_then_a_node_die_in_full_load_all_answers_come_home(
    tmp_path: Path, database: postgres.PostgresServer, cluster: rabbitmq.Brokers
) -> None:
    (tmp_path / "customs").mkdir()
    port = BrokerPort(tmp_path / "customs", SCRIPT, cluster)
    spool_toml = f'[spool]\nkind = "postgres"\ndsn = "{database.new_schema()}"\n'
    with World(tmp_path, port, spool_toml=spool_toml, names=("north", "south")) as world:
        north, south = world.nodes
        leader = cluster.leader_of(port.queue)
        cluster.leader_of(port.answers)
        world.address = south.address
        reader = Reader(world)
        load = Load(world, seed=3, count=MESSAGES, submitters=4)
        load.wait_for(MESSAGES // 3)
        leader.kill()
        load.wait_for(MESSAGES * 2 // 3)
        at_death = load.by_node.copy()
        north.kill()
        load.join()
        assert wait_until_sent(world, RECOVERY_S)
        wait_until_answered(world, {one.uid for one in load.answered}, RECOVERY_S)
        got = bring_home(world, RECOVERY_S, reader.stop())
        result = tally(load.answered, world.customs_saw(), expected_bodies(world), got, kills=2)

    print(f"\n{leader.name} and north killed: {result}; accepted by {dict(load.by_node)}")
    assert load.errors == []
    assert result.accepted == MESSAGES
    assert min(at_death.values()) > MESSAGES // 20, "both nodes took their part"
    assert load.by_node["south"] > at_death["south"]
    assert result.broken == {}
