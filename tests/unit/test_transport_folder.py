import os
from pathlib import Path

from gateway.config.links import Folder
from gateway.ports import Parcel
from gateway.transports import polled
from gateway.transports.folder import FolderDrop, FolderFeed, FolderTransport


def parcel(name: str, body: bytes = b"<x/>") -> Parcel:
    return Parcel(entry=1, cop_msg_id="A", message_type="CEB311Message", body=body, file_name=name)


def test_what_an_attempt_left_behind_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".a.xml.part").write_bytes(b"half of something longer")
    transport = FolderTransport(Folder(send_dir=tmp_path, receive_dir=tmp_path))
    (delivery,) = transport.send([parcel("a.xml")])
    assert delivery.error is None
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"a.xml": b"<x/>"}


def test_file_that_cannot_be_written_does_not_hold_up_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.xml").mkdir()
    (tmp_path / "a.xml" / "inside").touch()
    transport = FolderTransport(Folder(send_dir=tmp_path, receive_dir=tmp_path))
    bad, good, never = transport.send([parcel("a.xml"), parcel("b.xml"), parcel("../c.xml")])
    assert bad.error is not None
    assert bad.error.temporary
    assert good.error is None
    assert never.error is not None
    assert not never.error.temporary


def test_feed_takes_whole_regular_files_oldest_first(tmp_path: Path) -> None:
    for place, name in enumerate(("c.xml", "a.xml", "b.xml")):
        (tmp_path / name).write_bytes(name.encode())
        os.utime(tmp_path / name, (1000 + place, 1000 + place))
    for name in (".hidden", "a.tmp", "b.part", "c.reading"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty.xml").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.xml").symlink_to(tmp_path / "a.xml")

    feed = FolderFeed(Folder(send_dir=tmp_path, receive_dir=tmp_path), poll_s=0.01)
    assert [arrival.name for arrival in feed.receive(limit=9, timeout_s=0)] == ["c.xml", "a.xml", "b.xml"]


def test_giant_file_is_left_and_told(tmp_path: Path) -> None:
    with (tmp_path / "giant.xml").open("wb") as file:
        file.truncate(polled.LARGEST_BYTES + 1)
    ((name, error),) = FolderDrop(tmp_path).read(["giant.xml"])
    assert name == "giant.xml"
    assert "larger" in str(error)
    assert (tmp_path / "giant.xml").exists()
