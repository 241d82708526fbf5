"""The spool on PostgreSQL: several nodes on one database (ADR 0011). Needs the extra `postgres`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from spool.composed import ComposedSpool
from spool.errors import SpoolError
from spool.locking import WAIT_S, OnWait
from spool.postgres.database import PostgresDatabase
from spool.postgres.inbox import INBOX
from spool.postgres.intake import PostgresIntake
from spool.postgres.log import PostgresLog
from spool.postgres.measures import MEASURES, PostgresMeasures
from spool.postgres.outbox import PostgresOutbox
from spool.postgres.overdues import OVERDUES
from spool.postgres.reading import READING
from spool.postgres.receipts import PostgresReceipts
from spool.postgres.retention import RETENTION, PostgresRetention
from spool.postgres.signals import listening
from spool.shared.allowances import SharedAllowances
from spool.shared.counts import SharedCounts
from spool.shared.imports import SharedImports
from spool.shared.inbox import SharedInbox
from spool.shared.overdues import SharedOverdues
from spool.shared.parcels import SharedParcels
from spool.shared.reading import SharedReading
from spool.shared.registers import SharedRegisters
from spool.store import Topic, Waiter


class PostgresUpkeep:
    """`spool.store.SpoolUpkeep`: the server does most of it."""

    def __init__(self, db: PostgresDatabase) -> None:
        self._db = db

    def tidy(self) -> None:
        """Do nothing: the server's own processes see to its log and to dead rows."""

    def reserve(self, told: Callable[[], None]) -> bool:  # noqa: ARG002 (the Protocol has it)
        """Return True: writers do not stand in one line here."""
        return True

    def pass_on(self) -> None:
        """Do nothing, as `reserve`."""

    def held_up(self) -> SpoolError | None:
        """Say who has kept the last writer of this process waiting for too long; None: nobody."""
        return self._db.held_up

    def listen(self, topic: Topic) -> AbstractContextManager[Waiter]:
        """Start to listen; what happens from now on wakes the waiter, from any process of any node."""
        return listening(self._db, topic.value)

    def close(self) -> None:
        """Let go of the connection."""
        self._db.close()


class PostgresSpool(ComposedSpool):
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
        db = self.db = PostgresDatabase(conninfo, clock, password_file, wait_s=wait_s, on_wait=on_wait)
        outbox, reading = PostgresOutbox(db), SharedReading(db, READING)
        super().__init__(
            intake=PostgresIntake(db),
            outbox=outbox,
            receipts=PostgresReceipts(db, outbox),
            inbox=SharedInbox(db, INBOX),
            reading=reading,
            measures=PostgresMeasures(db, MEASURES),
            overdues=SharedOverdues(db, OVERDUES),
            counts=SharedCounts(db),
            parcels=SharedParcels(db, among=RETENTION.among),
            allowances=SharedAllowances(db, among=RETENTION.among),
            retention=PostgresRetention(db, reading),
            log=PostgresLog(db),
            registers=SharedRegisters(db),
            imported=SharedImports(db, among=RETENTION.among),
            upkeep=PostgresUpkeep(db),
        )
