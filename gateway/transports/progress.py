"""Time-outs that count from the last progress, and connections that are cut at once.

The bytes that the other side has taken are those written less those that the kernel still holds. This distinguishes a
slow connection from a dead one.
"""

import errno
import fcntl
import socket
import struct
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from gateway.errors import DeliveryError
from gateway.ports import Clock
from gateway.processes.heartbeat import beat
from spool.lease import ENDLESS, Lease

if TYPE_CHECKING:
    from typing_extensions import Buffer

LOOK_S: Final = 1.0
"""Interval for checking whether the other side has taken anything."""
_AT_MOST: Final = 30
"""Longest duration of an operation, in time-outs: also ends one with a peer that sends a byte now and then."""
_COUNT: Final = struct.Struct("i")
_LINGER: Final = struct.Struct("ii")
_NOTSENT_LOWAT: Final = 25
"""`TCP_NOTSENT_LOWAT` of Linux."""
UNSENT_BYTES: Final = 128 * 1024
"""Limit for unsent bytes of messages, in the process and again in the kernel: beyond it no message is begun."""


class Progress:
    """Limits how long an operation may take without progress, and in all; progress also sends a heartbeat."""

    def __init__(self, timeout_s: float, lease: Lease = ENDLESS, *, clock: Clock = time.monotonic) -> None:
        """`timeout_s` restarts with each progress, up to `_AT_MOST` times in all; the lease ends it in any case."""
        self._timeout_s = timeout_s
        self._lease = lease
        self._clock = clock
        self._taken: int | None = None
        self._until = clock() + timeout_s
        self._last = clock() + _AT_MOST * timeout_s

    @property
    def left_s(self) -> float:
        """Seconds left; ≤ 0: it has taken too long."""
        return min(self._until - self._clock(), self._lease.left_s)

    def made(self) -> None:
        """Restart the time-out and send a heartbeat."""
        self._until = min(self._clock() + self._timeout_s, self._last)
        beat()

    def taken(self, count: int) -> None:
        """Record how many bytes the other side has taken in all; any increase is progress."""
        if self._taken is not None and count > self._taken:
            self.made()
        self._taken = count if self._taken is None else max(self._taken, count)


def is_ready_while_moving(pump: Callable[[float], bool], taken: Callable[[], int], timeout_s: float) -> bool:
    """Block until a connection is ready; False: the other side took nothing for so long. Raises what both calls raise.

    `pump` moves bytes until the result is there (True) or until a monotonic time; `taken`: see `Progress.taken`.
    """
    progress = Progress(timeout_s)
    while not pump(time.monotonic() + min(LOOK_S, progress.left_s)):
        progress.taken(taken())
        if progress.left_s <= 0:
            return False
    return True


def queued(connection: socket.socket) -> int:
    """Return how many written bytes the other side's system has not acknowledged. Raises OSError."""
    if connection.fileno() < 0:
        raise OSError(errno.EBADF, "the connection is closed")
    (count,) = _COUNT.unpack(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(_COUNT.size)))
    return int(count)


class PatientSocket(socket.socket):
    """A socket for writers that retry for ever: aborts once the other side has taken nothing for `timeout_s`."""

    def __init__(self, connection: socket.socket, timeout_s: float) -> None:
        """Take over the connection."""
        super().__init__(connection.family, connection.type, connection.proto, fileno=connection.detach())
        self._timeout_s = timeout_s
        self._written = 0
        self._blocked: Progress | None = None

    def send(self, data: "Buffer", flags: int = 0, /) -> int:
        """See `socket.send`. Raises TimeoutError if the caller may retry, ConnectionAbortedError if that is useless."""
        try:
            count = super().send(data, flags)
        except TimeoutError as error:
            self._blocked = self._blocked or Progress(self._timeout_s)
            self._blocked.taken(self._written - queued(self))
            if self._blocked.left_s <= 0:
                raise ConnectionAbortedError("the other side takes nothing any more") from error
            raise
        self._written += count
        self._blocked = None
        return count


def hold_little(connection: socket.socket) -> None:
    """Let the kernel buffer only what it can send soon: leases cannot be checked again for bytes that it holds."""
    with suppress(OSError):  # a system without this option buffers more
        connection.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, UNSENT_BYTES)


def cut_off(connection: socket.socket) -> None:
    """Close a connection so that the kernel discards unsent bytes. May be called twice.

    Wakes threads that are in a call on it; the reset is sent when the last one has returned.
    """
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER.pack(1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def ended_amid(place: str) -> DeliveryError:
    """Return the error for a lease that ended while sending: an attempt; others may have claimed the rest."""
    return DeliveryError(
        "the claim ended while it was being sent",
        where=place,
        fix="if it comes often, the line is too slow for it: raise lease_s, or lower batch",
    )
