"""Sources of many messages in the spool: received whole, claimed in turns, made step by step, on every backend."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from spool.entry import Accepted, Conflict, Duplicate, NewMessage, Note, Subject
from spool.errors import LifecycleError
from spool.imports import (
    CHUNK_BYTES,
    ClaimedImport,
    ClaimLostError,
    ImportJob,
    ImportPart,
    ImportRefusal,
    ImportStep,
    JobState,
    NewImport,
    follows,
)
from spool.postgres import PostgresSpool
from spool.postgres.schema import STEPS as POSTGRES_STEPS
from spool.sqlite import SqliteSpool
from spool.sqlite.copies import multiply
from spool.sqlite.schema import STEPS as SQLITE_STEPS
from spool.store import Spool, Topic
from tests.backends import BACKENDS
from tests.servers.postgres import shared
from tests.spool_samples import START, Clock, new_message


def receive(
    spool: Spool,
    uid: str,
    *chunks: bytes,
    owner: str = "ann",
    request: str = "",
    notes: tuple[Note, ...] = (),
) -> str:
    """Receive a source whole; returns the uid of the import that answers for it."""
    job = spool.begin_import(uid, owner)
    for number, chunk in enumerate(chunks):
        spool.add_import_chunk(job, number, chunk)
    new = NewImport(
        request=request or uid, sha256=b"s" * 32, size_bytes=sum(map(len, chunks)), facts=b"facts of " + uid.encode(), at="0"
    )  # fmt: skip
    return spool.finish_import(job, new, notes=notes)


def claimed(spool: Spool, claimant: str = "one", besides: tuple[str, ...] = ()) -> ClaimedImport:
    found = spool.claim_import(claimant, lease_s=60, besides=besides)
    assert found is not None
    return found


def step(one: ClaimedImport, at: str, *parts: str, **more: object) -> ImportStep:
    made = tuple(ImportPart(uid=uid, bodies=2, facts=b"rows of " + uid.encode()) for uid in parts)
    return ImportStep(job=one.job, claim=one.claim, at=at, parts=made, **more)  # type: ignore[arg-type]


def job(spool: Spool, uid: str) -> ImportJob:
    found = spool.import_job(uid)
    assert found is not None
    return found


def test_source_comes_in_chunks_and_is_a_job_when_all_of_it_is_there(spool: Spool, clock: Clock) -> None:
    number = spool.begin_import("A", "ann")
    spool.add_import_chunk(number, 0, b"one\x00\xff")
    assert spool.import_job("A") is None
    assert spool.imports("ann", limit=10) == []
    assert spool.claim_import("one", lease_s=60) is None

    with spool.listen(Topic.IMPORTS) as waiter:
        spool.add_import_chunk(number, 1, b"two")
        new = NewImport(request="r", sha256=b"s" * 32, size_bytes=8, facts=b"\x00facts", at="start")
        uid = spool.finish_import(number, new, notes=[Note(event="import.taken", uid="A", detail="{}")])
        assert waiter.wait(5)

    found = job(spool, "A")
    assert (uid, found.state, found.facts, found.at, found.size_bytes) == (
        "A", JobState.WAITING, b"\x00facts", "start", 8,
    )  # fmt: skip
    assert list(spool.import_source(found.number)) == [b"one\x00\xff", b"two"]
    assert [line.event for line in spool.history("A")] == ["import.taken"]
    assert found.created_at == START


def test_chunk_beyond_the_bound_is_refused_and_one_of_a_job_too(spool: Spool) -> None:
    number = spool.begin_import("A", "ann")
    with pytest.raises(ValueError, match="at most"):
        spool.add_import_chunk(number, 0, bytes(CHUNK_BYTES + 1))
    receive(spool, "B", b"x")
    with pytest.raises(ClaimLostError):
        spool.add_import_chunk(job(spool, "B").number, 1, b"more")


def test_same_request_of_an_owner_is_one_import_and_that_of_another_is_not(spool: Spool) -> None:
    assert receive(spool, "A", b"x", request="r") == "A"
    assert receive(spool, "B", b"x", request="r", notes=(Note(event="import.taken"),)) == "A"
    assert receive(spool, "C", b"x", request="r", owner="bob") == "C"
    assert [one.uid for one in spool.imports(limit=10)] == ["C", "A"]
    assert spool.import_job("A", owner="bob") is None
    assert "import.taken" not in [line.event for line in spool.lines(after=0, up_to=1000)]

    assert spool.cancel_import("ann", "A", notes=[Note(event="import.cancelled", uid="A")])
    assert receive(spool, "D", b"x", request="r") == "D"


def test_steps_are_in_the_commit_of_their_messages(spool: Spool, clock: Clock) -> None:
    receive(spool, "A", b"x")
    one = claimed(spool)
    assert (one.claims, one.at, one.facts, one.owner) == (1, "0", b"facts of A", "ann")
    clock.move(1)
    refused = (ImportRefusal(facts=b"row 3"), ImportRefusal(facts=b"row 4"))

    replies = spool.put(
        [new_message("m1", "d=1")], step=step(one, "4", "m1", refusals=refused, findings=b"f")
    )
    spool.put([new_message("m2", "d=2")], step=step(one, "6", "m2"))
    (again,) = spool.put(
        [new_message("m3", "d=1", body=b"body of m1")], step=step(one, "8", "m3", state=JobState.DONE)
    )

    assert replies == [Accepted(uid="m1")]
    assert again == Duplicate(uid="m1")
    found = job(spool, "A")
    assert (found.state, found.at, found.messages, found.bodies, found.refused) == (
        JobState.DONE, "8", 3, 6, 2,
    )  # fmt: skip
    assert (found.findings, (found.updated_at - START).total_seconds()) == (b"f", 1)
    parts = spool.import_parts(found.number, limit=10)
    assert [(part.number, part.uid, part.bodies) for part in parts] == [
        (1, "m1", 2), (2, "m2", 2), (3, "m1", 2),
    ]  # fmt: skip
    assert spool.import_parts(found.number, after=1, limit=1)[0].facts == b"rows of m2"
    assert [one.facts for one in spool.import_refusals(found.number, limit=10)] == [b"row 3", b"row 4"]
    assert [one.number for one in spool.import_refusals(found.number, after=1, limit=10)] == [2]
    assert spool.claim_import("one", lease_s=60) is None


def test_conflict_voids_the_step_and_names_every_declaration(spool: Spool) -> None:
    receive(spool, "A", b"x")
    one = claimed(spool)
    spool.put([versioned("m0", "d=1", "d=2")])

    replies = spool.put([versioned("m1", "d=1", "d=2", "d=3")], step=step(one, "3", "m1"))

    assert replies == [Conflict(uid="m0", reason="version", identities=("d=1", "d=2"))]
    found = job(spool, "A")
    assert (found.at, found.messages, found.state) == ("0", 0, JobState.WAITING)
    assert spool.message("m1") is None
    assert spool.judge([versioned("m1", "d=1", "d=3")]) == [
        Conflict(uid="m0", reason="version", identities=("d=1",))
    ]
    assert spool.judge([versioned("m1", "d=3")]) == [Accepted(uid="m1")]
    assert spool.message("m1") is None


def versioned(uid: str, *identities: str) -> NewMessage:
    return new_message(uid, *(Subject(identity=one, version="1") for one in identities))


def test_claim_is_void_when_its_lease_ended_and_another_has_the_job(spool: Spool, clock: Clock) -> None:
    receive(spool, "A", b"x")
    first = claimed(spool)
    assert spool.claim_import("two", lease_s=60) is None
    assert spool.renew_import(first.job, first.claim, lease_s=60)
    clock.move(61)
    second = claimed(spool, "two")

    assert (second.job, second.claims) == (first.job, 2)
    assert not spool.renew_import(first.job, first.claim, lease_s=60)
    with pytest.raises(ClaimLostError):
        spool.put([new_message("m1", "d=1")], step=step(first, "2", "m1"))
    assert spool.message("m1") is None
    spool.put([new_message("m1", "d=1")], step=step(second, "2", "m1"))
    assert claimed(spool, "two").claims == 1, "the holder itself may claim again, and a step resets the count"


def test_claims_without_a_step_are_counted_unless_given_back(spool: Spool, clock: Clock) -> None:
    receive(spool, "A", b"x")
    assert [claimed(spool).claims for _ in range(3)] == [1, 2, 3]
    one = claimed(spool)
    spool.release_import(one.job, one.claim, due=START + timedelta(seconds=30))
    assert spool.claim_import("one", lease_s=60) is None
    clock.move(31)
    assert claimed(spool, "two").claims == 4


def test_owners_take_turns(spool: Spool, clock: Clock) -> None:
    for uid in ("A1", "A2", "A3"):
        receive(spool, uid, b"x")
    receive(spool, "B1", b"x", owner="bob")
    served = []
    for _ in range(4):
        clock.move(1)
        one = claimed(spool)
        served.append(one.owner)
        clock.move(1)
        spool.put([], step=step(one, "9", state=JobState.DONE))
    assert served == ["ann", "bob", "ann", "ann"]

    receive(spool, "A4", b"x")
    assert spool.claim_import("one", lease_s=60, besides=["ann"]) is None


def test_same_values_of_an_owner_are_a_duplicate_of_the_first(spool: Spool) -> None:
    for uid, owner in (("A", "ann"), ("B", "ann"), ("C", "bob")):
        receive(spool, uid, b"x", owner=owner)
    first, other = claimed(spool, besides=("bob",)), claimed(spool, besides=("ann",))
    spool.put([], step=step(first, "1", values="v"))
    spool.put([], step=step(other, "1", values="v"))
    spool.put([], step=step(first, "2", state=JobState.DONE))
    second = claimed(spool, "two", besides=("bob",))
    spool.put([], step=step(second, "1", values="v"))

    assert (job(spool, "B").state, job(spool, "B").first) == (JobState.DUPLICATE, "A")
    assert job(spool, "C").state is JobState.WORKING
    with pytest.raises(ClaimLostError):
        spool.put([new_message("m", "d=1")], step=step(second, "2", "m"))


def test_cancelled_import_keeps_what_was_made_and_nobody_goes_on(spool: Spool) -> None:
    receive(spool, "A", b"x")
    one = claimed(spool)
    spool.put([new_message("m1", "d=1")], step=step(one, "2", "m1"))

    assert not spool.cancel_import("bob", "A")
    assert spool.cancel_import("ann", "A", notes=[Note(event="import.cancelled", uid="A")])
    assert not spool.cancel_import("ann", "A")

    with pytest.raises(ClaimLostError):
        spool.put([], step=step(one, "4"))
    assert (job(spool, "A").state, job(spool, "A").messages) == (JobState.CANCELLED, 1)
    assert spool.claim_import("one", lease_s=60) is None
    assert [line.event for line in spool.history("A")] == ["import.cancelled"]


def test_stale_imports_are_found_and_dropped_whole(spool: Spool, clock: Clock) -> None:
    half = spool.begin_import("H", "ann")
    spool.add_import_chunk(half, 0, b"x")
    receive(spool, "A", *[b"x"] * 40)
    receive(spool, "B", b"x", owner="bob")
    one = claimed(spool)
    spool.put([], step=step(one, "1", refusals=(ImportRefusal(facts=b"r"),), state=JobState.DONE))
    assert spool.open_imports("ann").jobs == 1
    assert spool.open_imports("ann").size_bytes == 40
    assert spool.active_imports() == 1
    clock.move(10)
    now = START + timedelta(seconds=5)

    assert spool.stale_imports(unfinished=START, ended=START, limit=9) == []
    assert spool.stale_imports(unfinished=now, ended=None, limit=9) == [half]
    assert spool.stale_imports(unfinished=now, ended=now, limit=9) == [half, one.job]
    for number in (half, one.job):
        spool.drop_import(number)

    assert spool.stale_imports(unfinished=now, ended=now, limit=9) == []
    assert spool.import_job("A") is None
    assert list(spool.import_source(one.job)) == []
    assert spool.import_refusals(one.job, limit=9) == []
    assert [one.uid for one in spool.imports(limit=9)] == ["B"]
    assert spool.open_imports("ann").jobs == 0


def test_pages_of_imports_go_back_from_the_newest(spool: Spool) -> None:
    for uid in ("A", "B", "C"):
        receive(spool, uid, b"x")
    newest = spool.imports("ann", limit=2)
    assert [one.uid for one in newest] == ["C", "B"]
    assert [one.uid for one in spool.imports("ann", before=newest[-1].number, limit=2)] == ["A"]


def before(steps: Sequence[str]) -> int:
    """Number the layout that knew no imports."""
    return next(number for number, step in enumerate(steps) if "CREATE TABLE import_job" in step)


def older(backend: str, folder: Path, clock: Clock) -> Spool:
    if backend == "sqlite":
        layout = before(SQLITE_STEPS)
        with closing(sqlite3.connect(folder / "spool.db")) as connection:
            connection.executescript(";".join((*SQLITE_STEPS[:layout], f"PRAGMA user_version = {layout};")))
        return SqliteSpool(folder, clock)
    dsn = shared().new_schema()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(b"CREATE TABLE spool_layout (step integer NOT NULL)")
        layout = before(POSTGRES_STEPS)
        for statements in POSTGRES_STEPS[:layout]:
            connection.execute(statements.encode())
        connection.execute(b"INSERT INTO spool_layout VALUES (%s)", (layout,))
    return PostgresSpool(dsn, clock=clock)


@pytest.mark.parametrize("backend", ["sqlite", "postgres"])
def test_spool_of_an_earlier_version_gets_the_tables(backend: str, tmp_path: Path, clock: Clock) -> None:
    with closing(older(backend, tmp_path, clock)) as spool:
        assert receive(spool, "A", b"x") == "A"
        assert claimed(spool).uid == "A"


def test_copies_of_a_spool_leave_its_imports_alone(tmp_path: Path, clock: Clock) -> None:
    spool = BACKENDS["sqlite"](tmp_path, clock)
    spool.put([new_message("0123456789ABCDEF0123456789ABCDEF0123", "d=1")])
    receive(spool, "A", b"x")
    spool.close()

    multiply(tmp_path, 2)

    spool = BACKENDS["sqlite"](tmp_path, clock)
    assert [one.uid for one in spool.imports(limit=9)] == ["A"]
    spool.close()


def test_what_is_over_cannot_go_on() -> None:
    assert follows(JobState.WORKING, JobState.DONE) is JobState.DONE
    with pytest.raises(LifecycleError):
        follows(JobState.DONE, JobState.WORKING)
