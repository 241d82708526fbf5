"""The spool on one SQLite file: the embedded default (ADR 0002)."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from errno import EDQUOT, EMFILE, ENFILE, ENOSPC
from pathlib import Path

from spool.errors import SpoolError
from spool.locking import WAIT_S, OnWait
from spool.signals import Signals
from spool.sqlite.accepting import Accepting
from spool.sqlite.archiving import Archiving
from spool.sqlite.database import Database
from spool.sqlite.filing import FilingCabinet
from spool.sqlite.finding import Finding
from spool.sqlite.forwarding import Forwarding
from spool.sqlite.looking import Looking
from spool.sqlite.measuring import Measuring
from spool.sqlite.sealing import Sealing
from spool.sqlite.timing import Timing
from spool.sqlite.watching import Watching
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


class SqliteSpool(
    Accepting, Forwarding, Timing, Finding, FilingCabinet, Archiving, Sealing, Looking, Measuring, Watching
):
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
        self._last_turn = {}
        self._last_needy = {}
        try:
            state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.signals = Signals(state_dir / "wake")
        except OSError as error:
            raise _unusable(state_dir, error) from error
        try:
            self.db = Database(state_dir / "spool.db", clock, wait_s=wait_s, on_wait=on_wait)
        except OSError as error:
            self.signals.close()
            raise _unusable(state_dir, error) from error
        except SpoolError:
            self.signals.close()
            raise

    def tidy(self) -> None:
        """Move what commits have written from the write-ahead log into the database file."""
        self.db.tidy()

    def holder(self) -> str:
        """Say who keeps writers waiting for longer than they may; empty: nobody, as far as is known."""
        return self.db.holder()

    def listen(self, topic: Topic) -> AbstractContextManager[Waiter]:
        """Start to listen; what happens from now on wakes the waiter, from any process."""
        return self.signals.listen(topic.value)

    def close(self) -> None:
        """Let go of files."""
        self.db.close()
        self.signals.close()
