from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spool.retry import RetryPolicy
from tests.spool_samples import START

policies = st.builds(
    RetryPolicy,
    first_s=st.floats(0.01, 100),
    ceiling_s=st.floats(100, 86400),
    attempts=st.integers(1, 1000),
    max_age_s=st.floats(1, 1_000_000),
)
ages = st.timedeltas(timedelta(days=-400), timedelta(days=400))
chances = st.floats(0, 1, exclude_max=True)
attempt_counts = st.integers(1, 2000)


@given(policies, attempt_counts, chances)
def test_wait_is_never_negative_and_never_over_the_ceiling(
    policy: RetryPolicy, attempts: int, chance: float
) -> None:
    wait = policy.next_time(attempts, START, chance) - START

    assert timedelta(0) <= wait <= timedelta(seconds=policy.ceiling_s)


@given(policies, attempt_counts, chances)
def test_bound_doubles_until_the_ceiling(policy: RetryPolicy, attempts: int, chance: float) -> None:
    one, two = (policy.next_time(number, START, chance) - START for number in (attempts, attempts + 1))

    rounding = timedelta(microseconds=2)
    assert one <= two <= 2 * one + rounding


@given(policies, attempt_counts, chances, chances)
def test_jitter_spreads_over_the_whole_interval(
    policy: RetryPolicy, attempts: int, chance: float, other: float
) -> None:
    low, high = sorted((chance, other))

    assert policy.next_time(attempts, START, 0) == START
    assert policy.next_time(attempts, START, low) <= policy.next_time(attempts, START, high)


def test_first_wait_is_at_most_the_first_bound() -> None:
    assert RetryPolicy(first_s=2).next_time(1, START, 0.5) == START + timedelta(seconds=1)


@given(policies, attempt_counts, ages)
def test_attempts_are_bounded_whatever_the_clock_says(
    policy: RetryPolicy, attempts: int, age: timedelta
) -> None:
    if attempts >= policy.attempts:
        assert policy.exhausted(attempts, age)


@given(policies, attempt_counts, ages)
def test_age_ends_nothing_that_the_attempts_do_not_account_for(
    policy: RetryPolicy, attempts: int, age: timedelta
) -> None:
    waits = [
        policy.next_time(number, START, 1.0) - START for number in range(1, min(attempts, policy.attempts))
    ]

    if attempts < policy.attempts and policy.exhausted(attempts, age):
        assert sum(waits, timedelta(milliseconds=1)) >= timedelta(seconds=policy.max_age_s)
        assert age >= timedelta(seconds=policy.max_age_s)


@given(policies, ages)
def test_first_failed_attempt_is_never_the_last_one_by_age(policy: RetryPolicy, age: timedelta) -> None:
    assert policy.exhausted(1, age) == (policy.attempts == 1)


@given(policies, attempt_counts, attempt_counts, ages, ages)
def test_what_is_given_up_stays_given_up(
    policy: RetryPolicy, fewer: int, more: int, younger: timedelta, older: timedelta
) -> None:
    fewer, more = sorted((fewer, more))
    younger, older = sorted((younger, older))

    assert policy.exhausted(more, older) >= policy.exhausted(fewer, younger)


@given(policies, st.lists(chances, min_size=1))
def test_by_a_right_clock_an_entry_is_given_up_at_its_age(policy: RetryPolicy, jitter: list[float]) -> None:
    """However the jitter falls, who has failed for so long has the attempts that account for it."""
    now, attempts = START, 1
    while attempts < policy.attempts and now - START < timedelta(seconds=policy.max_age_s):
        now = policy.next_time(attempts, now, max(0.1, jitter[attempts % len(jitter)]))
        attempts += 1

    assert policy.exhausted(attempts, now - START)


@given(policies, attempt_counts)
def test_longest_time_is_the_sum_of_the_longest_waits(policy: RetryPolicy, attempts: int) -> None:
    waits = (policy.next_time(number, START, 1.0) - START for number in range(1, attempts))

    assert policy.longest_s(attempts) == pytest.approx(sum(wait.total_seconds() for wait in waits), abs=0.01)
