"""What a spool can be made of: add a backend here, and every suite of the spool runs over it."""

from pathlib import Path

from spool.postgres import PostgresSpool
from spool.sqlite import SqliteSpool
from spool.store import Spool
from tests.servers.postgres import shared
from tests.spool_samples import Clock


def _sqlite(folder: Path, clock: Clock) -> Spool:
    return SqliteSpool(folder, clock)


def _postgres(folder: Path, clock: Clock) -> Spool:
    return PostgresSpool(shared().schema_for(folder), clock=clock)


BACKENDS = {"sqlite": _sqlite, "postgres": _postgres}
