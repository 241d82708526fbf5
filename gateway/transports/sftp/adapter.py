"""What the table of transports knows of this kind of link."""

from gateway.config.links import Sftp
from gateway.transports.sftp.probe import reach
from gateway.transports.sftp.transport import SftpFeed, SftpTransport


class SftpAdapter:
    """`gateway.transports.adapters.LinkAdapter`."""

    def __init__(self, link: Sftp) -> None:
        self._link = link

    def transport(self) -> SftpTransport:
        """See `OutAdapter.transport`."""
        return SftpTransport(self._link)

    def feed(self) -> SftpFeed:
        """See `OutAdapter.transport`, for what comes in."""
        return SftpFeed(self._link)

    def probe(self) -> str:
        """See `OutAdapter.probe`."""
        return reach(self._link)
