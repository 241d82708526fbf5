"""Failed logins: how long they wait, how much of them is remembered and logged."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.doors.http.failed_logins import Logins
from gateway.observe.log import configure_logs, reset_logs


@dataclass
class Seconds:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def default_logs() -> Iterator[None]:
    configure_logs("info")
    yield
    reset_logs()


def fail(logins: Logins, address: str = "192.0.2.1") -> float:
    return logins.failed(address, way="token", reason="unknown")


def told(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_delay_doubles_up_to_the_longest_and_ends_after_some_peace() -> None:
    clock = Seconds()
    logins = Logins(longest_s=1.0, clock=clock)
    assert [fail(logins) for _ in range(11)] == [0, 0, 0, 0, 0, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    clock.now += 299
    assert fail(logins) == 1.0
    clock.now += 301
    assert fail(logins) == 0


def test_no_delay_where_none_is_wanted() -> None:
    logins = Logins(longest_s=0.0)
    assert {fail(logins) for _ in range(50)} == {0}


def test_addresses_that_one_user_can_change_between_count_as_one() -> None:
    logins = Logins(longest_s=1.0)
    delays = [fail(logins, f"2001:db8:0:1::{number:x}") for number in range(1, 8)]
    assert delays[-1] > 0
    assert fail(logins, "2001:db8:0:2::1") == 0


def test_table_is_bounded_and_forgets_who_is_longest_at_peace() -> None:
    clock = Seconds()
    logins = Logins(longest_s=1.0, most=10, clock=clock)
    for _ in range(8):
        fail(logins, "192.0.2.1")
    for number in range(2, 11):
        fail(logins, f"192.0.2.{number}")
    assert fail(logins, "192.0.2.1") == 0.8, "ten fit"
    for number in range(100, 110):
        fail(logins, f"192.0.2.{number}")
    assert fail(logins, "192.0.2.1") == 0


def test_log_has_a_line_a_minute_for_an_address_with_all_failures_since(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    clock = Seconds()
    logins = Logins(longest_s=0.0, clock=clock)
    for _ in range(100):
        fail(logins)
    clock.now += 61
    fail(logins)
    lines = told(capfdbinary.readouterr().out.decode())
    assert [line["failures"] for line in lines] == [1, 100]
    assert {(line["event"], line["address"], line["way"]) for line in lines} == {
        ("login.failed", "192.0.2.1", "token")
    }


def test_text_that_is_no_address_is_not_logged(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    logins = Logins(longest_s=1.0)
    fail(logins, "<script>")
    fail(logins, "fe80::1%eth0")
    assert [line["address"] for line in told(capfdbinary.readouterr().out.decode())] == ["", "fe80::1%eth0"]


def test_many_addresses_do_not_flood_the_log(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    clock = Seconds()
    logins = Logins(longest_s=0.0, clock=clock)
    for number in range(500):
        fail(logins, f"198.51.100.{number % 250}")
    assert len(told(capfdbinary.readouterr().out.decode())) == 60
    clock.now += 61
    fail(logins, "198.51.100.249")
    (line,) = told(capfdbinary.readouterr().out.decode())
    assert line["failures"] == 3, "what was not said is counted"
