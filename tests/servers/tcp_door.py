"""A door in front of a port of this machine, that a test can shut, open again, make narrow and slam in mid-answer."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from gateway.simulator.world import free_port

PIECE_BYTES = 65536
NARROW_BYTES = 65536
"""What a narrow line holds of one connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fuse:
    """Lit for the first connection on which so many bytes go to the server from then on."""

    after_bytes: int
    burnt: Callable[[], None]
    spares_upload: bool = False
    """Let everything through, and swallow the answer to it."""


class TcpDoor:
    """Passes bytes both ways, one pair of threads a connection; keeps its port over `stop` and `start`."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = free_port()
        self.passed = 0
        """Connections that came through."""
        self.uploaded = 0
        """Bytes that went to the server."""
        self._pace = 0.0
        self._close = threading.Event()
        self.held = threading.Event()
        """A connection waits where `hold_after` wants it."""
        self._slam, self._mute = threading.Event(), threading.Event()
        self._fuse: _Fuse | None = None
        self._doomed: set[socket.socket] = set()
        """Server ends whose next answer is swallowed."""
        self._go_on = threading.Event()
        self._most = 0
        self._waiting: tuple[socket.socket, ...] = ()
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.start()

    def start(self) -> None:
        """Take connections."""
        self._close.clear()
        self._listener = listener = socket.create_server(("127.0.0.1", self.port))
        if self._pace:  # connections inherit it; a narrow line holds little
            half = NARROW_BYTES // 2  # the kernel doubles it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, half)
        self._run(self._accept, listener)

    def stop(self) -> None:
        """Cut every connection and take none; may be called twice."""
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        listener.close()
        self._go_on.set()
        self._close.set()
        self.cut()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        for end in self._open:
            end.close()
        self._open.clear()

    def cut(self) -> None:
        """Cut every connection; new ones come through."""
        with self._lock:
            for end in self._open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def hold_after(self, count: int) -> None:
        """Stop the first connection on which clients send more bytes than that, there; the others pass."""
        self.held.clear()
        self._go_on.clear()
        self._most = count

    def narrow(self, bytes_a_second: float) -> None:
        """Let clients send no more than that on each connection from now on; cuts those that are open."""
        self.stop()
        self._pace = bytes_a_second
        self.start()

    def let_go(self) -> None:
        """Let the connection that is held go on."""
        self._go_on.set()

    def cut_held(self) -> None:
        """Cut the connection that is held, and no other."""
        for end in self._waiting:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._go_on.set()

    def cut_at_next_answer(self) -> None:
        """Swallow the next bytes that the server sends, and cut every connection then."""
        self._slam.set()

    def cut_in_mid_upload(self, after_bytes: int, then: Callable[[], None] | None = None) -> None:
        """Once so many bytes of one connection have gone to the server: call `then`, and cut every connection.

        The bytes behind them never arrive. Call once at a time; `threatening` says whether it is still to come.
        """
        self._fuse = _Fuse(after_bytes=after_bytes, burnt=then or (lambda: None))

    def cut_at_answer_to(self, upload_bytes: int) -> None:
        """Once so many bytes of one connection have gone to the server, swallow its next answer and cut all.

        What was sent has arrived then, and the sender is not told.
        """
        self._fuse = _Fuse(after_bytes=upload_bytes, burnt=lambda: None, spares_upload=True)

    @property
    def threatening(self) -> bool:
        """Whether a cut is still to come."""
        return self._fuse is not None or bool(self._doomed) or self._slam.is_set()

    def mute(self, on: bool = True) -> None:
        """Swallow all that the server sends, and leave the connections open."""
        (self._mute.set if on else self._mute.clear)()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    self._open += [client, server]
                    self.passed += 1
                self._run(self._copy, client, server)
                self._run(self._copy, server, client, True)

    def _copy(self, source: socket.socket, sink: socket.socket, answers: bool = False) -> None:
        lit: _Fuse | None = None
        passed = sent = 0
        with suppress(OSError):
            while piece := source.recv(PIECE_BYTES) if answers else self._upload(source):
                if not answers and (fuse := self._fuse) is not None:
                    sent, lit = (sent if fuse is lit else 0) + len(piece), fuse
                    if sent >= fuse.after_bytes:
                        self._burn(fuse, sink, piece[: len(piece) - (sent - fuse.after_bytes)])
                        if not fuse.spares_upload:
                            return
                if answers and source in self._doomed:
                    self._doomed.discard(source)
                    self.cut()
                    return
                passed += len(piece)
                if not answers and 0 < self._most < passed:
                    self._most, self._waiting = 0, (source, sink)
                    self.held.set()
                    self._go_on.wait()
                if answers and self._slam.is_set():
                    self._slam.clear()
                    self.cut()
                    return
                if answers and self._mute.is_set():
                    continue
                sink.sendall(piece)
        self._doomed.discard(source)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def _upload(self, source: socket.socket) -> bytes:
        piece = source.recv(NARROW_BYTES // 8 if self._pace else PIECE_BYTES)
        self.uploaded += len(piece)
        if self._pace:
            self._close.wait(len(piece) / self._pace)
        return piece

    def _burn(self, fuse: _Fuse, server: socket.socket, last: bytes) -> None:
        with self._lock:
            if self._fuse is not fuse:  # another connection was faster
                return
            self._fuse = None
            if fuse.spares_upload:
                self._doomed.add(server)
                return
        with suppress(OSError):
            server.sendall(last)
        fuse.burnt()
        self.cut()

    def _run(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()
