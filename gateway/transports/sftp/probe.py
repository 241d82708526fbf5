"""Tests a server for `gateway check`: logs in, without sending or taking anything."""

from contextlib import ExitStack, closing

from gateway.config.links import Sftp
from gateway.errors import ConfigError, DeliveryError
from gateway.transports.progress import Progress
from gateway.transports.sftp.session import SftpLink, SftpSession
from gateway.transports.sftp.wire import Kind, Status, on_handle, on_path


def reach(config: Sftp) -> str:
    """Log in over all connections at once and check that the folders exist; returns the text to show.

    Raises ConfigError and DeliveryError.
    """
    place = f"sftp {config.host}:{config.port}"
    folders = [folder for folder in (config.send_dir, config.receive_dir, config.archive_dir) if folder]

    def look(session: SftpSession, progress: Progress) -> list[str]:
        replies = session.ask([on_path(Kind.STAT, folder) for folder in folders], progress)
        unseen = [folder for folder, reply in zip(folders, replies, strict=True) if reply.status != Status.OK]
        return [what for folder in unseen if (what := _fault(session, folder, progress))]

    with ExitStack() as links:
        missing = links.enter_context(closing(SftpLink(config))).use(look)
        for number in range(2, config.connections + 1):
            try:
                links.enter_context(closing(SftpLink(config))).use(lambda *_: None)
            except DeliveryError as error:
                raise ConfigError(
                    f"connection {number} of {config.connections} is not let in: {error.what}",
                    where=place,
                    fix="lower destination.sftp.connections, or have the server allow this user more",
                ) from error
    if missing:
        raise ConfigError(
            f"logged in, but there is no folder {', '.join(missing)}",
            where=place,
            fix="make it there and let this user in, or change send_dir, receive_dir and archive_dir",
        )
    times = f" over {config.connections} connections" if config.connections > 1 else ""
    return f"{place}, logged in{times}, all folders there"


def _fault(session: SftpSession, folder: str, progress: Progress) -> str:
    """Try to open a folder, because some servers refuse STAT on folders; returns the fault, empty if it exists."""
    (opened,) = session.ask([on_path(Kind.OPENDIR, folder)], progress)
    if opened.status != Status.OK:
        return f"{folder} ({opened.text})"
    session.ask([on_handle(Kind.CLOSE, opened.string())], progress)
    return ""
