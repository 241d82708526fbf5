"""Schemas of PostgreSQL go from one test to the next: the next one finds nothing of the one before."""

from contextlib import closing
from pathlib import Path

from spool.entry import Accepted
from spool.postgres import PostgresSpool
from tests.servers.postgres import shared
from tests.spool_samples import Clock, new_message


def first_number(dsn: str) -> int:
    """Put a message into a spool, and return the number of its entry."""
    with closing(PostgresSpool(dsn, clock=Clock())) as spool:
        assert (spool.message("M1"), spool.mark("mine")) == (None, None)
        (reply,) = spool.put([new_message("M1", "d=1")], marks={"mine": 7})
        assert isinstance(reply, Accepted)
        (claimed,) = spool.claim("port/0", "port", limit=1, lease_s=60.0)
        return claimed.entry


def test_schema_that_is_taken_back_is_the_next_ones_and_as_new(tmp_path: Path) -> None:
    server = shared()
    dsn = server.schema_for(tmp_path / "before" / "state")
    number = first_number(dsn)
    server.take_back(tmp_path / "before")
    assert server.schema_for(tmp_path / "after") == dsn
    assert first_number(dsn) == number == first_number(server.new_schema())
