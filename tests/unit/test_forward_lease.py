"""A forward role on a line that is slower than its lease: what was confirmed is settled, what was not begun is put back."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from gateway.errors import DeliveryError, LeaseEndedError
from gateway.keys.keyring import Keyring
from gateway.ports import Delivery, Parcel
from gateway.rules.loading import Rules
from gateway.sending.forward import Forward
from spool.lifecycle import State
from tests.shipped_rules import shipped
from tests.unit.test_forward_keys import World
from tests.unit.test_lane import Now
from tests.unit.test_new_messages import destination


class SlowTransport:
    """Confirms one after the other, seconds apart, as many as its line carries; looks at the spool between them."""

    def __init__(self, world: World, now: Now, *, carries: int, error: DeliveryError) -> None:
        self._world, self._now = world, now
        self._carries, self._error = carries, error
        self.seen: list[int] = []
        """How many were settled as sent when the next was asked for."""
        self.batches: list[int] = []
        self.leases: list[float] = []

    def send(self, parcels: Sequence[Parcel]) -> Iterator[Delivery]:
        self.batches.append(len(parcels))
        for number, parcel in enumerate(parcels):
            self.leases.append(parcel.lease.left_s)
            self._now.now += 5
            yield Delivery(entry=parcel.entry, error=None if number < self._carries else self._error)
            self.seen.append(sum(view.state is State.SENT for view in self._world.spool.entries()))

    def close(self) -> None:
        """Nothing is held open."""


@pytest.fixture(scope="module")
def rules() -> Rules:
    return shipped()


@pytest.fixture
def world(tmp_path: Path, rules: Rules) -> Iterator[World]:
    made = World(tmp_path, rules)
    yield made
    made.close()


def forward(world: World, transport: SlowTransport, now: Now) -> Forward:
    return Forward(
        spool=world.spool,
        transport=transport,
        destination=msgspec.structs.replace(destination("customs", "import"), batch=8),
        keyring=Keyring(keys=world.keys),
        config=world.config,
        claimant="one",
        clock=now,
    )


def test_what_is_confirmed_on_a_slow_line_is_settled_before_the_next_is_sent(world: World) -> None:
    now = Now()
    transport = SlowTransport(world, now, carries=8, error=LeaseEndedError("late"))
    world.submit("plain", 7)
    role = forward(world, transport, now)
    while role.step():
        pass

    assert transport.batches == [1, 2, 4]
    assert transport.seen == [1, 2, 3, 4, 5, 6, 7]
    assert all(0 < left <= world.config.lease_s for left in transport.leases), (
        "the lease goes with the parcel"
    )


def test_what_was_not_begun_is_put_back_without_a_failed_attempt_and_the_next_batch_is_smaller(
    world: World,
) -> None:
    now = Now()
    transport = SlowTransport(world, now, carries=3, error=LeaseEndedError("late"))
    uids = world.submit("plain", 17)
    role = forward(world, transport, now)
    while world.sent(uids) < 17:
        assert role.step()

    assert transport.batches[:5] == [1, 2, 4, 3, 6]
    assert {view.attempts for view in world.spool.entries()} == {0}
    events = [one.event for uid in uids for one in world.spool.history(uid)]
    assert "entry.postponed" in events
    assert "entry.deferred" not in events


def test_what_was_accepted_under_a_clock_ten_days_behind_is_not_given_up_at_its_first_failed_attempt(
    world: World,
) -> None:
    now = Now()
    database = world.spool.db
    clock, database.clock = database.clock, lambda: datetime.now(UTC) - timedelta(days=10)
    uids = world.submit("plain", 6)
    database.clock = clock
    failing = SlowTransport(world, now, carries=0, error=DeliveryError("cut off"))
    role = forward(world, failing, now)
    while len(failing.batches) < 6:
        role.step()
        now.now += 60

    assert {world.state(uid) for uid in uids} == {State.READY}
    assert sum(view.attempts for view in world.spool.entries()) == 6


def test_frozen_for_a_whole_batch_says_nothing_of_the_destination(world: World) -> None:
    now = Now()
    transport = SlowTransport(world, now, carries=0, error=LeaseEndedError("late"))
    uids = world.submit("plain", 2)
    role = forward(world, transport, now)

    assert role.step() == 1
    assert role.step() == 1, "it is not left alone"
    assert world.sent(uids) == 0
