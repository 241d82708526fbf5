"""Limits the connections, in total and per address, and chooses which one is closed when there are too many.

An unauthenticated connection is one on which no authenticated request has come yet. At a limit, the oldest of them
is closed. So a caller that authenticates always finds a slot, however many connections stay silent.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

_NETWORK_BITS = 64
"""Prefix of one IPv6 subscriber: its addresses count as one."""


_SHARE = 4
"""Each enterprise is guaranteed this fraction (one in so many) of all slots."""


class ConnectionSlot:
    """One connection, from its accept to its end."""

    __slots__ = ("address", "drop", "owner")

    def __init__(self, address: str, drop: Callable[[], object]) -> None:
        """`drop` ends the connection at once; its slot is released afterwards."""
        self.address = network_of(address)
        self.drop = drop
        self.owner = ""


class ConnectionSlots:
    """All connections of one process; for one event loop."""

    def __init__(self, *, most: int, most_of_address: int, exempt: Callable[[str], bool]) -> None:
        """`exempt` says for an address whether it has no limit of its own: the proxies before the door."""
        self._most = most
        self._most_of_address = most_of_address
        self._exempt = exempt
        self._all: set[ConnectionSlot] = set()
        self._of: Counter[str] = Counter()
        self._owned: Counter[str] = Counter()
        self._strangers: dict[ConnectionSlot, None] = {}
        self._strangers_of: defaultdict[str, dict[ConnectionSlot, None]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._all)

    def full(self, address: str) -> str:
        """Return the limit that one more connection of this address would break, `address` or `all`; empty: none.

        Closes an unauthenticated connection to make room, if there is one.
        """
        counted = network_of(address)
        if self._of[counted] >= self._most_of_address and not self._exempt(address):
            if not self._make_room(self._strangers_of.get(counted, {})):
                return "address"
        elif len(self._all) >= self._most and not self.make_room():
            return "all"
        return ""

    def make_room(self) -> bool:
        """Close the oldest unauthenticated connection; False when there is none."""
        return self._make_room(self._strangers)

    def _make_room(self, among: dict[ConnectionSlot, None]) -> bool:
        longest = next(iter(among), None)
        if longest is None:
            return False
        longest.drop()
        self.leave(longest)
        return True

    def enter(self, place: ConnectionSlot) -> None:
        """Add a connection, as unauthenticated."""
        self._all.add(place)
        self._of[place.address] += 1
        self._strangers[place] = None
        self._strangers_of[place.address][place] = None

    def know(self, place: ConnectionSlot, owner: str) -> None:
        """Record the owner of a connection.

        Beyond its share, an enterprise's further connections are treated as unauthenticated.
        """
        if place in self._strangers and self._owned[owner] < max(1, self._most // _SHARE):
            self._forget_stranger(place)
            self._owned[owner] += 1
            place.owner = owner

    def leave(self, place: ConnectionSlot) -> None:
        """Remove a connection; a second call does nothing."""
        if place not in self._all:
            return
        self._all.remove(place)
        _count_down(self._of, place.address)
        if place in self._strangers:
            self._forget_stranger(place)
        else:
            _count_down(self._owned, place.owner)

    def _forget_stranger(self, place: ConnectionSlot) -> None:
        del self._strangers[place]
        of_address = self._strangers_of[place.address]
        del of_address[place]
        if not of_address:
            del self._strangers_of[place.address]


def _count_down(counts: Counter[str], name: str) -> None:
    counts[name] -= 1
    if not counts[name]:
        del counts[name]


def network_of(address: str) -> str:
    """Return what counts as one address: an IPv6 address by its network."""
    if ":" not in address:
        return address
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return f"{IPv6Address(int(found) >> _NETWORK_BITS << _NETWORK_BITS)}/{_NETWORK_BITS}"
