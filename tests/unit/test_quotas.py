"""Quotas with a moved clock: what passes, what does not, and that the time that is told is true."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.model import Enterprise, EnterpriseId, Quota
from gateway.submission.quotas import Cost, OverQuota, Quotas
from spool.sqlite import SqliteSpool
from tests.spool_samples import new_message


@dataclass
class Seconds:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[SqliteSpool]:
    opened = SqliteSpool(tmp_path / "state")
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def quotas(spool: SqliteSpool, clock: Seconds) -> Quotas:
    return Quotas(spool, clock=clock)


def enterprise(name: str = "ann", **bounds: int) -> Enterprise:
    quota = Quota(**bounds) if bounds else None
    return Enterprise(
        id=EnterpriseId(name), name=name, cop_codes=frozenset(), dxp_ids=frozenset(), quota=quota
    )


def cost(size_bytes: int = 100, declarations: int = 1) -> Cost:
    return Cost(size_bytes=size_bytes, declarations=declarations)


def refused(over: OverQuota | None) -> OverQuota:
    assert over is not None
    return over


def test_without_a_quota_nothing_is_bounded(quotas: Quotas) -> None:
    ann = enterprise()
    assert {quotas.spend(ann, cost()) for _ in range(1000)} == {None}


def test_what_a_minute_allows_may_come_at_once_and_then_evenly(quotas: Quotas, clock: Seconds) -> None:
    ann = enterprise(messages_per_minute=6)
    assert [quotas.spend(ann, cost()) for _ in range(6)] == [None] * 6
    over = refused(quotas.spend(ann, cost()))
    assert (over.quota, over.limit, over.retry_after) == ("messages_per_minute", 6, "10")
    clock.now += 9.9
    assert refused(quotas.spend(ann, cost())).retry_after == "1"
    clock.now += 0.1
    assert quotas.spend(ann, cost()) is None
    assert quotas.spend(ann, cost()) is not None
    clock.now += 3600
    assert [quotas.spend(ann, cost()) is None for _ in range(7)] == [True] * 6 + [False], (
        "never more than a minute's"
    )


@pytest.mark.parametrize(
    ("bounds", "spent"),
    [
        ({"messages_per_minute": 7}, cost()),
        ({"declarations_per_minute": 100}, cost(declarations=33)),
        ({"declarations_per_minute": 50}, cost(declarations=100)),
        ({"bytes_per_minute": 1000}, cost(size_bytes=777)),
        ({"bytes_per_minute": 1000}, cost(size_bytes=5000)),
        ({"messages_per_minute": 3, "bytes_per_minute": 900}, cost(size_bytes=700)),
    ],
)
def test_whatever_is_refused_passes_after_the_time_that_is_told(
    quotas: Quotas, clock: Seconds, bounds: dict[str, Any], spent: Cost
) -> None:
    ann = enterprise(**bounds)
    for _ in range(20):
        over = quotas.spend(ann, spent)
        if over is not None:
            clock.now += float(over.retry_after)
            assert quotas.spend(ann, spent) is None


def test_large_message_passes_a_full_bucket_and_leaves_it_in_debt(quotas: Quotas, clock: Seconds) -> None:
    ann = enterprise(declarations_per_minute=50)
    assert quotas.spend(ann, cost(declarations=100)) is None
    assert refused(quotas.spend(ann, cost(declarations=1))).retry_after == "62"
    clock.now += 62
    assert quotas.spend(ann, cost(declarations=1)) is None


def test_what_is_refused_takes_nothing_from_any_quota(quotas: Quotas, clock: Seconds) -> None:
    ann = enterprise(messages_per_minute=60, bytes_per_minute=1000)
    assert quotas.spend(ann, cost(size_bytes=900)) is None
    assert [refused(quotas.spend(ann, cost(size_bytes=900))).quota for _ in range(100)] == [
        "bytes_per_minute"
    ] * 100
    assert [quotas.spend(ann, cost(size_bytes=1)) for _ in range(59)] == [None] * 59


def test_what_was_judged_and_not_taken_counts_too(quotas: Quotas) -> None:
    ann = enterprise(messages_per_minute=2, declarations_per_minute=2)
    for _ in range(2):
        quotas.charge(ann, Cost(size_bytes=10))
    assert refused(quotas.over(ann, cost())).quota == "messages_per_minute"


def test_quota_of_one_is_not_that_of_another(quotas: Quotas) -> None:
    ann, bob = enterprise(messages_per_minute=1), enterprise("bob", messages_per_minute=1)
    assert quotas.spend(ann, cost()) is None
    assert quotas.spend(ann, cost()) is not None
    assert quotas.spend(bob, cost()) is None


def test_open_entries_are_those_that_wait_in_the_spool(
    quotas: Quotas, spool: SqliteSpool, clock: Seconds
) -> None:
    ann = enterprise(open_entries=3)
    spool.put([new_message("A"), new_message("B"), new_message("C", owner="bob")])
    assert quotas.spend(ann, cost()) is None
    over = refused(quotas.spend(ann, cost()))
    assert (over.quota, over.limit, over.retry_after) == ("open_entries", 3, "15")
    spool.claim("one", "port", limit=100, lease_s=60)
    assert quotas.spend(ann, cost()) is not None, "a count is believed for a second"
    clock.now += 1
    assert [quotas.spend(ann, cost()) is None for _ in range(4)] == [True] * 3 + [False]


def test_fault_says_the_quota_in_both_languages_and_how_to_go_on(quotas: Quotas) -> None:
    ann = enterprise(messages_per_minute=1)
    quotas.spend(ann, cost())
    fault = refused(quotas.spend(ann, cost())).fault
    assert fault.rule == "quota_messages_per_minute"
    assert "1 messages a minute" in fault.message
    assert "每分钟报文数1" in fault.message_zh
    assert "after 60 s" in fault.fix
