"""Resource limits of the HTTP door for anybody who can open a connection, before and after authentication.

For one request: gateway/doors/http/request_head.py (head), framing.py (chunks), `[accept.limits]` (body). For
connections: here.
"""

import resource
from typing import Final

from msgspec import Struct

from gateway.config.gateway_toml import Accept

DOOR_WAIT_S: Final = 0.4
"""Longest wait for another process's lock: the HTTP door waits on its event loop, so every request waits with it."""
_SPARE_DESCRIPTORS: Final = 128
"""Descriptors kept for the spool, the log and what answering opens."""
_BODIES_UNDER_WAY: Final = 32
"""So many of the largest messages may be received at the same time, half as many of one enterprise."""


class HttpBounds(Struct, frozen=True, kw_only=True):
    """Limits in numbers, seconds and bytes."""

    connections: int = 2048
    connections_of_address: int = 256
    under_way_bytes: int = 128 * 1024 * 1024
    """Of partly received bodies; half of it for one enterprise."""
    unread_bytes: int = 256 * 1024 * 1024
    """Of answers that slow callers have not read yet; half of it for one enterprise."""
    handshake_s: float = 10.0
    head_s: float = 10.0
    """From its first byte to its last, and from the connection to the first byte of the first head."""
    body_s: float = 20.0
    least_bytes_per_s: int = 4096
    """A body may take `body_s` plus its time at this rate; the same holds for reading an answer."""
    idle_s: float = 75.0
    """Between two requests."""
    linger_s: float = 2.0
    """After the last answer, for data still arriving."""
    silent_s: float = 5.0
    """At the end of the process: how long a connection that cannot be passed on may still send a request."""

    def due_s(self, size_bytes: int) -> float:
        """Return the longest time for so many bytes."""
        return self.body_s + size_bytes / self.least_bytes_per_s


def bounds_of(accept: Accept) -> HttpBounds:
    """Return the limits from the configuration and from this process's descriptor limit."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = accept.max_connections
    if descriptors != resource.RLIM_INFINITY:
        room = max(1, min(room, descriptors - _SPARE_DESCRIPTORS, descriptors * 7 // 8))
    return HttpBounds(
        connections=room,
        connections_of_address=accept.max_connections_per_address,
        under_way_bytes=_BODIES_UNDER_WAY * accept.limits.size_bytes,
        handshake_s=accept.head_s,
        head_s=accept.head_s,
        body_s=accept.body_s,
        least_bytes_per_s=accept.least_bytes_per_s,
        idle_s=accept.idle_s,
    )


class UnderWay:
    """Counts bytes that wait for callers, in total and per enterprise."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._all = 0
        self._of: dict[str, int] = {}

    def grow(self, owner: str, size_bytes: int) -> bool:
        """Add bytes; returns False, counting nothing, when a limit would be exceeded."""
        owned = self._of.get(owner, 0) + size_bytes
        if self._all + size_bytes > self._most or owned > self._most // 2:
            return False
        self._all += size_bytes
        self._of[owner] = owned
        return True

    def shrink(self, owner: str, size_bytes: int) -> None:
        """Subtract bytes."""
        if not size_bytes:
            return
        self._all -= size_bytes
        left = self._of[owner] - size_bytes
        if left:
            self._of[owner] = left
        else:
            del self._of[owner]
