"""The customs side as a real AMQP 1.0 listener: takes envelopes at any address, sends receipts from one."""

import selectors
import socket
import threading
from collections.abc import Callable

from gateway.simulator.amqp_peer import AmqpPeer, NotNow, ReceiptQueue

__all__ = ["AmqpServer", "NotNow"]
BACKLOG = 64


class AmqpServer:
    """Serves in one background thread.

    `on_message(body, address)` is called from that thread for each envelope before it is accepted. If it
    raises `NotNow`, the envelope is released; any other exception rejects it, with its text as the reason.
    Receipts wait in memory until a client has accepted them; `start` may follow `stop`: same port, same
    receipts.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        on_message: Callable[[bytes, str], None],
        outgoing: str = "receipts",
        idle_timeout_s: float = 0.0,
    ) -> None:
        """`idle_timeout_s`: idle time after which a client is cut off, 0 for none. Clients log in as ANONYMOUS.

        (Proton has no other mechanism on the server's side unless it was built with Cyrus SASL.)
        """
        self._address = (host, port)
        self._receipts = ReceiptQueue(outgoing)
        self._make_peer = lambda connection: AmqpPeer(
            connection, self._receipts, on_message, idle_timeout_s=idle_timeout_s
        )
        self._thread: threading.Thread | None = None
        self._bell: socket.socket | None = None
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        """The TCP port; chosen by the system at the first `start` when it was given as 0."""
        return self._address[1]

    def start(self) -> None:
        """Listen and serve in a background thread; raises OSError when the port is taken."""
        listener = socket.create_server(self._address, backlog=BACKLOG)
        listener.setblocking(False)
        self._address = (self._address[0], listener.getsockname()[1])
        heard, bell = socket.socketpair()
        heard.setblocking(False)
        with self._lock:
            self._bell = bell
        self._thread = threading.Thread(
            target=_Loop(listener, heard, self._receipts, self._make_peer).run,
            name="amqp-server",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the port and cut every connection; returns when the thread has ended."""
        with self._lock:
            bell, self._bell = self._bell, None
        if bell is not None:
            bell.close()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def offer(self, body: bytes, name: str) -> None:
        """Queue a receipt; `name` becomes its message id. Thread-safe; may be called while stopped."""
        self._receipts.add(body, name)
        with self._lock:
            if self._bell is not None:
                self._bell.send(b"!")


class _Loop:
    """Waits on all sockets and runs each peer in turn; ends when the other end of the wake-up socket is closed."""

    def __init__(
        self,
        listener: socket.socket,
        heard: socket.socket,
        receipts: ReceiptQueue,
        make_peer: Callable[[socket.socket], AmqpPeer],
    ) -> None:
        self._listener = listener
        self._heard = heard
        self._receipts = receipts
        self._make_peer = make_peer
        self._selector = selectors.DefaultSelector()
        self._peers: set[AmqpPeer] = set()

    def run(self) -> None:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._heard, selectors.EVENT_READ)
        try:
            while self._turn():
                pass
        finally:
            for peer in self._peers:
                peer.cut()
            self._selector.close()
            self._listener.close()
            self._heard.close()

    def _turn(self) -> bool:
        waits = [wait for peer in self._peers if (wait := peer.next_tick_s()) is not None]
        for key, mask in self._selector.select(min(waits, default=None)):
            if key.fileobj is self._listener:
                self._welcome()
            elif key.fileobj is self._heard:
                if not self._heard.recv(4096):
                    return False
            elif isinstance(key.data, AmqpPeer) and mask & selectors.EVENT_READ:
                key.data.read()
        self._think()
        while self._receipts.came_back:
            self._receipts.came_back = False
            self._think()
        return True

    def _welcome(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # the client has closed the connection meanwhile
            return
        try:
            peer = self._make_peer(connection)
        except OSError:  # the same, a moment later
            connection.close()
            return
        self._peers.add(peer)
        self._selector.register(connection, selectors.EVENT_READ, peer)

    def _think(self) -> None:
        """Run every peer once: receipts that one puts back may go to another."""
        for peer in list(self._peers):
            peer.think()
            if peer.gone:
                self._selector.unregister(peer.connection)
                self._peers.discard(peer)
                peer.cut()
            else:
                self._selector.modify(peer.connection, peer.wanted(), peer)
