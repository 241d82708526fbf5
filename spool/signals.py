"""Waking other processes of one machine: a datagram socket per listener in a folder, no broker, no polling.

A signal is a hint that looking may be worth it, never the news itself: one that gets lost (a full
buffer, a listener that just died) costs the listener its time-out, nothing else. So nothing that
goes wrong with a signal is an error of whoever gave it.
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
"""What sun_path of a Unix socket address holds, without its closing NUL (man 7 unix)."""


class SocketWaiter:
    """The receiving end."""

    def __init__(self, receiver: socket.socket) -> None:
        self._receiver = receiver
        self._poll = select.poll()  # unlike select(), not limited to descriptors below 1024
        self._poll.register(receiver, select.POLLIN)

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return self._receiver.fileno()

    def wait(self, timeout_s: float) -> bool:
        """Block until a signal or the end of the time; swallow every signal that is there."""
        ready = self._poll.poll(max(0.0, timeout_s) * 1000)
        self.drain()
        return bool(ready)

    def drain(self) -> None:
        """Forget the signals heard so far."""
        with contextlib.suppress(BlockingIOError):
            while self._receiver.recv(16):
                pass


class Signals:
    """The sockets of one folder, which may lie as deep as it likes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder.absolute()
        self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._sender.setblocking(False)

    @contextmanager
    def listen(self, topic: str) -> Iterator[SocketWaiter]:
        """Bind a socket under the topic; unbound at the end, or swept away after a crash."""
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
        """Signal every listener of the topic; remove the sockets of the dead. Never raises OSError."""
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
            pass  # its buffer is full of signals already, or it went meanwhile: a hint is lost

    def _address(self, name: str) -> str:
        """Return a path that fits into a socket address."""
        path = str(self._folder / name)
        short = len(os.fsencode(path)) <= _ADDRESS_BYTES
        return path if short else f"/proc/self/fd/{self._descriptor}/{name}"

    def close(self) -> None:
        """Let go of the sending socket and the folder; again does nothing."""
        self._sender.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
