"""Envelopes by SFTP: groups of files, each over one of several connections; and the folder of answers."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from queue import SimpleQueue

from gateway.config import Sftp
from gateway.errors import DeliveryError
from gateway.ports import Clock, Delivery, Parcel
from gateway.transports.names import Leftovers
from gateway.transports.not_taken import LIES_S
from gateway.transports.polled import PolledFeed, pause
from gateway.transports.sftp_drop import SftpDrop
from gateway.transports.sftp_session import SftpLink, where
from gateway.transports.sftp_upload import SendFolder, name_fault, upload

POLL_S = 0.5
GROUP = 64
GROUP_BYTES = 4 * 1024 * 1024
"""Files that are on their way together over one connection."""

Group = Sequence[Parcel]


class SftpTransport:
    """`gateway.ports.Transport` into `send_dir` of an SFTP server, over `connections` connections.

    A server carries out the requests of one connection one after the other, each fsync included; several
    connections wait side by side. Each has a thread for as long as a call has files for it.
    """

    def __init__(self, config: Sftp) -> None:
        """Raises ConfigError for an unreadable host key; connects on first use."""
        self._links = [SftpLink(config) for _ in range(config.connections)]
        self._into = SendFolder(
            path=config.send_dir, place=f"{where(config)} {config.send_dir}", left=Leftovers()
        )
        self._threads: ThreadPoolExecutor | None = None

    def send(self, parcels: Sequence[Parcel]) -> Iterator[Delivery]:
        """See `gateway.ports.Transport.send`; a file of the same name is replaced.

        The time-out counts for each group of up to 64 files or 4 MiB. A connection that is lost fails the
        group that it carries; the others go on, and only when none is left the rest fails at once.
        """
        lost: dict[SftpLink, DeliveryError] = {}
        for batch in _without_repeats(parcels):
            links = [link for link in self._links if link not in lost]
            groups = deque(_groups(batch, -(-len(batch) // max(1, len(links)))))
            if len(links) > 1 and len(groups) > 1:
                yield from self._carry_side_by_side(links[: len(groups)], groups, lost)
            else:
                for link in links[:1]:
                    yield from self._carry(link, groups, lost)
            for group in groups:
                yield from _all_failed(group, next(reversed(lost.values())))

    def close(self) -> None:
        """Close the connections."""
        if self._threads is not None:
            self._threads.shutdown()
        for link in self._links:
            link.close()

    def _carry(
        self, link: SftpLink, groups: deque[Group], lost: dict[SftpLink, DeliveryError]
    ) -> Iterator[Delivery]:
        """Take groups until there are none, or the connection is lost and stands in `lost`."""
        while link not in lost and (group := _next(groups)) is not None:
            try:
                errors = link.use(partial(upload, group, self._into))
            except DeliveryError as error:
                lost[link] = error
                yield from _all_failed(group, error)
            else:
                for parcel, outcome in zip(group, errors, strict=True):
                    yield Delivery(entry=parcel.entry, error=outcome)

    def _carry_side_by_side(
        self, links: Sequence[SftpLink], groups: deque[Group], lost: dict[SftpLink, DeliveryError]
    ) -> Iterator[Delivery]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(len(self._links), "sftp")
        said: SimpleQueue[Delivery | None] = SimpleQueue()

        def carry(link: SftpLink) -> None:
            try:
                for delivery in self._carry(link, groups, lost):
                    said.put(delivery)
            finally:
                said.put(None)

        carriers = [self._threads.submit(carry, link) for link in links]
        try:
            for _ in carriers:
                yield from iter(said.get, None)  # until another one has ended
        except GeneratorExit:  # the caller has stopped listening
            groups.clear()
            raise
        finally:  # nobody may use a link after that
            wait(carriers)
        for carrier in carriers:
            carrier.result()


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
        super().__init__(
            SftpDrop(config), poll_s=poll_s, stable_s=config.stable_s, lies_s=LIES_S, wait=wait, clock=clock
        )


def _next(groups: deque[Group]) -> Group | None:
    try:
        return groups.popleft()
    except IndexError:
        return None


def _all_failed(group: Group, lost: DeliveryError) -> Iterator[Delivery]:
    """Yield what becomes of files that did not go; a wrong name stays wrong."""
    for parcel in group:
        yield Delivery(entry=parcel.entry, error=name_fault(parcel) or lost)


def _without_repeats(parcels: Sequence[Parcel]) -> Iterator[list[Parcel]]:
    """Cut where a name comes again: two uploads to one name must not be mixed."""
    batch: dict[str, Parcel] = {}
    for parcel in parcels:
        if parcel.file_name in batch:
            yield list(batch.values())
            batch = {}
        batch[parcel.file_name] = parcel
    if batch:
        yield list(batch.values())


def _groups(batch: Sequence[Parcel], share: int) -> Iterator[Group]:
    """Cut by number, at most `share`, and bytes."""
    group: list[Parcel] = []
    size = 0
    for parcel in batch:
        if group and (len(group) == min(GROUP, share) or size + len(parcel.body) > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(parcel)
        size += len(parcel.body)
    if group:
        yield group
