"""Between those who ask and those who judge: frames over a socket pair, both ends of which are this node's.

A judge is asked for by sending one end of a new pair to the host (`roles.judge_host`), which forks a judge for it.
A case is answered by a mark that it is in hand, then by the verdict; a connection that ends after the mark means
that the case killed its judge. Frames are pickled: both ends are forked from one process and run the same code.
"""

import pickle
import socket
from struct import Struct
from typing import Any, Final

LENGTH: Final = Struct("!Q")
BEGUN: Final = b"\x01"
"""Comes once the whole case is there, before anything is done with it."""
TRIES: Final = 16
"""Judges that a case is brought to; more than one had died before it, while they had nothing to do."""
NONE_TO_BE_HAD: Final = "judges die before they begin: see what they wrote to the log"
_PIECE_BYTES: Final = 1024 * 1024


class JudgeEnded(Exception):  # noqa: N818 (what happened, as the callers say it)
    """The other end is gone; `begun` says whether the case was in hand by then."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__("the connection to a judge has ended")
        self.begun = begun


class JudgeLink:
    """Where judges are asked for: one for a host and all who ask, who are forked from the process that made it."""

    def __init__(self) -> None:
        self.asking, self.hosting = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.asking.setblocking(False)

    def close(self) -> None:
        """Close the ends that this process has."""
        self.asking.close()
        self.hosting.close()


def knock(line: socket.socket) -> socket.socket:
    """Ask for a judge, and return the connection to it; raises BlockingIOError while too many are asked for."""
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
    """Write a value as a frame."""
    body = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(body)) + body


def opened(body: bytes | bytearray) -> Any:
    """Read the value of a frame of this node's own."""
    return pickle.loads(body)  # noqa: S301 (forked from one process: see the module's first lines)


def receive(connection: socket.socket) -> bytes | None:
    """Wait for a frame and give what is in it; None when the other end is gone."""
    head = receive_exactly(connection, LENGTH.size)
    return None if head is None else receive_exactly(connection, LENGTH.unpack(head)[0])


def receive_exactly(connection: socket.socket, size: int) -> bytes | None:
    """Wait for so many bytes; None when the other end is gone."""
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
