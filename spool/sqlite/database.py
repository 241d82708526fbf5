"""One SQLite file in WAL mode with full synchronisation, and writers that queue fairly for it."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from spool.errors import SpoolError
from spool.locking import WAIT_S, FileLock, OnWait, held_by, holder_of
from spool.sqlite.schema import STEPS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PAGES_AT_MOST = 16_000
"""In the write-ahead log before a commit empties it by itself, should nobody have done it (`tidy`): 64 MB."""
_WRITER: Final = 120
"""The byte of the shared-memory file that SQLite's own lock of whoever writes is on (its format of WAL files, 2.3.2)."""


def to_number(time: datetime) -> int:
    """Return microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def to_time(number: int) -> datetime:
    """Return the aware UTC time."""
    return _EPOCH + timedelta(microseconds=number)


class Database:
    """A connection, used by one thread at a time. Raises SpoolError for everything SQLite raises."""

    def __init__(
        self,
        file: Path,
        clock: Callable[[], datetime],
        *,
        wait_s: float = WAIT_S,
        on_wait: OnWait | None = None,
    ) -> None:
        """`wait_s`, `on_wait`: how another process's lock is waited for (`spool.locking.FileLock`)."""
        self.clock = clock
        self._file = file
        self._on_wait = on_wait
        # SQLite makes a waiting writer sleep and try again; a lock of the kernel hands over at once
        # and dies with its holder.
        self._lock = FileLock(file.with_suffix(".lock"), "the spool's lock", wait_s=wait_s, on_wait=on_wait)
        try:
            self.connection = sqlite3.connect(
                file, timeout=wait_s, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            self._lock.close()
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
        run("PRAGMA synchronous = FULL")
        run(f"PRAGMA wal_autocheckpoint = {_PAGES_AT_MOST}")
        run("PRAGMA journal_size_limit = 67108864")
        run("PRAGMA cache_size = -32000")
        (mode,) = run("PRAGMA journal_mode").fetchone()
        if mode == "wal" and self._layout() == len(STEPS):
            return  # without the lock: who starts while a process that hangs has it can answer for that
        with self._lock.held():
            run("PRAGMA journal_mode = WAL")
            layout = self._layout()
            for number, step in enumerate(STEPS[layout:], start=layout + 1):
                self.connection.executescript(
                    f"BEGIN IMMEDIATE; {step}; PRAGMA user_version = {number}; COMMIT;"
                )

    def _layout(self) -> int:
        version = int(self.row("PRAGMA user_version", ())[0])
        if version > len(STEPS):
            raise SpoolError(
                f"the spool has layout {version}, this version knows {len(STEPS)}",
                where=str(self._file),
                fix="run the newer version that wrote it",
            )
        return version

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed and on disk at the end of the block, or nothing of it."""
        self._begin()
        try:
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._explain(error) from error
        finally:
            self._lock.release()

    def _begin(self) -> None:
        """Take our lock, and the database's own, which somebody may have who does not know ours."""
        while True:
            self._lock.acquire()
            began = time.monotonic()
            try:
                self.connection.execute("BEGIN IMMEDIATE")
            except BaseException as error:
                self._lock.release()
                if not isinstance(error, sqlite3.Error):
                    raise
                if getattr(error, "sqlite_errorname", "") != "SQLITE_BUSY":
                    raise self._explain(error) from error
                in_vain = self._busy(time.monotonic() - began)
                if self._on_wait is None:
                    raise in_vain from error
                self._on_wait(in_vain)
            else:
                return

    def holder(self) -> str:
        """Say who keeps writers waiting for too long; empty: nobody, as far as is known. Does not block."""
        return self._lock.holder()

    def _busy(self, waited_s: float) -> SpoolError:
        shared = self._file.with_name(f"{self._file.name}-shm")
        who = holder_of(shared, "POSIX", _WRITER) or "another process"
        return held_by(who, "the database's own lock", waited_s, where=str(self._file))

    def tidy(self) -> None:
        """Move what commits have written from the write-ahead log into the database file.

        Whose commit fills the log would do it, and all writers would wait for it. Here they go on meanwhile; they wait
        for the little that they wrote in that time, after which the next one begins the log anew.
        """
        try:
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            with self._lock.held():
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

    def now(self) -> int:
        """Return the present as a number."""
        return to_number(self.clock())

    def close(self) -> None:
        """Let go of the files; again does nothing."""
        self.connection.close()
        self._lock.close()

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
