"""Thirty runs with different seeds: processes, servers, disks and clocks fail, and nothing accepted is lost.

`make soak` plays the same for an hour, with larger loads.
"""

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.crash.fault_run import mounts_allowed
from tests.crash.faults import FAULTS
from tests.crash.stages import Theatre, theatre

MESSAGES = 60
FAULTS_A_RUN = 3
ALONE = os.environ.get("GATEWAY_SEED", "")
SEEDS = [int(ALONE)] if ALONE else range(1, 31)


@pytest.fixture(scope="module")
def stages() -> Iterator[Theatre]:
    with theatre() as made:
        yield made


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_accepted_is_lost_changed_misdelivered_or_doubled(seed: int, stages: Theatre) -> None:
    print(f"\nseed {seed}; alone: GATEWAY_SEED={seed} .venv/bin/python -m pytest -s {__file__}")
    tally = stages.play(seed, messages=MESSAGES, faults=FAULTS_A_RUN)
    print(tally)
    assert tally.broken == {}
    assert tally.faults == Counter(stages.schedule(seed, FAULTS_A_RUN)), "each of them struck"
    assert tally.accepted >= MESSAGES


@pytest.mark.skipif(bool(ALONE), reason="one seed alone")
def test_every_kind_of_fault_strikes_in_some_run(stages: Theatre) -> None:
    planned = {fault for seed in SEEDS for fault in stages.schedule(seed, FAULTS_A_RUN)}
    assert planned == set(FAULTS) - (set() if mounts_allowed() else {"disk full"})
