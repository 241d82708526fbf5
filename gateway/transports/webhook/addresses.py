"""Which addresses a webhook may be sent to: found once, judged, and then connected to as they are.

A name is looked up once for each connection and the address that was judged is the one connected to, so a name that
means something else a moment later (DNS rebinding) leads nowhere else.
"""

import ipaddress
import queue
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.errors import DeliveryError

Address = tuple[socket.AddressFamily, tuple[Any, ...]]
"""Family, and what `socket.connect` takes."""
LookUp = Callable[[str, int], Sequence[Address]]

_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""All of IPv6 that IANA has given out for the internet; what lies elsewhere is for something else."""
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
"""Of IPv4 everything else is of the internet (IANA, IPv4 and IPv6 Special-Purpose Address Registries, 2025)."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def look_up(host: str, port: int) -> list[Address]:
    """Ask the system; blocks as long as that takes. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


def is_public(address: str) -> bool:
    """Say whether an address is one of the internet; an IPv4 address inside one of IPv6 is judged for itself."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = _inner(found)
        if inner is None:
            return found in _GLOBAL_UNICAST and not any(found in network for network in _SPECIAL_6)
        found = inner
    return not any(found in network for network in _SPECIAL_4)


def _inner(found: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that a packet for `found` would end up at: mapped, 6to4 or NAT64."""
    if found in _NAT64:
        return ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return found.ipv4_mapped or found.sixtofour


def addresses_of(
    host: str, port: int, *, allow_private: bool, timeout_s: float, look_up: LookUp = look_up
) -> list[Address]:
    """Return where a host may be reached, at least one. Raises DeliveryError.

    The system's look-up knows no time-out, so it has a thread of its own, which may outlive this call for as long as
    the resolver takes to give up.
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
