"""The spool on PostgreSQL: several nodes on one database (ADR 0011). Needs the extra `postgres`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from spool.locking import WAIT_S, OnWait
from spool.postgres.accepting import Accepting
from spool.postgres.archiving import Archiving
from spool.postgres.database import Database
from spool.postgres.filing import FilingCabinet
from spool.postgres.finding import Finding
from spool.postgres.forwarding import Forwarding
from spool.postgres.homing import Homing
from spool.postgres.looking import Looking
from spool.postgres.measuring import Measuring
from spool.postgres.sealing import Sealing
from spool.postgres.signals import listening
from spool.postgres.timing import Timing
from spool.postgres.watching import Watching
from spool.store import Topic, Waiter


class PostgresSpool(
    Accepting,
    Forwarding,
    Timing,
    Finding,
    FilingCabinet,
    Homing,
    Archiving,
    Sealing,
    Looking,
    Measuring,
    Watching,
):
    """`spool.store.Spool` in one schema of a PostgreSQL database; open one for each process and thread.

    A lost connection is a temporary SpoolError at most; the next call connects again.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        clock: Callable[[], datetime] | None = None,
        password_file: Path | None = None,
        wait_s: float = WAIT_S,
        on_wait: OnWait | None = None,
    ) -> None:
        """Remember where the spool is; the first use connects, and makes or brings up to date the tables.

        `conninfo` is a libpq connection string or URI; the tables live in the first schema of its search_path.
        Without a clock, the server tells the time, so that all nodes agree when a lease is over.
        `wait_s`: how long one wait for another session's lock takes at most; `on_wait`: see `spool.locking`.
        """
        self.db = Database(conninfo, clock, password_file, wait_s=wait_s, on_wait=on_wait)
        self._last_turn = {}
        self._last_needy = {}

    def tidy(self) -> None:
        """Nothing: the server's own processes see to its log and to dead rows."""

    def holder(self) -> str:
        """Say who has kept the last writer of this process waiting for too long; empty: nobody."""
        return self.db.holder

    def listen(self, topic: Topic) -> AbstractContextManager[Waiter]:
        """Start to listen; what happens from now on wakes the waiter, from any process of any node."""
        return listening(self.db, topic.value)

    def close(self) -> None:
        """Let go of the connection."""
        self.db.close()
