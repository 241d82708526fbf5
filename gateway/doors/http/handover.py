"""Passes open connections from an ending door process to its successor, so that a reload cuts no connection.

A connection between two requests is a descriptor and the bytes already read of the next one; both travel over a pair
of sockets that every process of the door inherits. The other end of the connection notices nothing, and what it sends
meanwhile waits in the kernel. TLS cannot be passed on: its state is in the process (ADR 0026).
"""

import contextlib
import os
import socket
from dataclasses import dataclass
from typing import Final

_BYTES: Final = 256 * 1024
"""More than any connection holds between two requests."""
_END: Final = b"\0"
"""Ends the name of the enterprise, which cannot contain it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A connection that was passed on."""

    connection: socket.socket
    held: bytes
    """Bytes already read, of its next request."""
    owner: str
    """The enterprise that has used it; empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """The pair of sockets; the kernel closes what is in it when no process of the door is left."""

    giving: socket.socket
    taking: socket.socket

    @classmethod
    def make(cls) -> "Handover":
        """Make the pair, to be inherited by every process of the door."""
        giving, taking = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for one in (giving, taking):
            one.setblocking(False)
        giving.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * _BYTES)
        return cls(giving=giving, taking=taking)

    def give(self, descriptor: int, held: bytes, owner: str) -> bool:
        """Pass a connection on; False when there is no room at the moment. Our own descriptor stays open.

        Raises OSError when this connection can never be passed on.
        """
        try:
            socket.send_fds(self.giving, [owner.encode() + _END + held], [descriptor])
        except BlockingIOError:
            return False
        return True

    def take(self) -> Passed | None:
        """Take the next connection; None: there is none at the moment, or no descriptor for it."""
        try:
            held, descriptors, _, _ = socket.recv_fds(self.taking, _BYTES, 1)
        except (BlockingIOError, InterruptedError):
            return None
        if not descriptors:
            return None
        try:
            connection = socket.socket(fileno=descriptors[0])
        except OSError:
            with contextlib.suppress(OSError):
                os.close(descriptors[0])
            return None
        connection.setblocking(False)
        owner, _, held = held.partition(_END)
        return Passed(connection=connection, held=held, owner=owner.decode())


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDoor:
    """What every process that serves the HTTP door inherits."""

    listening: socket.socket
    handover: Handover
