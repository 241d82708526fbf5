from collections.abc import Iterable, Sequence

import pytest

from gateway.errors import DeliveryError
from gateway.transports.polled import PolledFeed


class ListDrop:
    """A directory as a plain list; `bad` names cannot be read."""

    def __init__(self, *names: str, bad: frozenset[str] = frozenset()) -> None:
        self.there = list(names)
        self.bad = bad
        self.gone = False
        self.listed = 0

    def names(self) -> Sequence[str]:
        self.listed += 1
        if self.gone:
            raise DeliveryError("gone")
        return list(self.there)

    def read(self, names: Sequence[str]) -> Iterable[tuple[str, bytes | DeliveryError]]:
        return [
            (name, DeliveryError(f"cannot read {name}") if name in self.bad else name.encode())
            for name in names
            if name in self.there
        ]

    def remove(self, names: Sequence[str]) -> None:
        if self.gone:
            raise DeliveryError("gone")
        self.there = [name for name in self.there if name not in names]

    def close(self) -> None:
        pass


class Time:
    """A clock that moves when somebody waits; `then` happens at the first wait."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self.arriving: list[tuple[ListDrop, str]] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        for drop, name in self.arriving:
            drop.there.append(name)
        self.arriving = []


def feed_of(drop: ListDrop, time: Time) -> PolledFeed:
    return PolledFeed(drop, poll_s=0.5, wait=time.wait, clock=time)


def test_empty_folder_is_looked_at_again_until_the_time_out() -> None:
    drop, time = ListDrop(), Time()
    assert list(feed_of(drop, time).receive(limit=5, timeout_s=1.2)) == []
    assert time.waits == pytest.approx([0.5, 0.5, 0.2])
    assert drop.listed == 4


def test_what_comes_while_waiting_is_returned_at_once() -> None:
    drop, time = ListDrop(), Time()
    time.arriving.append((drop, "a"))
    assert [arrival.name for arrival in feed_of(drop, time).receive(limit=5, timeout_s=60)] == ["a"]
    assert time.waits == [0.5]


def test_one_listing_serves_several_calls() -> None:
    drop, time = ListDrop("a", "b", "c"), Time()
    feed = feed_of(drop, time)
    names = [feed.receive(limit=1, timeout_s=0)[0].name for _ in range(3)]
    assert names == ["a", "b", "c"]
    assert drop.listed == 1


def test_unreadable_file_does_not_hold_up_the_others_but_is_told() -> None:
    drop, time = ListDrop("bad", "good", bad=frozenset({"bad"})), Time()
    feed = feed_of(drop, time)
    assert [arrival.name for arrival in feed.receive(limit=1, timeout_s=0)] == ["good"]
    with pytest.raises(DeliveryError, match="cannot read bad"):
        feed.receive(limit=1, timeout_s=0)


def test_lost_folder_gives_up_what_was_in_hand() -> None:
    drop, time = ListDrop("a"), Time()
    feed = feed_of(drop, time)
    in_hand = feed.receive(limit=1, timeout_s=0)
    drop.gone = True
    with pytest.raises(DeliveryError):
        feed.done(in_hand)
    drop.gone = False
    assert [arrival.name for arrival in feed.receive(limit=1, timeout_s=0)] == ["a"]
