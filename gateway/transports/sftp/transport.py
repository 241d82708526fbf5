"""Envelopes by SFTP: uploads groups of files over several connections, and collects from the folder of answers."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial, reduce
from queue import SimpleQueue
from threading import Lock

from gateway.config.links import Sftp
from gateway.errors import DeliveryError
from gateway.ports import Clock, Delivery, Parcel
from gateway.transports.names import Leftovers
from gateway.transports.not_taken import LIES_S
from gateway.transports.polled import PolledFeed, pause
from gateway.transports.progress import ended_amid
from gateway.transports.sftp.drop import SftpDrop
from gateway.transports.sftp.session import SftpLink, where
from gateway.transports.sftp.upload import SendFolder, name_fault, upload
from spool.lease import earlier

POLL_S = 0.5
GROUP = 64
GROUP_BYTES = 4 * 1024 * 1024
"""Size limit of a group: files that are uploaded together over one connection; `GROUP` limits their number."""

FIRST_GROUP = 8
"""Files in a group while the speed of the connection is unknown."""
_SHARE_OF_TIMEOUT = 4.0
"""A group that takes more than the time-out divided by this is too large for the connection."""

UploadGroup = Sequence[Parcel]
Lost = dict["SftpLink", DeliveryError]


class SftpTransport:
    """`gateway.ports.Transport` into `send_dir` of an SFTP server, over `connections` connections.

    A server executes the requests of one connection one after the other, each fsync included; several
    connections wait in parallel. Each has a thread as long as a call has files for it.
    """

    def __init__(self, config: Sftp) -> None:
        """Raises ConfigError for an unreadable host key; connects on first use."""
        self._links = [SftpLink(config) for _ in range(config.connections)]
        self._into = SendFolder(
            path=config.send_dir, place=f"{where(config)} {config.send_dir}", left=Leftovers()
        )
        self._threads: ThreadPoolExecutor | None = None
        self._pace = Pace(config.timeout_s / _SHARE_OF_TIMEOUT)

    def send(self, parcels: Sequence[Parcel]) -> Iterator[Delivery]:
        """See `gateway.ports.Transport.send`; a file of the same name is replaced.

        Files go in groups of up to 64 or 4 MiB, fewer over a slow connection, and a group is reported before the next
        one begins. A lost connection fails its current group; the others go on, and only when none is left the rest
        fails at once.
        """
        lost: Lost = {}
        for batch in _without_repeats(parcels):
            links = [link for link in self._links if link not in lost]
            groups = Groups(batch, -(-len(batch) // max(1, len(links))), self._pace)
            if len(links) > 1 and len(batch) > 1:
                yield from self._carry_side_by_side(links[: len(batch)], groups, lost)
            else:
                for link in links[:1]:
                    yield from self._carry(link, groups, lost)
            while rest := groups.next():
                for parcel in rest:
                    late = parcel.too_late()
                    yield Delivery(
                        entry=parcel.entry, error=late or name_fault(parcel) or next(reversed(lost.values()))
                    )

    def close(self) -> None:
        """Close the connections."""
        if self._threads is not None:
            self._threads.shutdown()
        for link in self._links:
            link.close()

    def _carry(self, link: SftpLink, groups: "Groups", lost: Lost) -> Iterator[Delivery]:
        """Upload groups until there are none, or until the connection is lost and in `lost`."""
        while link not in lost and (group := groups.next()):
            going = []
            for parcel in group:
                late = parcel.too_late()
                if late is None:
                    going.append(parcel)
                else:
                    yield Delivery(entry=parcel.entry, error=late)
            if going:
                yield from self._upload(link, going, lost)

    def _upload(self, link: SftpLink, group: UploadGroup, lost: Lost) -> Iterator[Delivery]:
        lease = reduce(earlier, (parcel.lease for parcel in group))
        began = time.monotonic()
        try:
            errors = link.use(partial(upload, group, self._into), lease)
        except DeliveryError as error:
            self._pace.failed()
            lost[link] = ended_amid(self._into.place) if lease.over else error
            for parcel in group:  # an invalid name is reported in any case
                yield Delivery(entry=parcel.entry, error=name_fault(parcel) or lost[link])
        else:
            self._pace.took(time.monotonic() - began)
            for parcel, outcome in zip(group, errors, strict=True):
                yield Delivery(entry=parcel.entry, error=outcome)

    def _carry_side_by_side(
        self, links: Sequence[SftpLink], groups: "Groups", lost: Lost
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
                yield from iter(said.get, None)  # until one more carrier has ended
        except GeneratorExit:  # the caller has stopped iterating
            groups.clear()
            raise
        finally:  # no thread may use a link after this call
            wait(carriers)
        for carrier in carriers:
            carrier.result()


class Pace:
    """Adapts the size of groups: fewer files when they take long, more again when they do not."""

    def __init__(self, long_s: float) -> None:
        self._long_s = long_s
        self.files = FIRST_GROUP

    @property
    def size_bytes(self) -> int:
        """Bytes in a group at most."""
        return GROUP_BYTES * self.files // GROUP

    def took(self, seconds: float) -> None:
        """Record the duration of an uploaded group."""
        if seconds > self._long_s:
            self.failed()
        elif seconds < self._long_s / 4:
            self.files = min(GROUP, 2 * self.files)

    def failed(self) -> None:
        """Record a failed group."""
        self.files = max(1, self.files // 2)


class Groups:
    """Splits a batch into groups while it is sent: by number, at most `share`, and by bytes; thread-safe."""

    def __init__(self, batch: Sequence[Parcel], share: int, pace: Pace) -> None:
        self._waiting = deque(batch)
        self._share = share
        self._pace = pace
        self._lock = Lock()

    def next(self) -> list[Parcel]:
        """Take the next group; empty: there is none."""
        with self._lock:
            most, room = min(self._pace.files, self._share), self._pace.size_bytes
            group: list[Parcel] = []
            while self._waiting and len(group) < most:
                room -= len(self._waiting[0].body)
                if group and room < 0:
                    break
                group.append(self._waiting.popleft())
            return group

    def clear(self) -> None:
        """Drop the rest of the batch."""
        with self._lock:
            self._waiting.clear()


class SftpFeed(PolledFeed):
    """`gateway.ports.Feed` over `receive_dir`, oldest file first; `done` removes or archives the files.

    SFTP cannot report new files, so an empty folder is listed again every `poll_s` seconds.
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


def _without_repeats(parcels: Sequence[Parcel]) -> Iterator[list[Parcel]]:
    """Split where a name repeats: two uploads to one name must not run together."""
    batch: dict[str, Parcel] = {}
    for parcel in parcels:
        if parcel.file_name in batch:
            yield list(batch.values())
            batch = {}
        batch[parcel.file_name] = parcel
    if batch:
        yield list(batch.values())
