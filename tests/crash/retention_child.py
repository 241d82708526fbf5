"""Child processes of the retention tests: archive and purge as the keep role does, until they are killed."""

import signal
import sys
from datetime import timedelta
from pathlib import Path

from gateway.upkeep.retention import Retention
from spool.archive import Archive
from spool.postgres import PostgresSpool
from spool.sqlite import SqliteSpool
from spool.store import Spool
from tests.spool_samples import Clock

DAYS = 30


def main() -> None:
    """Archive a batch and hang, or move batch after batch; a line for each step."""
    address, folder, deed = sys.argv[1:]
    clock = Clock()
    clock.move(1000 * 86_400.0)
    spool: Spool = (
        SqliteSpool(Path(address), clock) if address.startswith("/") else PostgresSpool(address, clock=clock)
    )
    archive = Archive(Path(folder), clock)
    if deed == "archive":
        old = spool.old(clock.now - timedelta(days=DAYS), limit=10)
        archive.append([one for uid in old.uids if (one := spool.export(uid)) is not None])
        print("archived", flush=True)
        signal.pause()
    moving = Retention(spool=spool, archive=archive, days=DAYS, batch=3, clock=clock)
    while moving.step().more:
        print("moved", flush=True)


if __name__ == "__main__":
    main()
