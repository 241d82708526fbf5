"""What only SFTP promises: pinned host key, key login, whole files under the final name, one closed room."""

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import paramiko
import pytest

from gateway.config.links import Sftp
from gateway.errors import ConfigError, DeliveryError
from gateway.transports.sftp.transport import SftpFeed, SftpTransport
from tests.contract.conftest import SftpMedium, parcel
from tests.servers.openssh import write_key
from tests.waiting import PATIENCE_S


def fate(config: Sftp, entry: int = 1) -> DeliveryError | None:
    transport = SftpTransport(config)
    (delivery,) = transport.send([parcel(entry)])
    transport.close()
    return delivery.error


def changed(config: Sftp, **values: object) -> Sftp:
    return msgspec.structs.replace(config, **values)


@pytest.fixture
def client(sftp: SftpMedium) -> "Iterator[paramiko.SFTPClient]":
    """Another program's client, for what ours never does."""
    with (
        closing(socket.create_connection(("127.0.0.1", sftp.server.port))) as connection,
        closing(paramiko.Transport(connection)) as transport,
    ):
        transport.start_client(timeout=PATIENCE_S)
        transport.auth_publickey("other", paramiko.PKey.from_path(sftp.config.key_file))
        opened = paramiko.SFTPClient.from_transport(transport)
        assert opened is not None
        yield opened


def test_connection_that_was_taken_while_the_server_stops_is_closed(sftp: SftpMedium) -> None:
    sftp.stop()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        taken, _ = listener.accept()
        sftp.server._serve(taken)
        assert taken.fileno() == -1
        assert client.recv(1) == b""


def test_other_host_key_is_refused_and_nothing_is_sent(sftp: SftpMedium, tmp_path: Path) -> None:
    error = fate(changed(sftp.config, host_key=write_key(tmp_path / "another")))
    assert error is not None
    assert error.temporary
    assert "host key" in error.what
    assert "host_key" in error.fix
    assert sftp.arrived() == []


def test_host_key_of_another_type_is_refused(sftp: SftpMedium) -> None:
    key = paramiko.RSAKey.generate(2048)
    error = fate(changed(sftp.config, host_key=f"ssh-rsa {key.get_base64()}"))
    assert error is not None
    assert "host key" in error.what


@pytest.mark.parametrize(
    "line", ["", "ssh-ed25519", "ssh-ed25519 ???", "ssh-ed25519 AAAA", "host ssh-rsa AAAA"]
)
def test_unreadable_host_key_is_a_configuration_error(sftp: SftpMedium, line: str) -> None:
    with pytest.raises(ConfigError, match="host key"):
        SftpTransport(changed(sftp.config, host_key=line))


def test_unauthorised_key_is_told_with_the_cure(sftp: SftpMedium, tmp_path: Path) -> None:
    write_key(tmp_path / "stranger")
    error = fate(changed(sftp.config, key_file=tmp_path / "stranger"))
    assert error is not None
    assert error.temporary
    assert "let us in" in error.what
    assert "authorised" in error.fix


@pytest.mark.parametrize("content", [None, b"no key"])
def test_unreadable_login_key_is_told_with_its_path(
    sftp: SftpMedium, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "missing").write_bytes(content)
    error = fate(changed(sftp.config, key_file=tmp_path / "missing"))
    assert error is not None
    assert error.temporary
    assert error.where == str(tmp_path / "missing")


def test_missing_folder_is_told_and_does_not_cost_the_connection(sftp: SftpMedium) -> None:
    error = fate(changed(sftp.config, send_dir="/nowhere"))
    assert error is not None
    assert error.temporary
    assert "/nowhere" in error.where
    with pytest.raises(DeliveryError, match="cannot be listed"):
        SftpFeed(changed(sftp.config, receive_dir="/nowhere")).receive(limit=1, timeout_s=0)


def test_name_that_leaves_the_folder_is_never_sent(sftp: SftpMedium) -> None:
    transport = SftpTransport(sftp.config)
    deliveries = list(transport.send([parcel(1), msgspec.structs.replace(parcel(2), file_name="../a.xml")]))
    transport.close()
    errors = {delivery.entry: delivery.error for delivery in deliveries}
    assert errors[1] is None
    assert errors[2] is not None
    assert not errors[2].temporary


def test_half_upload_is_not_seen_and_the_next_attempt_starts_anew(
    sftp: SftpMedium, client: paramiko.SFTPClient
) -> None:
    half = client.open("/in/.CEB311Message_COP-1.xml.part", "wb")
    half.write(b"half of something longer than the whole")
    half.flush()
    transport = client.get_channel().get_transport()  # type: ignore[union-attr]  # an open client has one
    transport.close()
    assert sftp.arrived() == []

    assert fate(sftp.config) is None
    assert sftp.arrived() == [b"<x/>"]
    assert [file.name for file in (sftp.root / "in").iterdir()] == ["CEB311Message_COP-1.xml"]


def test_refused_rename_leaves_no_final_name(sftp: SftpMedium) -> None:
    transport = SftpTransport(sftp.config)
    (delivery,) = transport.send([parcel(1, b"<refused/>")])
    transport.close()
    assert delivery.error is not None
    assert delivery.error.temporary
    assert sftp.arrived() == []


def test_server_without_posix_rename_is_served_too(tmp_path: Path) -> None:
    medium = SftpMedium(tmp_path, plain=True)
    transport = SftpTransport(medium.config)
    for _ in range(2):
        assert [delivery.error for delivery in transport.send([parcel(1), parcel(2)])] == [None, None]
    transport.close()
    medium.stop()
    assert medium.arrived() == [b"<x/>", b"<x/>"]


def test_silent_server_is_given_up_after_the_time_out(sftp: SftpMedium) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, never says a word
        config = changed(sftp.config, port=silent.getsockname()[1], timeout_s=0.2)
        error = fate(config)
    assert error is not None
    assert error.temporary


def test_feed_leaves_temporary_names_folders_and_empty_files(sftp: SftpMedium) -> None:
    out = sftp.root / "out"
    for name in (".hidden.xml", "a.tmp", "b.xml.part", "c.xml.reading"):
        (out / name).write_bytes(b"x")
    (out / "empty.xml").touch()
    (out / "folder").mkdir()
    sftp.offer(b"1", "r.xml")

    feed = sftp.feed()
    assert [arrival.name for arrival in feed.receive(limit=10, timeout_s=PATIENCE_S)] == ["r.xml"]
    assert list(feed.receive(limit=10, timeout_s=0)) == []
    feed.close()


def test_feed_takes_the_oldest_first(sftp: SftpMedium) -> None:
    for place, name in enumerate(("c.xml", "a.xml", "b.xml")):
        sftp.offer(b"1", name)
        os.utime(sftp.root / "out" / name, (1000 + place, 1000 + place))
    feed = sftp.feed()
    assert [arrival.name for arrival in feed.receive(limit=2, timeout_s=PATIENCE_S)] == ["c.xml", "a.xml"]
    feed.close()


def test_collected_file_that_is_gone_already_is_done(sftp: SftpMedium) -> None:
    sftp.offer(b"1", "r.xml")
    feed = sftp.feed()
    arrivals = feed.receive(limit=1, timeout_s=PATIENCE_S)
    (sftp.root / "out" / "r.xml").unlink()
    feed.done(arrivals)
    feed.close()


@pytest.mark.parametrize(
    "escape",
    [
        lambda client: client.open("/../../etc/hostname"),
        lambda client: client.open("/in/link"),
        lambda client: client.open("/in/away/file"),
        lambda client: client.listdir("/in/away"),
        lambda client: client.rename("/in/file", "/in/away/file"),
        lambda client: client.symlink("/etc", "/in/mine"),
    ],
)
def test_server_lets_nobody_out_of_its_root(
    sftp: SftpMedium,
    client: paramiko.SFTPClient,
    tmp_path: Path,
    escape: Callable[[paramiko.SFTPClient], object],
) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "file").write_bytes(b"x")
    (sftp.root / "in" / "file").write_bytes(b"x")
    (sftp.root / "in" / "away").symlink_to(tmp_path / "away")
    (sftp.root / "in" / "link").symlink_to(tmp_path / "away" / "file")
    with pytest.raises(OSError, match=r"denied|No such file|unsupported"):
        escape(client)
    client.close()


def test_nothing_is_written_to_stderr(
    sftp: SftpMedium, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_key(tmp_path / "stranger")
    fate(changed(sftp.config, key_file=tmp_path / "stranger"))
    fate(sftp.config)
    sftp.stop()
    fate(sftp.config)
    sftp.start()
    assert capfd.readouterr().err == ""
    assert not logging.getLogger("gateway.transports.ssh").propagate
