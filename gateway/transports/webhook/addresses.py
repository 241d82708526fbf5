"""Resolves a webhook's host and checks that its addresses are allowed.

A name is looked up once for each connection, and the connection goes to the checked address, so that a name whose
address changes a moment later (DNS rebinding) has no effect.
"""

import ipaddress
import queue
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.errors import DeliveryError

Address = tuple[socket.AddressFamily, tuple[Any, ...]]
"""Family, and the argument for `socket.connect`."""
LookUp = Callable[[str, int], Sequence[Address]]

_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""All IPv6 addresses that IANA has assigned to the internet; others have special purposes."""
_SPECIAL_6: Final = tuple(
    ipaddress.IPv6Network(one)
    for one in ("2001::/23", "2001:db8::/32", "3fff::/20")  # protocols and Teredo, documentation
)
_SPECIAL_4: Final = tuple(
    ipaddress.IPv4Network(one)
    for one in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/3",
    )
)  # fmt: skip
"""All other IPv4 addresses are public (IANA, IPv4 and IPv6 Special-Purpose Address Registries, 2025)."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def look_up(host: str, port: int) -> list[Address]:
    """Look a name up with the system's resolver; blocks without a time-out. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


def is_public(address: str) -> bool:
    """Return whether an address is public; of an IPv6 address that contains an IPv4 one, the IPv4 one is checked."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = _inner(found)
        if inner is None:
            return found in _GLOBAL_UNICAST and not any(found in network for network in _SPECIAL_6)
        found = inner
    return not any(found in network for network in _SPECIAL_4)


def _inner(found: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address to which a packet for `found` would go: mapped, 6to4 or NAT64."""
    if found in _NAT64:
        return ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return found.ipv4_mapped or found.sixtofour


def addresses_of(
    host: str, port: int, *, allow_private: bool, timeout_s: float, look_up: LookUp = look_up
) -> list[Address]:
    """Return the allowed addresses of a host, at least one. Raises DeliveryError.

    The system's look-up has no time-out, so it runs in its own thread, which may outlive this call until the resolver
    gives up.
    """
    answer: queue.SimpleQueue[Sequence[Address] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(look_up(host, port))
        except (OSError, UnicodeError) as error:
            answer.put(error if isinstance(error, OSError) else OSError(str(error)))

    threading.Thread(target=ask, name="look-up", daemon=True).start()
    try:
        found = answer.get(timeout=max(0.001, timeout_s))
    except queue.Empty:
        found = OSError("the name server does not answer")
    if isinstance(found, OSError):
        raise DeliveryError(
            f"the name cannot be looked up: {found.strerror or found}",
            where=host,
            fix="see that the name is right and that this machine can resolve it",
        )
    able = [one for one in found if allow_private or is_public(str(one[1][0]))]
    if not able:
        raise DeliveryError(
            f"its address is not of the internet: {', '.join(dict.fromkeys(str(one[1][0]) for one in found))}",
            where=host,
            fix="allow_private = true in this [deliver.webhook], if a receiver in the own network is meant",
        )
    return able
