"""What anybody who can open a connection may take of the HTTP door, before and after saying who he is.

Of one request: gateway/doors/http/request_head.py (head), framing.py (chunks), `[accept.limits]` (body). Of connections: here.
"""

import resource
from typing import Final

from msgspec import Struct

from gateway.config.gateway_toml import Accept

DOOR_WAIT_S: Final = 0.4
"""How long the HTTP door waits for another process's lock: on its event loop, where everybody waits with it."""
_SPARE_DESCRIPTORS: Final = 128
"""Kept for the spool, the log and what answering opens."""
_BODIES_UNDER_WAY: Final = 32
"""So many of the largest messages may be on their way at the same time, half as many of one enterprise."""


class HttpBounds(Struct, frozen=True, kw_only=True):
    """Numbers, seconds and bytes."""

    connections: int = 2048
    connections_of_address: int = 256
    under_way_bytes: int = 128 * 1024 * 1024
    """Of bodies that have come in part; half of it for one enterprise."""
    unread_bytes: int = 256 * 1024 * 1024
    """Of answers whose callers are slow to read them; half of it for one enterprise."""
    handshake_s: float = 10.0
    head_s: float = 10.0
    """From its first byte to its last, and from the connection to the first byte of the first."""
    body_s: float = 20.0
    least_bytes_per_s: int = 4096
    """A body may take `body_s` and as long as it takes at this rate; so may an answer, to be read."""
    idle_s: float = 75.0
    """Between two requests."""
    linger_s: float = 2.0
    """After the last answer, for what is still on its way."""
    silent_s: float = 5.0
    """When the process ends: how long a connection that cannot be passed on may still say something."""

    def due_s(self, size_bytes: int) -> float:
        """Return how long so many bytes may take."""
        return self.body_s + size_bytes / self.least_bytes_per_s


def bounds_of(accept: Accept) -> HttpBounds:
    """Take the bounds from the configuration, and from how many descriptors this process may have."""
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
    """Counts bytes that wait for callers, in all and of each enterprise."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._all = 0
        self._of: dict[str, int] = {}

    def grow(self, owner: str, size_bytes: int) -> bool:
        """Count more; False, and nothing is counted, when it would be too much."""
        owned = self._of.get(owner, 0) + size_bytes
        if self._all + size_bytes > self._most or owned > self._most // 2:
            return False
        self._all += size_bytes
        self._of[owner] = owned
        return True

    def shrink(self, owner: str, size_bytes: int) -> None:
        """Count that much less."""
        if not size_bytes:
            return
        self._all -= size_bytes
        left = self._of[owner] - size_bytes
        if left:
            self._of[owner] = left
        else:
            del self._of[owner]
