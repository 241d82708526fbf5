"""Twice the bytes of a stranger cost twice the time, whatever they are and wherever they stand.

Compared are processor times of one run, so nothing here depends on how fast or how busy the machine is.
"""

import gc
from collections.abc import Iterator
from math import log2
from time import process_time

import pytest

from gateway.errors import FAULTS_SHOWN
from tests.security.inputs import INPUTS, LIMITS, Input

LARGEST = LIMITS.size_bytes - 64 * 1024
SMALLEST = 1024
FLOOR_S = 0.004
"""Below this a time says nothing."""
MOST_TIMES = 2.5
"""For each doubling; a step where memory gets slower is within it, for three of them together."""
DOUBLINGS = 3
MOST_TOLD = 1_000_000
"""Characters of all faults together."""


@pytest.fixture(autouse=True, scope="module")
def _what_is_there_already_is_not_looked_through_again() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("name", INPUTS)
def test_twice_the_input_takes_twice_the_time(name: str) -> None:
    one = INPUTS[name]
    one.work(one.make(SMALLEST))  # schemas are compiled when first asked for
    size = _measurable(one)
    most = min(size << DOUBLINGS, LARGEST)
    small, large, bound = one.make(size), one.make(most), MOST_TIMES ** log2(most / size)
    if _seconds(one, large, 1) > bound * _seconds(one, small, 3):
        then, now = _seconds(one, small, 9), _seconds(one, large, 4)
        assert now <= bound * then, f"{len(small)} bytes {then:.4f} s, {len(large)} {now:.4f}"
    told = one.work(large)
    assert len(told) <= FAULTS_SHOWN + 1
    assert sum(len(f"{fault}") for fault in told) <= MOST_TOLD


def _measurable(one: Input) -> int:
    """Give the smallest size that takes long enough to be measured, at most half of the largest."""
    size = SMALLEST
    while size < LARGEST // 2 and _seconds(one, one.make(size), 1) < FLOOR_S:
        size *= 2
    return min(size, LARGEST // 2)


def _seconds(one: Input, body: bytes, runs: int) -> float:
    """Give the least processor time of some runs."""
    best = float("inf")
    for _ in range(runs):
        begin = process_time()
        one.work(body)
        best = min(best, process_time() - begin)
    return max(best, FLOOR_S)
