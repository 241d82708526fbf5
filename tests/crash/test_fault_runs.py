"""Thirty runs with different seeds: processes, servers, disks and clocks fail, and nothing accepted is lost.

`make soak` plays the same for an hour, with larger loads.
"""

import os
from collections.abc import Iterator

import pytest

from tests.crash.fault_run import mounts_allowed
from tests.crash.faults import FAULTS
from tests.crash.stages import Theatre, theatre
from tests.crash.tally import Tally

MESSAGES = 60
FAULTS_A_RUN = 3
ALONE = os.environ.get("GATEWAY_SEED", "")
SEEDS = [int(ALONE)] if ALONE else range(1, 31)


@pytest.fixture(scope="module")
def stages() -> Iterator[Theatre]:
    with theatre() as made:
        yield made


@pytest.fixture(scope="module")
def tallies() -> dict[int, Tally]:
    return {}


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_accepted_is_lost_changed_misdelivered_or_doubled(
    seed: int, stages: Theatre, tallies: dict[int, Tally]
) -> None:
    print(f"\nseed {seed}; alone: GATEWAY_SEED={seed} .venv/bin/python -m pytest -s {__file__}")
    tallies[seed] = stages.play(seed, messages=MESSAGES, faults=FAULTS_A_RUN)
    print(tallies[seed])
    assert tallies[seed].promises == (0, 0, 0, 0)


@pytest.mark.skipif(bool(ALONE), reason="one seed alone")
def test_every_kind_of_fault_struck_in_some_run(tallies: dict[int, Tally]) -> None:
    if len(tallies) < len(SEEDS):
        pytest.skip("not every run was played to its end")
    total = sum(tallies.values(), Tally())
    print(f"\nall {len(tallies)} runs: {total}")
    assert set(total.faults) == set(FAULTS) - (set() if mounts_allowed() else {"disk full"})
    assert total.accepted >= len(tallies) * MESSAGES
    assert total.promises == (0, 0, 0, 0)
