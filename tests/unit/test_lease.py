"""Until when a claim is its holder's, by two clocks."""

import time
from datetime import UTC, datetime
from math import inf

from gateway.errors import LeaseEndedError
from gateway.ports import Parcel
from spool.lease import ENDLESS, Lease, earlier


def lease(left_s: float, *, of_s: float = 100.0, by_day_s: float = inf) -> Lease:
    """Return one with so much left, by the clock that nobody sets and by the time of day."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    return Lease(now + left_s - of_s, now + left_s, datetime.now(UTC).timestamp() + by_day_s)


def test_it_holds_as_long_as_was_asked_for() -> None:
    before, taken = time.clock_gettime(time.CLOCK_BOOTTIME), Lease.of(100.0)
    assert before <= taken.ends - 100 <= time.clock_gettime(time.CLOCK_BOOTTIME)
    assert 0 < taken.left_s <= 100
    assert not taken.over
    assert not taken.late


def test_it_is_late_from_its_half_on_and_over_at_its_end() -> None:
    assert [(one.late, one.over) for one in (lease(60), lease(40), lease(-1))] == [
        (False, False),
        (True, False),
        (True, True),
    ]


def test_clock_that_was_set_forward_ends_it_as_it_does_in_the_spool_and_one_set_back_does_not_prolong_it() -> (
    None
):
    assert lease(60, by_day_s=-1).over
    assert lease(-1, by_day_s=86_400).over


def test_who_has_none_is_never_late() -> None:
    assert (ENDLESS.over, ENDLESS.late, ENDLESS.left_s) == (False, False, inf)
    assert earlier(ENDLESS, lease(60)).left_s < 100
    one, other = lease(60), lease(50)
    assert earlier(one, other) is earlier(other, one) is other


def test_parcel_that_may_not_be_begun_says_so() -> None:
    def parcel(held: Lease) -> Parcel:
        return Parcel(entry=1, cop_msg_id="", message_type="", body=b"", file_name="", lease=held)

    assert parcel(lease(60)).too_late() is None
    late = parcel(lease(40)).too_late()
    assert isinstance(late, LeaseEndedError)
    assert late.temporary
