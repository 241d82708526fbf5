"""The spool on one SQLite file: the embedded default (ADR 0002)."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from spool.signals import Signals
from spool.sqlite.accepting import Accepting
from spool.sqlite.database import Database
from spool.sqlite.filing import FilingCabinet
from spool.sqlite.forwarding import Forwarding
from spool.sqlite.looking import Looking
from spool.store import Topic, Waiter


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SqliteSpool(Accepting, Forwarding, FilingCabinet, Looking):
    """`spool.store.Spool` in `<state_dir>/spool.db`; open one for each process and thread."""

    def __init__(self, state_dir: Path, clock: Callable[[], datetime] = _utc_now) -> None:
        """Open, and make or bring up to date, the database in the folder. Raises SpoolError."""
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.db = Database(state_dir / "spool.db", clock)
        self.signals = Signals(state_dir / "wake")

    def listen(self, topic: Topic) -> AbstractContextManager[Waiter]:
        """Start to listen; what happens from now on wakes the waiter, from any process."""
        return self.signals.listen(topic.value)

    def close(self) -> None:
        """Let go of files."""
        self.db.close()
        self.signals.close()
