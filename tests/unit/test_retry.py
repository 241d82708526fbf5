from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from spool.retry import RetryPolicy
from tests.spooling import START

policies = st.builds(
    RetryPolicy,
    first_s=st.floats(0.01, 100),
    ceiling_s=st.floats(100, 86400),
    attempts=st.integers(1, 1000),
)
chances = st.floats(0, 1, exclude_max=True)
attempt_counts = st.integers(1, 10_000)


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


@given(policies, attempt_counts)
def test_attempts_are_bounded(policy: RetryPolicy, attempts: int) -> None:
    assert policy.exhausted(attempts) == (attempts >= policy.attempts)
