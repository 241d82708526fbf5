from hypothesis import given
from hypothesis import strategies as st

from gateway.sending.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock, chance: float = 0.999) -> Breaker:
    return Breaker(32, clock=clock, chance=lambda: chance)


def test_a_batch_that_fails_as_a_whole_opens_it_longer_each_time_up_to_a_ceiling() -> None:
    clock = Clock()
    one = breaker(clock)
    waits = []
    for _ in range(12):
        one.report(delivered=0, failed=3)
        assert one.down
        assert one.allowance() == 0
        waits.append(one.wait_s())
        clock.now += one.wait_s()
        assert one.allowance() == 1, "a probe is one entry"
    assert waits == sorted(waits)
    assert waits[0] <= 0.5
    assert 15 <= waits[-1] <= 30


def test_it_comes_back_slowly() -> None:
    one = breaker(Clock())
    sizes = []
    for _ in range(7):
        sizes.append(one.allowance())
        one.report(delivered=one.allowance(), failed=0)
    assert sizes == [1, 2, 4, 8, 16, 32, 32]


def test_a_batch_of_which_some_arrived_does_not_open_it() -> None:
    one = breaker(Clock())
    one.report(delivered=1, failed=5)
    assert not one.down
    assert one.allowance() > 0


def test_next_batch_is_no_larger_than_what_went_of_the_last() -> None:
    for failed, late in ((12, 0), (0, 12)):
        one = breaker(Clock())
        while one.allowance() < 32:
            one.report(delivered=one.allowance(), failed=0)
        one.report(delivered=20, failed=failed, late=late)
        assert one.allowance() == 20
        one.report(delivered=20, failed=0)
        assert one.allowance() == 32


def test_batch_of_which_none_was_begun_is_halved_and_does_not_open_it() -> None:
    one = breaker(Clock())
    while one.allowance() < 32:
        one.report(delivered=one.allowance(), failed=0)
    sizes = []
    for _ in range(6):
        one.report(delivered=0, failed=0, late=one.allowance())
        sizes.append(one.allowance())
        assert not one.down
    assert sizes == [16, 8, 4, 2, 1, 1]


def test_refused_entries_alone_change_nothing() -> None:
    one = breaker(Clock())
    one.report(delivered=4, failed=0)
    before = one.allowance()
    one.report(delivered=0, failed=0)
    assert one.allowance() == before


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.floats(0, 0.99))))
def test_it_never_waits_longer_than_its_ceiling_and_never_allows_more_than_a_full_batch(
    batches: list[tuple[int, int, float]],
) -> None:
    clock = Clock()
    chance = iter([one[2] for one in batches])
    one = Breaker(32, clock=clock, chance=lambda: next(chance, 0.5))
    for delivered, failed, _ in batches:
        one.report(delivered=delivered, failed=failed)
        assert 0.0 <= one.wait_s() <= 30.0
        assert 0 <= one.allowance() <= 32
        clock.now += one.wait_s()
        assert one.allowance() >= 1
