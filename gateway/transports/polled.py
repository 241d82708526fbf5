"""A feed over a directory of files: lists and reads them, and removes or archives them once they are committed.

A file is whole when it has its final name (writers rename it then) or, for writers that do not rename, when
it has not changed for a while. A file that was read but not put away, because of a crash after the commit, is read
again and recognised by its bytes in `spool.store.Spool.keep`.

A directory gives no signal that a portable program could wait for (SFTP has none at all), so an empty one
is listed again after a short wait, bounded by the caller's time-out.
"""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Final, NamedTuple, Protocol

from gateway.errors import DeliveryError
from gateway.ports import Arrival, Clock
from gateway.transports.not_taken import NotTaken

LISTED = 10_000
"""Names kept from one listing at most, so that memory does not grow with the backlog."""
LARGEST_BYTES = 64 * 1024 * 1024
"""A larger file is no receipt; it is left in place, and reported when nothing else is waiting."""
UNKNOWN: Final = -1
"""Size of a file in a directory that does not report sizes."""


class Listed(NamedTuple):
    """A file as a listing shows it, ordered by age."""

    modified: int
    """Time of the last change; the unit is that of the directory."""
    name: str
    size_bytes: int
    """Or `UNKNOWN`."""


class Drop(Protocol):
    """A directory that another program fills. Every method raises DeliveryError."""

    @property
    def place(self) -> str:
        """Name of the directory in errors."""
        ...

    @property
    def left(self) -> Mapping[str, str]:
        """Files left out by the last listing that should be reported, and why; `not_taken.LEFT_AT_MOST` at most."""
        ...

    def files(self) -> Sequence[Listed]:
        """Return up to `LISTED` files with finished names, oldest first."""
        ...

    def read(self, names: Sequence[str]) -> Iterable[tuple[str, bytes | DeliveryError]]:
        """Return the bytes of those files that exist, are not empty and are not being written.

        A file that cannot be taken comes with its error, so that it does not block the others.
        """
        ...

    def put_away(self, names: Sequence[str]) -> None:
        """Remove files, or move them to the archive folder; a missing file counts as put away."""
        ...

    def close(self) -> None:
        """Close connections."""
        ...


def pause(seconds: float) -> None:
    """Block for this long."""
    threading.Event().wait(seconds)


class PolledFeed:
    """`gateway.ports.Feed` over a `Drop`; what is handed out is not listed again until `done` or an error."""

    def __init__(
        self,
        drop: Drop,
        *,
        poll_s: float,
        stable_s: float = 0.0,
        lies_s: float = inf,
        wait: Callable[[float], None] = pause,
        clock: Clock = time.monotonic,
    ) -> None:
        """`stable_s`: how long size and time of a file must be unchanged; 0: a finished name is enough.

        `lies_s`: how long a file may lie there before it is reported; infinity: never.
        """
        self._drop = drop
        self._poll_s = poll_s
        self._stable_s = stable_s
        self._wait = wait
        self._clock = clock
        self._waiting: deque[Listed] = deque()
        self._handed_out: set[str] = set()
        self._stuck: set[str] = set()
        self._seen: dict[str, tuple[Listed, float]] = {}
        """Files that may still grow, and since when each is unchanged."""
        self._read: dict[str, tuple[bytes, float]] = {}
        """For files of unknown size: SHA-256 of the bytes read, and since when it is the same."""
        self._not_taken = NotTaken(clock=clock, lies_s=lies_s)

    def receive(self, *, limit: int, timeout_s: float) -> Sequence[Arrival]:
        """See `gateway.ports.Feed.receive`; lists the directory every `poll_s` seconds.

        A file that cannot be taken is reported by DeliveryError, but only when nothing else has come, and once an hour.
        """
        end = self._clock() + timeout_s
        while True:
            try:
                arrivals = self._take(limit)
            except DeliveryError:
                self._forget()
                raise
            left_s = end - self._clock()
            if arrivals:
                return arrivals
            if left_s <= 0:
                problem = self._not_taken.untold(self._drop.place)
                if problem is not None:
                    raise problem
                return []
            self._wait(min(left_s, self._poll_s))

    def done(self, arrivals: Sequence[Arrival]) -> None:
        """See `gateway.ports.Feed.done`; puts the files away. If that fails, they are read again after all others."""
        names = [str(arrival.token) for arrival in arrivals]
        try:
            self._drop.put_away(names)
        except DeliveryError:
            self._forget()
            self._stuck.update(names)
            raise
        self._handed_out.difference_update(names)

    def idle(self) -> None:
        """See `gateway.ports.Feed.idle`; does nothing: files handed out need no connection."""

    def close(self) -> None:
        """See `gateway.ports.Feed.close`; files not `done` stay where they are."""
        self._forget()
        self._drop.close()

    def _take(self, limit: int) -> list[Arrival]:
        if not self._waiting:
            self._list()
        arrivals: list[Arrival] = []
        while self._waiting and not arrivals:
            files = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
            listed = {file.name: file for file in files}
            for name, body in self._drop.read(list(listed)):
                if isinstance(body, DeliveryError):
                    self._not_taken.failed(name, body)
                elif self._is_whole(listed[name], body):
                    arrivals.append(Arrival(body=body, name=name, token=name))
        for arrival in arrivals:
            self._handed_out.add(arrival.name)
            self._not_taken.taken(arrival.name)
            self._seen.pop(arrival.name, None)  # a later file of this name is another one
            self._read.pop(arrival.name, None)
        return arrivals

    def _is_whole(self, file: Listed, body: bytes) -> bool:
        """Return whether the bytes read are those of a file that is unchanged for long enough."""
        if not self._stable_s or len(body) == file.size_bytes:
            return True
        if file.size_bytes != UNKNOWN:
            return False
        now, digest = self._clock(), hashlib.sha256(body).digest()
        before, since = self._read.get(file.name, (b"", now))
        self._read[file.name] = (digest, since if before == digest else now)
        return before == digest and now - since >= self._stable_s

    def _list(self) -> None:
        listed = [file for file in self._drop.files() if file.name not in self._handed_out]
        names = {file.name for file in listed}
        self._not_taken.listed(names - self._stuck, self._drop.left)
        self._stuck &= names
        self._read = {name: known for name, known in self._read.items() if name in names}
        whole = self._settled(listed) if self._stable_s else listed
        self._waiting.extend(sorted(whole, key=lambda file: file.name in self._stuck))

    def _settled(self, listed: Sequence[Listed]) -> list[Listed]:
        """Return the files that were the same in every listing for at least `stable_s`."""
        now, before = self._clock(), self._seen
        self._seen = {}
        for file in listed:
            known = before.get(file.name)
            self._seen[file.name] = known if known is not None and known[0] == file else (file, now)
        return [file for file, since in self._seen.values() if now - since >= self._stable_s]

    def _forget(self) -> None:
        self._waiting.clear()
        self._handed_out.clear()


def too_large(name: str, where: str) -> DeliveryError:
    """Build the error for a file over `LARGEST_BYTES`."""
    return DeliveryError(
        f"a file in the receive folder is larger than {LARGEST_BYTES // 2**20} MiB and is left there: {name}",
        where=where,
        fix="look at it and move it away",
    )
