"""Ten runs with different seeds: processes, servers, disks and clocks fail, and all that was accepted comes home in order.

`make soak` plays the same for an hour, with larger loads.
"""

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.crash.fault_run import kinds, mounts_allowed
from tests.crash.faults import FAULTS
from tests.crash.stages import TURNS, StageServers, scheduled, spool_of, stage_servers

MESSAGES = 60
FAULTS_A_RUN = 6
ALONE = os.environ.get("GATEWAY_SEED", "")
SEEDS = [int(ALONE)] if ALONE else range(1685, 1695)
"""In these every kind of fault strikes on each spool that it fits."""
RUNS = [
    pytest.param(seed, marks=pytest.mark.xdist_group(f"fault runs on {spool_of(seed)}")) for seed in SEEDS
]
"""Two workers may play them: the runs on one spool are no use to those on the other."""


@pytest.fixture(scope="module")
def stages() -> Iterator[StageServers]:
    with stage_servers() as made:
        yield made


@pytest.mark.parametrize("seed", RUNS)
def test_everything_accepted_comes_home_once_in_order_and_untouched(seed: int, stages: StageServers) -> None:
    print(f"\nseed {seed}; alone: GATEWAY_SEED={seed} .venv/bin/python -m pytest -s {__file__}")
    tally = stages.play(seed, messages=MESSAGES, faults=FAULTS_A_RUN)
    print(tally)
    assert tally.broken == {}
    assert tally.faults == Counter(stages.schedule(seed, FAULTS_A_RUN)), "each of them struck"
    assert tally.accepted >= MESSAGES


@pytest.mark.skipif(bool(ALONE), reason="one seed alone")
def test_every_kind_of_fault_strikes_on_each_spool_in_some_run() -> None:
    disks = mounts_allowed()
    planned = {
        (spool_of(seed), fault) for seed in SEEDS for fault in scheduled(seed, FAULTS_A_RUN, disks=disks)
    }
    assert planned == {(spool, fault) for port, spool in TURNS for fault in kinds(port, spool, disks=disks)}
    if disks:
        assert {fault for _, fault in planned} == set(FAULTS)
