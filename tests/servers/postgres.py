"""A PostgreSQL of the tests' own: Debian's programs, its own user, a temporary folder, a socket in it, no port."""

import atexit
import contextlib
import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
USER = "postgres"
_STARTS_WITHIN_S = 60.0
_LOCKED_AT_MOST_S = 60
"""For whoever died in a test, and whose session the server has yet to end."""
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "log_min_messages": "fatal",
    "autovacuum_naptime": "5s",
}
_schemas = count(1)


def unavailable() -> str:
    """Say why there can be no server here; empty when there can."""
    if not (PROGRAMS / "postgres").exists():
        return f"PostgreSQL is not installed in {PROGRAMS}"
    if os.geteuid() != 0:
        return "PostgreSQL has to run as its own user, and only root can start it so"
    return ""


def require() -> None:
    """Skip the test when there can be no server here; in CI that is a failure."""
    why = unavailable()
    if why and os.environ.get("CI"):
        pytest.fail(why)
    if why:
        pytest.skip(why)


class PostgresServer:
    """One cluster; `stop`, `kill`, `start` and `restart` at will, `remove` at the end."""

    def __init__(self, **settings: str) -> None:
        """Make the cluster and start it; a second or two. `settings`: those that differ from the usual ones."""
        self._settings = _SETTINGS | settings
        self.folder = Path(tempfile.mkdtemp(prefix="gateway-pg-"))  # short: a socket's path is limited
        self._user = pwd.getpwnam(USER)
        os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._schemas: dict[Path, str] = {}
        self._spare: list[str] = []
        command = [
            str(PROGRAMS / "initdb"),
            "-D",
            str(self._data),
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "-N",
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **self._as_user())
        self.start()

    def _as_user(self) -> dict[str, Any]:
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    @property
    def dsn(self) -> str:
        """Connection string of the database."""
        return f"host={self.folder} dbname=postgres user={USER}"

    def start(self) -> Self:
        """Start it and return when it answers."""
        settings = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(PROGRAMS / "postgres"), "-D", str(self._data), "-k", str(self.folder), *settings],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **self._as_user(),
            )
        attempts = Retrying(
            retry=retry_if_exception_type(psycopg.OperationalError),
            wait=wait_fixed(0.02),
            stop=stop_after_delay(_STARTS_WITHIN_S),
            reraise=True,
        )
        for attempt in attempts:
            with attempt:
                assert self._process.poll() is None, (self.folder / "server.log").read_text()
                psycopg.connect(self.dsn).close()
        return self

    def stop(self) -> None:
        """Stop it as an administrator does who does not wait for clients ("fast")."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL it and all its children, as if the power failed but the disks lived on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)  # it must not tidy up when a child dies, nor make another
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)
        dying = [os.pidfd_open(pid) for pid in self._family()]
        for descriptor in dying:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        self._end(signal.SIGKILL)
        for descriptor in dying:  # a new server refuses to start while memory of the old one is in use
            select.select([descriptor], [], [], 60)
            os.close(descriptor)

    def _family(self) -> list[int]:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return [int(pid) for pid in children]

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            self._process.wait(60)
            self._process = None

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def put_read_only(self, *, on: bool) -> None:
        """Let it take no writes any more, as a server does that has become a standby; sessions end. Off: the way back."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(
                f"ALTER SYSTEM SET default_transaction_read_only = {'on' if on else 'off'}".encode()
            )
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )

    def remove(self) -> None:
        """End it and remove what it kept."""
        self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_schema(self) -> str:
        """Make an empty schema and return the connection string of one who lives in it."""
        name = f"spool{os.getpid()}_{next(_schemas)}"
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return f"{self.dsn} options='-c search_path={name}'"

    def schema_for(self, folder: Path) -> str:
        """Return the connection string of the one schema that belongs to this folder.

        Somebody may have had it before: then there are tables, without a row, and partitions of some days. To lay them out
        takes twenty times as long as to empty them.
        """
        if folder not in self._schemas:
            self._schemas[folder] = self._spare.pop() if self._spare else self.new_schema()
        return self._schemas[folder]

    def take_back(self, folder: Path) -> None:
        """Empty the schemas that belong to this folder and what is in it, for others. Nobody uses them any more."""
        for owner in [owner for owner in self._schemas if owner.is_relative_to(folder)]:
            dsn = self._schemas.pop(owner)
            empty(dsn)
            self._spare.append(dsn)


def shared() -> PostgresServer:
    """Return the one server of this test run, which nobody stops before its end; skips where there can be none."""
    require()
    return _shared()


@cache
def _shared() -> PostgresServer:
    """Without autovacuum: what it sees of a table that was emptied between two tests would decide about plans in the next."""
    server = PostgresServer(autovacuum="off")
    atexit.register(server.remove)
    return server


def take_back(folder: Path) -> None:
    """Take back what the shared server, if there is one, has given for this folder."""
    if _shared.cache_info().currsize:
        _shared().take_back(folder)


def empty(dsn: str) -> None:
    """Remove every row of a schema, and count from the beginning; in a schema without tables there is nothing to do."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"SET lock_timeout = {_LOCKED_AT_MOST_S * 1000}".encode())
        tables = connection.execute(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace"
            " AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'spool_layout'"
        ).fetchall()
        connection.execute("; ".join(f"DELETE FROM {name}" for (name,) in tables).encode() or b"SELECT")
        connection.execute(
            "SELECT setval(c.oid, 1, false) FROM pg_class c"
            " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'S'"
        )


@contextlib.contextmanager
def running() -> Iterator[PostgresServer]:
    """Run a server of one's own, to stop and kill; skips where there can be none."""
    require()
    server = PostgresServer()
    try:
        yield server
    finally:
        server.remove()
