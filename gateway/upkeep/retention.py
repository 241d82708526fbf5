"""Retention: messages that ended long enough ago are archived, and only then removed from the spool."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.config.gateway_toml import Config
from spool.archive import Archive
from spool.store import Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveBatch:
    """Result of one batch."""

    found: tuple[str, ...]
    """Uids of messages that are old enough."""
    archived: int
    """How many were not yet in today's archive."""
    purged: tuple[str, ...]
    """Uids removed from the spool."""
    more: bool
    """Whether to continue: the spool has not been scanned to its end."""


class Retention:
    """Scans the spool from the oldest message on, a batch at a time."""

    def __init__(
        self,
        *,
        spool: Spool,
        archive: Archive,
        days: int,
        batch: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`days`: how long a message stays after it has ended, at least 1."""
        self._spool = spool
        self._archive = archive
        self._days = days
        self._batch = batch
        self._clock = clock
        self._cursor = ""

    def step(self, *, dry_run: bool = False) -> ArchiveBatch:
        """Archive and purge one batch, or only find it. Raises SpoolError; nothing is lost then.

        The archive is on disk before the commit that purges. After a crash in between, the batch is archived again,
        which changes nothing.
        """
        before = self._clock() - timedelta(days=self._days)
        old = self._spool.old(before, limit=self._batch, cursor=self._cursor)
        archived, purged = (0, []) if dry_run else self._move(old.uids, before)
        self._cursor = old.cursor
        return ArchiveBatch(found=old.uids, archived=archived, purged=tuple(purged), more=bool(old.cursor))

    def _move(self, uids: tuple[str, ...], before: datetime) -> tuple[int, list[str]]:
        if not uids:
            return 0, []
        messages = [one for uid in uids if (one := self._spool.export(uid)) is not None]
        return self._archive.append(messages), self._spool.purge(messages, before=before)


def archive_dir(config: Config) -> Path:
    """Return the folder of the archive."""
    return config.retention.archive_dir or config.node.state_dir / "archive"


def retention(config: Config, spool: Spool, *, days: int | None = None) -> Retention:
    """Build the retention that the configuration describes; `days` overrides its own."""
    return Retention(
        spool=spool,
        archive=Archive(archive_dir(config)),
        days=config.retention.days if days is None else days,
        batch=config.retention.batch,
    )
