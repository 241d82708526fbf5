"""Servers that speak SFTP in their own way: files are collected and delivered all the same, or it is said why not."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from gateway.config.links import Sftp
from gateway.errors import ConfigError, DeliveryError
from gateway.ports import Arrival
from gateway.simulator.world import free_port
from gateway.transports.sftp.probe import reach
from gateway.transports.sftp.transport import SftpFeed, SftpTransport
from tests.contract.conftest import SftpMedium, parcel, whole_files
from tests.servers.openssh import write_key
from tests.servers.sftp_quirks import POSIX_RENAME, session_with
from tests.spec import CASES

PATIENCE_S = 60.0
LARGE = bytes(range(256)) * 300
"""Three blocks."""
READABLE = [
    "no type bits",
    "no attributes",
    "no times",
    "no sizes",
    "no sizes listed",
    "no size of open files",
    "sizes are 0",
    "size of open files is 0",
    "no fstat",
    "no stat",
    "short reads",
]
WRITABLE = [
    *POSIX_RENAME,
    "no type bits",
    "no attributes",
    "no times",
    "no sizes",
    "no stat",
    "no fstat",
    "no listing",
]
ALL_AT_ONCE = "no attributes, no sizes, no fstat, no stat, short reads, posix-rename fails"
Quirky = Callable[[str], SftpMedium]


@pytest.fixture
def quirky(tmp_path: Path) -> Iterator[Quirky]:
    made: list[SftpMedium] = []

    def make(quirks: str) -> SftpMedium:
        medium = SftpMedium(tmp_path, session=session_with(quirks.split(", ")))
        (medium.root / "out" / "done").mkdir()
        made.append(medium)
        return medium

    yield make
    for medium in made:
        medium.stop()


def changed(config: Sftp, **values: object) -> Sftp:
    return msgspec.structs.replace(config, **values)


def take(feed: SftpFeed, count: int) -> list[Arrival]:
    found: list[Arrival] = []
    while len(found) < count:
        more = feed.receive(limit=10, timeout_s=PATIENCE_S)
        assert more, found
        found += more
    return found


@pytest.mark.parametrize("quirk", [*READABLE, ALL_AT_ONCE])
@pytest.mark.parametrize("stable_s", [0.0, 0.05], ids=["renamed", "stable"])
@pytest.mark.parametrize("archive", ["", "/out/done"], ids=["removed", "archived"])
def test_answers_are_collected_and_put_away(
    quirky: Quirky, quirk: str, stable_s: float, archive: str
) -> None:
    medium = quirky(quirk)
    sent = {"a.xml": b"1", "b.xml": LARGE, "c.xml": b"x" * 32_768}
    for name, body in sent.items():
        medium.offer(body, name)
    (medium.root / "out" / "done" / "b.xml").write_bytes(b"an older one")
    feed = SftpFeed(changed(medium.config, archive_dir=archive, stable_s=stable_s), poll_s=0.01)
    arrivals = take(feed, len(sent))
    assert {arrival.name: arrival.body for arrival in arrivals} == sent
    feed.done(arrivals)
    feed.close()
    assert whole_files_of(medium.root / "out") == []
    kept = whole_files_of(medium.root / "out" / "done")
    assert sorted(kept) == sorted([b"an older one", *(sent.values() if archive else [])])


def whole_files_of(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.iterdir() if file.is_file()]


@pytest.mark.parametrize("quirk", [*WRITABLE, ALL_AT_ONCE])
def test_envelopes_get_their_final_name_and_again_over_the_same(quirky: Quirky, quirk: str) -> None:
    medium = quirky(quirk)
    transport = SftpTransport(medium.config)
    for _ in range(2):
        sent = [parcel(1), parcel(2, LARGE)]
        assert {one.entry: one.error for one in transport.send(sent)} == {1: None, 2: None}
        assert medium.arrived() == [one.body for one in sent]
    transport.close()
    assert len(list((medium.root / "in").iterdir())) == 2


@pytest.mark.parametrize(
    ("quirk", "said"),
    [("no rename", "cannot be given its final name"), ("sizes are 0", "has 0 bytes in place of")],
)
def test_what_cannot_be_sent_is_said_and_nothing_is_under_its_final_name(
    quirky: Quirky, quirk: str, said: str
) -> None:
    medium = quirky(quirk)
    transport = SftpTransport(medium.config)
    (delivery,) = transport.send([parcel(1)])
    transport.close()
    assert delivery.error is not None
    assert said in delivery.error.what
    assert medium.arrived() == []


def test_file_that_was_delivered_before_outlasts_a_rename_that_is_forbidden(quirky: Quirky) -> None:
    medium = quirky("no rename, no remove")
    delivered = medium.root / "in" / parcel(1).file_name
    delivered.write_bytes(b"delivered")
    transport = SftpTransport(medium.config)
    (delivery,) = transport.send([parcel(1)])
    transport.close()
    assert delivery.error is not None
    assert delivered.read_bytes() == b"delivered"


@pytest.mark.parametrize(
    ("quirk", "archive", "said"),
    [("no remove", "", "cannot be removed"), ("no rename", "/out/done", "cannot be moved")],
)
def test_answers_that_cannot_be_put_away_are_collected_and_that_is_said(
    quirky: Quirky, quirk: str, archive: str, said: str
) -> None:
    medium = quirky(quirk)
    medium.offer(b"1", "a.xml")
    feed = SftpFeed(changed(medium.config, archive_dir=archive), poll_s=0.01)
    arrivals = take(feed, 1)
    with pytest.raises(DeliveryError, match=said):
        feed.done(arrivals)
    feed.close()


def test_folder_that_cannot_be_listed_is_said(quirky: Quirky) -> None:
    medium = quirky("no listing")
    medium.offer(b"1", "a.xml")
    feed = SftpFeed(medium.config, poll_s=0.01)
    with pytest.raises(DeliveryError, match="cannot be listed"):
        feed.receive(limit=1, timeout_s=0)
    feed.close()


@pytest.mark.parametrize("quirks", ["no sizes, no times", "sizes are 0, no times"])
def test_file_that_grows_is_not_taken_half_where_nobody_tells_sizes_or_times(
    quirky: Quirky, quirks: str
) -> None:
    medium = quirky(quirks)
    growing = medium.root / "out" / "a.xml"
    growing.write_bytes(b"<a>")
    now = [0.0]
    feed = SftpFeed(changed(medium.config, stable_s=3.0), clock=lambda: now[0], wait=lambda _: None)
    for at, body in ((0.0, b"<a>"), (3.0, b"<a>"), (4.0, b"<a>1"), (7.0, b"<a>12"), (9.0, b"<a>12</a>")):
        now[0] = at
        growing.write_bytes(body)
        assert not feed.receive(limit=1, timeout_s=0)
    now[0] = 12.0
    (arrival,) = feed.receive(limit=1, timeout_s=0)
    assert arrival.body == b"<a>12</a>"
    feed.close()


def test_check_finds_the_folders_of_a_server_that_says_nothing_by_name(quirky: Quirky) -> None:
    medium = quirky("no stat")
    assert "all folders there" in reach(medium.config)
    with pytest.raises(ConfigError, match="/nowhere"):
        reach(changed(medium.config, receive_dir="/nowhere"))


SHARED_SERVER = CASES / "05-sftp-server-with-quirks.py"


@pytest.fixture
def other_server(tmp_path: Path) -> Iterator[Callable[[str], Sftp]]:
    """A server of somebody else's making, as a process of its own."""
    running: list[subprocess.Popen[bytes]] = []

    def start(quirks: str) -> Sftp:
        for name in ("in", "out"):
            (tmp_path / "root" / name).mkdir(parents=True)
        host_key, port = write_key(tmp_path / "host"), free_port()
        write_key(tmp_path / "user")
        command = [
            sys.executable,
            str(SHARED_SERVER),
            str(port),
            str(tmp_path / "root"),
            str(tmp_path / "host"),
            quirks,
        ]
        running.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        reached = Retrying(
            retry=retry_if_exception_type(OSError), wait=wait_fixed(0.05), stop=stop_after_delay(PATIENCE_S)
        )
        for attempt in reached:
            with attempt:
                socket.create_connection(("127.0.0.1", port)).close()
        return Sftp(
            host="127.0.0.1",
            port=port,
            user="gateway",
            key_file=tmp_path / "user",
            host_key=host_key,
            send_dir="/in",
            receive_dir="/out",
            timeout_s=20,
        )

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.skipif(not SHARED_SERVER.exists(), reason="that server is not beside this checkout")
@pytest.mark.parametrize(
    "quirks",
    [
        *(
            "none",
            "notypebits",
            "nomtime",
            "nosize",
            "nofsize",
            "fstat0",
            "nofstat",
            "short",
            "nostat",
            "extfail",
        ),
        *("extbad", "notypebits,nomtime,nofsize,nofstat,nostat,short,extfail"),
    ],
)
def test_the_same_against_a_server_of_another_make(
    other_server: Callable[[str], Sftp], tmp_path: Path, quirks: str
) -> None:
    config = other_server(quirks)
    out, into = tmp_path / "root" / "out", tmp_path / "root" / "in"
    for name, body in (("a.xml", b"1"), ("b.xml", LARGE)):
        (out / f".{name}").write_bytes(body)
        (out / f".{name}").rename(out / name)
    feed, transport = SftpFeed(config, poll_s=0.01), SftpTransport(config)
    arrivals = take(feed, 2)
    assert {arrival.name: arrival.body for arrival in arrivals} == {"a.xml": b"1", "b.xml": LARGE}
    feed.done(arrivals)
    assert list(out.iterdir()) == []
    for _ in range(2):
        sent = [parcel(1), parcel(2, LARGE)]
        assert {one.entry: one.error for one in transport.send(sent)} == {1: None, 2: None}
        assert whole_files(into) == [one.body for one in sent]
    feed.close()
    transport.close()
