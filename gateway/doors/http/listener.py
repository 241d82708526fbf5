"""Accepts connections: up to the number of slots, and never so fast that open connections have to wait."""

import asyncio
import contextlib
import errno
import socket
from ssl import SSLContext
from typing import Final

from gateway.doors.http.connection_slots import ConnectionSlot
from gateway.doors.http.handover import OpenDoor, Passed
from gateway.doors.http.protocol import DoorProtocol
from gateway.doors.http.service import Service
from gateway.observe.log import log

_AT_ONCE: Final = 64
"""Most connections accepted before the event loop does other work."""
_STRANGERS_AT_ONCE: Final = 16
"""Unauthenticated connections closed when there is no descriptor left."""
_AGAIN_S: Final = 0.1
"""Pause before accepting again when there was no descriptor."""
_SAY_AGAIN_S: Final = 60.0
_TICK_S: Final = 1.0
_DRAINING_TICK_S: Final = 0.05
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Listener:
    """The listening socket of one process and the connections accepted from it."""

    def __init__(self, door: OpenDoor, service: Service, tls: SSLContext | None) -> None:
        self._door = door
        self._service = service
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._exhausted = False
        self._refused: dict[str, int] = {}
        """Reason → connections refused since the last log line."""
        self._say_at: dict[str, float] = {}
        self._open = False
        self._empty = asyncio.Event()
        self._ticking = self._loop.call_later(_TICK_S, self._tick, _TICK_S)

    def open(self) -> None:
        """Begin to accept connections, new ones and those passed on by the previous process."""
        self._open = True
        self._loop.add_reader(self._door.listening, self._accept)
        self._loop.add_reader(self._door.handover.taking, self._take_over)

    async def drain(self, limit_s: float) -> None:
        """Accept what has arrived, then no more; return when all connections are gone or passed on, or after `limit_s`.

        Requests already in the sockets are read and answered first: without a successor, this is the last process
        that can answer them.
        """
        self._accept()
        self._open = False
        self._loop.remove_reader(self._door.listening)
        self._loop.remove_reader(self._door.handover.taking)
        self._ticking.cancel()
        for connection in list(self._service.connections):
            connection.drain()
        self._ticking = self._loop.call_later(_DRAINING_TICK_S, self._tick, _DRAINING_TICK_S)
        try:
            async with asyncio.timeout(limit_s):
                await self._empty.wait()
        except TimeoutError:
            for connection in list(self._service.connections):
                connection.abort()
        self._ticking.cancel()

    def _tick(self, again_s: float) -> None:
        """Check all connections for time limits."""
        self._ticking = self._loop.call_later(again_s, self._tick, again_s)
        now = self._loop.time()
        self._service.tick()
        for connection in list(self._service.connections):
            if not self._open:
                connection.drain()
            if self._open or not connection.leave():
                connection.check(now)
        if not self._open and not len(self._service.places):
            self._empty.set()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, address = self._door.listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                self._exhausted = False
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._wait_for_descriptors(error)
                return
            self._let_in(connection, str(address[0]))

    def _let_in(self, connection: socket.socket, address: str) -> None:
        reason = self._service.places.full(address)
        if reason:
            connection.close()
            self._say_refused(reason, address)
            return
        connection.setblocking(False)
        self._serve(connection, address, self._tls)

    def _serve(
        self,
        connection: socket.socket,
        address: str,
        tls: SSLContext | None,
        *,
        held: bytes = b"",
        owner: str = "",
    ) -> None:
        """Give a connection its slot and, once established (TLS), its protocol."""
        service = self._service
        place = ConnectionSlot(address, connection.close)
        protocol = DoorProtocol(service, place, held)

        async def serve() -> None:
            with contextlib.suppress(OSError):  # no handshake, or one that took too long
                await self._loop.connect_accepted_socket(
                    lambda: protocol,
                    connection,
                    ssl=tls,
                    ssl_handshake_timeout=None if tls is None else service.bounds.handshake_s,
                    ssl_shutdown_timeout=None if tls is None else service.bounds.linger_s,
                )
                place.drop = protocol.abort

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not protocol.made:
                connection.close()
                service.places.leave(place)

        task = self._loop.create_task(serve())
        task.add_done_callback(ended)
        self._tasks.add(task)
        place.drop = task.cancel
        service.places.enter(place)
        if owner:
            service.know(place, owner)

    def _take_over(self) -> None:
        for _ in range(_AT_ONCE):
            passed = self._door.handover.take()
            if passed is None:
                return
            self._adopt(passed)

    def _adopt(self, passed: Passed) -> None:
        """Continue a connection where the previous process stopped."""
        try:
            address = str(passed.connection.getpeername()[0])
        except OSError:  # closed meanwhile
            passed.connection.close()
            return
        if self._tls is not None:  # the door had no TLS before, and has it now
            passed.connection.close()
            return

        self._serve(passed.connection, address, None, held=passed.held, owner=passed.owner)

    def _wait_for_descriptors(self, error: OSError) -> None:
        """Leave new connections in the kernel's queue for a while, and close some unauthenticated ones."""
        for _ in range(_STRANGERS_AT_ONCE):
            self._service.places.make_room()
        self._loop.remove_reader(self._door.listening)
        self._loop.call_later(_AGAIN_S, self._accept_again)
        if not self._exhausted:
            self._exhausted = True
            log("descriptors.exhausted", error=str(error.strerror), connections=len(self._service.places))

    def _accept_again(self) -> None:
        if self._open:
            self._loop.add_reader(self._door.listening, self._accept)

    def _say_refused(self, reason: str, address: str) -> None:
        """Log that connections are refused, at most once a minute for each reason."""
        self._refused[reason] = self._refused.get(reason, 0) + 1
        now = self._loop.time()
        if now >= self._say_at.get(reason, now):
            self._say_at[reason] = now + _SAY_AGAIN_S
            log("connection.refused", limit=reason, address=address, refused=self._refused.pop(reason))
