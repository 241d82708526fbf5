"""One connection of the HTTP door as such: where it stands, how it is read, how it ends."""

import asyncio
from enum import Enum, auto
from typing import Any, Final, cast

from gateway.doors.http.connection_slots import ConnectionSlot
from gateway.doors.http.credentials import NOBODY, Peer, peer_of
from gateway.doors.http.service import Service

READ_BYTES: Final = 64 * 1024
"""What one read of a socket brings at most, and what is left unwritten before a connection is waited for."""
NEVER: Final = float("inf")


class Phase(Enum):
    """Where a connection stands."""

    WAITING = auto()
    """For a request."""
    HEAD = auto()
    """A head has begun."""
    BODY = auto()
    """A body is on its way; its request may be answered already."""
    ANSWERING = auto()
    """The request is whole, its answer is being made."""
    LINGERING = auto()
    """The last answer is given; what is still coming is passed over, so that the answer is not lost with it."""
    CLOSED = auto()
    """Closed by us; what was written may still be on its way."""


class Connection(asyncio.Protocol):
    """What DoorProtocol reads requests from and writes answers to."""

    transport: asyncio.Transport
    peer: Peer = NOBODY

    def __init__(self, service: Service, place: ConnectionSlot) -> None:
        self.place = place
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._phase = Phase.WAITING
        self._due = self._loop.time() + service.bounds.head_s
        """When the present phase must be over, by the clock of the loop."""
        self._held = b""
        """What was read and is not looked at yet."""
        self._received = 0
        """Bytes of the present phase."""
        self._paused = False
        self._unread: tuple[str, int] | None = None
        """Whose the present answer is, and its bytes, as they are counted while it waits to be read."""
        self.made = False
        """Whether the connection speaks; with TLS, after the handshake."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look at who is there, once for all requests of the connection."""
        self.made = True
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=READ_BYTES)
        bounded: Any = self.transport
        if self.secured:
            bounded.set_read_buffer_limits(high=READ_BYTES)
        else:
            bounded.max_size = READ_BYTES
        self.peer = peer_of(transport, transport.get_extra_info("peername"))

    @property
    def secured(self) -> bool:
        """Whether TLS is spoken here."""
        return self.transport.get_extra_info("ssl_object") is not None

    def abort(self) -> None:
        """Close at once, whatever is still to be written."""
        self._phase = Phase.CLOSED
        self._held = b""
        self._due = NEVER
        self.transport.abort()

    def _linger(self) -> None:
        """Close our half, and for a moment pass over what was on its way: a reset would take the answer along."""
        self._phase = Phase.LINGERING
        self._held = b""
        self._received = 0
        self._due = self._flushed_by()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._resume()

    def _close(self) -> None:
        self._phase = Phase.CLOSED
        self._held = b""
        self._due = self._flushed_by()
        self.transport.close()

    def _flushed_by(self) -> float:
        """Return when what is written must have been read, and what was on its way have come."""
        bounds, unread = self._service.bounds, self.transport.get_write_buffer_size()
        return self._loop.time() + (bounds.due_s(unread) if unread else bounds.linger_s)

    def _has_room(self, size_bytes: int) -> bool:
        """Count an answer that may have to wait until it is read; False when too many wait already.

        One larger than all that an owner may have waiting counts as so much: nobody could get it otherwise.
        """
        if size_bytes <= READ_BYTES:
            return True
        owner, counted = self.place.owner, min(size_bytes, self._service.bounds.unread_bytes // 2)
        if not self._service.unread.grow(owner, counted):
            return False
        self._unread = (owner, counted)
        return True

    def _has_read(self) -> None:
        """Count it no more."""
        if self._unread is not None:
            self._service.unread.shrink(*self._unread)
            self._unread = None

    def _pause(self) -> None:
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()
