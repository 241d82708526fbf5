"""Waking other processes, of any node: `NOTIFY` within the transaction, a thread with `LISTEN` for each listener."""

import contextlib
import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import Connection, sql

from spool.errors import SpoolError
from spool.postgres.database import PostgresDatabase

_RECONNECT_S = 0.5
_LOOK_S = 30.0
"""A connection that says nothing is asked so often whether it lives."""


class PostgresWaiter:
    """The receiving end: a descriptor that stays the same while connections come and go.

    Listening has a connection and a thread of its own, asleep until the server says something: an event loop
    watches one descriptor, and after an interruption the server has to be called again without being asked.
    """

    def __init__(self, database: PostgresDatabase, topic: str) -> None:
        self._database = database
        self._topic = topic
        self._heard = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._heard, select.POLLIN)
        first = self._try_to_listen()
        self._thread = threading.Thread(target=self._live, args=(first,), name=f"listen-{topic}", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return self._heard

    def wait(self, timeout_s: float) -> bool:
        """Block until a signal or the end of the time; swallow every signal that is there."""
        ready = self._poll.poll(max(0.0, timeout_s) * 1000)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._heard)
        return bool(ready)

    def close(self) -> None:
        """End the thread and its connection."""
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        os.close(self._heard)
        os.close(self._stop)

    def _live(self, connection: Connection | None) -> None:
        while True:
            if connection is None:
                if _readable([self._stop], _RECONNECT_S):
                    return
                connection = self._try_to_listen()
                if connection is None:
                    continue
                self._ring()  # what happened meanwhile was not signalled
            if not self._listen_with(connection):
                return
            connection = None

    def _listen_with(self, connection: Connection) -> bool:
        """Pass on what the server says until the connection is lost; False when asked to stop."""
        with connection:
            while True:
                ready = _readable([self._stop, connection.fileno()], _LOOK_S)
                if self._stop in ready:
                    return False
                try:
                    if not ready:
                        connection.execute(b"SELECT 1")
                    if list(connection.notifies(timeout=0)):
                        self._ring()
                except psycopg.Error:
                    connection.close()
                    return True

    def _try_to_listen(self) -> Connection | None:
        connection: Connection | None = None
        try:
            connection = self._database.connect()
            channel = sql.Identifier(channel_of(connection, self._topic))
            connection.execute(sql.SQL("LISTEN {}").format(channel))
        except (psycopg.Error, SpoolError):
            if connection is not None:
                connection.close()
            return None
        return connection

    def _ring(self) -> None:
        os.eventfd_write(self._heard, 1)


def channel_of(connection: Connection, topic: str) -> str:
    """Name the channel of a topic: each schema is a spool of its own."""
    row = connection.execute(b"SELECT current_schema()").fetchone()
    return f"{row[0] if row else ''}"[:40] + f"_{topic}"


def _readable(descriptors: list[int], timeout_s: float) -> list[int]:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(timeout_s * 1000)]


@contextmanager
def listening(database: PostgresDatabase, topic: str) -> Iterator[PostgresWaiter]:
    """Listen while the block lasts; when the server is away, from when it is back."""
    waiter = PostgresWaiter(database, topic)
    try:
        yield waiter
    finally:
        waiter.close()
