"""A spool of the layout before marks and scans were one table is brought up to date, and both go on where they were."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from spool.entry import Overdue
from spool.postgres import PostgresSpool
from spool.postgres.schema import STEPS as POSTGRES_STEPS
from spool.sqlite import SqliteSpool
from spool.sqlite.schema import STEPS as SQLITE_STEPS
from spool.store import Spool
from tests.servers.postgres import shared
from tests.spool_samples import Clock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def before(steps: Sequence[str]) -> int:
    """Number the layout in which scans had a table of their own."""
    return next(number for number, step in enumerate(steps) if "DROP TABLE walk" in step)


def rows(*, sqlite: bool) -> Iterator[str]:
    """Two messages that were sent at 10 and at 20 µs, a mark, and a scan that has come to the first of them."""
    day, its_day, uid, owner, whose = (
        ("", "", "", "", "") if sqlite else ("day, ", "0, ", "uid, ", ", owner", ", 'ann'")
    )
    blob = "x''" if sqlite else "''"
    for number in (1, 2):
        digest = f"x'0{number}'" if sqlite else f"'\\x0{number}'"
        name = "" if sqlite else f"'M{number}', "
        yield (
            f"INSERT INTO message ({day}id, uid, owner, kind, sha256, request_key, facts, accepted_at)"
            f" VALUES ({its_day}{number}, 'M{number}', 'ann', 'k', {digest}, '', {blob}, 0)"
        )
        yield (
            f"INSERT INTO entry ({uid}id, message, owner, turn, destination, cop_msg_id, sender, part, facts, priority,"
            f" state, due_at, sent_at) VALUES ({name}{number}, {number}, 'ann', 'ann', 'port', 'M{number}', '', '', {blob},"
            f" 1, 'sent', 0, {number}0)"
        )
        yield f"INSERT INTO declaration (id, identity, owner, facts) VALUES ({number}, 'd={number}', 'ann', {blob})"
        yield f"INSERT INTO version (declaration, version, message{owner}) VALUES ({number}, 'v', {number}{whose})"
    yield "INSERT INTO mark VALUES ('home', 7)"
    yield "INSERT INTO walk VALUES ('business', '10 1')"


@pytest.fixture(params=["sqlite", "postgres"])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Spool]:
    sqlite = request.param == "sqlite"
    steps = SQLITE_STEPS if sqlite else POSTGRES_STEPS
    layout = before(steps)
    if sqlite:
        with closing(sqlite3.connect(tmp_path / "spool.db")) as connection:
            connection.executescript(
                ";".join((*steps[:layout], f"PRAGMA user_version = {layout}", *rows(sqlite=True), ""))
            )
        opened: Spool = SqliteSpool(tmp_path, Clock())
    else:
        dsn = shared().new_schema()
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(b"CREATE TABLE spool_layout (step integer NOT NULL)")
            for statement in (*steps[:layout], *rows(sqlite=False)):
                connection.execute(statement.encode())
            connection.execute(b"INSERT INTO spool_layout VALUES (%s)", (layout,))
        opened = PostgresSpool(dsn, clock=Clock())
    with closing(opened):
        yield opened


def test_marks_and_scans_go_on_where_they_were(older: Spool) -> None:
    assert older.mark("home") == 7
    assert older.mark("business") is None
    older.put((), marks={"home": 3})
    assert older.mark("home") == 7

    silence = Overdue(layer="business", kinds=("k",))
    until = EPOCH + timedelta(seconds=1)
    found = older.silent("business", silence, until=until, start=EPOCH, limit=9)
    assert [one.uid for one in found.silent] == ["M2"]
    assert found.at == "20 2"
    assert len(older.silent("another", silence, until=until, start=EPOCH, limit=9).silent) == 2
