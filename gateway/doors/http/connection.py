"""One connection of the HTTP door: its phase, reading and closing, without the requests."""

import asyncio
from enum import Enum, auto
from typing import Any, Final, cast

from gateway.doors.http.connection_slots import ConnectionSlot
from gateway.doors.http.credentials import NOBODY, Peer, peer_of
from gateway.doors.http.service import Service

READ_BYTES: Final = 64 * 1024
"""Most bytes of one read, and unsent bytes from which on the connection is waited for."""
NEVER: Final = float("inf")


class Phase(Enum):
    """Phase of a connection."""

    WAITING = auto()
    """Waits for a request."""
    HEAD = auto()
    """A head has begun."""
    BODY = auto()
    """A body is being received; its request may be answered already."""
    ANSWERING = auto()
    """The request is complete, its answer is being made."""
    LINGERING = auto()
    """The last answer is sent; further input is discarded, so that the answer is not lost with a reset."""
    CLOSED = auto()
    """Closed by us; written data may still be in transit."""


class Connection(asyncio.Protocol):
    """Base of DoorProtocol, which reads requests from it and writes answers to it."""

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
        """Read, but not parsed yet."""
        self._received = 0
        """Bytes of the present phase."""
        self._paused = False
        self._unread: tuple[str, int] | None = None
        """Owner and counted bytes of the present answer while it waits to be read."""
        self.made = False
        """Whether the connection is established; with TLS, after the handshake."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Determine the peer, once for all requests of the connection."""
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
        """Whether the connection uses TLS."""
        return self.transport.get_extra_info("ssl_object") is not None

    def abort(self) -> None:
        """Close at once, discarding unsent data."""
        self._phase = Phase.CLOSED
        self._held = b""
        self._due = NEVER
        self.transport.abort()

    def _linger(self) -> None:
        """Close our half and discard input for a moment: a reset would destroy the answer."""
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
        """Return when written data must have been read and input in transit must have arrived."""
        bounds, unread = self._service.bounds, self.transport.get_write_buffer_size()
        return self._loop.time() + (bounds.due_s(unread) if unread else bounds.linger_s)

    def _has_room(self, size_bytes: int) -> bool:
        """Count an answer that may have to wait until it is read; False when too many bytes wait already.

        An answer larger than an owner's whole share counts as that share: otherwise nobody could ever get it.
        """
        if size_bytes <= READ_BYTES:
            return True
        owner, counted = self.place.owner, min(size_bytes, self._service.bounds.unread_bytes // 2)
        if not self._service.unread.grow(owner, counted):
            return False
        self._unread = (owner, counted)
        return True

    def _has_read(self) -> None:
        """Stop counting the present answer."""
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
