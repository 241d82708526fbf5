"""The Merkle log over the journal, on every spool: every line once, in order, and proofs that hold for ever after."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.upkeep.retention import Retention
from spool.archive import Archive
from spool.entry import Fate, Note
from spool.errors import SpoolError
from spool.merkle import Tree, check_consistency, leaf_hash, root_by_inclusion
from spool.note import Checkpoint, NodeKey, verified
from spool.postgres import PostgresSpool
from spool.sealing import content, leaf_of
from spool.store import Spool
from tests.backends import BACKENDS
from tests.servers.postgres import shared
from tests.spool_samples import Clock, new_message, settled

KEY = NodeKey(name="gateway/one", private=Ed25519PrivateKey.generate())
DAY = 86_400.0


def sign(origin: str, size: int, root: bytes) -> str:
    return KEY.signed(Checkpoint(origin=origin or KEY.name, size=size, root=root))


def said(spool: Spool) -> Checkpoint:
    newest = spool.checkpoint()
    assert newest is not None
    return verified(newest.note, [KEY.public])


def lead_a_life(spool: Spool, *uids: str) -> None:
    """Accept, fail once, send."""
    spool.put([new_message(uid) for uid in uids])
    spool.settle(settled(spool.claim("one", "port", limit=99, lease_s=60), Fate.DEFERRED, error="no route"))
    spool.settle(settled(spool.claim("one", "port", limit=99, lease_s=60)))


def test_every_line_gets_a_place_in_the_order_of_the_journal_and_a_proof(spool: Spool) -> None:
    lead_a_life(spool, "A", "B")
    assert spool.unsealed() == 6
    assert spool.seal(sign, limit=4) == 4
    older = said(spool)
    assert spool.seal(sign, limit=4) == 2
    assert spool.seal(sign, limit=4) == spool.unsealed() == 0

    newer = said(spool)
    assert (older.size, newer.size) == (4, 6)
    lines = [*spool.history("A"), *spool.history("B")]
    places = spool.places([line.number for line in lines])
    assert sorted(places.values()) == list(range(6))
    assert [places[number] for number in sorted(places)] == list(range(6))
    tree = Tree(newer.size, spool.tile)
    for line in lines:
        index = places[line.number]
        assert root_by_inclusion(leaf_of(line), index, newer.size, tree.inclusion(index)) == newer.root
    check_consistency(
        old=older.size,
        old_root=older.root,
        new=newer.size,
        new_root=newer.root,
        proof=tree.consistency(older.size),
    )
    assert [one.size for one in spool.checkpoints(after=0, limit=9)] == [4, 6]
    taken = [number for one in spool.leaves(after=0, limit=9) for number in one.numbers]
    assert taken == [line.number for line in spool.lines(after=0, up_to=max(taken))]


def test_log_of_several_tiles_grows_batch_by_batch(spool: Spool) -> None:
    spool.put((), notes=[Note(event="message.refused", detail=str(number)) for number in range(700)])
    while spool.seal(sign, limit=256 if spool.unsealed() > 300 else 100):
        pass
    newest = said(spool)
    assert newest.size == 700
    assert Tree(700, spool.tile).root() == newest.root
    assert [len(spool.tile(0, number)) // 32 for number in range(4)] == [256, 256, 188, 0]
    assert len(spool.tile(1, 0)) // 32 == 2
    assert spool.places([10**9]) == {}


def test_origin_of_a_log_stays_that_of_its_first_checkpoint(spool: Spool) -> None:
    spool.put([new_message("A")])
    spool.seal(sign, limit=9)
    spool.put([new_message("B")])
    other = NodeKey(name="gateway/two", private=Ed25519PrivateKey.generate())
    spool.seal(
        lambda origin, size, root: other.signed(
            Checkpoint(origin=origin or other.name, size=size, root=root)
        ),
        limit=9,
    )
    newest = spool.checkpoint()
    assert newest is not None
    assert verified(newest.note, [other.public]).origin == "gateway/one"


def test_only_one_of_two_sealers_writes_a_batch(
    spool: Spool, request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> None:
    spool.put([new_message("A")])
    kind = next(name for name in BACKENDS if f"[{name}]" in request.node.name)
    with closing(BACKENDS[kind](tmp_path / "state", clock)) as other:

        def slow(origin: str, size: int, root: bytes) -> str:
            assert other.seal(sign, limit=9) == 1
            return sign(origin, size, root)

        assert spool.seal(slow, limit=9) == 0
    assert said(spool).size == 1


def test_purged_message_is_archived_with_the_numbers_that_its_proofs_need(
    spool: Spool, tmp_path: Path, clock: Clock
) -> None:
    archive = Archive(tmp_path / "archive", clock)
    keep = Retention(spool=spool, archive=archive, days=30, batch=9, clock=clock)
    lead_a_life(spool, "A")
    spool.seal(sign, limit=2)  # not all of its lines
    clock.move(31 * DAY)
    assert keep.step().purged == ()
    spool.seal(sign, limit=9)
    assert keep.step().purged == ("A",)

    shelved = archive.get("A")
    assert shelved is not None
    newest = said(spool)
    places = spool.places([line.number for line in shelved.message.history])
    assert list(places.values()) == [0, 1, 2]
    for line in shelved.message.history:
        index = places[line.number]
        proof = Tree(newest.size, spool.tile).inclusion(index)
        assert root_by_inclusion(leaf_of(line), index, newest.size, proof) == newest.root


def test_line_says_what_was_taken_in(spool: Spool) -> None:
    spool.put([new_message("A")])
    (line,) = spool.history("A")
    assert json.loads(line.detail)["sha256"] == new_message("A").sha256.hex()
    at = round(line.at.timestamp() * 1_000_000)
    written = content(line.number, at, line.event, line.uid, line.detail)
    assert written.startswith(b"journal/1\n" + line.number.to_bytes(8, "big") + at.to_bytes(8, "big"))
    assert leaf_of(line) == leaf_hash(written)


def test_damaged_tiles_stop_the_sealer_with_a_word(spool: Spool) -> None:
    spool.put([new_message("A")])
    spool.seal(sign, limit=9)
    if isinstance(spool, PostgresSpool):
        spool.db.write(lambda transaction: transaction.run("UPDATE tile SET hashes = ''") and None)
    else:
        with spool.db.write() as connection:  # type: ignore[attr-defined]
            connection.execute("UPDATE tile SET hashes = x''")
    spool.put([new_message("B")])
    with pytest.raises(SpoolError, match="shorter than the tree"):
        spool.seal(sign, limit=9)


@pytest.fixture
def postgres(tmp_path: Path, clock: Clock) -> Iterator[PostgresSpool]:
    with closing(PostgresSpool(shared().new_schema(), clock=clock)) as opened:
        yield opened


def test_line_whose_number_appears_late_is_never_passed_over(postgres: PostgresSpool) -> None:
    postgres.put([new_message("A")])
    assert postgres.seal(sign, limit=9) == 1
    with closing(postgres.db.connect()) as slow:
        with slow.transaction():
            slow.execute(
                "INSERT INTO journal (day, at, event, uid, detail)"
                " SELECT day, at, event, 'late', detail FROM journal WHERE uid = 'A'"
            )
            postgres.put([new_message("B")])
            assert [postgres.seal(sign, limit=9) for _ in range(3)] == [0, 0, 0]
        assert postgres.seal(sign, limit=9) == 2
    (late,) = postgres.history("late")
    (after,) = postgres.history("B")
    assert postgres.places([late.number, after.number]) == {late.number: 1, after.number: 2}


def test_number_of_a_transaction_that_failed_holds_nothing_up(postgres: PostgresSpool) -> None:
    postgres.put([new_message("A")])
    with closing(postgres.db.connect()) as failing:
        failing.execute("SELECT nextval('journal_number')")
    postgres.put([new_message("B")])
    assert postgres.seal(sign, limit=9) == 2


def test_lines_of_a_clock_that_was_set_back_are_taken_too(postgres: PostgresSpool, clock: Clock) -> None:
    postgres.put([new_message("A")])
    postgres.seal(sign, limit=9)
    clock.move(-3 * DAY)
    postgres.put([new_message("B")])
    assert postgres.seal(sign, limit=9) == 1


def test_lines_about_no_message_outlive_the_partition_of_their_day(
    postgres: PostgresSpool, tmp_path: Path, clock: Clock
) -> None:
    keep = Retention(
        spool=postgres, archive=Archive(tmp_path / "archive", clock), days=1, batch=9, clock=clock
    )
    postgres.put([], notes=[Note(event="message.refused", detail="{}")])
    lead_a_life(postgres, "A")
    clock.move(timedelta(days=5).total_seconds())
    postgres.put([new_message("B")])
    postgres.seal(sign, limit=99)
    keep.step()
    assert len(postgres.db.days("journal")) == 2
    assert [line.event for line in postgres.lines(after=0, up_to=99)] == [
        "message.refused",
        "message.accepted",
    ]


def test_numbers_that_a_server_gives_again_after_a_crash_are_not_taken_for_decided(
    postgres: PostgresSpool,
) -> None:
    postgres.put([new_message("A")])
    assert postgres.seal(sign, limit=9) == 1
    with closing(postgres.db.connect()) as other:
        other.execute("SELECT nextval('journal_number') FROM generate_series(1, 9)")  # by who never commits
        assert postgres.seal(sign, limit=9) == 0
        # as a crash leaves it: the numbers were not on disk, and nobody is connected any more
        other.execute("SELECT setval('journal_number', 1)")
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        with other.transaction():
            other.execute(
                "INSERT INTO journal (day, at, event, uid, detail)"
                " SELECT day, at, event, 'late', detail FROM journal WHERE uid = 'A'"
            )
            postgres.put([new_message("B")])
            assert [postgres.seal(sign, limit=9) for _ in range(3)] == [0, 0, 0]
        assert sum(postgres.seal(sign, limit=9) for _ in range(2)) == 2
    (late,) = postgres.history("late")
    (after,) = postgres.history("B")
    assert postgres.places([late.number, after.number]) == {late.number: 1, after.number: 2}
