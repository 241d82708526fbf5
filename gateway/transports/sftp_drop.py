"""A receive folder on an SFTP server: list, fetch, remove or archive, each for many files in few round trips."""

import heapq
import stat
from collections.abc import Iterator, Sequence
from functools import partial

from gateway.config import Sftp
from gateway.errors import DeliveryError
from gateway.transports import sftp_wire as wire
from gateway.transports.names import is_whole, other_name
from gateway.transports.polled import LARGEST_BYTES, LISTED, Listed, too_large
from gateway.transports.sftp_listing import listing
from gateway.transports.sftp_session import SftpLink, SftpSession, join, refused, where
from gateway.transports.sftp_wire import BLOCK_BYTES, FileInfo, Kind, Status

BLOCKS_AHEAD = 64


class SftpDrop:
    """`gateway.transports.polled.Drop` over `receive_dir`."""

    def __init__(self, config: Sftp) -> None:
        """Raises ConfigError for an unreadable host key; connects on first use."""
        self._link = SftpLink(config)
        self._folder = config.receive_dir
        self._archive = config.archive_dir
        self._where = f"{where(config)} {config.receive_dir}"

    def files(self) -> Sequence[Listed]:
        """List regular files by modification time, in seconds, then name."""
        return self._link.use(self._list)

    def read(self, names: Sequence[str]) -> Iterator[tuple[str, bytes | DeliveryError]]:
        """Fetch whole files; one that is gone, empty or still growing is left for the next listing."""
        yield from self._link.use(partial(self._fetch, names))

    def put_away(self, names: Sequence[str]) -> None:
        """Remove or move all; raises DeliveryError for the first that stays."""
        self._link.use(partial(self._move if self._archive else self._remove, names))

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _list(self, session: SftpSession, deadline: float) -> list[Listed]:
        what = "the receive folder cannot be listed"
        files = listing(session, self._folder, what, self._where, deadline)
        wanted = (Listed(file.modified, file.name, file.size) for file in files if _wanted(file))
        return heapq.nsmallest(LISTED, wanted)

    def _fetch(
        self, names: Sequence[str], session: SftpSession, deadline: float
    ) -> list[tuple[str, bytes | DeliveryError]]:
        replies = session.ask(
            [wire.open_file(join(self._folder, name), wire.READ) for name in names], deadline
        )
        found: list[tuple[str, bytes | DeliveryError]] = []
        handles: list[tuple[str, bytes]] = []
        for name, reply in zip(names, replies, strict=True):
            if reply.status == Status.OK:
                handles.append((name, reply.string()))
            elif reply.status != Status.NO_SUCH_FILE:
                found.append((name, refused(f"a file cannot be read: {name}", reply, self._where)))
        # The size is asked for after the first block: a file that another writes right now shows itself.
        asked = [ask for _, handle in handles for ask in (wire.read(handle, 0), _size_of(handle))]
        answers = session.ask(asked, deadline)
        for (name, handle), block, attributes in zip(handles, answers[::2], answers[1::2], strict=True):
            if block.status == Status.OK and attributes.status == Status.OK:
                size = attributes.info().size
                if size > LARGEST_BYTES:
                    found.append((name, too_large(name, self._where)))
                elif body := _whole(session, handle, block.string(), size, deadline):
                    found.append((name, body))
            elif block.status != Status.EOF:
                bad = attributes if block.status == Status.OK else block
                found.append((name, refused(f"a file cannot be read: {name}", bad, self._where)))
        session.ask([wire.on_handle(Kind.CLOSE, handle) for _, handle in handles], deadline)
        return found

    def _remove(self, names: Sequence[str], session: SftpSession, deadline: float) -> None:
        replies = session.ask(
            [wire.on_path(Kind.REMOVE, join(self._folder, name)) for name in names], deadline
        )
        for name, reply in zip(names, replies, strict=True):
            if reply.status not in (Status.OK, Status.NO_SUCH_FILE):
                raise refused(f"a collected file cannot be removed: {name}", reply, self._where)

    def _move(self, names: Sequence[str], session: SftpSession, deadline: float) -> None:
        """Rename into the archive folder, under another name where one is taken.

        SFTP says of neither a missing folder nor a missing file which of the two it is, so what was not
        renamed is looked for: a file that is gone was put away before.
        """
        taken = session.ask([wire.on_path(Kind.STAT, join(self._archive, name)) for name in names], deadline)
        moves = [
            wire.rename(
                join(self._folder, name),
                join(self._archive, other_name(name) if there.status == Status.OK else name),
            )
            for name, there in zip(names, taken, strict=True)
        ]
        replies = session.ask(moves, deadline)
        failed = [pair for pair in zip(names, replies, strict=True) if pair[1].status != Status.OK]
        left = session.ask(
            [wire.on_path(Kind.STAT, join(self._folder, name)) for name, _ in failed], deadline
        )
        for (name, reply), there in zip(failed, left, strict=True):
            if there.status != Status.NO_SUCH_FILE:
                raise refused(
                    f"a collected file cannot be moved to {self._archive}: {name}", reply, self._where
                )


def _whole(session: SftpSession, handle: bytes, start: bytes, size: int, deadline: float) -> bytes:
    """Read on from the first block to the size; empty when the file does not have that size (any more)."""
    body = bytearray(start)
    while len(body) < size:
        before = len(body)
        places = range(before, size, BLOCK_BYTES)[:BLOCKS_AHEAD]
        replies = session.ask([wire.read(handle, place) for place in places], deadline)
        for place, reply in zip(places, replies, strict=True):
            if reply.status != Status.OK or place != len(body):
                break  # after a short block the rest is asked for again
            body += reply.string()
        if len(body) == before:
            break
    return bytes(body) if len(body) == size else b""


def _size_of(handle: bytes) -> wire.Request:
    return wire.on_handle(Kind.FSTAT, handle)


def _wanted(file: FileInfo) -> bool:
    return stat.S_ISREG(file.mode) and is_whole(file.name)
