"""Used nonces of signed requests, kept until their timestamps are too old to be accepted.

They are stored in files in `state_dir`, one for each enterprise and ten minutes of timestamps, which every accept
process of the node reads and writes under one lock: a replay is refused also after a restart, and while two processes
overlap at a reload. Nothing is synced: a power failure may lose the last moments, a crash of the process does not.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from hashlib import blake2b
from pathlib import Path
from typing import Final

from gateway.doors.http.bounds import DOOR_WAIT_S
from gateway.doors.http.request_signature import WINDOW_S
from spool.errors import SpoolError
from spool.locking import FileLock

_SPAN_S: Final = 2 * WINDOW_S
"""Span of timestamps in one file. Timestamps still accepted are in at most two files."""
_BYTES: Final = 16
MOST: Final = 100_000
"""Most nonces of one enterprise in one file; about 10 MB of memory."""
MOST_OF_ALL: Final = 1_000_000
"""Most nonces in memory, of all enterprises together; about 100 MB."""


class Use(Enum):
    """Result of using a nonce."""

    FIRST = auto()
    AGAIN = auto()
    FULL = auto()
    """Too many requests to remember; the nonce was not checked and may be used later."""


@dataclass(slots=True)
class _Read:
    """How much of a file has been read."""

    size: int = 0
    digests: set[bytes] = field(default_factory=set)


class Nonces:
    """The used nonces, for one event loop; several processes may share the folder."""

    def __init__(self, folder: Path, *, most: int = MOST, most_of_all: int = MOST_OF_ALL) -> None:
        self._folder = folder
        self._most = most
        self._most_of_all = most_of_all
        self._known: dict[tuple[str, int], _Read] = {}
        self._count = 0
        self._oldest = -1
        self._lock: FileLock | None = None

    def use(self, enterprise: str, key: str, timestamp: int, nonce: str, *, now: float) -> Use:
        """Use a nonce of an enterprise; `now` and `timestamp` in seconds since 1970. Raises SpoolError.

        Blocks while another process of the node does the same, at most `DOOR_WAIT_S`.
        """
        span = timestamp // _SPAN_S
        digest = blake2b(f"{key}\n{timestamp}\n{nonce}".encode(), digest_size=_BYTES).digest()
        file = self._folder / f"{span}-{enterprise}"
        try:
            self._forget(int(now - WINDOW_S) // _SPAN_S)
            with self._locked(file) as descriptor:
                return self._use(descriptor, self._known.setdefault((enterprise, span), _Read()), digest)
        except OSError as error:
            raise SpoolError(
                f"cannot remember the nonce of a request: {error.strerror}", where=str(file), temporary=True
            ) from error

    def _use(self, descriptor: int, known: _Read, digest: bytes) -> Use:
        size = os.fstat(descriptor).st_size
        whole = size - size % _BYTES  # the incomplete record of a killed process does not count
        if whole > known.size:
            fresh = os.pread(descriptor, whole - known.size, known.size)
            known.digests.update(fresh[at : at + _BYTES] for at in range(0, len(fresh), _BYTES))
            self._count += len(fresh) // _BYTES
            known.size = whole
        if digest in known.digests:
            return Use.AGAIN
        if len(known.digests) >= self._most or self._count >= self._most_of_all:
            return Use.FULL
        os.pwrite(descriptor, digest, whole)
        known.digests.add(digest)
        self._count += 1
        known.size = whole + _BYTES
        return Use.FIRST

    def _forget(self, oldest: int) -> None:
        """Forget and delete the files before span `oldest`, whose timestamps are no longer accepted."""
        if oldest == self._oldest:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._oldest = oldest
        self._known = {which: one for which, one in self._known.items() if which[1] >= oldest}
        self._count = sum(len(one.digests) for one in self._known.values())
        for file in self._folder.iterdir():
            span = file.name.partition("-")[0]
            if span.isdigit() and int(span) < oldest:
                file.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, file: Path) -> Iterator[int]:
        """Open a file, creating it if needed, under the lock of all nonce files; yields the descriptor."""
        if self._lock is None:
            self._lock = FileLock(
                self._folder.with_name(f"{self._folder.name}.lock"),
                "the lock of the nonces",
                wait_s=DOOR_WAIT_S,
            )
        with self._lock.held():
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                yield descriptor
            finally:
                os.close(descriptor)


def free_in_s(now: float) -> int:
    """Return in how many seconds new timestamps go to another file, which has room: whole seconds, at least one."""
    return max(1, int(_SPAN_S - now % _SPAN_S) + 1)
