"""The wire against OpenSSH's own server program where it is installed, and against nonsense everywhere."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.transports.progress import Progress
from gateway.transports.sftp import wire
from gateway.transports.sftp.wire import BLOCK_BYTES, Kind, SftpProtocolError, SftpReply, SftpWire, Status
from tests.waiting import PATIENCE_S

OPENSSH = Path("/usr/lib/openssh/sftp-server")


def soon() -> Progress:
    return Progress(PATIENCE_S)


@pytest.fixture
def openssh() -> Iterator[SftpWire]:
    if not OPENSSH.exists():
        pytest.skip("OpenSSH's sftp-server is not installed")
    ours, theirs = socket.socketpair()
    with ours, subprocess.Popen([OPENSSH], stdin=theirs.fileno(), stdout=theirs.fileno()) as server:
        theirs.close()
        yield SftpWire(cast("Any", ours), soon())
        ours.close()
        server.wait(PATIENCE_S)


def test_openssh_takes_many_files_at_once(openssh: SftpWire, tmp_path: Path) -> None:
    bodies = {f"{tmp_path}/{number}": bytes([number]) * (number * 3000) for number in range(1, 60)}

    opened = openssh.ask(
        [wire.open_file(f"{path}.part", wire.WRITE | wire.CREATE | wire.TRUNCATE) for path in bodies], soon()
    )
    handles = [reply.string() for reply in opened]
    writes = [
        wire.write(handle, at, body[at : at + BLOCK_BYTES])
        for handle, body in zip(handles, bodies.values(), strict=True)
        for at in range(0, len(body), BLOCK_BYTES)
    ]
    ends = [ask for handle in handles for ask in (wire.sync(handle), wire.on_handle(Kind.CLOSE, handle))]
    stats = openssh.ask(
        [*writes, *ends, *(wire.on_path(Kind.STAT, f"{path}.part") for path in bodies)], soon()
    )
    renames = openssh.ask([wire.replace(f"{path}.part", path) for path in bodies], soon())

    assert {reply.status for reply in stats + renames} == {Status.OK}
    assert [reply.info().size for reply in stats[-len(bodies) :]] == [len(body) for body in bodies.values()]
    assert {str(file): file.read_bytes() for file in tmp_path.iterdir()} == bodies
    assert {"posix-rename@openssh.com", "fsync@openssh.com"} <= openssh.extensions


def test_openssh_lists_and_gives_files(openssh: SftpWire, tmp_path: Path) -> None:
    for number in range(250):
        (tmp_path / f"{number}.xml").write_bytes(b"%d" % number)

    (opened,) = openssh.ask([wire.on_path(Kind.OPENDIR, str(tmp_path))], soon())
    names = []
    while (
        page := openssh.ask([wire.on_handle(Kind.READDIR, opened.string())], soon())[0]
    ).status == Status.OK:
        names += [file.name for file in page.listing() if file.name.endswith(".xml")]
    (file,) = openssh.ask([wire.open_file(f"{tmp_path}/7.xml", wire.READ)], soon())
    block, end = openssh.ask([wire.read(file.string(), 0), wire.read(file.string(), 1)], soon())

    assert sorted(names) == sorted(f"{number}.xml" for number in range(250))
    assert block.string() == b"7"
    assert end.status == Status.EOF


def test_openssh_says_what_is_wrong(openssh: SftpWire, tmp_path: Path) -> None:
    (missing,) = openssh.ask([wire.on_path(Kind.STAT, f"{tmp_path}/none")], soon())
    assert missing.status == Status.NO_SUCH_FILE
    assert "No such file" in missing.text


def test_silence_is_a_time_out() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TimeoutError):
        SftpWire(cast("Any", ours), Progress(0.05))


@pytest.mark.parametrize(
    "said", [b"", b"\0\0\0\0", b"\xff\xff\xff\xff\x02", b"HTTP/1.1 400", b"\0\0\0\x05\x65\0\0\0\x03"]
)
def test_other_protocol_is_told(said: bytes) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(said)
    theirs.shutdown(socket.SHUT_WR)
    with ours, theirs, pytest.raises(SftpProtocolError):
        SftpWire(cast("Any", ours), soon())


@given(st.sampled_from([Kind.STATUS, Kind.HANDLE, Kind.DATA, Kind.NAME, Kind.ATTRS]), st.binary(max_size=80))
@settings(max_examples=200)
def test_any_answer_is_read_or_refused(kind: Kind, body: bytes) -> None:
    reply = SftpReply(kind, body)
    for look in (
        lambda: reply.status,
        lambda: reply.text,
        reply.string,
        reply.info,
        lambda: list(reply.listing()),
    ):
        with suppress(SftpProtocolError):
            look()
