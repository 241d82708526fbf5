"""What was ever sent counts as taken: nobody may say the same version of a declaration in other words."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from spool.entry import Accepted, Bounce, Conflict, Duplicate, Fate, Filing, PutResult, Subject, Way
from spool.lifecycle import Event, State
from spool.postgres import PostgresSpool
from spool.postgres.schema import STEPS as POSTGRES_STEPS
from spool.sqlite import SqliteSpool
from spool.sqlite.schema import STEPS as SQLITE_STEPS
from spool.store import Spool
from tests.servers.postgres import shared
from tests.spool_samples import START, Clock, collected, new_message, settled

V1 = Subject(identity="d=1", version="v1")
V2 = Subject(identity="d=1", version="v2")
TAKEN_BY_A = Conflict(uid="A", reason="version", identities=("d=1",))


def attempt(spool: Spool, fate: Fate = Fate.DELIVERED, *, next_at: datetime | None = None) -> None:
    """Try everything that is due."""
    spool.settle(settled(spool.claim("one", "port", limit=9, lease_s=30), fate, next_at=next_at))


def bounce(spool: Spool, uid: str, next_at: datetime | None) -> None:
    """File an answer about the latest attempt that asks for another one."""
    found = spool.travelled(f"COP-{uid}")
    assert found is not None
    latest = found.entries[0]
    spool.keep(collected(f"about {uid} {latest.claim}".encode()))
    (raw,) = spool.unfiled(9)
    asked = Bounce(entry=latest.entry, claim=latest.claim, next_at=next_at, reason="DxpRep 3001")
    spool.file([Filing(arrival=raw.id, kind="DxpRep", cop_msg_id="", bounces=(asked,))])


def state(spool: Spool, uid: str = "A") -> State:
    found = spool.message(uid)
    assert found is not None
    return found.state


def other(spool: Spool) -> PutResult:
    """Hand in the first version of the declaration in other words."""
    (reply,) = spool.put([new_message("other", V1)])
    return reply


def overtaken(spool: Spool) -> None:
    spool.put([new_message("A", V1), new_message("B", V2)])
    attempt(spool)
    attempt(spool)
    bounce(spool, "A", START)


def had_all_its_attempts(spool: Spool) -> None:
    spool.put([new_message("A", V1)])
    attempt(spool)
    bounce(spool, "A", None)


def given_up_while_it_waits_to_go_again(spool: Spool) -> None:
    spool.put([new_message("A", V1)])
    attempt(spool)
    bounce(spool, "A", START)
    spool.act(Event.DISCARDED, ["A"])


def cannot_go_a_second_time(spool: Spool) -> None:
    spool.put([new_message("A", V1)])
    attempt(spool)
    bounce(spool, "A", START)
    attempt(spool, Fate.UNDELIVERABLE)


def retried_and_given_up(spool: Spool) -> None:
    had_all_its_attempts(spool)
    spool.act(Event.RETRIED, ["A"])
    spool.act(Event.DISCARDED, ["A"])


def answered_before_it_was_settled(spool: Spool) -> None:
    spool.put([new_message("A", V1)])
    claimed = spool.claim("one", "port", limit=9, lease_s=30)
    bounce(spool, "A", None)
    spool.settle(settled(claimed))


def answered_although_the_link_failed(spool: Spool) -> None:
    spool.put([new_message("A", V1)])
    claimed = spool.claim("one", "port", limit=9, lease_s=30)
    bounce(spool, "A", START)
    spool.settle(settled(claimed, Fate.UNDELIVERABLE))


def sent_by_one_of_two_ways(spool: Spool) -> None:
    spool.put([new_message("A", V1, more_ways=(Way(destination="tax", cop_msg_id="COP-A"),))])
    attempt(spool)
    bounce(spool, "A", None)
    spool.act(Event.DISCARDED, ["A"], destination="tax")


@pytest.mark.parametrize(
    "happens",
    [
        overtaken,
        had_all_its_attempts,
        given_up_while_it_waits_to_go_again,
        cannot_go_a_second_time,
        retried_and_given_up,
        answered_before_it_was_settled,
        answered_although_the_link_failed,
        sent_by_one_of_two_ways,
    ],
)
def test_what_was_ever_sent_counts_as_taken(spool: Spool, happens: Callable[[Spool], None]) -> None:
    happens(spool)

    assert state(spool) in {State.DEAD, State.DISCARDED}
    assert other(spool) == TAKEN_BY_A
    assert spool.put([new_message("again", V1, body=b"body of A")]) == [Duplicate(uid="A")]
    assert spool.put([new_message("newer", Subject(identity="d=1", version="v3"))]) == [Accepted(uid="newer")]


@pytest.mark.parametrize("fate", [Fate.UNDELIVERABLE, Fate.DEFERRED, Fate.POSTPONED])
def test_what_was_tried_and_never_sent_leaves_its_version_free(spool: Spool, fate: Fate) -> None:
    spool.put([new_message("A", V1)])
    attempt(spool, fate, next_at=START + timedelta(seconds=1))
    if fate is not Fate.UNDELIVERABLE:
        assert other(spool) == TAKEN_BY_A, "it may still go"
        spool.act(Event.DISCARDED, ["A"])

    assert other(spool) == Accepted(uid="other")


def before(steps: Sequence[str]) -> int:
    """Number the layout in which a spool forgot what it had sent."""
    return next(number for number, step in enumerate(steps) if "first_sent_at" in step)


OLDER = {
    "bounced": "entry.bounced",
    "settled": "entry.sent",
    "failed": "entry.deferred",
    "waiting": "message.accepted",
}
"""Uid of a message that is dead in a spool of an older layout → what the journal tells of it."""


@pytest.fixture(params=["sqlite", "postgres"])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Spool]:
    """Open a spool of the layout before, with the messages of `OLDER` in it."""
    sqlite = request.param == "sqlite"
    steps = SQLITE_STEPS if sqlite else POSTGRES_STEPS
    day, its_day, blob = ("", "", "x''") if sqlite else ("day, ", "0, ", "''")
    journal = "journal" if sqlite else "journal_rest"
    rows: list[str] = []
    for number, (uid, event) in enumerate(OLDER.items(), start=1):
        digest = f"x'{number:02}'" if sqlite else f"'\\x{number:02}'"
        ours, its = ("", "") if sqlite else ("uid, ", f"'{uid}', ")
        owned, owner = ("", "") if sqlite else (", owner", ", 'ann'")
        claimed = int(event != "message.accepted")
        rows += [
            (
                f"INSERT INTO message ({day}id, uid, owner, kind, sha256, request_key, facts, accepted_at)"
                f" VALUES ({its_day}{number}, '{uid}', 'ann', 'k', {digest}, '', {blob}, 0)"
            ),
            (
                f"INSERT INTO entry ({ours}id, message, owner, turn, destination, cop_msg_id, sender, part, facts, priority,"
                f" state, due_at, claim) VALUES ({its}{number}, {number}, 'ann', 'ann', 'port', '{uid}', '', '', {blob}, 1,"
                f" 'dead', 0, {claimed})"
            ),
            f"INSERT INTO declaration (id, identity, owner, facts) VALUES ({number}, 'd={uid}', 'ann', {blob})",
            f"INSERT INTO version (declaration, version, message{owned}) VALUES ({number}, 'v1', {number}{owner})",
            f"INSERT INTO {journal} (id, at, event, uid, detail) VALUES ({number}, {number}, '{event}', '{uid}', '')",
        ]
    layout = before(steps)
    if sqlite:
        with closing(sqlite3.connect(tmp_path / "spool.db")) as connection:
            connection.executescript(
                ";".join((*steps[:layout], f"PRAGMA user_version = {layout}", *rows, ""))
            )
        opened: Spool = SqliteSpool(tmp_path, Clock())
    else:
        dsn = shared().new_schema()
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(b"CREATE TABLE spool_layout (step integer NOT NULL)")
            for statement in (*steps[:layout], *rows):
                connection.execute(statement.encode())
            connection.execute(b"INSERT INTO spool_layout VALUES (%s)", (layout,))
            connection.execute(b"ALTER SEQUENCE message_number RESTART 100")
            connection.execute(b"ALTER SEQUENCE entry_number RESTART 100")
            connection.execute(b"ALTER SEQUENCE declaration_number RESTART 100")
        opened = PostgresSpool(dsn, clock=Clock())
    with closing(opened):
        yield opened


def test_the_journal_of_an_older_layout_proves_what_was_sent(older: Spool) -> None:
    replies = older.put(
        [new_message(f"other {uid}", Subject(identity=f"d={uid}", version="v1")) for uid in OLDER]
    )

    assert replies == [
        Conflict(uid="bounced", reason="version", identities=("d=bounced",)),
        Conflict(uid="settled", reason="version", identities=("d=settled",)),
        Accepted(uid="other failed"),
        Accepted(uid="other waiting"),
    ]
