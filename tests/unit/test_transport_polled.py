from collections.abc import Iterable, Sequence

import pytest

from gateway.errors import DeliveryError
from gateway.transports.polled import Listed, PolledFeed


class ListDrop:
    """A directory as a plain list; `bad` names cannot be read."""

    place = "a list"

    def __init__(self, *names: str, bad: frozenset[str] = frozenset()) -> None:
        self.left: dict[str, str] = {}
        self.there = list(names)
        self.bad = bad
        self.gone = False
        self.listed = 0

    def files(self) -> Sequence[Listed]:
        self.listed += 1
        if self.gone:
            raise DeliveryError("gone")
        return [Listed(0, name, len(name)) for name in self.there]

    def read(self, names: Sequence[str]) -> Iterable[tuple[str, bytes | DeliveryError]]:
        return [
            (name, DeliveryError(f"cannot read {name}") if name in self.bad else name.encode())
            for name in names
            if name in self.there
        ]

    def put_away(self, names: Sequence[str]) -> None:
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


class Growing(ListDrop):
    """A directory whose files have contents that a test lets grow."""

    def __init__(self, **bodies: bytes) -> None:
        super().__init__(*bodies)
        self.bodies = bodies

    def files(self) -> Sequence[Listed]:
        self.listed += 1
        return [Listed(0, name, len(self.bodies[name])) for name in self.there]

    def read(self, names: Sequence[str]) -> Iterable[tuple[str, bytes | DeliveryError]]:
        return [(name, self.bodies[name]) for name in names if name in self.there]


def taken(feed: PolledFeed) -> dict[str, bytes]:
    return {arrival.name: arrival.body for arrival in feed.receive(limit=5, timeout_s=0)}


def test_file_that_may_still_grow_is_taken_once_it_has_been_the_same_for_long_enough() -> None:
    drop, time = Growing(a=b"1"), Time()
    feed = PolledFeed(drop, poll_s=0.5, stable_s=3, wait=time.wait, clock=time)
    assert taken(feed) == {}
    time.now = 2
    drop.bodies["a"] = b"12"
    assert taken(feed) == {}
    time.now = 4.9
    assert taken(feed) == {}
    time.now = 5
    assert taken(feed) == {"a": b"12"}


def test_file_that_grows_between_listing_and_reading_is_left() -> None:
    class Sudden(Growing):
        def read(self, names: Sequence[str]) -> Iterable[tuple[str, bytes | DeliveryError]]:
            self.bodies["a"] += b"2"
            return super().read(names)

    drop, time = Sudden(a=b"1", b=b"1"), Time()
    feed = PolledFeed(drop, poll_s=0.5, stable_s=3, wait=time.wait, clock=time)
    assert taken(feed) == {}
    time.now = 3
    assert taken(feed) == {"b": b"1"}


def test_one_that_comes_later_under_the_same_name_is_watched_anew() -> None:
    drop, time = Growing(a=b"1"), Time()
    feed = PolledFeed(drop, poll_s=0.5, stable_s=3, wait=time.wait, clock=time)
    taken(feed)
    time.now = 3
    feed.done(feed.receive(limit=1, timeout_s=0))
    drop.there = ["a"]
    assert taken(feed) == {}


def test_files_that_cannot_be_put_away_come_after_all_others() -> None:
    class Stubborn(ListDrop):
        def put_away(self, names: Sequence[str]) -> None:
            super().put_away([name for name in names if name not in self.bad])
            if self.bad.intersection(names):
                raise DeliveryError("it stays")

        def read(self, names: Sequence[str]) -> Iterable[tuple[str, bytes | DeliveryError]]:
            return [(name, name.encode()) for name in names]

    drop, time = Stubborn("old1", "old2", bad=frozenset({"old1", "old2"})), Time()
    feed = feed_of(drop, time)
    stuck = feed.receive(limit=2, timeout_s=0)
    drop.there.append("new")
    with pytest.raises(DeliveryError, match="it stays"):
        feed.done(stuck)
    assert [feed.receive(limit=1, timeout_s=0)[0].name for _ in range(3)] == ["new", "old1", "old2"]
