"""Uses Proton's C functions directly for each message, without a Python object for each step.

The library's objects cost several times what the protocol does: an event creates five of them, and written bytes
are copied three times. They are used only for rare steps: login, links, faults.
"""

import importlib
import socket
from collections.abc import Callable
from typing import Any, Final

READ_BYTES: Final = 256 * 1024
_WRITE_BYTES: Final = 256 * 1024
_MILLISECONDS: Final = 1000


class Engine:
    """The bytes and events of one connection; never blocks. Pointers to deliveries are valid until they are settled."""

    def __init__(self, transport: Any, collector: Any) -> None:
        """Takes objects of `proton` and keeps them alive."""
        wire = importlib.import_module("cproton")
        self.lib = wire.lib
        """The C functions."""
        self._owners = transport, collector
        self._transport, self._collector = pointer_of(transport), pointer_of(collector)
        self._ffi = wire.ffi
        self._usual = (self.lib.PN_TRANSPORT, self.lib.PN_LINK_FLOW)
        self._event_of = importlib.import_module("proton").Event.wrap
        self._out = bytearray(_WRITE_BYTES)
        self._out_view = memoryview(self._out)
        self._out_address = self._ffi.from_buffer("char[]", self._out) + 0
        self._unsent = self._out_view[:0]
        self.written = 0
        """Bytes written to sockets."""

    @property
    def has_events(self) -> bool:
        """Whether there are events for `listen`."""
        return bool(self.lib.pn_collector_more(self._collector))

    def listen(self, on_delivery: Callable[[Any], None], on_other: Callable[[Any], None]) -> None:
        """Call back for each event: with a pointer for a delivery, with an event of `proton` for the rare others."""
        lib, collector = self.lib, self._collector
        while event := lib.pn_collector_peek(collector):
            kind = lib.pn_event_type(event)
            if kind == lib.PN_DELIVERY:
                on_delivery(lib.pn_event_delivery(event))
            elif kind not in self._usual:
                on_other(self._event_of(event))
            lib.pn_collector_pop(collector)

    def tick(self, now: float) -> float:
        """Update the time (heartbeats); returns when to call again at the latest, in monotonic seconds; 0: no need."""
        due = self.lib.pn_transport_tick(self._transport, int(now * _MILLISECONDS))
        return float(due) / _MILLISECONDS

    @property
    def writes(self) -> bool:
        """Whether there are bytes to write."""
        return bool(self._unsent or self.lib.pn_transport_pending(self._transport) > 0)

    @property
    def reads(self) -> bool:
        """Whether there is room for incoming bytes."""
        return bool(self.lib.pn_transport_capacity(self._transport) > 0)

    def write(self, to: socket.socket) -> bool:
        """Write all that the socket takes now; returns whether it took anything. Raises OSError."""
        moved = False
        try:
            while self._unsent or self._fill():
                count = to.send(self._unsent)
                self._unsent = self._unsent[count:]
                self.written += count
                moved = True
        except BlockingIOError:
            pass
        return moved

    def _fill(self) -> bool:
        """Collect the engine's frames in one buffer, to need few system calls; False: there are none."""
        lib, transport, size = self.lib, self._transport, 0
        while size < _WRITE_BYTES and (pending := lib.pn_transport_pending(transport)) > 0:
            taken = lib.pn_transport_peek(
                transport, self._out_address + size, min(pending, _WRITE_BYTES - size)
            )
            lib.pn_transport_pop(transport, taken)
            size += taken
        self._unsent = self._out_view[:size]
        return size > 0

    def read(self, source: socket.socket) -> bool:
        """Read what the socket has; returns whether there was anything. Raises OSError.

        Protocol errors in the bytes become events.
        """
        room = self.lib.pn_transport_capacity(self._transport)
        try:
            received = source.recv(min(room, READ_BYTES))
        except BlockingIOError:
            return False
        if received:
            self.lib.pn_transport_push(self._transport, self._ffi.from_buffer(received), len(received))
        else:
            self.lib.pn_transport_close_tail(self._transport)
        return True

    def send(self, link: Any, tag: str, head: bytes, body: bytes) -> bool:
        """Put one whole message on a sending link; False: it does not fit. Nothing is sent before `write`."""
        lib, borrowed, name = self.lib, self._ffi.from_buffer, tag.encode()
        lib.pn_delivery(link, (len(name), borrowed(name)))
        taken = lib.pn_link_send(link, borrowed(head), len(head))
        taken += lib.pn_link_send(link, borrowed(body), len(body))
        return bool(taken == len(head) + len(body) and lib.pn_link_advance(link))

    def receive(self, link: Any, delivery: Any) -> bytes:
        """Return the message of a delivery on a receiving link."""
        room = bytearray(self.lib.pn_delivery_pending(delivery))
        size = self.lib.pn_link_recv(link, self._ffi.from_buffer(room), len(room)) if room else 0
        self.lib.pn_link_advance(link)
        return bytes(room[: max(0, size)])

    def tag(self, delivery: Any) -> str:
        """Return the tag under which a delivery was sent."""
        tag = self.lib.pn_delivery_tag(delivery)
        return str(self._ffi.unpack(tag.start, tag.size).decode())


def pointer_of(thing: Any) -> Any:
    """Return the C pointer of an object of `proton`; valid while the object exists."""
    return thing._impl  # noqa: SLF001 (the one door from the library's objects to its functions)
