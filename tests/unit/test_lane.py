"""A channel in the notify role: how much is under way on it, and when it is looked at again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf
from pathlib import Path

import pytest

from gateway.config.channels import Channel, Deliver, OutFolder
from gateway.config.links import Webhook
from gateway.delivery.lane import Lane
from gateway.errors import ConfigError, DeliveryError, LeaseEndedError, ReceiverGoneError
from gateway.ports import Delivery, Parcel, Transport
from spool.entry import Claimed
from tests.unit.test_new_messages import config


@dataclass
class Other:
    """The other side: what it says to each parcel."""

    error: DeliveryError | None = None
    closed: bool = False

    def send(self, parcels: Sequence[Parcel]) -> Iterator[Delivery]:
        for one in parcels:
            yield Delivery(entry=one.entry, error=self.error)

    def close(self) -> None:
        self.closed = True


class Now:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def entry(number: int) -> Claimed:
    return Claimed(
        entry=number, claim=1, uid=f"@home/ann/erp/{number}", owner="ann", kind="CEB312Message",
        destination="@home/ann/erp", cop_msg_id="", attempts=0, accepted_at=datetime(2026, 11, 11, tzinfo=UTC),
        facts=b"", way=b"", body=b"",
    )  # fmt: skip


def letter(number: int, *bodies: bytes) -> tuple[Claimed, tuple[Parcel, ...]]:
    parcels = tuple(
        Parcel(entry=number, cop_msg_id="", message_type="", body=body, file_name="")
        for body in bodies or (b"x",)
    )
    return entry(number), parcels


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def other() -> Other:
    return Other()


def lane_of(deliver: Deliver, now: Now, other: Transport | Exception) -> Lane:
    def build(_: Deliver) -> Transport:
        if isinstance(other, Exception):
            raise other
        return other

    channel = Channel(enterprise="ann", deliver=deliver)
    return Lane(channel, config=config(), build=build, reached=0, clock=now, chance=lambda: 0.0)


def webhook(parallel: int = 4) -> Deliver:
    table = Webhook(url="https://erp.example.com", secret_file=Path("secret"), parallel=parallel)
    return Deliver(name="erp", webhook=table)


def folder() -> Deliver:
    return Deliver(name="erp", folder=OutFolder(send_dir=Path("/outbox")))


def test_it_begins_with_one_and_grows_to_its_bound_while_all_goes_well(now: Now, other: Other) -> None:
    lane = lane_of(webhook(parallel=4), now, other)
    assert lane.slow
    seen = []
    for _ in range(4):
        seen.append(lane.allowance())
        works = [lane.work([letter(number)]) for number in range(lane.allowance())]
        assert (lane.allowance(), lane.wait_s()) == (0, inf), "nothing to look at before something is done"
        for work in works:
            lane.finish(work())
    assert seen == [1, 2, 4, 4]
    assert not lane.slow


def test_a_single_failure_is_not_the_channels_but_two_in_a_row_are(now: Now, other: Other) -> None:
    lane = lane_of(webhook(), now, other)
    other.error = DeliveryError("500")
    assert lane.finish(lane.work([letter(1)])()) == (False, False)
    assert lane.slow
    assert lane.allowance() == 1
    assert lane.finish(lane.work([letter(2)])()) == (False, True)
    assert lane.allowance() == 0
    assert 0 < lane.wait_s() < 1

    now.now += 1
    other.error = None
    assert lane.finish(lane.work([letter(3)])()) == (True, False)


def test_delivery_that_was_not_begun_in_time_is_no_failure_of_the_channel(now: Now, other: Other) -> None:
    lane = lane_of(folder(), now, other)
    for _ in range(4):
        lane.finish(lane.work([letter(number) for number in range(lane.allowance())])())
    assert lane.allowance() == 16
    other.error = LeaseEndedError("late")
    assert lane.finish(lane.work([letter(number) for number in range(16)])()) == (False, False)
    assert lane.allowance() == 8
    assert not lane.down


def test_one_that_takes_long_is_slow(now: Now, other: Other) -> None:
    lane = lane_of(webhook(), now, other)
    for took_s, slow in ((0.1, False), (9.0, True), (0.1, False)):
        lane.finish(replace(lane.work([letter(1)])(), took_s=took_s, transport=None))
        assert lane.slow is slow
    other.error = DeliveryError("500")
    lane.finish(lane.work([letter(2)])())
    assert lane.slow, "and so is one that fails"


def test_one_that_is_gone_is_not_looked_at_any_more(now: Now, other: Other) -> None:
    lane = lane_of(webhook(), now, other)
    other.error = ReceiverGoneError("410")
    lane.finish(lane.work([letter(1)])())
    now.now += 3600
    assert (lane.gone, lane.allowance(), lane.wait_s()) == (True, 0, inf)


def test_what_tells_of_a_file_is_sent_only_when_the_file_is_there(now: Now) -> None:
    sent: list[bytes] = []

    class Picky(Other):
        def send(self, parcels: Sequence[Parcel]) -> Iterator[Delivery]:
            for one in parcels:
                sent.append(one.body)
                error = DeliveryError("no space") if one.body == b"2.xml" else None
                yield Delivery(entry=one.entry, error=error)

    lane = lane_of(folder(), now, Picky())
    done = lane.work([letter(1, b"1.xml", b"1.json"), letter(2, b"2.xml", b"2.json")])()
    assert sent == [b"1.xml", b"2.xml", b"1.json"]
    assert [one.error is None for one in done.outcomes] == [True, False]


@pytest.mark.parametrize("error", [ConfigError("the secret cannot be read"), ValueError("a defect")])
def test_whatever_goes_wrong_on_a_channel_is_a_failure_of_its_deliveries(now: Now, error: Exception) -> None:
    lane = lane_of(webhook(), now, error)
    (outcome,) = lane.work([letter(1)])().outcomes
    assert outcome.error is not None
    assert outcome.error.temporary
    assert str(error) in outcome.error.what
    lane.close()
