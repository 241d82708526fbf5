"""One SQLite file in WAL mode with full synchronisation, and writers that queue fairly for it."""

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from spool.errors import SpoolError
from spool.locking import WAIT_S, FileLock, OnWait, held_by, holder_of
from spool.sqlite.schema import STEPS
from spool.times import to_number

T = TypeVar("T")

_PAGES_AT_MOST = 16_000
"""In the write-ahead log before a commit empties it by itself, should nobody have done it (`tidy`): 64 MB."""
_WRITER: Final = 120
"""The byte of the shared-memory file that SQLite's own lock of whoever writes is on (its format of WAL files, 2.3.2)."""


_JOURNAL: Final = "INSERT INTO journal (at, event, uid, detail) VALUES (?, ?, ?, ?)"
"""Append a line to the journal."""


class SqliteTransaction:
    """One transaction, under the writers' lock: `spool.shared.backend.Transaction`."""

    def __init__(self, connection: sqlite3.Connection, now: int) -> None:
        self.connection = connection
        self.now = now
        self.topics: set[str] = set()
        """Whom to wake after the commit."""

    def run(self, query: str, *values: object) -> sqlite3.Cursor:
        """Run a statement."""
        return self.connection.execute(query, values)

    def all(self, query: str, *values: object) -> list[Any]:
        """Run a statement and return its rows."""
        return self.connection.execute(query, values).fetchall()

    def many(self, query: str, kinds: str, rows: Collection[Sequence[object]]) -> None:  # noqa: ARG002 (columns have types here)
        """Run a statement for each row."""
        if rows:
            self.connection.executemany(query, rows)

    def journal(self, lines: Iterable[tuple[str, str, str]]) -> None:
        """Append (event, uid, detail) lines to the journal."""
        self.connection.executemany(_JOURNAL, [(self.now, *line) for line in lines])

    def wake(self, topic: str) -> None:
        """Wake the listeners of a topic after the commit."""
        self.topics.add(topic)


class SqliteDatabase:
    """A connection, used by one thread at a time. Raises SpoolError for everything SQLite raises."""

    def __init__(
        self,
        file: Path,
        clock: Callable[[], datetime],
        wake: Callable[[str], None],
        *,
        wait_s: float = WAIT_S,
        on_wait: OnWait | None = None,
    ) -> None:
        """`wake` is called with a topic after a commit.

        `wait_s`, `on_wait`: how another process's lock is waited for (`spool.locking.FileLock`).
        """
        self.clock = clock
        self._wake = wake
        self._file = file
        self._on_wait = on_wait
        # SQLite makes a waiting writer sleep and try again; a lock of the kernel hands over at once
        # and dies with its holder.
        self.lock = FileLock(file.with_suffix(".lock"), "the spool's lock", wait_s=wait_s, on_wait=on_wait)
        try:
            self.connection = sqlite3.connect(
                file, timeout=wait_s, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            self.lock.close()
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
        with self.lock.held():
            run("PRAGMA journal_mode = WAL")
            layout = self._layout()
            for number, step in enumerate(STEPS[layout:], start=layout + 1):
                self.connection.executescript(
                    f"BEGIN IMMEDIATE; {step}; PRAGMA user_version = {number}; COMMIT;"
                )

    def _layout(self) -> int:
        version = int(self.rows("PRAGMA user_version")[0][0])
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
            self.lock.release()

    def _begin(self) -> None:
        """Take our lock, and the database's own, which a process that does not know ours may hold."""
        while True:
            self.lock.acquire()
            began = time.monotonic()
            try:
                self.connection.execute("BEGIN IMMEDIATE")
            except BaseException as error:
                self.lock.release()
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
            with self.lock.held():
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

    def rows(self, query: str, *values: object) -> list[Any]:
        """Return the rows of one query."""
        try:
            return self.connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def transact(self, work: Callable[[SqliteTransaction], T]) -> T:
        """Call `work` within `write`, and wake the listeners after the commit."""
        with self.write() as connection:
            transaction = SqliteTransaction(connection, self.now())
            result = work(transaction)
        for topic in sorted(transaction.topics):
            self._wake(topic)
        return result

    @staticmethod
    def key(text: str) -> str:
        """Return the text: the indexes hold any."""
        return text

    @staticmethod
    def texts(values: Iterable[str]) -> str:
        """Return a list as JSON, for `json_each`."""
        return json.dumps(list(values))

    @staticmethod
    def numbers(values: Iterable[int]) -> str:
        """Return a list as JSON, for `json_each`."""
        return json.dumps(list(values))

    def now(self) -> int:
        """Return the present as a number."""
        return to_number(self.clock())

    def close(self) -> None:
        """Let go of the files; again does nothing."""
        self.connection.close()
        self.lock.close()

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
