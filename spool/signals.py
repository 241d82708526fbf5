"""Wake other processes of one machine: a datagram socket per listener in a folder, no broker, no polling.

A signal is only a hint that the listener should check for work; it carries no data. A lost signal (a full
buffer, a listener that just died) only makes the listener wait for its time-out. So no failure of a signal
is an error of the sender.
"""

import contextlib
import os
import secrets
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ADDRESS_BYTES = 107
"""Most bytes in sun_path of a Unix socket address, without its closing NUL (man 7 unix)."""


class SocketWaiter:
    """The receiver of signals."""

    def __init__(self, receiver: socket.socket) -> None:
        self._receiver = receiver
        self._poll = select.poll()  # unlike select(), not limited to descriptors below 1024
        self._poll.register(receiver, select.POLLIN)

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return self._receiver.fileno()

    def wait(self, timeout_s: float) -> bool:
        """Block until a signal or the time-out; discard all pending signals; returns whether there was one."""
        ready = self._poll.poll(max(0.0, timeout_s) * 1000)
        self.drain()
        return bool(ready)

    def drain(self) -> None:
        """Discard the signals received so far."""
        with contextlib.suppress(BlockingIOError):
            while self._receiver.recv(16):
                pass


class Signals:
    """The sockets of one folder, whose path may be of any length."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder.absolute()
        self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._sender.setblocking(False)

    @contextmanager
    def listen(self, topic: str) -> Iterator[SocketWaiter]:
        """Bind a socket for the topic; it is removed at the end, or by the next `wake` after a crash."""
        name = f"{topic}-{os.getpid()}-{secrets.token_hex(8)}.s"
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            receiver.setblocking(False)
            receiver.bind(self._address(name))
            yield SocketWaiter(receiver)
        finally:
            receiver.close()
            with contextlib.suppress(OSError):
                (self._folder / name).unlink()

    def wake(self, topic: str) -> None:
        """Signal every listener of the topic; remove sockets of dead processes. Never raises OSError."""
        with contextlib.suppress(OSError):
            for name in os.listdir(self._folder):  # noqa: PTH208 (ten times as fast as Path.glob)
                if name.startswith(f"{topic}-") and name.endswith(".s"):
                    self._signal(name)

    def _signal(self, name: str) -> None:
        try:
            self._sender.sendto(b"!", self._address(name))
        except ConnectionRefusedError:
            (self._folder / name).unlink(missing_ok=True)  # its process is gone
        except OSError:
            pass  # its buffer is already full of signals, or it has just ended: a hint is lost

    def _address(self, name: str) -> str:
        """Return a path that fits into a socket address."""
        path = str(self._folder / name)
        short = len(os.fsencode(path)) <= _ADDRESS_BYTES
        return path if short else f"/proc/self/fd/{self._descriptor}/{name}"

    def close(self) -> None:
        """Close the sending socket and the folder; a second call does nothing."""
        self._sender.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
