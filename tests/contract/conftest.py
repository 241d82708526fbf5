"""What the contract suites run over: spools of every backend, and media, each with a real other side that can be stopped and started again."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pytest

from gateway.config.links import Amqp, Folder, Rabbitmq, Sftp
from gateway.errors import DeliveryError
from gateway.ports import Feed, Parcel, Transport
from gateway.simulator.sftp_folder import FolderSession
from gateway.simulator.sftp_server import SftpServer
from gateway.simulator.world import free_port
from gateway.transports.amqp10.transport import AmqpFeed, AmqpTransport
from gateway.transports.folder import FolderFeed, FolderTransport
from gateway.transports.memory import MemoryEndpoint, MemoryFeed, MemoryTransport
from gateway.transports.rabbitmq.transport import RabbitmqFeed, RabbitmqTransport
from gateway.transports.sftp.transport import SftpFeed, SftpTransport
from spool.store import Spool
from tests.backends import BACKENDS
from tests.servers.openssh import OpenSsh, write_key
from tests.servers.rabbitmq import USER, Brokers, need_rabbitmq
from tests.servers.rabbitmq_site import Site
from tests.servers.tcp_door import TcpDoor
from tests.spool_samples import Clock
from tests.waiting import PATIENCE_S

REFUSED = b"<refused/>"
"""A body that the other side does not take."""

NOT_NOW = b"<later/>"
"""A body that the AMQP side gives back."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=BACKENDS)
def spool(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Spool]:
    with closing(BACKENDS[request.param](tmp_path / "state", clock)) as opened:
        yield opened


class Medium(Protocol):
    """One endpoint of customs as the suites see it; `stop` cuts every connection, `start` keeps the port."""

    def transport(self) -> Transport: ...
    def feed(self) -> Feed: ...
    def arrived(self) -> list[bytes]: ...
    def offer(self, body: bytes, name: str) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


def parcel(entry: int, body: bytes = b"<x/>") -> Parcel:
    return Parcel(
        entry=entry,
        cop_msg_id=f"COP-{entry}",
        message_type="CEB311Message",
        body=body,
        file_name=f"CEB311Message_COP-{entry}.xml",
    )


class MemoryMedium:
    refuses = True

    def __init__(self) -> None:
        self.endpoint = MemoryEndpoint(judge=self._judge)

    def transport(self) -> MemoryTransport:
        return MemoryTransport(self.endpoint)

    def feed(self) -> MemoryFeed:
        return MemoryFeed(self.endpoint)

    def arrived(self) -> list[bytes]:
        return [parcel.body for parcel in self.endpoint.arrived]

    def offer(self, body: bytes, name: str) -> None:
        self.endpoint.offer(body, name)

    def start(self) -> None:
        self.endpoint.up = True

    def stop(self) -> None:
        self.endpoint.up = False

    @staticmethod
    def _judge(parcel: Parcel) -> DeliveryError | None:
        return DeliveryError("not taken", temporary=False) if parcel.body == REFUSED else None


class FolderMedium:
    """The other side is a mounted folder; it is gone when the mount is."""

    def __init__(self, folder: Path) -> None:
        self.mount, self.elsewhere = folder / "mount", folder / "elsewhere"
        for name in ("in", "out"):
            (self.mount / name).mkdir(parents=True)
        self.config = Folder(send_dir=self.mount / "in", receive_dir=self.mount / "out")

    def transport(self) -> FolderTransport:
        return FolderTransport(self.config)

    def feed(self) -> FolderFeed:
        return FolderFeed(self.config, poll_s=0.01)

    def arrived(self) -> list[bytes]:
        return whole_files(self.mount / "in")

    def offer(self, body: bytes, name: str) -> None:
        (self.mount / "out" / f".{name}.tmp").write_bytes(body)
        (self.mount / "out" / f".{name}.tmp").rename(self.mount / "out" / name)

    def start(self) -> None:
        if self.elsewhere.exists():
            self.elsewhere.rename(self.mount)

    def stop(self) -> None:
        self.mount.rename(self.elsewhere)


class SftpMedium:
    refuses = True

    def __init__(
        self, folder: Path, *, plain: bool = False, session: type[FolderSession] = FolderSession
    ) -> None:
        self.root = folder / "root"
        write_key(folder / "host")
        (folder / "authorized_keys").write_text(f"# who may\n{write_key(folder / 'user')} gateway\n")
        self.server = SftpServer(
            self.root,
            port=free_port(),
            host_key_file=folder / "host",
            authorized_keys=folder / "authorized_keys",
            on_message=self._take,
            plain=plain,
            session=session,
        )
        self.start()
        self.config = Sftp(
            host="127.0.0.1",
            port=self.server.port,
            user="gateway",
            key_file=folder / "user",
            host_key=self.server.host_key,
            send_dir="/in",
            receive_dir="/out",
            timeout_s=PATIENCE_S,
        )

    def transport(self) -> SftpTransport:
        return SftpTransport(self.config)

    def feed(self) -> SftpFeed:
        return SftpFeed(self.config, poll_s=0.01)

    def arrived(self) -> list[bytes]:
        return whole_files(self.root / "in")

    def offer(self, body: bytes, name: str) -> None:
        self.server.offer(body, name)

    def start(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self.server.stop()

    @staticmethod
    def _take(body: bytes, name: str) -> None:
        if body == REFUSED:
            raise ValueError(name)


class OpenSshMedium:
    """OpenSSH's server; `settings` are those of `Sftp` that differ."""

    def __init__(self, folder: Path, *sshd_settings: str, **settings: Any) -> None:
        self.root = folder / "root"
        for name in ("in", "out"):
            (self.root / name).mkdir(parents=True)
        self.server = OpenSsh(folder, *sshd_settings, authorized=write_key(folder / "user"))
        defaults: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.server.port,
            "user": self.server.user,
            "key_file": folder / "user",
            "host_key": self.server.host_key,
            "send_dir": str(self.root / "in"),
            "receive_dir": str(self.root / "out"),
            "timeout_s": PATIENCE_S,
        }
        self.config = Sftp(**(defaults | settings))

    def transport(self) -> SftpTransport:
        return SftpTransport(self.config)

    def feed(self) -> SftpFeed:
        return SftpFeed(self.config, poll_s=0.01)

    def arrived(self) -> list[bytes]:
        return whole_files(self.root / "in")

    def offer(self, body: bytes, name: str) -> None:
        (self.root / "out" / f".{name}.tmp").write_bytes(body)
        (self.root / "out" / f".{name}.tmp").rename(self.root / "out" / name)

    def start(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self.server.kill()


class AmqpMedium:
    refuses = True

    def __init__(self, *, idle_timeout_s: float = 0.0) -> None:
        pytest.importorskip("proton")
        from gateway.simulator.amqp_server import AmqpServer, NotNow  # noqa: PLC0415  # an extra

        self.not_now = NotNow
        self.taken: list[bytes] = []
        self.server = AmqpServer(port=free_port(), on_message=self._take, idle_timeout_s=idle_timeout_s)
        self.start()
        self.config = Amqp(
            url=f"amqp://127.0.0.1:{self.server.port}",
            send_address="envelopes",
            receive_address="receipts",
            timeout_s=PATIENCE_S,
        )

    def transport(self) -> AmqpTransport:
        return AmqpTransport(self.config)

    def feed(self) -> AmqpFeed:
        return AmqpFeed(self.config)

    def arrived(self) -> list[bytes]:
        return list(self.taken)

    def offer(self, body: bytes, name: str) -> None:
        self.server.offer(body, name)

    def start(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self.server.stop()

    def _take(self, body: bytes, address: str) -> None:
        assert address == "envelopes"
        if body == REFUSED:
            raise ValueError("not a declaration")
        if body == NOT_NOW:
            raise self.not_now
        self.taken.append(body)


class RabbitmqMedium:
    """Two quorum queues of a real broker; it is gone when the door to it is shut."""

    def __init__(self, brokers: Brokers, folder: Path, *, queue_type: str = "quorum") -> None:
        self.brokers = brokers
        self.site = Site(brokers.node.port, folder)
        own = uuid.uuid4().hex[:12]
        self.queue, self.answers = f"DXP{own}", f"DXP{own}_HZ"
        self.site.declare(self.queue, self.answers, queue_type=queue_type)
        self.door = TcpDoor(brokers.node.port)
        self.taken: list[bytes] = []
        self.config: Rabbitmq = self.site.config(
            self.door.port, send_queue=self.queue, receive_queues=(self.answers,)
        )

    def transport(self) -> Transport:
        return RabbitmqTransport(self.config)

    def feed(self) -> Feed:
        return RabbitmqFeed(self.config)

    def arrived(self) -> list[bytes]:
        self.taken += [body for body, _ in self.site.take(self.queue)]
        return list(self.taken)

    def offer(self, body: bytes, name: str) -> None:
        self.site.put(self.answers, body, name)

    def start(self) -> None:
        self.door.start()

    def stop(self) -> None:
        self.door.stop()


class RabbitmqPluginMedium(RabbitmqMedium):
    """The same broker by AMQP 1.0, which it speaks with a plugin; the queues' owner speaks 0-9-1."""

    def __init__(self, brokers: Brokers, folder: Path) -> None:
        pytest.importorskip("proton")
        super().__init__(brokers, folder)
        self.amqp = Amqp(
            url=f"amqp://127.0.0.1:{self.door.port}",
            send_address=f"/amq/queue/{self.queue}",
            receive_address=f"/amq/queue/{self.answers}",
            user=USER,
            password_file=self.site.password_file,
            timeout_s=PATIENCE_S,
        )

    def transport(self) -> Transport:
        return AmqpTransport(self.amqp)

    def feed(self) -> Feed:
        return AmqpFeed(self.amqp)


def whole_files(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted(folder.glob("[!.]*"))]


MEDIA = [
    "memory",
    "folder",
    "sftp",
    "openssh",
    "openssh_4_connections",
    "amqp",
    "rabbitmq",
    "rabbitmq_amqp_1_0",
]


@pytest.fixture(params=MEDIA)
def medium(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Medium]:
    """One endpoint after the other, running."""
    match request.param:
        case "rabbitmq":
            made: Medium = RabbitmqMedium(request.getfixturevalue("brokers"), tmp_path)
        case "rabbitmq_amqp_1_0":
            made = RabbitmqPluginMedium(request.getfixturevalue("brokers"), tmp_path)
        case name:
            made = _make(name, tmp_path)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def brokers() -> Iterator[Brokers]:
    """One RabbitMQ for all tests; who stops it starts it again."""
    need_rabbitmq()
    with Brokers() as made:
        yield made


@pytest.fixture
def rabbitmq(brokers: Brokers, tmp_path: Path) -> Iterator[RabbitmqMedium]:
    made = RabbitmqMedium(brokers, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[SftpMedium]:
    made = SftpMedium(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def amqp() -> Iterator[AmqpMedium]:
    made = AmqpMedium()
    yield made
    made.stop()


def _make(name: str, folder: Path) -> Medium:
    match name:
        case "memory":
            return MemoryMedium()
        case "folder":
            return FolderMedium(folder)
        case "openssh":
            return OpenSshMedium(folder)
        case "openssh_4_connections":
            return OpenSshMedium(folder, connections=4)
        case "amqp":
            return AmqpMedium()
        case _:
            return SftpMedium(folder)
