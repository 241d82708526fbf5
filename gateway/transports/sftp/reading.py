"""The bytes of an open file on an SFTP server, whatever the server tells of its size and sends at a time."""

from dataclasses import dataclass

from gateway.transports.polled import LARGEST_BYTES, UNKNOWN
from gateway.transports.progress import Progress
from gateway.transports.sftp import wire
from gateway.transports.sftp.session import SftpSession
from gateway.transports.sftp.wire import BLOCK_BYTES, SftpReply, Status

BLOCKS_AHEAD = 64
BLOCKS_ON_TRIAL = 2
"""Asked for at once of a file whose size nobody tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFile:
    """A file whose first block has been asked for."""

    handle: bytes
    block: SftpReply
    size_bytes: int
    """As the server told it after that block; 0 where it does not tell that of an open file."""
    listed_bytes: int
    """As the listing had it; or `UNKNOWN`."""


def read_whole(file: OpenFile, session: SftpSession, progress: Progress) -> bytes | SftpReply | None:
    """Return the bytes; or the answer that stands against it; or None: it is too large.

    Empty: it is empty or does not have its size (any more). Without a size it is read to its end, which must be where
    the listing has it, if that tells. Raises DeliveryError when the connection fails.
    """
    if file.block.status != Status.OK:
        return b"" if file.block.status == Status.EOF else file.block
    if max(file.size_bytes, file.listed_bytes) > LARGEST_BYTES:
        return None
    body, end = _read_on(file, session, progress)
    if end is not None and end.status not in (Status.OK, Status.EOF):
        return end
    if len(body) > LARGEST_BYTES:
        return None
    wanted = file.size_bytes or file.listed_bytes
    return body if wanted in (UNKNOWN, len(body)) else b""


def _read_on(file: OpenFile, session: SftpSession, progress: Progress) -> tuple[bytes, SftpReply | None]:
    """Read on from the first block to the size, or to the end of the file; returns the last answer too.

    Some servers send less than they are asked for: then blocks of what they send are asked for.
    """
    body, step = bytearray(file.block.string()), BLOCK_BYTES
    end: SftpReply | None = None
    until, ahead = file.size_bytes or LARGEST_BYTES + 1, BLOCKS_AHEAD if file.size_bytes else BLOCKS_ON_TRIAL
    while len(body) < until:
        before = len(body)
        places = range(before, until, step)[:ahead]
        replies = session.ask([wire.read(file.handle, place) for place in places], progress)
        for place, reply in zip(places, replies, strict=True):
            if place != len(body):
                break  # after a short block the rest is asked for again
            end = reply
            if reply.status != Status.OK:
                break
            body += reply.string()
        if len(body) == before:
            break
        step = min(step, len(body) - before)
    return bytes(body), end
