"""The spool on one SQLite file: the embedded default (ADR 0002)."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from errno import EDQUOT, EMFILE, ENFILE, ENOSPC
from pathlib import Path

from spool.composed import ComposedSpool
from spool.errors import SpoolError
from spool.locking import WAIT_S, OnWait
from spool.shared.allowances import SharedAllowances
from spool.shared.counts import SharedCounts
from spool.shared.imports import SharedImports
from spool.shared.inbox import SharedInbox
from spool.shared.overdues import SharedOverdues
from spool.shared.parcels import SharedParcels
from spool.shared.registers import SharedRegisters
from spool.signals import Signals
from spool.sqlite.database import SqliteDatabase
from spool.sqlite.inbox import INBOX
from spool.sqlite.intake import SqliteIntake
from spool.sqlite.log import SqliteLog
from spool.sqlite.measures import MEASURES, SqliteMeasures
from spool.sqlite.outbox import SqliteOutbox
from spool.sqlite.overdues import OVERDUES
from spool.sqlite.reading import SqliteReading
from spool.sqlite.receipts import SqliteReceipts
from spool.sqlite.retention import RETENTION, SqliteRetention
from spool.store import Topic, Waiter


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _unusable(state_dir: Path, error: OSError) -> SpoolError:
    return SpoolError(
        f"the state folder cannot be used: {error.strerror}",
        where=str(state_dir),
        fix="name a folder that this user may write to, or free disk space",
        temporary=error.errno in {ENOSPC, EDQUOT, EMFILE, ENFILE},
    )


class SqliteUpkeep:
    """`spool.store.SpoolUpkeep`: the write-ahead log, the lock of writers, the sockets of listeners."""

    def __init__(self, db: SqliteDatabase, signals: Signals) -> None:
        self._db = db
        self._signals = signals
        self.tidy = db.tidy
        self.reserve = db.lock.reserve
        self.pass_on = db.lock.pass_on
        self.held_up = db.lock.held_up

    def listen(self, topic: Topic) -> AbstractContextManager[Waiter]:
        """Start to listen; what happens from now on wakes the waiter, from any process."""
        return self._signals.listen(topic.value)

    def close(self) -> None:
        """Let go of files."""
        self._db.close()
        self._signals.close()


class SqliteSpool(ComposedSpool):
    """`spool.store.Spool` in `<state_dir>/spool.db`; open one for each process and thread."""

    def __init__(
        self,
        state_dir: Path,
        clock: Callable[[], datetime] = _utc_now,
        *,
        wait_s: float = WAIT_S,
        on_wait: OnWait | None = None,
    ) -> None:
        """Open, and make or bring up to date, the database in the folder. Raises SpoolError.

        `wait_s`: how long one wait for another process's lock takes at most; `on_wait`: see `spool.locking`.
        """
        try:
            state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            signals = Signals(state_dir / "wake")
        except OSError as error:
            raise _unusable(state_dir, error) from error
        try:
            db = self.db = SqliteDatabase(
                state_dir / "spool.db", clock, signals.wake, wait_s=wait_s, on_wait=on_wait
            )
        except OSError as error:
            signals.close()
            raise _unusable(state_dir, error) from error
        except SpoolError:
            signals.close()
            raise
        outbox, reading = SqliteOutbox(db), SqliteReading(db)
        super().__init__(
            intake=SqliteIntake(db),
            outbox=outbox,
            receipts=SqliteReceipts(db, outbox),
            inbox=SharedInbox(db, INBOX),
            reading=reading,
            measures=SqliteMeasures(db, MEASURES),
            overdues=SharedOverdues(db, OVERDUES),
            counts=SharedCounts(db),
            parcels=SharedParcels(db, among=RETENTION.among),
            allowances=SharedAllowances(db, among=RETENTION.among),
            retention=SqliteRetention(db, reading),
            log=SqliteLog(db),
            registers=SharedRegisters(db),
            imported=SharedImports(db, among=RETENTION.among),
            upkeep=SqliteUpkeep(db, signals),
        )
