"""Uploads files into a folder of an SFTP server: temporary name, fsync, size check, rename, in few round trips."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from gateway.errors import DeliveryError
from gateway.ports import Parcel
from gateway.transports.names import Leftovers, check_file_name, temporary_name
from gateway.transports.progress import Progress
from gateway.transports.sftp import wire
from gateway.transports.sftp.listing import listing
from gateway.transports.sftp.session import SftpSession, join, refused
from gateway.transports.sftp.wire import BLOCK_BYTES, Kind, SftpReply, SftpRequest, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFolder:
    """The folder that receives the files."""

    path: str
    place: str
    """Its name in errors."""
    left: Leftovers
    """Unfinished files there; shared by all connections."""


def upload(
    group: Sequence[Parcel], into: SendFolder, session: SftpSession, progress: Progress
) -> list[DeliveryError | None]:
    """Open all files, write and check all, rename all; the results are in the order of the group.

    Removes unfinished copies from earlier attempts. Raises DeliveryError when the connection fails.
    """
    if not session.has_looked:
        into.left.add(_names(session, into, progress))
        session.has_looked = True
    files = [_Upload(parcel, into, session) for parcel in group]
    stages: tuple[
        tuple[Callable[[_Upload], list[SftpRequest]], Callable[[_Upload, list[SftpReply]], None]], ...
    ] = (
        (_Upload.open, _Upload.opened),
        (_Upload.write, _Upload.written),
        (_Upload.rename, _Upload.renamed),
        (_Upload.rename_plainly, _Upload.renamed_plainly),
        (_Upload.make_room, _Upload.renamed_at_last),
    )
    finished = False
    try:
        for ask, take in stages:
            going = [file for file in files if file.error is None]
            asked = [ask(file) for file in going]
            replies = iter(session.ask([request for requests in asked for request in requests], progress))
            for file, requests in zip(going, asked, strict=True):
                take(file, list(islice(replies, len(requests))))
        finished = True
    finally:
        into.left.add(file.temporary for file in files if file.error is not None or not finished)
    return [file.error for file in files]


def name_fault(parcel: Parcel) -> DeliveryError | None:
    """Check a parcel's file name, without a connection."""
    try:
        check_file_name(parcel.file_name)
    except DeliveryError as error:
        return error
    return None


def _names(session: SftpSession, into: SendFolder, progress: Progress) -> list[str]:
    """List the folder; nothing if that is not permitted."""
    try:
        files = listing(session, into.path, "the send folder cannot be listed", into.place, progress)
        return [file.name for file in files]
    except DeliveryError:
        if session.alive:
            return []
        raise


class _Upload:
    """The upload of one file: builds the requests of each stage and evaluates the replies; `error` ends it."""

    def __init__(self, parcel: Parcel, into: SendFolder, session: SftpSession) -> None:
        self.error = name_fault(parcel)
        self._body = parcel.body
        self.temporary = temporary_name(parcel.file_name, session.mark)
        self._left = [join(into.path, name) for name in into.left.take(parcel.file_name)]
        self._temporary = join(into.path, self.temporary)
        self._final = join(into.path, parcel.file_name)
        self._where = into.place
        self._syncs = "fsync@openssh.com" in session.extensions
        self._replaces = "posix-rename@openssh.com" in session.extensions
        self._handle = b""
        self._plainly = False

    def open(self) -> list[SftpRequest]:
        """Open the temporary file; removes temporary files of earlier attempts."""
        return [
            *(wire.on_path(Kind.REMOVE, name) for name in self._left),
            wire.open_file(self._temporary, wire.WRITE | wire.CREATE | wire.TRUNCATE),
        ]

    def opened(self, replies: list[SftpReply]) -> None:
        if not self._failed(replies[-1:], "the file cannot be created"):
            self._handle = replies[-1].string()

    def write(self) -> list[SftpRequest]:
        blocks = range(0, len(self._body), BLOCK_BYTES)
        return [
            *(wire.write(self._handle, at, self._body[at : at + BLOCK_BYTES]) for at in blocks),
            *([wire.sync(self._handle)] if self._syncs else []),
            wire.on_handle(Kind.FSTAT, self._handle),
            wire.on_handle(Kind.CLOSE, self._handle),
            wire.on_path(Kind.STAT, self._temporary),
        ]

    def written(self, replies: list[SftpReply]) -> None:
        """Compare the size, by name, else of the open file; a server that reports neither has confirmed each write."""
        *done, opened, closed, named = replies
        if self._failed([*done, closed], "the file cannot be written"):
            return
        sizes = [reply.info().size for reply in (named, opened) if reply.status == Status.OK]
        size = next((size for size in sizes if size is not None), len(self._body))
        if size != len(self._body):
            self.error = DeliveryError(
                f"the uploaded file has {size} bytes in place of {len(self._body)}",
                where=self._where,
                fix="see whether the server's disk is full or something else writes into its folder",
            )

    def rename(self) -> list[SftpRequest]:
        return [wire.replace(self._temporary, self._final)]

    def renamed(self, replies: list[SftpReply]) -> None:
        # Requested even if not announced: some servers support it all the same, others refuse with any status.
        status = replies[0].status
        unable = status == Status.UNSUPPORTED if self._replaces else status != Status.OK
        self._plainly = unable
        if not unable:
            self._failed(replies, "the file cannot be given its final name")

    def rename_plainly(self) -> list[SftpRequest]:
        """Rename without the extension, for servers that lack it."""
        return [wire.rename(self._temporary, self._final)] if self._plainly else []

    def renamed_plainly(self, replies: list[SftpReply]) -> None:
        self._plainly = self._plainly and replies[0].status != Status.OK

    def make_room(self) -> list[SftpRequest]:
        """If the name may be taken: remove it, then rename; a crash in between leaves the temporary file."""
        if not self._plainly:
            return []
        return [wire.on_path(Kind.REMOVE, self._final), wire.rename(self._temporary, self._final)]

    def renamed_at_last(self, replies: list[SftpReply]) -> None:
        self._failed(replies[1:], "the file cannot be given its final name")

    def _failed(self, replies: list[SftpReply], what: str) -> bool:
        bad = next((reply for reply in replies if reply.status != Status.OK), None)
        if bad is not None:
            self.error = refused(what, bad, self._where)
        return bad is not None
