"""What every Feed promises (gateway/ports.py), on real media."""

from collections.abc import Sequence

import pytest

from gateway.errors import DeliveryError
from gateway.ports import Arrival, Feed
from tests.contract.conftest import Medium
from tests.waiting import PATIENCE_S


@pytest.fixture
def feed(medium: Medium) -> Feed:
    return medium.feed()


def receive_all(feed: Feed, count: int) -> list[Arrival]:
    arrivals: list[Arrival] = []
    while len(arrivals) < count:
        more = feed.receive(limit=count - len(arrivals), timeout_s=PATIENCE_S)
        assert more, f"only {len(arrivals)} of {count} came"
        arrivals += more
    return arrivals


def bodies(arrivals: Sequence[Arrival]) -> list[bytes]:
    return sorted(arrival.body for arrival in arrivals)


@pytest.mark.parametrize(
    "body", [b"\xef\xbb\xbf<a>\r\n</a>", b"\0" + bytes(range(256)), bytes(range(256)) * 4096]
)
def test_bytes_come_as_they_are(medium: Medium, feed: Feed, body: bytes) -> None:
    medium.offer(body, "r.xml")
    assert bodies(receive_all(feed, 1)) == [body]
    feed.close()


def test_nothing_there_returns_empty_after_the_time_out(feed: Feed) -> None:
    assert list(feed.receive(limit=10, timeout_s=0.05)) == []
    assert list(feed.receive(limit=10, timeout_s=0)) == []
    feed.close()


def test_what_is_done_does_not_come_again(medium: Medium, feed: Feed) -> None:
    medium.offer(b"1", "r1.xml")
    feed.done(receive_all(feed, 1))
    feed.close()

    again = medium.feed()
    assert list(again.receive(limit=10, timeout_s=0.05)) == []
    again.close()


def test_what_is_in_hand_does_not_come_twice(medium: Medium, feed: Feed) -> None:
    medium.offer(b"1", "r1.xml")
    in_hand = receive_all(feed, 1)
    medium.offer(b"2", "r2.xml")
    assert bodies(receive_all(feed, 1)) == [b"2"]
    feed.done(in_hand)
    feed.close()


def test_what_is_not_done_comes_again_to_the_next(medium: Medium, feed: Feed) -> None:
    for number in range(5):
        medium.offer(b"%d" % number, f"r{number}.xml")
    arrivals = receive_all(feed, 5)
    feed.done(arrivals[:2])
    feed.close()

    again = medium.feed()
    assert bodies(receive_all(again, 3)) == bodies(arrivals[2:])
    again.close()


def test_limit_is_kept_and_nothing_is_left_behind(medium: Medium, feed: Feed) -> None:
    wanted = [b"%03d" % number for number in range(150)]
    for body in wanted:
        medium.offer(body, f"r{body.decode()}.xml")

    got: list[bytes] = []
    while len(got) < len(wanted):
        arrivals = feed.receive(limit=40, timeout_s=PATIENCE_S)
        assert 0 < len(arrivals) <= 40
        got += [arrival.body for arrival in arrivals]
        feed.done(arrivals)

    assert sorted(got) == wanted
    assert list(feed.receive(limit=40, timeout_s=0.05)) == []
    feed.close()


def test_other_side_gone_is_an_error_and_nothing_is_lost(medium: Medium, feed: Feed) -> None:
    medium.offer(b"1", "r1.xml")
    in_hand = receive_all(feed, 1)
    medium.stop()
    with pytest.raises(DeliveryError) as gone:
        feed.receive(limit=10, timeout_s=0.05)
    with pytest.raises(DeliveryError):
        feed.done(in_hand)
    medium.start()

    assert gone.value.temporary
    again = receive_all(feed, 1)
    assert bodies(again) == [b"1"]
    feed.done(again)
    feed.close()


def test_restart_while_idle_is_not_noticed(medium: Medium, feed: Feed) -> None:
    assert list(feed.receive(limit=10, timeout_s=0)) == []
    medium.stop()
    medium.start()
    medium.offer(b"1", "r1.xml")
    assert bodies(receive_all(feed, 1)) == [b"1"]
    feed.close()


def test_arrivals_are_named_for_people(medium: Medium, feed: Feed) -> None:
    medium.offer(b"1", "CEB312Message_A.xml")
    (arrival,) = receive_all(feed, 1)
    assert arrival.name == "CEB312Message_A.xml"
    feed.close()
