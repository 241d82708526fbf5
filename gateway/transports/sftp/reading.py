"""Reads an open file on an SFTP server, also if the server does not report its size or sends short blocks."""

from dataclasses import dataclass

from gateway.transports.polled import LARGEST_BYTES, UNKNOWN
from gateway.transports.progress import Progress
from gateway.transports.sftp import wire
from gateway.transports.sftp.session import SftpSession
from gateway.transports.sftp.wire import BLOCK_BYTES, SftpReply, Status

BLOCKS_AHEAD = 64
BLOCKS_ON_TRIAL = 2
"""Blocks requested at once of a file whose size is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFile:
    """A file whose first block has been requested."""

    handle: bytes
    block: SftpReply
    size_bytes: int
    """Size that the server reported after that block; 0 if it does not report it for open files."""
    listed_bytes: int
    """Size in the listing, or `UNKNOWN`."""


def read_whole(file: OpenFile, session: SftpSession, progress: Progress) -> bytes | SftpReply | None:
    """Return the bytes, or the reply with the error, or None when the file is too large.

    Empty bytes: the file is empty, or its bytes do not match its size (it is changing). A file of unknown size is read
    to its end, which must match the size in the listing, if known. Raises DeliveryError when the connection fails.
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
    """Read from the first block up to the size, or to the end of the file; returns the bytes and the last reply.

    Some servers send less than requested: then the next requests have the size that they send.
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
                break  # after a short block the rest is requested again
            end = reply
            if reply.status != Status.OK:
                break
            body += reply.string()
        if len(body) == before:
            break
        step = min(step, len(body) - before)
    return bytes(body), end
