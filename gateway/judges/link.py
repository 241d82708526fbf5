"""The protocol between judges and their clients: frames over a socket pair inside one node.

A client requests a judge by sending one end of a new pair to the host (`gateway.judges.host`), which forks a judge.
A judge answers a case with a mark that it has begun, then with the verdict; a connection that ends after the mark
means that the case killed its judge. Frames are pickled: both ends are forked from one process and run the same code.
"""

import pickle
import socket
from struct import Struct
from typing import Any, Final

LENGTH: Final = Struct("!Q")
BEGUN: Final = b"\x01"
"""Sent once the whole case has arrived, before the judging begins."""
TRIES: Final = 16
"""Judges that a case is offered to at most; all but the last had died while idle."""
NONE_TO_BE_HAD: Final = "judges die before they begin: see what they wrote to the log"
_PIECE_BYTES: Final = 1024 * 1024


class JudgeEnded(Exception):  # noqa: N818 (what happened, as the callers say it)
    """The connection has ended; `begun`: whether the judge had begun the case."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__("the connection to a judge has ended")
        self.begun = begun


class JudgeLink:
    """The socket pair for requesting judges; one host and all its clients, forked from one process, share it."""

    def __init__(self) -> None:
        self.asking, self.hosting = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.asking.setblocking(False)

    def close(self) -> None:
        """Close both ends in this process."""
        self.asking.close()
        self.hosting.close()


def knock(line: socket.socket) -> socket.socket:
    """Request a judge and return the connection to it; raises BlockingIOError while too many requests wait."""
    ours, theirs = socket.socketpair()
    try:
        socket.send_fds(line, [b"judge"], [theirs.fileno()])
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return ours


def frame(value: object) -> bytes:
    """Encode a value as a frame."""
    body = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(body)) + body


def opened(body: bytes | bytearray) -> Any:
    """Decode the value of a frame, which must come from this node."""
    return pickle.loads(body)  # noqa: S301 (forked from one process: see the module's first lines)


def receive(connection: socket.socket) -> bytes | None:
    """Block until a frame has come and return its body; None when the other end is gone."""
    head = receive_exactly(connection, LENGTH.size)
    return None if head is None else receive_exactly(connection, LENGTH.unpack(head)[0])


def receive_exactly(connection: socket.socket, size: int) -> bytes | None:
    """Block until `size` bytes have come; None when the other end is gone."""
    parts = bytearray()
    while len(parts) < size:
        try:
            part = connection.recv(min(_PIECE_BYTES, size - len(parts)))
        except ConnectionError:
            return None
        if not part:
            return None
        parts += part
    return bytes(parts)
