"""A CopMsgId is its sender's own: two senders may use the same one, in every spool, also in one of an older layout."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from spool.entry import Accepted, Conflict
from spool.lifecycle import State
from spool.postgres import PostgresSpool
from spool.postgres.schema import STEPS as POSTGRES_STEPS
from spool.sqlite import SqliteSpool
from spool.sqlite.schema import STEPS as SQLITE_STEPS
from spool.store import Spool
from tests.servers.postgres import shared
from tests.spool_samples import Clock, new_message, settled, uids


def travelled(spool: Spool, *senders: str, cop_msg_id: str = "X") -> str | None:
    found = spool.travelled(cop_msg_id, senders)
    return None if found is None else found.uid


@pytest.mark.parametrize("together", [True, False])
def test_two_senders_may_use_one_cop_msg_id(spool: Spool, together: bool) -> None:
    new_messages = [
        new_message("A", "d=1", sender="S1", cop_msg_id="X"),
        new_message("B", "d=2", owner="bob", sender="S2", cop_msg_id="X"),
        new_message("C", owner="eve", sender="S1", cop_msg_id="X"),
        new_message("D", owner="bob", sender="S2", cop_msg_id="X"),
        new_message("E", sender="S2", cop_msg_id="X", destination="elsewhere"),
    ]

    replies = spool.put(new_messages) if together else [spool.put([one])[0] for one in new_messages]

    assert replies == [
        Accepted(uid="A"),
        Accepted(uid="B"),
        Conflict(uid="", reason="cop_msg_id"),
        Conflict(uid="B", reason="cop_msg_id"),
        Conflict(uid="", reason="cop_msg_id"),
    ]
    assert uids(spool.claim("one", "port", limit=9, lease_s=60)) == ["A", "B"]


def test_an_answer_is_about_the_message_of_the_sender_that_it_names(spool: Spool) -> None:
    spool.put(
        [
            new_message("A", "d=1", sender="S1", cop_msg_id="X"),
            new_message("B", owner="bob", sender="S2", cop_msg_id="X"),
        ]
    )

    assert [travelled(spool, one) for one in ("S1", "S2", "S3")] == ["A", "B", None]
    assert travelled(spool, "S3", "S1") == "A"
    assert travelled(spool, "S1", "S2") is None, "it may be either"


def test_an_answer_that_names_no_sender_is_about_a_message_that_is_alone(spool: Spool) -> None:
    spool.put([new_message("A", sender="S1", cop_msg_id="X")])
    assert travelled(spool) == "A"
    spool.put([new_message("B", owner="bob", sender="S2", cop_msg_id="X")])
    assert travelled(spool) is None


@pytest.mark.parametrize("first", [True, False])
def test_who_copies_a_cop_msg_id_that_the_gateway_gave_draws_no_answer_and_silences_none(
    spool: Spool, first: bool
) -> None:
    given = new_message("A", sender="S1", cop_msg_id="A")
    copied = new_message("B", owner="bob", sender="S2", cop_msg_id="A")
    spool.put([given, copied] if first else [copied, given])
    assert travelled(spool, cop_msg_id="A") == "A"
    assert travelled(spool, "S2", cop_msg_id="A") == "B"


def before(steps: Sequence[str]) -> int:
    """Number the layout in which entries had no sender yet."""
    return next(number for number, step in enumerate(steps) if "whose the cop_msg_id is" in step)


@pytest.fixture(params=["sqlite", "postgres"])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Spool:
    """Open a spool of the layout before senders were told, with a message of ann's under the CopMsgId `X` in it."""
    message = (
        "INSERT INTO message ({more} id, uid, owner, kind, sha256, request_key, facts, accepted_at)"
        " VALUES ({values} {number}, 'A', 'ann', 'k', {blob}, '', {blob}, 0)"
    )
    entry = (
        "INSERT INTO entry ({uid} id, message, owner, turn, destination, cop_msg_id, part, facts, priority, state, due_at)"
        " VALUES ({its} {number}, {number}, 'ann', 'ann', 'port', 'X', '', {blob}, 1, 'ready', 0)"
    )
    if request.param == "sqlite":
        layout = before(SQLITE_STEPS)
        with closing(sqlite3.connect(tmp_path / "spool.db")) as connection:
            connection.executescript(";".join((*SQLITE_STEPS[:layout], f"PRAGMA user_version = {layout};")))
            for row in (message, entry, "INSERT INTO payload VALUES ({number}, {blob})"):
                filled = row.format(more="", values="", uid="", its="", number=7, blob="x''")
                connection.execute(filled)
            connection.commit()
        return SqliteSpool(tmp_path, Clock())
    dsn = shared().new_schema()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(b"CREATE TABLE spool_layout (step integer NOT NULL)")
        layout = before(POSTGRES_STEPS)
        for step in POSTGRES_STEPS[:layout]:
            connection.execute(step.encode())
        connection.execute(b"INSERT INTO spool_layout VALUES (%s)", (layout,))
        for row in (message, entry):
            filled = row.format(more="day,", values="0,", uid="uid,", its="'A',", number=7, blob="''")
            connection.execute(filled.encode())
    return PostgresSpool(dsn, clock=Clock())


def test_what_an_older_layout_did_not_tell_counts_for_its_owner_and_for_nobody_else(older: Spool) -> None:
    with closing(older) as spool:
        assert travelled(spool) == travelled(spool, "S1") == "A"
        assert spool.put(
            [
                new_message("B", sender="S1", cop_msg_id="X"),
                new_message("C", owner="bob", sender="S2", cop_msg_id="X"),
            ]
        ) == [Conflict(uid="A", reason="cop_msg_id"), Accepted(uid="C")]
        assert travelled(spool, "S2") == "C"
        assert travelled(spool, "S1") == "A"


def test_entries_of_an_older_layout_go_their_way_and_their_numbers_are_not_given_again(
    tmp_path: Path,
) -> None:
    layout = before(SQLITE_STEPS)
    with closing(sqlite3.connect(tmp_path / "spool.db")) as connection:
        connection.executescript(";".join((*SQLITE_STEPS[:layout], f"PRAGMA user_version = {layout};")))
        connection.execute("INSERT INTO message VALUES (1, 'A', 'ann', 'k', x'00', '', x'', 0)")
        connection.execute("INSERT INTO payload VALUES (1, x'01')")
        for number in (5, 9):
            connection.execute(
                "INSERT INTO entry (id, message, owner, turn, destination, cop_msg_id, part, facts, priority, state, due_at,"
                " attempts, error) VALUES (?, 1, 'ann', 'ann', 'port', 'X', ?, x'', 1, 'ready', 0, 3, 'cut off')",
                (number, str(number)),
            )
        connection.execute("DELETE FROM entry WHERE id = 9")
        connection.commit()
    with closing(SqliteSpool(tmp_path, Clock())) as spool:
        spool.put([new_message("B")])
        assert [(view.entry, view.uid, view.attempts, view.error) for view in spool.entries()] == [
            (5, "A", 3, "cut off"),
            (10, "B", 0, ""),
        ]
        spool.settle(settled(spool.claim("one", "port", limit=9, lease_s=60)))
        assert {view.state for view in spool.entries()} == {State.SENT}
