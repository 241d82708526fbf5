"""A receive folder on an SFTP server: list, fetch, remove or archive, each for many files in few round trips."""

import heapq
from collections.abc import Iterator, Sequence
from functools import partial

from gateway.config.links import Sftp
from gateway.errors import DeliveryError
from gateway.transports.names import is_whole, other_name
from gateway.transports.not_taken import HALF, LEFT_AT_MOST, NO_FILE, is_worth_a_word
from gateway.transports.polled import LISTED, UNKNOWN, Listed, too_large
from gateway.transports.progress import Progress
from gateway.transports.sftp import wire
from gateway.transports.sftp.listing import listing
from gateway.transports.sftp.reading import OpenFile, read_whole
from gateway.transports.sftp.session import SftpLink, SftpSession, join, refused, where
from gateway.transports.sftp.wire import FileInfo, Kind, SftpReply, Status


class SftpDrop:
    """`gateway.transports.polled.Drop` over `receive_dir`."""

    def __init__(self, config: Sftp) -> None:
        """Raises ConfigError for an unreadable host key; connects on first use."""
        self._link = SftpLink(config)
        self._folder = config.receive_dir
        self._archive = config.archive_dir
        self.place = f"{where(config)} {config.receive_dir}"
        self.left: dict[str, str] = {}
        self._sizes: dict[str, int] = {}
        """Sizes from the listing, for servers that do not report the size of an open file."""

    def files(self) -> Sequence[Listed]:
        """List files by modification time, in seconds, then name; an entry of unknown type counts as a file."""
        return self._link.use(self._list)

    def read(self, names: Sequence[str]) -> Iterator[tuple[str, bytes | DeliveryError]]:
        """Fetch whole files; one that is gone, empty or still growing is left for the next listing."""
        yield from self._link.use(partial(self._fetch, names))

    def put_away(self, names: Sequence[str]) -> None:
        """Remove or move all; raises DeliveryError for the first that fails."""
        self._link.use(partial(self._move if self._archive else self._remove, names))

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _list(self, session: SftpSession, progress: Progress) -> list[Listed]:
        what = "the receive folder cannot be listed"
        files = listing(session, self._folder, what, self.place, progress)
        self.left = {}
        listed = heapq.nsmallest(LISTED, self._wanted(files))
        self._sizes = {file.name: file.size_bytes for file in listed}
        return listed

    def _wanted(self, files: Iterator[FileInfo]) -> Iterator[Listed]:
        for file in files:
            if file.is_folder or join(self._folder, file.name) == self._archive.rstrip("/"):
                continue
            if file.is_file and is_whole(file.name):
                yield Listed(file.modified, file.name, file.size or UNKNOWN)
            elif is_worth_a_word(file.name) and len(self.left) < LEFT_AT_MOST:
                self.left[file.name] = HALF if file.is_file else NO_FILE

    def _fetch(
        self, names: Sequence[str], session: SftpSession, progress: Progress
    ) -> list[tuple[str, bytes | DeliveryError]]:
        replies = session.ask(
            [wire.open_file(join(self._folder, name), wire.READ) for name in names], progress
        )
        found: list[tuple[str, bytes | DeliveryError]] = []
        handles: list[tuple[str, bytes]] = []
        for name, reply in zip(names, replies, strict=True):
            if reply.status == Status.OK:
                handles.append((name, reply.string()))
            elif reply.status != Status.NO_SUCH_FILE:
                found.append((name, refused(f"a file cannot be read: {name}", reply, self.place)))
        # The size is asked for after the first block: this reveals a file that is being written.
        asked = [ask for _, handle in handles for ask in (wire.read(handle, 0), _size_of(handle))]
        answers = session.ask(asked, progress)
        for (name, handle), block, attributes in zip(handles, answers[::2], answers[1::2], strict=True):
            size, listed = _told_size(attributes), self._sizes.get(name, UNKNOWN)
            file = OpenFile(handle=handle, block=block, size_bytes=size, listed_bytes=listed)
            body = read_whole(file, session, progress)
            if isinstance(body, SftpReply):
                found.append((name, refused(f"a file cannot be read: {name}", body, self.place)))
            elif body is None:
                found.append((name, too_large(name, self.place)))
            elif body:
                found.append((name, body))
        session.ask([wire.on_handle(Kind.CLOSE, handle) for _, handle in handles], progress)
        return found

    def _remove(self, names: Sequence[str], session: SftpSession, progress: Progress) -> None:
        replies = session.ask(
            [wire.on_path(Kind.REMOVE, join(self._folder, name)) for name in names], progress
        )
        for name, reply in zip(names, replies, strict=True):
            if reply.status not in (Status.OK, Status.NO_SUCH_FILE):
                raise refused(f"a collected file cannot be removed: {name}", reply, self.place)

    def _move(self, names: Sequence[str], session: SftpSession, progress: Progress) -> None:
        """Rename into the archive folder, under another name if the name is or may be taken.

        SFTP does not distinguish a missing folder from a missing file, so files that were not renamed are looked
        up: one that is gone was put away before.
        """
        taken = session.ask([wire.on_path(Kind.STAT, join(self._archive, name)) for name in names], progress)
        there = [name for name, reply in zip(names, taken, strict=True) if reply.status == Status.OK]
        failed = self._rename([name for name in names if name not in there], session, progress, keep=True)
        failed = self._rename([*there, *(name for name, _ in failed)], session, progress, keep=False)
        left = session.ask(
            [wire.on_path(Kind.STAT, join(self._folder, name)) for name, _ in failed], progress
        )
        for (name, reply), found in zip(failed, left, strict=True):
            if found.status != Status.NO_SUCH_FILE:
                raise refused(
                    f"a collected file cannot be moved to {self._archive}: {name}", reply, self.place
                )

    def _rename(
        self, names: Sequence[str], session: SftpSession, progress: Progress, *, keep: bool
    ) -> list[tuple[str, SftpReply]]:
        """Move files under their names, or under others with the same ending; returns those that failed."""
        moves = [
            wire.rename(join(self._folder, name), join(self._archive, name if keep else other_name(name)))
            for name in names
        ]
        replies = session.ask(moves, progress)
        return [pair for pair in zip(names, replies, strict=True) if pair[1].status != Status.OK]


def _size_of(handle: bytes) -> wire.SftpRequest:
    return wire.on_handle(Kind.FSTAT, handle)


def _told_size(attributes: SftpReply) -> int:
    return (attributes.info().size or 0) if attributes.status == Status.OK else 0
