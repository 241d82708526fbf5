"""Places of connections: who goes when there are too many, and that counts come back to nothing."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.doors.http.connection_slots import ConnectionSlot, ConnectionSlots, network_of


class World:
    """Places, and who was sent away."""

    def __init__(self, *, most: int = 4, most_of_address: int = 3) -> None:
        self.places = ConnectionSlots(
            most=most, most_of_address=most_of_address, exempt=lambda address: address == "proxy"
        )
        self.gone: list[ConnectionSlot] = []

    def come(self, address: str, owner: str = "") -> ConnectionSlot | str:
        limit = self.places.full(address)
        if limit:
            return limit
        place = ConnectionSlot(address, lambda: self.gone.append(place))
        self.places.enter(place)
        if owner:
            self.places.know(place, owner)
        return place


def test_stranger_who_was_there_longest_makes_room() -> None:
    world = World()
    first, second, _, _ = (world.come(address) for address in "abcd")
    assert isinstance(world.come("e"), ConnectionSlot)
    assert isinstance(world.come("f"), ConnectionSlot)
    assert world.gone == [first, second]
    assert len(world.places) == 4


def test_address_at_its_limit_makes_room_of_its_own() -> None:
    world = World(most=9)
    other = world.come("other")
    first, *_ = (world.come("a") for _ in range(3))
    assert isinstance(world.come("a"), ConnectionSlot)
    assert world.gone == [first]
    assert other not in world.gone


def test_who_is_known_stays() -> None:
    world = World(most=8)
    for _ in range(2):
        world.come("a", "ann")
    stranger = world.come("a")
    assert isinstance(world.come("a", "bob"), ConnectionSlot)
    assert world.gone == [stranger]
    assert world.come("a") == "address"
    assert isinstance(world.come("proxy"), ConnectionSlot)


def test_enterprise_beyond_its_share_is_sent_away_like_a_stranger() -> None:
    world = World(most=8, most_of_address=8)
    mine = [world.come("a", "ann") for _ in range(8)]
    assert isinstance(world.come("b", "bob"), ConnectionSlot)
    assert world.gone == [mine[2]], "the first beyond two of eight"


def test_all_places_in_use_by_those_who_are_known_are_full() -> None:
    world = World(most=4, most_of_address=9)
    for owner in ("ann", "bob", "carol", "dan"):
        world.come("a", owner)
    assert world.come("b") == "all"
    assert world.gone == []


def test_ipv6_counts_by_its_network() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:2") == "2001:db8::/64"
    assert network_of("2001:db8:0:1::1") != network_of("2001:db8::1")
    assert network_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_of("fe80::1%eth0") == "fe80::/64"
    assert network_of("192.0.2.1") == "192.0.2.1"


@given(
    st.lists(
        st.tuples(st.sampled_from(["come", "know", "leave"]), st.sampled_from("abc"), st.integers(0, 30)),
        max_size=60,
    )
)
def test_limits_hold_and_nothing_is_left_when_all_have_gone(steps: list[tuple[str, str, int]]) -> None:
    world = World()
    there: list[ConnectionSlot] = []
    for act, name, number in steps:
        if act == "come" and isinstance(place := world.come(name), ConnectionSlot):
            there.append(place)
        elif there and act == "know":
            world.places.know(there[number % len(there)], name)
        elif there and act == "leave":
            world.places.leave(there.pop(number % len(there)))
        there = [one for one in there if one not in world.gone]
        assert len(there) == len(world.places) <= 4
        assert all(sum(one.address == address for one in there) <= 3 for address in "abc")
    for place in there:
        world.places.leave(place)
        world.places.leave(place)
    assert not any(
        vars(world.places)[name] for name in ("_all", "_of", "_owned", "_strangers", "_strangers_of")
    )
