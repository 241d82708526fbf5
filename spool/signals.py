"""Waking other processes of one machine: a datagram socket per listener in a folder, no broker, no polling.

A signal is a hint that looking may be worth it, never the news itself: one that gets lost (a full
buffer, a listener that just died) costs the listener its time-out, nothing else.
"""

import contextlib
import os
import select
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ADDRESS_BYTES = 107
"""What sun_path of a Unix socket address holds, without its closing NUL."""


class SocketWaiter:
    """The receiving end."""

    def __init__(self, receiver: socket.socket) -> None:
        self._receiver = receiver

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return self._receiver.fileno()

    def wait(self, timeout_s: float) -> bool:
        """Block until a signal or the end of the time; swallow every signal that is there."""
        ready, _, _ = select.select([self._receiver], [], [], max(0.0, timeout_s))
        self.drain()
        return bool(ready)

    def drain(self) -> None:
        """Forget the signals heard so far."""
        with contextlib.suppress(BlockingIOError):
            while self._receiver.recv(16):
                pass


class Signals:
    """The sockets of one folder; the folder's path should be short (a socket address has 107 bytes)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._sender.setblocking(False)

    @contextmanager
    def listen(self, topic: str) -> Iterator[SocketWaiter]:
        """Bind a socket under the topic; unbound at the end, or swept away after a crash."""
        with tempfile.NamedTemporaryFile(prefix=f"{topic}-", dir=self._folder, delete=False) as unique:
            pass  # reserves a name that no other process takes
        path = Path(unique.name + ".s")
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            receiver.setblocking(False)
            receiver.bind(_address(path))
            yield SocketWaiter(receiver)
        finally:
            receiver.close()
            path.unlink(missing_ok=True)
            Path(unique.name).unlink(missing_ok=True)

    def wake(self, topic: str) -> None:
        """Signal every listener of the topic; remove the sockets of the dead."""
        for path in self._folder.glob(f"{topic}-*.s"):
            try:
                self._sender.sendto(b"!", _address(path))
            except BlockingIOError:
                pass  # its buffer is full of signals already
            except (ConnectionRefusedError, FileNotFoundError):
                path.unlink(missing_ok=True)
                path.with_suffix("").unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the sending socket."""
        self._sender.close()


def _address(path: Path) -> str:
    return os.path.relpath(path) if len(os.fsencode(path)) > _ADDRESS_BYTES else str(path)
