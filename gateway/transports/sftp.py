"""Envelopes by SFTP: temporary name, size check, rename; a batch of files shares three round trips."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice

from gateway.config import Sftp
from gateway.errors import DeliveryError
from gateway.ports import Clock, Delivery, Parcel
from gateway.transports import sftp_wire as wire
from gateway.transports.names import check_file_name, temporary_name
from gateway.transports.polled import PolledFeed, pause
from gateway.transports.sftp_drop import SftpDrop
from gateway.transports.sftp_session import SftpLink, SftpSession, join, refused, where
from gateway.transports.sftp_wire import BLOCK_BYTES, Kind, Reply, Request, Status

POLL_S = 0.5
GROUP = 64
GROUP_BYTES = 4 * 1024 * 1024
"""Files that are on their way together."""


class SftpTransport:
    """`gateway.ports.Transport` into `send_dir` of an SFTP server."""

    def __init__(self, config: Sftp) -> None:
        """Raises ConfigError for an unreadable host key; connects on first use."""
        self._link = SftpLink(config)
        self._folder = config.send_dir
        self._where = f"{where(config)} {config.send_dir}"

    def send(self, parcels: Sequence[Parcel]) -> Iterator[Delivery]:
        """See `gateway.ports.Transport.send`; a file of the same name is replaced.

        The time-out counts for each group of up to 64 files or 4 MiB; once the connection is lost the rest
        fail at once.
        """
        lost: DeliveryError | None = None
        for group in _groups(parcels):
            errors: Sequence[DeliveryError | None] = [lost] * len(group)
            if lost is None:
                try:
                    errors = self._link.use(partial(self._upload, group))
                except DeliveryError as error:
                    lost = error
                    errors = [_name_fault(parcel) or lost for parcel in group]
            for parcel, outcome in zip(group, errors, strict=True):
                yield Delivery(entry=parcel.entry, error=outcome)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _upload(
        self, group: Sequence[Parcel], session: SftpSession, deadline: float
    ) -> list[DeliveryError | None]:
        """Open all, write and check all, rename all; the result stands in the order of the group."""
        durable = "fsync@openssh.com" in session.extensions
        files = [_Upload(parcel, self._folder, self._where, durable=durable) for parcel in group]
        stages: tuple[
            tuple[Callable[[_Upload], list[Request]], Callable[[_Upload, list[Reply]], None]], ...
        ] = (
            (_Upload.open, _Upload.opened),
            (_Upload.write, _Upload.written),
            (_Upload.rename, _Upload.renamed),
            (_Upload.rename_plainly, _Upload.renamed_plainly),
        )
        for ask, take in stages:
            going = [file for file in files if file.error is None]
            asked = [ask(file) for file in going]
            replies = iter(session.ask([request for requests in asked for request in requests], deadline))
            for file, requests in zip(going, asked, strict=True):
                take(file, list(islice(replies, len(requests))))
        return [file.error for file in files]


class SftpFeed(PolledFeed):
    """`gateway.ports.Feed` over `receive_dir`, oldest file first; `done` removes or archives the files.

    SFTP cannot say that something has come, so an empty folder is listed again every `poll_s` seconds.
    """

    def __init__(
        self,
        config: Sftp,
        *,
        poll_s: float = POLL_S,
        wait: Callable[[float], None] = pause,
        clock: Clock = time.monotonic,
    ) -> None:
        """Raises ConfigError for an unreadable host key; connects on first use."""
        super().__init__(SftpDrop(config), poll_s=poll_s, stable_s=config.stable_s, wait=wait, clock=clock)


class _Upload:
    """One file on its way: what to ask at each stage and what the answers mean; `error` ends it."""

    def __init__(self, parcel: Parcel, folder: str, place: str, *, durable: bool) -> None:
        self.error = _name_fault(parcel)
        self._body = parcel.body
        self._temporary = join(folder, temporary_name(parcel.file_name))
        self._final = join(folder, parcel.file_name)
        self._where = place
        self._durable = durable
        self._handle = b""
        self._plainly = False

    def open(self) -> list[Request]:
        """What an earlier attempt left under the temporary name is thrown away."""
        return [wire.open_file(self._temporary, wire.WRITE | wire.CREATE | wire.TRUNCATE)]

    def opened(self, replies: list[Reply]) -> None:
        if not self._failed(replies, "the file cannot be created"):
            self._handle = replies[0].string()

    def write(self) -> list[Request]:
        blocks = range(0, len(self._body), BLOCK_BYTES)
        return [
            *(wire.write(self._handle, at, self._body[at : at + BLOCK_BYTES]) for at in blocks),
            *([wire.sync(self._handle)] if self._durable else []),
            wire.on_handle(Kind.CLOSE, self._handle),
            wire.on_path(Kind.STAT, self._temporary),
        ]

    def written(self, replies: list[Reply]) -> None:
        if self._failed(replies, "the file cannot be written"):
            return
        size = replies[-1].info().size
        if size != len(self._body):
            self.error = DeliveryError(
                f"the uploaded file has {size} bytes in place of {len(self._body)}",
                where=self._where,
                fix="see whether the server's disk is full or something else writes into its folder",
            )

    def rename(self) -> list[Request]:
        return [wire.replace(self._temporary, self._final)]

    def renamed(self, replies: list[Reply]) -> None:
        self._plainly = replies[0].status == Status.UNSUPPORTED
        if not self._plainly:
            self._failed(replies, "the file cannot be given its final name")

    def rename_plainly(self) -> list[Request]:
        """For servers without the extension: make room, then rename; a crash between leaves the temporary."""
        if not self._plainly:
            return []
        return [wire.on_path(Kind.REMOVE, self._final), wire.rename(self._temporary, self._final)]

    def renamed_plainly(self, replies: list[Reply]) -> None:
        self._failed(replies[1:], "the file cannot be given its final name")

    def _failed(self, replies: list[Reply], what: str) -> bool:
        bad = next((reply for reply in replies if reply.status != Status.OK), None)
        if bad is not None:
            self.error = refused(what, bad, self._where)
        return bad is not None


def _name_fault(parcel: Parcel) -> DeliveryError | None:
    try:
        check_file_name(parcel.file_name)
    except DeliveryError as error:
        return error
    return None


def _groups(parcels: Sequence[Parcel]) -> Iterator[list[Parcel]]:
    """Cut by number, bytes, and where a name comes again: two uploads to one name must not be mixed."""
    group: list[Parcel] = []
    names: set[str] = set()
    size = 0
    for parcel in parcels:
        full = len(group) == GROUP or size + len(parcel.body) > GROUP_BYTES or parcel.file_name in names
        if group and full:
            yield group
            group, names, size = [], set(), 0
        group.append(parcel)
        names.add(parcel.file_name)
        size += len(parcel.body)
    if group:
        yield group
