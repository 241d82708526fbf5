"""The state of a device, shared by processes through a file."""

from pathlib import Path

import pytest

from signing.errors import KeyUnavailable, WrongPin
from signing.keys.health import HealthFile


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(tmp_path: Path, clock: Clock) -> HealthFile:
    return HealthFile(tmp_path, "card", clock)


def test_places_in_the_budget_are_given_once_whoever_asks(
    health: HealthFile, tmp_path: Path, clock: Clock
) -> None:
    other = HealthFile(tmp_path, "card", clock)
    assert [health.reserve(0.25, at_most_s=9), other.reserve(0.25, at_most_s=9)] == [0.0, 0.25]
    assert health.reserve(0.25, at_most_s=0.4) is None
    clock.now += 10
    assert health.reserve(0.25, at_most_s=0.4) == 0.0


def test_clock_that_was_set_back_does_not_stop_a_key(health: HealthFile, clock: Clock) -> None:
    health.reserve(0.25, at_most_s=9)
    health.failed("dark")
    clock.now -= 86_400
    assert health.standing().wait_s <= 60
    assert health.reserve(0.25, at_most_s=9) == 0.0


def test_quarantine_grows_to_a_minute_and_ends_with_one_success(health: HealthFile, clock: Clock) -> None:
    waits = []
    for number in range(9):
        assert health.failed("dark") is (number == 0), "told once"
        assert health.failed("dark") is False, "another thread met the same failure: not longer"
        waits.append(health.standing().wait_s)
        assert health.standing().suspect
        clock.now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert health.succeeded() is True
    assert health.succeeded() is False
    assert (health.standing().wait_s, health.standing().suspect) == (0.0, False)


def test_duration_of_signatures_is_known_to_all(health: HealthFile, tmp_path: Path, clock: Clock) -> None:
    health.succeeded(0.2)
    health.succeeded(9.9)
    assert HealthFile(tmp_path, "card", clock).read().took_s == 0.2, "written once a second at most"


def test_refused_pin_locks_the_key_until_an_operator_or_another_file(health: HealthFile) -> None:
    first = health.pardon("file:1", operator=False)
    health.refuse(first, "file:1")
    assert health.pardon("file:1", operator=False) == first
    with pytest.raises(WrongPin):
        health.allow(first)
    with pytest.raises(WrongPin):
        health.standing()
    second = health.pardon("file:2", operator=False)
    health.allow(second)
    with pytest.raises(WrongPin):
        health.allow(first)  # a process that still has the old PIN
    health.refuse(second, "file:2")
    third = health.pardon("file:2", operator=True)
    health.allow(third)
    assert third > second > first


def test_damaged_state_is_a_key_in_order_but_a_damaged_mark_is_not(
    health: HealthFile, tmp_path: Path
) -> None:
    health.failed("dark")
    (tmp_path / "card.json").write_bytes(b"")
    assert health.standing().suspect is False
    (tmp_path / "card.pin").write_bytes(b"")
    with pytest.raises(KeyUnavailable, match="PIN"):
        health.standing()
    with pytest.raises(KeyUnavailable):
        health.allow(1)
