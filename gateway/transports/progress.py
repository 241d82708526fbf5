"""Time-outs that count from the last progress, and connections that are cut for good.

How much the other side has taken is what was written less what the kernel still holds of it. So a slow line is not
mistaken for a dead one, and a dead one not for one that is slow.
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
"""How often is looked whether the other side has taken anything."""
_AT_MOST: Final = 30
"""Time-outs that anything lasts at most, however it goes on: who sends a byte now and then is not served for ever."""
_COUNT: Final = struct.Struct("i")
_LINGER: Final = struct.Struct("ii")
_NOTSENT_LOWAT: Final = 25
"""`TCP_NOTSENT_LOWAT` of Linux."""
UNSENT_BYTES: Final = 128 * 1024
"""Of messages: while so much is unsent in the process, or again in the kernel, no more is begun."""


class Progress:
    """How long something may go on without any, and in all; whoever makes some also shows a sign of life."""

    def __init__(self, timeout_s: float, lease: Lease = ENDLESS, *, clock: Clock = time.monotonic) -> None:
        """`timeout_s` counts anew with each progress, some times; with the lease it is over in any case."""
        self._timeout_s = timeout_s
        self._lease = lease
        self._clock = clock
        self._taken: int | None = None
        self._until = clock() + timeout_s
        self._last = clock() + _AT_MOST * timeout_s

    @property
    def left_s(self) -> float:
        """What is left; ≤ 0: it has taken too long."""
        return min(self._until - self._clock(), self._lease.left_s)

    def made(self) -> None:
        """Begin to count anew."""
        self._until = min(self._clock() + self._timeout_s, self._last)
        beat()

    def taken(self, count: int) -> None:
        """Learn how many bytes the other side has taken in all; any more than before are progress."""
        if self._taken is not None and count > self._taken:
            self.made()
        self._taken = count if self._taken is None else max(self._taken, count)


def is_ready_while_moving(pump: Callable[[float], bool], taken: Callable[[], int], timeout_s: float) -> bool:
    """Wait with a connection; False: the other side has taken nothing for so long. Raises what the two raise.

    `pump` moves bytes until what is waited for is there, True, or until a monotonic time; `taken`: see `Progress.taken`.
    """
    progress = Progress(timeout_s)
    while not pump(time.monotonic() + min(LOOK_S, progress.left_s)):
        progress.taken(taken())
        if progress.left_s <= 0:
            return False
    return True


def queued(connection: socket.socket) -> int:
    """Return how many written bytes the other side's system has not taken. Raises OSError."""
    if connection.fileno() < 0:
        raise OSError(errno.EBADF, "the connection is closed")
    (count,) = _COUNT.unpack(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(_COUNT.size)))
    return int(count)


class PatientSocket(socket.socket):
    """For who tries to write for ever: gives up once the other side has taken nothing for so long."""

    def __init__(self, connection: socket.socket, timeout_s: float) -> None:
        """Takes the connection over."""
        super().__init__(connection.family, connection.type, connection.proto, fileno=connection.detach())
        self._timeout_s = timeout_s
        self._written = 0
        self._blocked: Progress | None = None

    def send(self, data: "Buffer", flags: int = 0, /) -> int:
        """See `socket.send`. Raises TimeoutError where it may be tried again, ConnectionAbortedError where that is of no use."""
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
    """Let the kernel take only what it can send soon: what it has cannot be looked at again before it goes."""
    with suppress(OSError):  # a system without it holds more
        connection.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, UNSENT_BYTES)


def cut_off(connection: socket.socket) -> None:
    """Close, and have the kernel send nothing of what it still holds. May be called twice.

    It is reset once no thread is in a call for it; those that are, are woken.
    """
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER.pack(1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def ended_amid(place: str) -> DeliveryError:
    """Say that a lease ended while something was being sent: this was an attempt, and others may have what is left."""
    return DeliveryError(
        "the claim ended while it was being sent",
        where=place,
        fix="if it comes often, the line is too slow for it: raise lease_s, or lower batch",
    )
