"""One connection to PostgreSQL that comes back by itself, and transactions that are tried again when overtaken."""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg
from psycopg import Connection, Cursor, errors
from psycopg.conninfo import conninfo_to_dict

from spool.errors import SpoolError
from spool.locking import OnWait, held_by
from spool.postgres.arrays import adapt, columns, int8s, texts
from spool.postgres.days import DAY, LOCK, Days, days_of, drop_empty
from spool.postgres.schema import STEPS
from spool.postgres.texts import short
from spool.shared.backend import Transaction
from spool.times import to_number

T = TypeVar("T")
Row = tuple[Any, ...]

_CLOCK_CHECKED_S: Final = 30.0
_TRIES: Final = 8
"""How often a transaction that others overtook is begun anew; twice is rare."""
_DEFAULTS: Final = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
    "application_name": "customs-exchange-gateway",
}
"""A host that falls silent is given up within about 15 s."""
_SESSION: Final = """
    SET idle_in_transaction_session_timeout = '15s';
    SET lock_timeout = '15s';
    SET jit = off;
    SET enable_seqscan = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SET max_parallel_workers_per_gather = 0;
    SET plan_cache_mode = force_custom_plan;
    SET client_min_messages = warning;
"""
"""A node that freezes within a transaction loses it. Every query of ours has its index, and joins little with much: whatever
the statistics say, no table is walked through, and no plan is kept that was made while the tables were empty (docs/adr/0011)."""
_OLDEST: Final = b"""
    SELECT pid, coalesce(host(client_addr), 'this host'), application_name, state,
        round(extract(epoch FROM clock_timestamp() - xact_start))::text
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xid IS NOT NULL
    ORDER BY xact_start LIMIT 1
"""
"""Who has been writing for longest. What was waited for is gone with the transaction that waited."""
_RACES: Final = (
    "message_sha256",
    "message_request",
    "entry_way",
    "declaration_identity",
    "timeline_answer",
    "import_request",
    "import_values",
)
"""Constraints that say that another node was faster; looked at again, its row is simply there."""
_TEMPORARY: Final = ("08", "40", "53", "55", "57", "58")
"""Classes of SQLSTATE for which waiting may help: connection, rollback, resources, locks, operator, system."""


_JOURNAL: Final = "INSERT INTO journal (day, at, event, uid, detail) SELECT %s, %s, * FROM unnest(%s::text[], %s::text[], %s::text[])"
"""Append lines to the journal: day, time, events, uids, details."""
_WAKE: Final = "SELECT pg_notify(left(current_schema(), 40) || '_' || %s, '')"
"""Signal every listener of a topic when the transaction commits, and only then (`spool.postgres.signals`)."""


@lru_cache(maxsize=1024)
def _native(query: str) -> bytes:
    """Write a query as psycopg wants it: `%s` for each value, in bytes."""
    return query.replace("?", "%s").encode()


class PostgresTransaction:
    """One transaction at READ COMMITTED. Statements go out at once; whoever fetches waits for the answer."""

    def __init__(self, connection: Connection, now: int) -> None:
        self._connection = connection
        self.now = now
        """Microseconds; one time for all that the transaction writes."""
        self.committing = False
        self.run("BEGIN")

    def run(self, query: str, *values: object) -> Cursor:
        """Send a statement."""
        cursor = self._connection.cursor(binary=True)
        cursor.execute(_native(query), values or None)
        return cursor

    def all(self, query: str, *values: object) -> list[Row]:
        """Send a statement and wait for its rows."""
        return self.run(query, *values).fetchall()

    def many(self, query: str, kinds: str, rows: Collection[Sequence[object]]) -> None:
        """Send a statement that takes the columns of many rows as arrays (`arrays.columns`)."""
        if rows:
            self.run(query, *columns(kinds, rows))

    def journal(self, lines: Iterable[tuple[str, str, str]]) -> None:
        """Append (event, uid, detail) lines to the journal."""
        rows = [(event, short(uid), detail) for event, uid, detail in lines]
        if rows:
            self.run(_JOURNAL, self.now // DAY, self.now, *columns("ttt", rows))

    def wake(self, topic: str) -> None:
        """Wake the listeners of a topic, of any node, with the commit."""
        self.run(_WAKE, topic)

    def commit(self) -> None:
        """Send COMMIT behind what was sent; done by `PostgresDatabase.write` unless the work did it."""
        if not self.committing:
            self.committing = True
            self.run("COMMIT")


class PostgresDatabase:
    """A connection, used by one thread at a time. Raises SpoolError for everything PostgreSQL raises."""

    def __init__(
        self,
        conninfo: str,
        clock: Callable[[], datetime] | None,
        password_file: Path | None,
        *,
        wait_s: float,
        on_wait: OnWait | None,
    ) -> None:
        """Connects on first use. Without a clock, time is the server's: all nodes agree on leases.

        `wait_s`: for how long a statement waits for a lock; `on_wait` hears that it was in vain and raises to give up.
        """
        self._wait_s = wait_s
        self._on_wait = on_wait
        self.connections = 0
        """How many there have been: a server that crashed may give numbers again that nobody has written with."""
        self.held_up: SpoolError | None = None
        """Who has kept the last transaction waiting for too long."""
        self._conninfo = conninfo
        self._password_file = password_file
        self._clock = clock
        self._days = Days()
        self._connection: Connection | None = None
        self._offset = 0
        self._offset_until = 0.0
        self._closed = False
        self._silent_until = 0.0

    def write(self, work: Callable[[PostgresTransaction], T]) -> T:
        """One transaction: committed and on disk when this returns, or nothing of it.

        `work` is called again when another node was faster, when the connection turns out to be lost before anything
        could have been committed, and when `on_wait` says so.
        """
        attempt = 0
        while True:
            attempt += 1
            connection = self._connected()
            transaction: PostgresTransaction | None = None
            try:
                now = self.now()
                self._days.ensure(connection, now // DAY)
                with connection.pipeline():
                    transaction = PostgresTransaction(connection, now)
                    result = work(transaction)
                    transaction.commit()
            except errors.LockNotAvailable as error:
                self._tidy(connection)
                in_vain = self._held(connection)
                if self._on_wait is None:
                    raise in_vain from error
                self._on_wait(in_vain)
                attempt = 0
            except psycopg.Error as error:
                self._tidy(connection)
                committing = transaction is not None and transaction.committing
                lost = connection.closed and not committing and attempt == 1
                if attempt == _TRIES or not (lost or _overtaken(error)):
                    raise self._explain(error) from error
            except BaseException:
                self._tidy(connection)
                raise
            else:
                self.held_up = None
                return result

    def rows(self, query: str, *values: object) -> list[Row]:
        """Return what one query sees, by itself; asked again once when the connection turns out to be lost."""
        for last in (False, True):
            connection = self._connected()
            try:
                cursor = connection.cursor(binary=True)
                return cursor.execute(_native(query), values or None).fetchall()
            except psycopg.Error as error:
                self._tidy(connection)
                if last or not connection.closed:
                    raise self._explain(error) from error
        raise AssertionError("unreachable")

    transact = write

    key = staticmethod(short)
    texts = staticmethod(texts)
    numbers = staticmethod(int8s)

    def days(self, table: str) -> list[int]:
        """Return the days that a table has partitions for, ascending."""
        connection = self._connected()
        try:
            return days_of(connection, table)
        except psycopg.Error as error:
            self._tidy(connection)
            raise self._explain(error) from error

    def drop_days(self, before: int) -> None:
        """Drop the partitions of days before this one of which nothing is left; what is in use, another time."""
        connection = self._connected()
        try:
            drop_empty(connection, before)
        except errors.LockNotAvailable:
            self._tidy(connection)
        except psycopg.Error as error:
            self._tidy(connection)
            raise self._explain(error) from error

    def now(self) -> int:
        """Return the present as a number."""
        if self._clock is not None:
            return to_number(self._clock())
        if time.monotonic() > self._offset_until:
            self._ask_the_time(self._connected())
        return time.monotonic_ns() // 1000 + self._offset

    def _ask_the_time(self, connection: Connection) -> None:
        before = time.monotonic_ns()
        row = connection.execute(
            b"SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        ).fetchone()
        assert row is not None  # noqa: S101 (a query without a table)
        self._offset = row[0] - (before + time.monotonic_ns()) // 2000
        self._offset_until = time.monotonic() + _CLOCK_CHECKED_S

    def connect(self) -> Connection:
        """Make another connection, of which the caller takes care. Raises psycopg.Error and SpoolError."""
        settings: dict[str, Any] = {**_DEFAULTS, **conninfo_to_dict(self._conninfo)}
        if self._password_file is not None:
            try:
                settings["password"] = self._password_file.read_text("utf-8").rstrip("\r\n")
            except OSError as error:
                raise SpoolError(
                    f"cannot read the database's password: {error.strerror}", where=str(self._password_file)
                ) from error
        connection = psycopg.connect(**settings, autocommit=True)
        connection.prepare_threshold = 1
        adapt(connection)
        return connection

    def _connected(self) -> Connection:
        if self._closed:
            raise SpoolError("the spool is closed")
        if self._connection is not None and not self._connection.closed:
            return self._connection
        began = time.monotonic()
        if began < self._silent_until:
            raise self._unreachable("it did not answer a moment ago")
        try:
            connection = self.connect()
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        except psycopg.Error as error:
            now = time.monotonic()
            # as long as the attempt took, nobody is kept waiting by another one
            self._silent_until = now + (now - began if now - began > 0.5 else 0.0)  # noqa: PLR2004
            raise self._explain(error) from error
        self._connection = connection
        self.connections += 1
        return connection

    def _held(self, connection: Connection) -> SpoolError:
        """Say who has had the lock that a transaction did not get, as far as can be seen when it has given up."""
        try:
            row = connection.execute(_OLDEST).fetchone()
        except psycopg.Error:
            row = None
        who = "another session"
        if row is not None:
            pid, host, application, state, seconds = row
            name = "".join(one if one.isprintable() else "?" for one in application)
            who = f"session {pid} of {name} on {host} ({state}, in a transaction for {seconds} s)"
        self.held_up = held_by(who, "rows of the spool", self._wait_s, where=self.where)
        return self.held_up

    def _prepare(self, connection: Connection) -> None:
        run = connection.execute
        run(_SESSION.encode())
        run(
            b"SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        (schema, layout) = run(
            b"SELECT current_schema(), to_regclass('spool_layout') IS NOT NULL"
        ).fetchone() or ("", 0)
        if schema is None:
            raise SpoolError(
                "the schema of the search_path does not exist", where=self.where, fix="CREATE SCHEMA …"
            )
        found = run(b"SELECT step FROM spool_layout").fetchone() if layout else None
        if found is None or found[0] != len(STEPS):
            self._bring_up_to_date(connection)
        run(b"SELECT set_config('lock_timeout', %s, false)", (f"{round(self._wait_s * 1000)}ms",))
        if self._clock is None:
            self._ask_the_time(connection)

    def _bring_up_to_date(self, connection: Connection) -> None:
        """Take the steps that are missing, one process at a time, all or none."""
        with connection.transaction():
            run = connection.execute
            run(b"SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            run(b"CREATE TABLE IF NOT EXISTS spool_layout (step integer NOT NULL)")
            (step,) = run(b"SELECT coalesce(max(step), 0) FROM spool_layout").fetchone() or (0,)
            if step > len(STEPS):
                raise SpoolError(
                    f"the spool has layout {step}, this version knows {len(STEPS)}",
                    where=self.where,
                    fix="run the newer version that wrote it",
                )
            for statements in STEPS[step:]:
                run(statements.encode())
            run(b"DELETE FROM spool_layout")
            run(b"INSERT INTO spool_layout VALUES (%s)", (len(STEPS),))

    @staticmethod
    def _tidy(connection: Connection) -> None:
        """End the transaction; a connection that cannot is closed."""
        try:
            connection.rollback()
        except psycopg.Error:
            connection.close()

    def close(self) -> None:
        """Let go of the connection; again does nothing."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def where(self) -> str:
        """Name the database, without secrets."""
        settings = conninfo_to_dict(self._conninfo)
        names = ("service", "host", "hostaddr", "port", "dbname", "user")
        return " ".join(f"{name}={settings[name]}" for name in names if settings.get(name)) or "PostgreSQL"

    def _unreachable(self, why: str) -> SpoolError:
        return SpoolError(
            f"the spool's database cannot be reached: {why}",
            where=self.where,
            fix="see that PostgreSQL runs and lets this user in; work goes on by itself",
            temporary=True,
        )

    def _explain(self, error: psycopg.Error) -> SpoolError:
        text = " ".join(str(error).split())
        if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
            return self._unreachable(text)
        state = error.sqlstate or ""
        temporary = (
            state.startswith(_TEMPORARY) or state == "25006"
        )  # read-only: a standby before its promotion
        fix = "free disk space; nothing accepted is lost, work goes on by itself" if state == "53100" else ""
        return SpoolError(
            f"the spool's database says: {text} ({state})",
            where=self.where,
            fix=fix or "see the server's log for what came before",
            temporary=temporary,
        )


def _overtaken(error: psycopg.Error) -> bool:
    if isinstance(error, (errors.DeadlockDetected, errors.SerializationFailure)):
        return True
    return isinstance(error, errors.UniqueViolation) and error.diag.constraint_name in _RACES


def numbers(transaction: Transaction, sequence: str, count: int) -> Sequence[int]:
    """Take so many numbers of a sequence; later calls get higher ones."""
    query = f"SELECT array(SELECT nextval('{sequence}') FROM generate_series(1, %s))"
    return list(transaction.all(query, count)[0][0])
