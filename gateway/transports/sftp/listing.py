"""Lists a folder of an SFTP server."""

from collections.abc import Iterator

from gateway.transports.progress import Progress
from gateway.transports.sftp import wire
from gateway.transports.sftp.session import SftpSession, refused
from gateway.transports.sftp.wire import FileInfo, Kind, Status

PAGES_AHEAD = 8
"""Pages of a listing that are requested at once."""


def listing(
    session: SftpSession, folder: str, what: str, place: str, progress: Progress
) -> Iterator[FileInfo]:
    """Yield everything in a folder; the caller must iterate to the end. Raises DeliveryError.

    `what` and `place`: what failed and where, for errors.
    """
    (opened,) = session.ask([wire.on_path(Kind.OPENDIR, folder)], progress)
    if opened.status != Status.OK:
        raise refused(what, opened, place)
    handle = opened.string()
    ended = False
    while not ended:
        for page in session.ask([wire.on_handle(Kind.READDIR, handle)] * PAGES_AHEAD, progress):
            ended = ended or page.status == Status.EOF
            if page.status not in (Status.OK, Status.EOF):
                raise refused(what, page, place)
            if not ended:
                yield from page.listing()
    session.ask([wire.on_handle(Kind.CLOSE, handle)], progress)
