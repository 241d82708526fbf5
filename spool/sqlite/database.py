"""One SQLite file in WAL mode with full synchronisation, and writers that queue fairly for it."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from spool.errors import SpoolError
from spool.sqlite.schema import STEPS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PAGES_AT_MOST = 16_000
"""In the write-ahead log before a commit empties it by itself, should nobody have done it (`tidy`): 64 MB."""


def to_number(time: datetime) -> int:
    """Return microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def to_time(number: int) -> datetime:
    """Return the aware UTC time."""
    return _EPOCH + timedelta(microseconds=number)


class Database:
    """A connection, used by one thread at a time. Raises SpoolError for everything SQLite raises."""

    def __init__(self, file: Path, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self._file = file
        # SQLite makes a waiting writer sleep and try again; a lock of the kernel hands over at once
        # and dies with its holder.
        self._lock = os.open(file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._closed = False
        try:
            self.connection = sqlite3.connect(file, timeout=60, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            os.close(self._lock)
            raise self._explain(error) from error
        try:
            file.chmod(0o600)
            self._prepare()
        except BaseException as error:
            self.close()
            if isinstance(error, sqlite3.Error):
                raise self._explain(error) from error
            raise

    def _prepare(self) -> None:
        run = self.connection.execute
        with self._exclusive():
            run("PRAGMA journal_mode = WAL")
            run("PRAGMA synchronous = FULL")
            run(f"PRAGMA wal_autocheckpoint = {_PAGES_AT_MOST}")
            run("PRAGMA journal_size_limit = 67108864")
            run("PRAGMA cache_size = -32000")
            (version,) = run("PRAGMA user_version").fetchone()
            if version > len(STEPS):
                raise SpoolError(
                    f"the spool has layout {version}, this version knows {len(STEPS)}",
                    where=str(self._file),
                    fix="run the newer version that wrote it",
                )
            for number, step in enumerate(STEPS[version:], start=version + 1):
                self.connection.executescript(
                    f"BEGIN IMMEDIATE; {step}; PRAGMA user_version = {number}; COMMIT;"
                )

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed and on disk at the end of the block, or nothing of it."""
        with self._exclusive():
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self.connection
                    self.connection.execute("COMMIT")
                except BaseException:
                    if self.connection.in_transaction:
                        self.connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise self._explain(error) from error

    def tidy(self) -> None:
        """Move what commits have written from the write-ahead log into the database file.

        Whose commit fills the log would do it, and all writers would wait for it. Here they go on meanwhile; they wait
        for the little that they wrote in that time, after which the next one begins the log anew.
        """
        try:
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            with self._exclusive():
                self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            raise self._explain(error) from error

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One view of the data, unmoved by writers, for several statements."""
        try:
            self.connection.execute("BEGIN")
            try:
                yield self.connection
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def row(self, query: str, values: tuple[object, ...]) -> tuple[Any, ...]:
        """Return the one row of a query, without the ceremony that several statements need to see the same."""
        try:
            row: tuple[Any, ...] = self.connection.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise self._explain(error) from error
        return row

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def now(self) -> int:
        """Return the present as a number."""
        return to_number(self.clock())

    def close(self) -> None:
        """Let go of the files; again does nothing."""
        if not self._closed:
            self._closed = True
            self.connection.close()
            os.close(self._lock)

    def _explain(self, error: sqlite3.Error) -> SpoolError:
        name = getattr(error, "sqlite_errorname", "")
        temporary = name in {
            "SQLITE_FULL",
            "SQLITE_BUSY",
            "SQLITE_LOCKED",
            "SQLITE_CANTOPEN",
        } or name.startswith("SQLITE_IOERR")
        fixes = {
            "SQLITE_FULL": "free disk space; nothing accepted is lost, work goes on by itself",
            "SQLITE_READONLY": "give this user write access to the state folder",
            "SQLITE_CANTOPEN": "create the state folder and give this user access to it",
            "SQLITE_CORRUPT": "stop the node and restore the state folder from a backup",
            "SQLITE_NOTADB": "the file is not a spool: name another state_dir",
        }
        return SpoolError(
            f"the spool's database says: {error}",
            where=str(self._file),
            fix=fixes.get(name, "see the log for what came before; `gateway check` looks at the folder"),
            temporary=temporary,
        )
