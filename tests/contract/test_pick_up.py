"""What becomes of the files of a folder of answers once they are safe, on every medium that has such a folder."""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import msgspec
import pytest

from gateway.config.local_receivers import NOBODY
from gateway.errors import DeliveryError
from gateway.ports import Arrival, Clock
from gateway.receipts.collect import Collect
from gateway.receipts.filing import ReceiptFiler
from gateway.receipts.transfer import Transfer
from gateway.transports.folder import FolderFeed
from gateway.transports.polled import PolledFeed
from gateway.transports.sftp.transport import SftpFeed
from spool.sqlite import SqliteSpool
from tests.contract.conftest import FolderMedium, OpenSshMedium, SftpMedium
from tests.shipped_rules import shipped
from tests.unit.test_new_messages import config
from tests.waiting import PATIENCE_S


class Place(Protocol):
    """A folder of answers as both sides see it."""

    @property
    def out(self) -> Path: ...
    @property
    def archive(self) -> Path: ...
    def feed(self, *, archive: bool = True, stable_s: float = 0.0, clock: Clock = ...) -> PolledFeed: ...
    def offer(self, body: bytes, name: str) -> None: ...
    def stop(self) -> None: ...


class FolderPlace(FolderMedium):
    @property
    def out(self) -> Path:
        return self.mount / "out"

    @property
    def archive(self) -> Path:
        return self.out / "done"

    def feed(
        self, *, archive: bool = True, stable_s: float = 0.0, clock: Clock = time.monotonic
    ) -> FolderFeed:
        config = msgspec.structs.replace(
            self.config, archive_dir=self.archive if archive else None, stable_s=stable_s
        )
        return FolderFeed(config, poll_s=0.01, clock=clock)


class SftpPlace(SftpMedium):
    remote = "/out/done"

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def archive(self) -> Path:
        return self.out / "done"

    def feed(self, *, archive: bool = True, stable_s: float = 0.0, clock: Clock = time.monotonic) -> SftpFeed:
        config = msgspec.structs.replace(
            self.config, archive_dir=self.remote if archive else "", stable_s=stable_s
        )
        return SftpFeed(config, poll_s=0.01, clock=clock)


class OpenSshPlace(OpenSshMedium):
    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def archive(self) -> Path:
        return self.out / "done"

    def feed(self, *, archive: bool = True, stable_s: float = 0.0, clock: Clock = time.monotonic) -> SftpFeed:
        config = msgspec.structs.replace(
            self.config, archive_dir=str(self.archive) if archive else "", stable_s=stable_s
        )
        return SftpFeed(config, poll_s=0.01, clock=clock)


@pytest.fixture(params=[FolderPlace, SftpPlace, OpenSshPlace], ids=["folder", "sftp", "openssh"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made: Place = request.param(tmp_path)
    made.archive.mkdir()
    yield made
    made.stop()


def take(feed: PolledFeed, count: int) -> list[Arrival]:
    arrivals: list[Arrival] = []
    while len(arrivals) < count:
        more = feed.receive(limit=count, timeout_s=PATIENCE_S)
        assert more
        arrivals += more
    return arrivals


def bodies(folder: Path) -> list[bytes]:
    return sorted(file.read_bytes() for file in folder.iterdir() if file.is_file())


def test_what_is_safe_is_moved_to_the_archive_and_does_not_come_again(place: Place) -> None:
    for number in range(70):
        place.offer(b"%02d" % number, f"r{number}.xml")
    feed = place.feed()
    feed.done(take(feed, 70))
    assert list(feed.receive(limit=5, timeout_s=0)) == []
    feed.close()
    assert bodies(place.out) == []
    assert {file.name: file.read_bytes() for file in place.archive.iterdir()} == {
        f"r{number}.xml": b"%02d" % number for number in range(70)
    }


def test_what_is_not_safe_yet_stays(place: Place) -> None:
    place.offer(b"1", "r.xml")
    feed = place.feed()
    take(feed, 1)
    feed.close()
    assert bodies(place.out) == [b"1"]
    assert bodies(place.archive) == []


def test_file_of_the_same_name_does_not_replace_what_is_in_the_archive(place: Place) -> None:
    feed = place.feed()
    for body in (b"1", b"2", b"3"):
        place.offer(body, "r.xml")
        feed.done(take(feed, 1))
    feed.close()
    assert bodies(place.archive) == [b"1", b"2", b"3"]
    names = sorted(file.name for file in place.archive.iterdir())
    assert "r.xml" in names
    assert all(name.startswith("r.") and name.endswith(".xml") for name in names)


def test_file_that_somebody_took_away_is_put_away(place: Place) -> None:
    for name in ("a.xml", "b.xml"):
        place.offer(b"1", name)
    feed = place.feed()
    arrivals = take(feed, 2)
    (place.out / "a.xml").unlink()
    feed.done(arrivals)
    feed.close()
    assert [file.name for file in place.archive.iterdir()] == ["b.xml"]


def test_missing_archive_folder_is_told_and_nothing_is_lost(place: Place) -> None:
    place.offer(b"1", "r.xml")
    place.archive.rmdir()
    feed = place.feed()
    with pytest.raises(DeliveryError) as told:
        feed.done(take(feed, 1))
    assert "done" in str(told.value)
    assert told.value.temporary
    assert bodies(place.out) == [b"1"]

    place.archive.mkdir()
    feed.done(take(feed, 1))
    feed.close()
    assert bodies(place.archive) == [b"1"]


def test_half_files_are_left_alone_and_told_of_after_an_hour(place: Place) -> None:
    halves = [
        "a.xml.filepart",
        "b.xml.partial",
        "c.crdownload",
        "d.xml.swp",
        "e.xml~",
        "f.tmp",
        ".g.xml.part",
    ]
    for name in [*halves, ".hidden"]:
        (place.out / name).write_bytes(b"<half")
    (place.out / "empty.xml").touch()
    (place.out / "link.xml").symlink_to("f.tmp")
    place.offer(b"1", "r.xml")
    now = [0.0]
    feed = place.feed(clock=lambda: now[0])
    feed.done(take(feed, 1))
    for at in (0.0, 3599.0):
        now[0] = at
        assert not feed.receive(limit=10, timeout_s=0)
    now[0] = 3600.0
    place.offer(b"2", "s.xml")
    feed.done(take(feed, 1))  # what comes goes first
    with pytest.raises(DeliveryError, match="not taken") as told:
        feed.receive(limit=10, timeout_s=0)
    assert "of the files in the folder are not taken" in told.value.what
    assert str(place.out.name) in told.value.where
    assert not feed.receive(limit=10, timeout_s=0), "told once"
    now[0] = 7200.0
    with pytest.raises(DeliveryError, match="not taken"):
        feed.receive(limit=10, timeout_s=0)
    for name in [*halves, "empty.xml", "link.xml"]:
        (place.out / name).unlink(missing_ok=True)
    now[0] = 10_800.0
    assert not feed.receive(limit=10, timeout_s=0)
    feed.close()
    assert (place.out / ".hidden").exists()


def test_file_under_its_final_name_is_taken_when_nothing_has_changed_for_a_while(place: Place) -> None:
    feed = place.feed(archive=False, stable_s=0.2)
    growing = place.out / "r.xml"
    for length in range(1, 6):
        growing.write_bytes(b"x" * length)  # a listing between two of these starts the watch anew
        assert list(feed.receive(limit=1, timeout_s=0)) == []
    os.utime(growing, (1000, 1000))
    (arrival,) = take(feed, 1)
    feed.close()
    assert arrival.body == b"xxxxx"


@pytest.mark.parametrize("archive", [True, False], ids=["archived", "removed"])
def test_restart_between_commit_and_putting_away_keeps_one_copy(
    place: Place, tmp_path: Path, archive: bool
) -> None:
    for number in range(3):
        place.offer(b"<a>%d</a>" % number, f"r{number}.xml")

    class DiedError(Exception):
        pass

    class Mortal:
        """The feed of a process that dies after the commit."""

        def __init__(self) -> None:
            self.inner = place.feed(archive=archive)
            self.receive, self.idle, self.close = self.inner.receive, self.inner.idle, self.inner.close

        def done(self, arrivals: object) -> None:  # noqa: ARG002  # the Protocol has it
            raise DiedError

    rules = shipped()
    with closing(SqliteSpool(tmp_path / "state")) as spool:
        transfer = Transfer(local_receivers=NOBODY, config=config())
        filer = ReceiptFiler(spool=spool, rules=rules, config=config(), transfer=transfer)
        dying = Collect(spool=spool, feed=Mortal(), destination="port", filer=filer)
        with pytest.raises(DiedError):
            dying.step()
        dying.close()
        kept = spool.unfiled(10)
        assert len(kept) == 3
        assert len(bodies(place.out)) == 3

        collect = Collect(spool=spool, feed=place.feed(archive=archive), destination="port", filer=filer)
        assert collect.step() == 3
        assert len(spool.orphans()) == 3  # each filed once; nobody's, for these are no receipts
        assert spool.arrival(max(raw.id for raw in kept) + 1) is None
        collect.close()
    assert bodies(place.out) == []
    assert len(bodies(place.archive)) == (3 if archive else 0)
