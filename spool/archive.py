"""The archive of settled messages: one compressed file per day, with crash-safe appends, and an index.

`2026-11-11.tar.gz` is a tar archive of gzip members, one member per message: its bytes, every raw answer about
it, and `record.json` with the rest. Standard tools read it: `tar -xzf`. `2026-11-11.index` has the position of
each message and the texts by which it is found, only as hashes; it is rebuilt from the archive when it is
missing. The day is the day of archiving: files of past days are never changed again and may be moved away,
each with its index.
"""

import gzip
import hashlib
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from spool.archived import RECEIPT, Archived, packed, texts_of, unpacked
from spool.entry import JournalLine
from spool.errors import SpoolError
from spool.locking import WAIT_S, FileLock

_ARCHIVE: Final = ".tar.gz"
_INDEX: Final = ".index"
_PAGE: Final = 1000
_CHUNK_BYTES: Final = 1 << 20
_TABLES: Final = """
    CREATE TABLE IF NOT EXISTS member (
        number INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, digest BLOB NOT NULL,
        offset INTEGER NOT NULL, length INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS key (
        hash INTEGER NOT NULL, member INTEGER NOT NULL, PRIMARY KEY (hash, member)
    ) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelved:
    """An archived message and the file that contains it."""

    file: Path
    message: Archived


class Archive:
    """The files of one folder. One process appends at a time, any process may read; raises SpoolError."""

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        wait_s: float = WAIT_S,
    ) -> None:
        """Create nothing before the first append. `wait_s`: longest wait for another process."""
        self._folder = folder
        self._clock = clock
        self._wait_s = wait_s

    def append(self, messages: Sequence[Archived]) -> int:
        """Write messages to today's file and its index; returns how many were new or changed.

        When this returns, they are on disk. A message that is already there unchanged is not written twice.
        """
        if not messages:
            return 0
        with self._told(), self._alone():
            file = self._folder / f"{self._clock():%Y-%m-%d}{_ARCHIVE}"
            with _in_step(file, self._wait_s) as (archive, connection):
                new = _not_there(connection, [(one, packed(one)) for one in messages])
                places = _written(archive, [content for _, content in new])
                _sync_folder(self._folder)
                with _transaction(connection):
                    for (message, content), (offset, length) in zip(new, places, strict=True):
                        _enter(connection, message, content, offset, length)
            return len(new)

    def search(self, text: str, *, limit: int = 20) -> list[str]:
        """Return uids of messages that the text may mean, as in `Spool.search`; also by the number of a receipt."""
        with self._told():
            for asked in (text, f"={text}", f"{RECEIPT}{text}"):
                found = [uid for index in self._indexes() for uid in _uids(index, asked, limit, self._wait_s)]
                if found:
                    return list(dict.fromkeys(found))[:limit]
        return []

    def get(self, uid: str) -> Shelved | None:
        """Return the latest archived form of one message; None when it is not here."""
        with self._told():
            for index in self._indexes():
                with closing(_existing(index, self._wait_s)) as connection:
                    row = connection.execute(
                        "SELECT offset, length FROM member WHERE uid = ?", (uid,)
                    ).fetchone()
                if row is not None:
                    file = index.with_name(f"{index.stem}{_ARCHIVE}")
                    return Shelved(file=file, message=_unpacked(_read(file, *row), file))
        return None

    def lines(self) -> Iterator[JournalLine]:
        """Yield the journal lines of every message in every file; reads all files, and may repeat lines."""
        with self._told():
            for file in sorted(self._folder.glob(f"*{_ARCHIVE}")):
                with _reading(file) as archive:
                    for _, _, content in _members(archive, 0, os.fstat(archive).st_size):
                        yield from _unpacked(content, file).history

    def messages(self) -> Iterator[Shelved]:
        """Yield the latest form of every message of every day, the oldest day first; holds one message at a time.

        A message that was archived on two days, because it could not be purged on the first, comes twice.
        """
        with self._told():
            for index in reversed(self._indexes()):
                file = index.with_name(f"{index.stem}{_ARCHIVE}")
                for offset, length in _places(index, self._wait_s):
                    yield Shelved(file=file, message=_unpacked(_read(file, offset, length), file))

    def _indexes(self) -> list[Path]:
        """Return the indexes, newest first; rebuilds missing ones."""
        for file in self._folder.glob(f"*{_ARCHIVE}"):
            if not _index_of(file).exists():
                with self._alone(), _in_step(file, self._wait_s):
                    pass
        return sorted(self._folder.glob(f"*{_INDEX}"), reverse=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Create the folder and lock out other writers; the lock ends with its holder's process."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (
            closing(FileLock(self._folder / ".lock", "the archive's lock", wait_s=self._wait_s)) as lock,
            lock.held(),
        ):
            yield

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Convert OSError and SQLite errors to SpoolError."""
        try:
            yield
        except OSError as error:
            raise SpoolError(
                f"the archive cannot be used: {error.strerror}",
                where=str(error.filename or self._folder),
                fix="see that there is room and that this user may write there; nothing was purged",
                temporary=True,
            ) from error
        except sqlite3.Error as error:
            raise SpoolError(
                f"an index of the archive says: {error}",
                where=str(self._folder),
                fix="see that there is room; an index that is broken may be removed, it is made anew for today's file",
                temporary=True,
            ) from error


@contextmanager
def _in_step(file: Path, wait_s: float) -> Iterator[tuple[int, sqlite3.Connection]]:
    """Open a day's file and its index and make them consistent: a crash may have happened between the two writes."""
    lost = file.exists() and not _index_of(file).exists()
    with closing(_index(_index_of(file), wait_s)) as connection, _opened(file) as archive:
        end = _catch_up(archive, connection, file)
        if lost and end < os.fstat(archive).st_size:
            _index_of(file).unlink()
            raise _damaged(file, f"cannot be read from byte {end} on")
        os.ftruncate(
            archive, end
        )  # an incomplete member: it was never in the index, so nothing of it was purged
        yield archive, connection


def _index_of(file: Path) -> Path:
    return file.with_name(f"{file.name.removesuffix(_ARCHIVE)}{_INDEX}")


def _damaged(file: Path, how: str) -> SpoolError:
    return SpoolError(
        f"an archive {how}", where=str(file), fix="put it back from a backup, or move it and its index away"
    )


def _unpacked(content: bytes, file: Path) -> Archived:
    try:
        return unpacked(content)
    except ValueError as error:
        raise _damaged(file, f"has a member that cannot be read: {error}") from error


@contextmanager
def _opened(file: Path) -> Iterator[int]:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _reading(file: Path) -> Iterator[int]:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _index(file: Path, wait_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=wait_s, isolation_level=None)
    try:
        file.chmod(0o600)
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_TABLES)
    except BaseException:
        connection.close()
        raise
    return connection


def _existing(file: Path, wait_s: float) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=wait_s, isolation_level=None
    )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _catch_up(archive: int, connection: sqlite3.Connection, file: Path) -> int:
    """Add complete members that are missing in the index; returns the offset where they end."""
    (end,) = connection.execute("SELECT coalesce(max(offset + length), 0) FROM member").fetchone()
    size = os.fstat(archive).st_size
    if size < end:
        raise _damaged(file, f"has {size} bytes, its index says {end}")
    with _transaction(connection):
        for offset, length, content in _members(archive, end, size):
            _enter(connection, _unpacked(content, file), content, offset, length)
            end = offset + length
    return int(end)


def _members(archive: int, start: int, size: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield (offset, length, content) of complete gzip members from `start`; stops at an incomplete one."""
    while start < size:
        member = zlib.decompressobj(wbits=31)
        content, position = [], start
        try:
            while not member.eof and (chunk := os.pread(archive, _CHUNK_BYTES, position)):
                position += len(chunk)
                content.append(member.decompress(chunk))
        except zlib.error:
            return
        if not member.eof:
            return
        length = position - len(member.unused_data) - start
        yield start, length, b"".join(content)
        start += length


def _not_there(
    connection: sqlite3.Connection, messages: Sequence[tuple[Archived, bytes]]
) -> list[tuple[Archived, bytes]]:
    return [
        (message, content)
        for message, content in messages
        if connection.execute(
            "SELECT 1 FROM member WHERE uid = ? AND digest = ?", (message.uid, _digest(content))
        ).fetchone()
        is None
    ]


def _written(archive: int, contents: Sequence[bytes]) -> list[tuple[int, int]]:
    """Append each as a gzip member and sync to disk; returns offsets and lengths."""
    offset = os.lseek(archive, 0, os.SEEK_END)
    members = [gzip.compress(content, compresslevel=6, mtime=0) for content in contents]
    places = []
    for member in members:
        places.append((offset, len(member)))
        offset += len(member)
    left = memoryview(b"".join(members))
    while left:
        left = left[os.write(archive, left) :]
    os.fsync(archive)
    return places


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _enter(
    connection: sqlite3.Connection, message: Archived, content: bytes, offset: int, length: int
) -> None:
    """Add a message to the index, in the caller's transaction; a later form replaces an earlier one."""
    (number,) = connection.execute(
        "INSERT INTO member (uid, digest, offset, length) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (uid) DO UPDATE"
        " SET digest = ?2, offset = ?3, length = ?4 RETURNING number",
        (message.uid, _digest(content), offset, length),
    ).fetchone()
    connection.executemany(
        "INSERT OR IGNORE INTO key (hash, member) VALUES (?, ?)",
        [(_hash(text), number) for text in texts_of(message)],
    )


def _uids(index: Path, text: str, limit: int, wait_s: float) -> list[str]:
    with closing(_existing(index, wait_s)) as connection:
        rows = connection.execute(
            "SELECT m.uid FROM key k JOIN member m ON m.number = k.member WHERE k.hash IN (?, ?)"
            " ORDER BY m.number DESC LIMIT ?",
            (_hash(text), _hash(text.upper()), limit),
        ).fetchall()
    return [str(uid) for (uid,) in rows]


def _places(index: Path, wait_s: float) -> Iterator[tuple[int, int]]:
    """Yield (offset, length) of every member, in pages: a long read would keep today's file from being appended to."""
    after = 0
    while True:
        with closing(_existing(index, wait_s)) as connection:
            rows = connection.execute(
                "SELECT number, offset, length FROM member WHERE number > ? ORDER BY number LIMIT ?",
                (after, _PAGE),
            ).fetchall()
        if not rows:
            return
        after = rows[-1][0]
        yield from ((offset, length) for _, offset, length in rows)


def _read(file: Path, offset: int, length: int) -> bytes:
    try:
        with file.open("rb") as archive:
            archive.seek(offset)
            return gzip.decompress(archive.read(length))
    except FileNotFoundError as error:
        raise _damaged(file, "is not where its index is") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(file, f"has a member that cannot be read: {error}") from error


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _hash(text: str) -> int:
    """Return 64 bits, signed as in SQLite; collisions are not expected."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)
