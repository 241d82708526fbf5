"""Nonces of signed requests that were used, until their timestamps are too old to be used again.

They are kept in files in `state_dir`, a file for each enterprise and ten minutes of timestamps, which every accept
process of the node reads and writes under one lock: a replay is refused after a restart too, and while two processes
overlap at a reload. Nothing is synced: a power failure may take the last moments, a crash of ours does not.
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
"""Timestamps that share a file. Those that can still be used lie in two files at most."""
_BYTES: Final = 16
MOST: Final = 100_000
"""Nonces of one enterprise in one file; about 10 MB of memory."""
MOST_OF_ALL: Final = 1_000_000
"""Nonces in memory, of all enterprises together; about 100 MB."""


class Use(Enum):
    """What became of a nonce."""

    FIRST = auto()
    AGAIN = auto()
    FULL = auto()
    """More requests than can be remembered; it was not looked at and may come again later."""


@dataclass(slots=True)
class _Read:
    """How much of a file is known."""

    size: int = 0
    digests: set[bytes] = field(default_factory=set)


class Nonces:
    """For one event loop; several processes may have the same folder."""

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

        Blocks for as long as another process of the node needs for the same, or for a moment (`DOOR_WAIT_S`).
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
        whole = size - size % _BYTES  # what a process began to write when it was killed is nobody's
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
        """Let go of every file whose timestamps can no longer be used; files before `oldest` are such."""
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
        """Open a file, made when it is not there, while nobody else may use any; gives the descriptor."""
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
    """Say when timestamps of now go into another file, where there is room again: whole seconds, at least one."""
    return max(1, int(_SPAN_S - now % _SPAN_S) + 1)
