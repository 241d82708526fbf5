"""What was read is what is put away, whatever somebody else does to the folder meanwhile."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.doors.drop.folder import ACCEPTED, report_name
from gateway.doors.drop.foreign_folder import DoorDrop, Unfit
from gateway.transports.names import LONGEST_BYTES
from gateway.transports.polled import PolledFeed

LIMIT = 100


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
def done(tmp_path: Path) -> Path:
    folder = tmp_path / "done"
    folder.mkdir()
    return folder


def read(drop: DoorDrop) -> dict[str, bytes]:
    found = dict(drop.read([file.name for file in drop.files()]))
    assert all(isinstance(body, bytes) for body in found.values())
    return found  # type: ignore[return-value]


def test_half_files_are_left_alone(incoming: Path) -> None:
    for name in (
        "a.xml.filepart",
        "b.partial",
        "c.crdownload",
        "d.xml.swp",
        "e.xml~",
        "~$f.xml",
        ".g",
        "whole.xml",
    ):
        (incoming / name).write_bytes(b"x")
    assert read(DoorDrop(incoming, LIMIT)) == {"whole.xml": b"x"}


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def replaced(file: Path) -> None:
    other = file.with_name(".other")
    other.write_bytes(b"second")
    other.rename(file)


def overwritten(file: Path) -> None:
    facts = file.stat()
    file.write_bytes(b"second")
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))


@pytest.mark.parametrize("change", [replaced, overwritten])
def test_file_that_is_another_by_now_stays_and_is_read_in_its_turn(
    incoming: Path, done: Path, change: Callable[[Path], None]
) -> None:
    (incoming / "a.xml").write_bytes(b"first1")
    drop = DoorDrop(incoming, LIMIT)
    assert read(drop) == {"a.xml": b"first1"}
    change(incoming / "a.xml")
    drop.decide("a.xml", done, replace=False)
    drop.put_away(["a.xml"])
    assert (names(incoming), names(done)) == (["a.xml"], [])
    assert read(drop) == {"a.xml": b"second"}
    drop.decide("a.xml", done, replace=False)
    drop.put_away(["a.xml"])
    assert (names(incoming), (done / "a.xml").read_bytes()) == ([], b"second")


def test_without_a_decision_the_file_is_removed_and_one_that_is_gone_is_put_away(incoming: Path) -> None:
    drop = DoorDrop(incoming, LIMIT)
    for name in ("a.xml", "b.xml"):
        (incoming / name).write_bytes(b"x")
    read(drop)
    (incoming / "a.xml").unlink()
    drop.put_away(["a.xml", "b.xml"])
    assert names(incoming) == []


def test_name_that_is_taken_gets_another_or_replaces_as_decided(incoming: Path, done: Path) -> None:
    drop = DoorDrop(incoming, LIMIT)
    for body in (b"1", b"2", b"3"):
        (incoming / "a.xml").write_bytes(body)
        read(drop)
        drop.decide("a.xml", done, replace=body == b"3")
        drop.put_away(["a.xml"])
    assert len(names(done)) == 2
    assert (done / "a.xml").read_bytes() == b"3"


@pytest.mark.parametrize("name", ["a.xml", f"{'.' * 30}{'长' * 70}.xml", "x" * 255])
def test_what_a_killed_process_left_under_a_hidden_name_is_read_again(
    incoming: Path, done: Path, name: str
) -> None:
    """Killed between hiding and moving: here the folder it is to be moved to is missing."""
    whole = name.lstrip(".") or name
    (incoming / whole).write_bytes(b"x")
    drop = DoorDrop(incoming, LIMIT)
    assert len(read(drop)) == 1
    done.rmdir()
    drop.decide(whole, done, replace=True)
    with pytest.raises(Exception, match="cannot be used"):
        drop.put_away([whole])
    assert names(incoming)[0].startswith(".")
    done.mkdir()
    assert list(read(DoorDrop(incoming, LIMIT)).values()) == [b"x"]


def test_hidden_file_comes_back_beside_a_new_one_of_its_name(incoming: Path) -> None:
    (incoming / ".a.xml.0123abcd.reading").write_bytes(b"old")
    (incoming / "a.xml").write_bytes(b"new")
    assert sorted(read(DoorDrop(incoming, LIMIT)).values()) == [b"new", b"old"]


def test_more_than_the_limit_is_never_read(incoming: Path) -> None:
    (incoming / "a.xml").write_bytes(b"x" * 10 * LIMIT)
    assert len(read(DoorDrop(incoming, LIMIT))["a.xml"]) == LIMIT + 1


def test_link_put_in_place_of_a_listed_file_is_not_followed(incoming: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (incoming / "a.xml").write_bytes(b"x")
    drop = DoorDrop(incoming, LIMIT)
    listed = [file.name for file in drop.files()]
    (incoming / "a.xml").unlink()
    (incoming / "a.xml").symlink_to(tmp_path / "secret")
    ((name, error),) = drop.read(listed)
    assert name == "a.xml"
    assert not isinstance(error, bytes)
    assert drop.files() == []
    assert drop.take_unfit() == {"a.xml": Unfit.NOT_A_FILE}
    assert drop.take_unfit() == {}


def test_growing_file_is_taken_only_when_it_has_been_still_for_long_enough(incoming: Path) -> None:
    now = 0.0

    def clock() -> float:
        return now

    feed = PolledFeed(DoorDrop(incoming, LIMIT), poll_s=1, stable_s=5, clock=clock)
    file = incoming / "a.xml"
    for second in range(4):
        file.write_bytes(b"<a>" + b"x" * second)
        assert feed.receive(limit=9, timeout_s=0) == []
        now += 4
    file.write_bytes(b"<a>xxx</a>")
    assert feed.receive(limit=9, timeout_s=0) == []
    now += 4.9
    assert feed.receive(limit=9, timeout_s=0) == []
    now += 0.1
    (arrival,) = feed.receive(limit=9, timeout_s=0)
    assert arrival.body == b"<a>xxx</a>"


@pytest.mark.parametrize("name", ["a.xml", "长" * 80, "x" * 255, "\udcff.xml"])
def test_report_has_a_name_that_a_file_can_have(name: str) -> None:
    named = report_name(name, ACCEPTED)
    assert named.endswith(ACCEPTED)
    assert len(os.fsencode(named)) <= LONGEST_BYTES
    assert named.startswith(name) or len(os.fsencode(name)) > 200
