"""Child process of the tests of locks that are kept: it stops in the middle of a commit, or with a lock in its hands."""

import os
import signal
import sys
from pathlib import Path

import psycopg

from spool.locking import FileLock
from spool.sqlite import SqliteSpool
from tests.crash.spool_child import say


def _stop() -> None:
    say("stopped")
    os.kill(os.getpid(), signal.SIGSTOP)


def sqlite(address: str) -> None:
    with SqliteSpool(Path(address)).db.write():
        _stop()
    say("done")


def lock(address: str) -> None:
    with FileLock(Path(address), "the lock").held():
        _stop()
    say("done")


def postgres(address: str) -> None:
    with psycopg.connect(address) as connection:
        connection.execute("LOCK TABLE mark IN EXCLUSIVE MODE")
        connection.execute("INSERT INTO mark VALUES ('frozen', 1)")
        _stop()
    say("done")


if __name__ == "__main__":
    what, where = sys.argv[1:]
    {"sqlite": sqlite, "lock": lock, "postgres": postgres}[what](where)
