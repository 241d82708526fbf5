"""A feed over a directory of files: list, read, and put out of the way once they are safe with us.

A file is whole when it has its name (who writes it renames it then), or, for those who do not rename, when
nothing has changed about it for a while. What was read and not put away, because of a crash between the commit
and that, is read once more and known by its bytes: `spool.store.Spool.keep` is the ledger.

A directory gives no signal that a portable program could wait for (SFTP has none at all), so an empty one
is looked at again after a short wait, bounded by the caller's time-out.
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
"""A larger file is no receipt; it is left where it lies, and reported once nothing else is waiting."""
UNKNOWN: Final = -1
"""Size of a file in a directory that does not tell sizes."""


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
        """Name the directory in errors."""
        ...

    @property
    def left(self) -> Mapping[str, str]:
        """What the last listing left out that somebody may wait for, and why; up to `not_taken.LEFT_AT_MOST`."""
        ...

    def files(self) -> Sequence[Listed]:
        """Return up to `LISTED` files without an unfinished name, oldest first."""
        ...

    def read(self, names: Sequence[str]) -> Iterable[tuple[str, bytes | DeliveryError]]:
        """Return the bytes of those files that are there, not empty and not being written.

        A file that cannot be taken comes with the error, so that it does not hold up the others.
        """
        ...

    def put_away(self, names: Sequence[str]) -> None:
        """Remove files, or move them to the archive folder; one that is not there any more is put away."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


def pause(seconds: float) -> None:
    """Wait that long on a signal that nobody gives."""
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
        """`stable_s`: how long size and time of a file must have been the same; 0: its name says it is whole.

        `lies_s`: how long a file may lie there before that is reported; infinity: never.
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
        """Files that may still grow, and since when each has been as it is."""
        self._read: dict[str, tuple[bytes, float]] = {}
        """Those whose size nobody tells: SHA-256 of what was read, and since when that has been the same."""
        self._not_taken = NotTaken(clock=clock, lies_s=lies_s)

    def receive(self, *, limit: int, timeout_s: float) -> Sequence[Arrival]:
        """See `gateway.ports.Feed.receive`; looks every `poll_s` seconds.

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
        """See `gateway.ports.Feed.done`; puts the files away. Those that stay are read again after all others."""
        names = [str(arrival.token) for arrival in arrivals]
        try:
            self._drop.put_away(names)
        except DeliveryError:
            self._forget()
            self._stuck.update(names)
            raise
        self._handed_out.difference_update(names)

    def idle(self) -> None:
        """See `gateway.ports.Feed.idle`; a file that was handed out needs no connection."""

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
            self._seen.pop(arrival.name, None)  # what comes under this name later is another file
            self._read.pop(arrival.name, None)
        return arrivals

    def _is_whole(self, file: Listed, body: bytes) -> bool:
        """Tell whether what was read is what has been the same for long enough."""
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
        """Return the files that were the same, in every listing, for at least `stable_s`."""
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
