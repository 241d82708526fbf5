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

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


def look_up(host: str, port: int) -> list[Address]:
    """Ask the system; blocks as long as that takes. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


def is_public(address: str) -> bool:
    """Say whether an address is one of the internet; those in others' clothes are judged by what they stand for."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if found.teredo is not None:
            return False
    return found.is_global and not found.is_multicast


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
