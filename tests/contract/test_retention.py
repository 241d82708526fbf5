"""What leaves the spool, when, and that it lies in the archive before: real files, a clock that is moved."""

import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.upkeep.retention import ArchiveBatch, Retention
from spool.archive import Archive
from spool.archived import Archived
from spool.entry import Accepted, Fate, Filing, OrphanBody, Subject, TimelineRow, Way
from spool.errors import SpoolError
from spool.lifecycle import Event
from spool.store import Spool
from tests.servers.postgres import shared
from tests.spool_samples import Clock, collected, new_message, settled

ROOT = Path(__file__).resolve().parents[2]
DAY = 86_400.0
DAYS = 30


@pytest.fixture
def archive(tmp_path: Path, clock: Clock) -> Archive:
    return Archive(tmp_path / "archive", clock)


def retention(spool: Spool, archive: Archive, clock: Clock, batch: int = 10) -> Retention:
    return Retention(spool=spool, archive=archive, days=DAYS, batch=batch, clock=clock)


def send(
    spool: Spool, *uids: str, about: str = "", owner: str = "ann", handles: tuple[str, ...] = ()
) -> None:
    """Accept messages, each about a declaration of its own unless one is named, and send them."""
    put(spool, *uids, about=about, owner=owner, handles=handles)
    spool.settle(settled(spool.claim("one", "port", limit=1000, lease_s=60)))


def put(spool: Spool, *uids: str, about: str = "", owner: str = "ann", handles: tuple[str, ...] = ()) -> None:
    new_messages = [
        new_message(uid, Subject(identity=about or f"CEB no={uid}", handles=handles), owner=owner)
        for uid in uids
    ]
    assert all(isinstance(reply, Accepted) for reply in spool.put(new_messages))


def answer(spool: Spool, *texts: str, body: bytes = b"<answer/>", orphans: int = 0) -> int:
    """File one raw answer about every declaration that the texts name; returns its number."""
    spool.keep(collected(body))
    (arrival,) = spool.unfiled(1)
    rows = tuple(
        TimelineRow(
            declaration=found.declaration,
            at="20261111000000000",
            kind="CEB312Message",
            status="2",
            facts=b"{}",
            digest=f"{body.hex()}-{number}",
            index=number,
        )
        for number, found in enumerate(spool.find(texts))
    )
    lost = tuple(OrphanBody(index=90 + n, reason="unknown", lookups=("CEB no=lost",)) for n in range(orphans))
    cop_msg_id = f"RECEIPT-{body.hex()}"
    spool.file(
        [Filing(arrival=arrival.id, kind="CEB312Message", cop_msg_id=cop_msg_id, rows=rows, orphans=lost)]
    )
    return arrival.id


def acknowledge(spool: Spool, owner: str = "ann") -> None:
    spool.acknowledge(owner, 10**6)


def before(clock: Clock) -> datetime:
    return clock.now - timedelta(days=DAYS)


def old(spool: Spool, clock: Clock) -> set[str]:
    return set(spool.old(before(clock), limit=1000).uids)


def exported(spool: Spool, uid: str) -> Archived:
    message = spool.export(uid)
    assert message is not None
    return message


def test_settled_message_goes_after_its_days_and_no_sooner(spool: Spool, clock: Clock) -> None:
    send(spool, "A")
    clock.move(DAYS * DAY)
    assert old(spool, clock) == set()
    clock.move(1)
    assert old(spool, clock) == {"A"}


def test_what_is_unsettled_held_or_dead_never_goes(spool: Spool, clock: Clock) -> None:
    put(spool, "dead")
    spool.settle(settled(spool.claim("one", "port", limit=9, lease_s=60), Fate.UNDELIVERABLE))
    put(spool, "sending")
    spool.claim("one", "port", limit=9, lease_s=60)
    put(spool, "ready", "held", "gone")
    spool.act(Event.HELD, ["held"])
    spool.act(Event.DISCARDED, ["gone"], reason="twice")
    clock.move(1000 * DAY)
    assert old(spool, clock) == {"gone"}
    everything = [exported(spool, uid) for uid in ("dead", "sending", "ready", "held", "gone")]
    assert spool.purge(everything, before=before(clock)) == ["gone"]


def test_message_stays_until_every_way_is_settled(spool: Spool, clock: Clock) -> None:
    other = Way(destination="capital", cop_msg_id="COP-A")
    spool.put([new_message("A", "x", more_ways=(other,))])
    spool.settle(settled(spool.claim("one", "port", limit=9, lease_s=60)))
    clock.move(1000 * DAY)
    assert old(spool, clock) == set()
    spool.settle(settled(spool.claim("one", "capital", limit=9, lease_s=60)))
    clock.move(DAYS * DAY + 1)
    assert old(spool, clock) == {"A"}


def test_message_sent_late_waits_for_its_answer(spool: Spool, clock: Clock) -> None:
    put(spool, "A")
    clock.move(1000 * DAY)
    spool.settle(settled(spool.claim("one", "port", limit=9, lease_s=60)))
    assert old(spool, clock) == set()


def test_every_answer_gives_a_declaration_its_days_anew(spool: Spool, clock: Clock) -> None:
    send(spool, "A")
    clock.move(DAYS * DAY)
    answer(spool, "CEB no=A")
    acknowledge(spool)
    clock.move(DAYS * DAY)
    assert old(spool, clock) == set()
    clock.move(1)
    assert old(spool, clock) == {"A"}


def test_message_stays_while_its_owner_has_not_acknowledged_an_answer(spool: Spool, clock: Clock) -> None:
    send(spool, "A")
    answer(spool, "CEB no=A")
    clock.move(1000 * DAY)
    acknowledge(spool, "bob")
    assert old(spool, clock) == set()
    (notice,) = spool.notices("ann", after=0, limit=9)
    assert notice.rows
    acknowledge(spool)
    assert old(spool, clock) == {"A"}


def test_answer_that_comes_between_export_and_purge_keeps_the_message(spool: Spool, clock: Clock) -> None:
    send(spool, "A")
    clock.move(1000 * DAY)
    at_export = exported(spool, "A")
    answer(spool, "CEB no=A")
    acknowledge(spool)
    assert spool.purge([at_export], before=before(clock)) == []
    clock.move(1000 * DAY)
    assert spool.purge([at_export], before=before(clock)) == [], "that answer is in no archive"
    assert spool.purge([exported(spool, "A")], before=before(clock)) == ["A"]


def test_declaration_stays_with_its_answers_while_another_message_speaks_of_it(
    spool: Spool, archive: Archive, clock: Clock
) -> None:
    send(spool, "A", about="CEB no=1", handles=("CEB invtNo=9",))
    answer(spool, "CEB no=1")
    acknowledge(spool)
    clock.move(1000 * DAY)
    put(spool, "B", about="CEB no=1")
    assert retention(spool, archive, clock).step().purged == ("A",)
    assert spool.message("A") is None
    (found,) = spool.find(["CEB invtNo=9"])
    assert found.identity == "CEB no=1"
    assert len(spool.timeline("ann", "CEB no=1")) == 1
    assert spool.search("CEB no=1") == ["B"]


def test_raw_answer_about_several_owners_stays_until_the_last_of_them_went(
    spool: Spool, archive: Archive, clock: Clock
) -> None:
    send(spool, "A")
    send(spool, "B", owner="bob")
    number = answer(spool, "CEB no=A", "CEB no=B")
    acknowledge(spool)
    clock.move(1000 * DAY)
    assert retention(spool, archive, clock).step().purged == ("A",)
    assert spool.arrival(number) is not None
    assert len(spool.notices("bob", after=0, limit=9)) == 1
    acknowledge(spool, "bob")
    assert retention(spool, archive, clock).step().purged == ("B",)
    assert spool.arrival(number) is None
    for uid in ("A", "B"):
        shelved = archive.get(uid)
        assert shelved is not None
        assert [one.body for one in shelved.message.receipts] == [b"<answer/>"]


def test_orphan_keeps_its_raw_answer(spool: Spool, archive: Archive, clock: Clock) -> None:
    send(spool, "A")
    number = answer(spool, "CEB no=A", orphans=1)
    acknowledge(spool)
    clock.move(1000 * DAY)
    assert retention(spool, archive, clock).step().purged == ("A",)
    assert spool.arrival(number) is not None
    assert [one.arrival for one in spool.orphans()] == [number]


def test_nothing_of_a_purged_message_is_left(spool: Spool, archive: Archive, clock: Clock) -> None:
    send(spool, "A", handles=("CEB invtNo=9",))
    number = answer(spool, "CEB no=A")
    acknowledge(spool)
    clock.move(1000 * DAY)
    assert retention(spool, archive, clock).step() == ArchiveBatch(
        found=("A",), archived=1, purged=("A",), more=False
    )
    assert (spool.message("A"), spool.body("A"), spool.arrival(number)) == (None, None, None)
    assert (spool.search("A"), list(spool.find(["CEB no=A", "CEB invtNo=9"]))) == ([], [])
    assert (list(spool.history("A")), spool.timeline(None, "CEB no=A")) == ([], [])
    assert spool.notices("ann", after=0, limit=9) == []


def test_same_bytes_count_as_new_after_the_purge(spool: Spool, archive: Archive, clock: Clock) -> None:
    send(spool, "A")
    clock.move(1000 * DAY)
    retention(spool, archive, clock).step()
    assert spool.put([new_message("A2", body=b"body of A", cop_msg_id="COP-A")]) == [Accepted(uid="A2")]


def test_acknowledgement_never_goes_back_by_a_purge(spool: Spool, archive: Archive, clock: Clock) -> None:
    send(spool, "A")
    answer(spool, "CEB no=A")
    acknowledge(spool)
    read = spool.acknowledged("ann")
    clock.move(1000 * DAY)
    retention(spool, archive, clock).step()
    assert spool.acknowledge("ann", 10**6) == read == spool.acknowledged("ann")
    send(spool, "B")
    answer(spool, "CEB no=B", body=b"<later/>")
    (notice,) = spool.notices("ann", after=read, limit=9)
    assert notice.cursor > read


def test_batches_go_through_the_whole_spool_past_what_stays(
    spool: Spool, archive: Archive, clock: Clock
) -> None:
    put(spool, *(f"held{number}" for number in range(520)))
    spool.act(Event.HELD, [f"held{number}" for number in range(520)])
    send(spool, *(f"sent{number}" for number in range(25)))
    clock.move(1000 * DAY)
    put(spool, "young")
    moving, purged, steps = retention(spool, archive, clock, batch=10), list[str](), 0
    while True:
        batch = moving.step()
        assert len(batch.purged) <= 10
        purged += batch.purged
        steps += 1
        if not batch.more:
            break
    assert sorted(purged) == sorted(f"sent{number}" for number in range(25))
    assert len(spool.entries(limit=1000)) == 521


def test_dry_run_finds_and_changes_nothing(
    spool: Spool, archive: Archive, clock: Clock, tmp_path: Path
) -> None:
    send(spool, "A")
    clock.move(1000 * DAY)
    batch = retention(spool, archive, clock).step(dry_run=True)
    assert (batch.found, batch.purged) == (("A",), ())
    assert spool.message("A") is not None
    assert not (tmp_path / "archive").exists()


def test_archived_message_is_whole_and_found_by_everything_it_was_found_by(
    spool: Spool, archive: Archive, clock: Clock
) -> None:
    send(spool, "A", about="CEB ebpCode=E orderNo=O-1", handles=("CEB invtNo=I-9",))
    number = answer(spool, "CEB invtNo=I-9", body=b"\x00raw\xff")
    acknowledge(spool)
    send(spool, "B")
    clock.move(1000 * DAY)
    whole = exported(spool, "A")
    assert [one.event for one in whole.history] == ["message.accepted", "entry.sent", "receipt.filed"]
    retention(spool, archive, clock).step()
    shelved = archive.get("A")
    assert shelved is not None
    assert shelved.message == whole
    assert (shelved.message.body, shelved.message.receipts[0].body) == (b"body of A", b"\x00raw\xff")
    identity, receipt = "CEB ebpCode=E orderNo=O-1", whole.receipts[0].cop_msg_id
    for text in ("A", "a", "COP-A", identity, "CEB invtNo=I-9", "O-1", "I-9", str(number), receipt):
        assert archive.search(text) == ["A"], text
    assert archive.search("nothing of that name") == []
    assert archive.get("C") is None


def packed_twice(archive: Archive, spool: Spool) -> None:
    assert archive.append([exported(spool, "A"), exported(spool, "B")]) == 2
    assert archive.append([exported(spool, "A"), exported(spool, "B")]) == 0


def test_archive_is_read_by_standard_tools(
    spool: Spool, archive: Archive, clock: Clock, tmp_path: Path
) -> None:
    send(spool, "A", "B")
    packed_twice(archive, spool)
    (file,) = (tmp_path / "archive").glob("*.tar.gz")
    listed = subprocess.run(["tar", "-tzf", file], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == ["A/record.json", "A/body", "B/record.json", "B/body"]
    assert listed.stderr == ""
    assert file.stat().st_mode & 0o077 == 0


def test_torn_end_of_a_crashed_write_is_cut_off(
    spool: Spool, archive: Archive, clock: Clock, tmp_path: Path
) -> None:
    send(spool, "A", "B", "C")
    packed_twice(archive, spool)
    (file,) = (tmp_path / "archive").glob("*.tar.gz")
    sound = file.read_bytes()
    for torn in (sound[:40], b"\0" * 1000):
        file.write_bytes(sound + torn)
        assert archive.append([exported(spool, "A")]) == 0
        assert file.read_bytes() == sound
    assert archive.append([exported(spool, "C")]) == 1
    assert [archive.search(uid) for uid in "ABC"] == [["A"], ["B"], ["C"]]


def test_member_that_the_index_missed_in_a_crash_is_entered(
    spool: Spool, archive: Archive, clock: Clock, tmp_path: Path
) -> None:
    send(spool, "A", "B")
    packed_twice(archive, spool)
    (index,) = (tmp_path / "archive").glob("*.index")
    with closing(sqlite3.connect(index)) as connection, connection:
        connection.execute("DELETE FROM key WHERE member = (SELECT number FROM member WHERE uid = 'B')")
        connection.execute("DELETE FROM member WHERE uid = 'B'")
    assert archive.append([exported(spool, "B")]) == 0
    assert archive.search("COP-B") == ["B"]


def test_index_that_is_gone_is_made_anew(
    spool: Spool, archive: Archive, clock: Clock, tmp_path: Path
) -> None:
    send(spool, "A", "B")
    packed_twice(archive, spool)
    (index,) = (tmp_path / "archive").glob("*.index")
    index.unlink()
    clock.move(DAY)
    assert archive.search("COP-B") == ["B"]
    shelved = archive.get("A")
    assert shelved is not None
    assert shelved.message.body == b"body of A"


def test_damaged_archive_without_its_index_is_told_and_left_as_it_is(
    spool: Spool, archive: Archive, clock: Clock, tmp_path: Path
) -> None:
    send(spool, "A", "B")
    packed_twice(archive, spool)
    (index,) = (tmp_path / "archive").glob("*.index")
    (file,) = (tmp_path / "archive").glob("*.tar.gz")
    index.unlink()
    broken = bytearray(file.read_bytes())
    broken[20] ^= 0xFF
    file.write_bytes(broken)
    with pytest.raises(SpoolError, match="from byte 0"):
        archive.append([exported(spool, "A")])
    assert file.read_bytes() == broken


def test_file_that_was_moved_away_is_named(
    spool: Spool, archive: Archive, clock: Clock, tmp_path: Path
) -> None:
    send(spool, "A", "B")
    packed_twice(archive, spool)
    (file,) = (tmp_path / "archive").glob("*.tar.gz")
    file.rename(tmp_path / "elsewhere")
    with pytest.raises(SpoolError) as caught:
        archive.get("A")
    assert caught.value.where == str(file)
    with pytest.raises(SpoolError, match="0 bytes"):
        archive.append([exported(spool, "A")])


def test_archive_that_cannot_be_written_purges_nothing(
    spool: Spool, archive: Archive, clock: Clock, tmp_path: Path
) -> None:
    send(spool, "A")
    clock.move(1000 * DAY)
    (tmp_path / "archive").write_text("in the way")
    with pytest.raises(SpoolError, match="archive cannot be used"):
        retention(spool, archive, clock).step()
    assert spool.message("A") is not None


COUNT = 60


def child(request: pytest.FixtureRequest, tmp_path: Path, deed: str) -> "subprocess.Popen[str]":
    state = tmp_path / "state"
    address = (
        shared().schema_for(state) if request.node.callspec.params["spool"] == "postgres" else str(state)
    )
    command = [sys.executable, "-m", "tests.crash.retention_child", address, str(tmp_path / "archive"), deed]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def die(process: "subprocess.Popen[str]", after_lines: int) -> None:
    assert process.stdout is not None
    for _ in range(after_lines):
        if not process.stdout.readline():
            break
    process.send_signal(signal.SIGKILL)
    process.stdout.close()
    process.wait(timeout=60)


@dataclass(frozen=True, kw_only=True)
class Aged:
    """A spool full of messages that are over."""

    uids: list[str]
    spool: Spool
    archive: Archive
    moving: Retention


@pytest.fixture
def aged(spool: Spool, archive: Archive, clock: Clock) -> Aged:
    uids = [f"U{number:02d}" for number in range(COUNT)]
    send(spool, *uids)
    clock.move(1000 * DAY)
    return Aged(uids=uids, spool=spool, archive=archive, moving=retention(spool, archive, clock))


def test_killed_between_archive_and_purge_archives_again_harmlessly(
    aged: Aged, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    die(child(request, tmp_path, "archive"), 1)
    assert [aged.archive.search(uid) for uid in aged.uids[:10]] == [[uid] for uid in aged.uids[:10]]
    assert all(aged.spool.message(uid) is not None for uid in aged.uids), "nothing was purged"

    batch = aged.moving.step()

    assert (batch.archived, batch.purged) == (0, tuple(aged.uids[:10]))
    (file,) = (tmp_path / "archive").glob("*.tar.gz")
    listed = subprocess.run(["tar", "-tzf", file], capture_output=True, text=True, check=True).stdout.split()
    assert len(listed) == len(set(listed)) == 20


def test_killed_at_any_moment_every_message_is_in_the_spool_or_the_archive(
    aged: Aged, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(20261111)
    for _ in range(4):
        die(child(request, tmp_path, "move"), chance.randint(1, 6))
        for uid in aged.uids:
            if aged.spool.message(uid) is None:
                shelved = aged.archive.get(uid)
                assert shelved is not None
                assert shelved.message.body == b"body of " + uid.encode()
    while aged.moving.step().purged:
        pass
    assert [uid for uid in aged.uids if aged.archive.get(uid) is None] == []
    assert aged.spool.entries() == []
