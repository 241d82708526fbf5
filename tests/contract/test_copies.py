"""A multiplied spool is a spool: whatever may be asked of the rows that came the ordinary way holds for their copies."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spool.entry import (
    Allowance,
    Filing,
    OrphanBody,
    Overdue,
    ParcelLink,
    Subject,
    Tally,
    TimelineRow,
)
from spool.errors import SpoolError
from spool.imports import ImportPart, ImportRefusal, ImportStep, NewImport
from spool.note import Checkpoint, NodeKey
from spool.registers import NewRegister
from spool.sqlite import SqliteSpool
from spool.sqlite.copies import multiply
from spool.store import Spool
from tests.spool_samples import START, Clock, collected, new_message, settled

UUID = "01A20132-A797-7782-B9FC-AA19F6AFEEE2"
TIMES = 7
ONCE = {
    "acknowledged", "mark", "tally", "register", "tile", "leaves", "checkpoint", "import_job", "import_source", "import_part",
    "import_refusal",
}  # fmt: skip
"""Not copied; the log gets one more row, which says that copies of lines are not in it."""
NOTE = NodeKey(name="x", private=Ed25519PrivateKey.generate())


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """A spool with something in every table: sent, waiting for another, answered, orphaned, acknowledged in part."""
    folder = tmp_path / "state"
    with closing(SqliteSpool(folder, Clock())) as spool:
        _live(spool)
    return folder


@pytest.fixture
def copied(state_dir: Path) -> Iterator[Spool]:
    multiply(state_dir, TIMES)
    with closing(SqliteSpool(state_dir, Clock())) as spool:
        yield spool


def _live(spool: Spool) -> None:
    spool.put(
        [new_message(UUID, Subject(identity="T a=1 b=2", version="1", handles=("T b=2",)), cop_msg_id=UUID)]
    )
    link = ParcelLink(order_no="O-1", facts=b"f")
    spool.put(
        [
            new_message(
                "B", Subject(identity="T a=3 b=4", version="1", link=link), owner="bob", request_key="mine"
            )
        ]
    )
    spool.settle(settled(spool.claim("one", "port", limit=9, lease_s=60)))
    for number in (1, 2):
        spool.keep(collected(b"answer %d" % number))
        (arrival,) = spool.unfiled(9)
        (found,) = spool.find(["T b=2"])
        row = TimelineRow(
            declaration=found.declaration,
            at="1",
            kind="K",
            status="2",
            facts=b"",
            digest=f"{number}",
            index=0,
        )
        orphan = OrphanBody(index=1, reason="unknown", lookups=("T c=9",))
        learned = {found.declaration: (f"T n={number}",)}
        spool.file(
            [
                Filing(
                    arrival=arrival.id,
                    kind="K",
                    cop_msg_id="",
                    rows=(row,),
                    orphans=(orphan,),
                    learned=learned,
                    addressees=("ann",),
                )
            ]
        )
    spool.keep(collected(b"answer 2", feed="elsewhere"))
    spool.acknowledge("ann", spool.notices("ann", after=0, limit=1)[0].cursor)
    spool.seal(lambda _, size, root: NOTE.signed(Checkpoint(origin="x", size=size, root=root)), limit=99)
    silence = Overdue(layer="business", kinds=("CEB311Message",))
    look = spool.silent("walk", silence, until=START, start=START - timedelta(1), limit=9)
    assert look.at is not None
    assert len(spool.set_overdue("walk", look.at, look.silent)) == 1
    (linked,) = spool.linked(order_no="O-1")
    spool.set_allowances(
        "walk",
        spool.answered("walk", up_to=9, kinds=[], limit=9),
        [Allowance(declaration=linked.declaration, owner="bob", subject="s", period="2026", amount=1)],
    )
    spool.put([new_message("C", Subject(identity="T a=1 b=2", version="2", facts=b"of another version"))])
    job = spool.begin_import("I", "ann")
    spool.add_import_chunk(job, 0, b"x")
    spool.finish_import(job, NewImport(request="r", sha256=b"", size_bytes=1, facts=b"", at=""))
    claimed = spool.claim_import("one", lease_s=60)
    assert claimed is not None
    spool.put(
        [new_message("D", Subject(identity="T a=1 b=2", version="3"))],
        marks={"reader": 1},
        step=ImportStep(
            job=job,
            claim=claimed.claim,
            at="1",
            parts=(ImportPart(uid="D", bodies=1, facts=b""),),
            refusals=(ImportRefusal(facts=b""),),
        ),
    )
    count = Tally(name="seen", subject="K", n=1, first_at=START, last_at=START)
    assert spool.add_tallies("scan", [count], after=None, reached=1)
    spool.replace_register(NewRegister(owner="ann", name="goods", form="text/csv", body=b"x", facts=b"x"))


def rows(state_dir: Path) -> dict[str, int]:
    with closing(sqlite3.connect(state_dir / "spool.db")) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
            for (name,) in tables
            if not name.startswith("sqlite_")
        }


def test_every_table_has_its_rows_once_more_for_each_copy(state_dir: Path) -> None:
    before = rows(state_dir)
    assert all(before.values()), "the pattern says something about every table"
    multiply(state_dir, TIMES)
    assert rows(state_dir) == {
        name: count + (name == "leaves") if name in ONCE else count * TIMES for name, count in before.items()
    }


def test_database_is_sound_and_no_row_names_one_that_is_not_there(copied: Spool, state_dir: Path) -> None:
    with closing(sqlite3.connect(state_dir / "spool.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_each_copy_of_a_message_is_exported_with_all_that_is_known_of_its_pattern(
    copied: Spool, state_dir: Path
) -> None:
    with closing(sqlite3.connect(state_dir / "spool.db")) as connection:
        uids = [uid for (uid,) in connection.execute("SELECT uid FROM message ORDER BY id")]
    assert len(set(uids)) == 4 * TIMES
    shapes: Counter[tuple[object, ...]] = Counter()
    for uid in uids:
        archived = copied.export(uid)
        assert archived is not None
        shapes[
            archived.body,
            len(archived.ways),
            tuple(len(one.answers) for one in archived.declarations),
            tuple(happening.event for happening in archived.history),
        ] += 1
    assert set(shapes.values()) == {TIMES}
    assert len(shapes) == 4


def test_a_waiting_copy_waits_for_the_copy_of_what_its_pattern_waits_for(copied: Spool) -> None:
    first = copied.claim("one", "port", limit=99, lease_s=60)
    assert Counter(one.body for one in first) == {b"body of C": TIMES}
    copied.settle(settled(first[1:]))
    second = copied.claim("one", "port", limit=99, lease_s=60)
    assert Counter(one.body for one in second) == {b"body of D": TIMES - 1}


def test_what_an_owner_had_acknowledged_is_acknowledged_with_its_copies(copied: Spool) -> None:
    left = copied.notices("ann", after=copied.acknowledged("ann"), limit=99)
    assert [[row.digest for row in one.rows] for one in left] == [["2"]] * (TIMES - 1)
    assert copied.outstanding().unacknowledged == {"ann": TIMES - 1}


def test_copies_are_found_by_names_of_their_own_and_new_rows_get_numbers_behind_them(copied: Spool) -> None:
    assert len({one.declaration for one in copied.find(["T a=1 b=2"])}) == 1
    assert len({one.declaration for one in copied.find(["T b=2.6"])}) == 1
    assert list(copied.find([f"T b=2.{TIMES}"])) == []
    copied.put([new_message("new", "T a=5 b=6")])
    view = copied.message("new")
    assert view is not None
    assert view.entry == 4 * TIMES + 1


def test_bodies_of_copies_are_cut_if_asked_those_of_the_pattern_never(state_dir: Path) -> None:
    multiply(state_dir, 3, body_bytes=4)
    with closing(sqlite3.connect(state_dir / "spool.db")) as connection:
        bodies = Counter(body for (body,) in connection.execute("SELECT body FROM payload"))
    assert bodies[b"body"] == 8
    assert bodies[b"body of C"] == 1


def test_copies_of_lines_are_behind_the_log_not_before_it(copied: Spool) -> None:
    assert copied.unsealed() == 0
    copied.put([new_message("new", "T a=5 b=6")])
    assert copied.seal(lambda *_: "later", limit=99) == 1


def test_once_is_as_it_was_and_less_is_refused(state_dir: Path) -> None:
    before = rows(state_dir)
    multiply(state_dir, 1)
    assert rows(state_dir) == before
    with pytest.raises(SpoolError, match="smaller"):
        multiply(state_dir, 0)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda db: db.execute("CREATE TABLE later (id INTEGER PRIMARY KEY)"),
        lambda db: db.execute("DROP TABLE wait"),
    ],
)
def test_layout_that_the_copier_does_not_know_is_refused(
    state_dir: Path, spoil: Callable[[sqlite3.Connection], object]
) -> None:
    with closing(sqlite3.connect(state_dir / "spool.db")) as connection:
        spoil(connection)
        connection.commit()
    with pytest.raises(SpoolError, match=r"strange to the copier: (later|wait)"):
        multiply(state_dir, 2)


def test_no_spool_is_made_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="cannot be copied"):
        multiply(tmp_path, 2)
    assert list(tmp_path.iterdir()) == []


def test_documents_of_a_parcel_are_found_by_the_copy_of_their_number(copied: Spool) -> None:
    assert [one.owner for one in copied.linked(order_no="O-1")] == ["bob"]
    found = [copied.linked(order_no=f"O-1.{number}") for number in range(1, TIMES)]
    assert [[one.identity for one in some] for some in found] == [
        [f"T a=3 b=4.{number}"] for number in range(1, TIMES)
    ]
    assert copied.allowance("s", "2026") == TIMES
