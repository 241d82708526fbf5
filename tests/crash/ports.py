"""The ports of customs that a node is tried against, each behind a door and with a server that can be restarted."""

import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

import msgspec

from gateway.config.links import Folder
from gateway.errors import DeliveryError
from gateway.simulator.customs import Customs
from gateway.simulator.ledger import Ledger
from gateway.simulator.outgoing import Outgoing
from gateway.simulator.script import Script
from gateway.simulator.service import AmqpSection, SftpSection, Simulator, SimulatorConfig
from gateway.simulator.world import free_port
from gateway.transports.folder import FolderFeed, FolderTransport
from gateway.transports.rabbitmq.transport import RabbitmqFeed, RabbitmqTransport
from tests.crash.customs_threads import CustomsThreads
from tests.servers.openssh import OpenSsh, write_key
from tests.servers.rabbitmq import USER, Brokers
from tests.servers.rabbitmq_site import Site
from tests.servers.tcp_door import TcpDoor
from tests.shipped_rules import shipped

DELIVERY_LIMIT: Final = 20
"""How often a broker gives out one message that comes back; RabbitMQ's own limit since 4.0."""


class Port(Protocol):
    """One customs side, and how a destination reaches it."""

    toml: str
    """The transport table of the destination."""
    ledger: Path
    """What arrived, a line an envelope."""
    receipts: Path
    """What customs said, a line a body."""
    door: TcpDoor
    names: "Names"
    """What its answers are called."""

    def restart(self) -> None:
        """Stop the server and start it again; what it holds stays."""
        ...

    def pending(self) -> int:
        """Answers that customs will still say about what has arrived."""
        ...

    def close(self) -> None: ...


class Names:
    """Calls the next answers of customs as nobody would call a file, or a message, when asked to."""

    def __init__(self, customs: Customs, *, raw: bool = False) -> None:
        """`raw`: they may be any bytes, as in a file system, with no text to them."""
        self.raw = raw
        self._next: deque[str] = deque()
        due = customs.due
        customs.due = lambda now: list(map(self._name, due(now)))  # type: ignore[method-assign]

    def give(self, names: Sequence[str]) -> None:
        self._next.extend(names)

    def left(self) -> int:
        """How many are still to be given."""
        return len(self._next)

    def _name(self, answer: Outgoing) -> Outgoing:
        return replace(answer, name=self._next.popleft()) if self._next else answer


class SimulatedPort:
    """The simulator with its AMQP 1.0 broker or its SFTP server."""

    def __init__(
        self,
        folder: Path,
        script: Mapping[str, object],
        *,
        amqp: bool = False,
        sftp: SftpSection | None = None,
    ) -> None:
        self.ledger, self.receipts = folder / "ledger.jsonl", folder / "receipts.jsonl"
        self._simulator = Simulator(
            SimulatorConfig(
                script=msgspec.convert(script, Script),
                ledger=self.ledger,
                receipts=self.receipts,
                amqp=AmqpSection(port=free_port()) if amqp else None,
                sftp=sftp,
            )
        )
        self.names = Names(self._simulator.customs)
        self._simulator.start()
        server = self._simulator.amqp or self._simulator.sftp
        assert server is not None
        self._server = server
        self.door = TcpDoor(server.port)
        self.toml = ""

    def restart(self) -> None:
        self._server.stop()
        self._server.start()

    def pending(self) -> int:
        return self._simulator.customs.pending()

    def close(self) -> None:
        self.door.stop()
        self._simulator.stop()


def simulated_amqp(folder: Path, script: Mapping[str, object]) -> SimulatedPort:
    made = SimulatedPort(folder, script, amqp=True)
    made.toml = (
        f'[destination.amqp]\nurl = "amqp://127.0.0.1:{made.door.port}"\n'
        'send_address = "declarations"\nreceive_address = "receipts"\ntimeout_s = 5.0\n'
    )
    return made


def simulated_sftp(folder: Path, script: Mapping[str, object]) -> SimulatedPort:
    host_key, user, authorized = write_key(folder / "host"), folder.resolve() / "user", folder / "authorized"
    authorized.write_text(f"{write_key(user)}\n")
    section = SftpSection(
        port=free_port(), root=folder / "files", host_key=folder / "host", authorized_keys=authorized
    )
    made = SimulatedPort(folder, script, sftp=section)
    made.toml = sftp_table(
        port=made.door.port,
        user="gateway",
        key_file=user,
        host_key=host_key,
        send_dir="/in",
        receive_dir="/out",
    )
    return made


class BrokerPort:
    """Two quorum queues of a real RabbitMQ, one node or a cluster; that of the answers counts deliveries."""

    def __init__(self, folder: Path, script: Mapping[str, object], brokers: Brokers) -> None:
        self._brokers = brokers
        self.site = Site(brokers.node.port, folder.resolve())
        own = uuid.uuid4().hex[:12]
        self.queue, self.answers = f"DXP{own}", f"DXP{own}_HZ"
        self.site.declare(self.queue, queue_type="quorum")
        self.site.declare(self.answers, queue_type="quorum", delivery_limit=DELIVERY_LIMIT)
        self.door = TcpDoor(brokers.node.port)
        through = [self.door.port, *(node.port for node in brokers.nodes[1:])]
        hosts = ", ".join(f'"amqp://127.0.0.1:{port}"' for port in through)
        self.toml = (
            f'[destination.rabbitmq]\nhosts = [{hosts}]\nuser = "{USER}"\n'
            f'password_file = "{self.site.password_file}"\nsend_queue = "{self.queue}"\n'
            f'receive_queues = ["{self.answers}"]\ntimeout_s = 5.0\n'
        )
        ports = [node.port for node in brokers.nodes]
        ours = self.site.config(*ports, send_queue=self.answers, receive_queues=(self.queue,))
        self._books = _Books(folder, script)
        self.ledger, self.receipts = self._books.ledger, self._books.receipts
        self.names = Names(self._books.customs)
        self._customs_threads = CustomsThreads(
            self._books.customs, RabbitmqFeed(ours), RabbitmqTransport(ours)
        )

    def restart(self) -> None:
        self._brokers.node.stop()
        self._brokers.node.start()

    def pending(self) -> int:
        return self._books.customs.pending()

    def close(self) -> None:
        self.door.stop()
        self._customs_threads.close()
        self._books.close()
        with suppress(DeliveryError):  # the node may be one that a test has killed
            self.site.delete(self.queue, self.answers)


class OpenSshPort:
    """The folders of a real OpenSSH server."""

    def __init__(self, folder: Path, script: Mapping[str, object]) -> None:
        folder = folder.resolve()
        root = folder / "root"
        for name in ("in", "out"):
            (root / name).mkdir(parents=True)
        self.server = OpenSsh(folder, authorized=write_key(folder / "user"))
        self.door = TcpDoor(self.server.port)
        self.toml = sftp_table(
            port=self.door.port,
            user=self.server.user,
            key_file=folder / "user",
            host_key=self.server.host_key,
            send_dir=f"{root}/in",
            receive_dir=f"{root}/out",
        )
        theirs = Folder(send_dir=root / "out", receive_dir=root / "in")
        self._books = _Books(folder, script)
        self.ledger, self.receipts = self._books.ledger, self._books.receipts
        self.names = Names(self._books.customs, raw=True)
        self._customs_threads = CustomsThreads(
            self._books.customs, FolderFeed(theirs, poll_s=0.02), FolderTransport(theirs)
        )

    def restart(self) -> None:
        self.server.kill()
        self.server.start()

    def pending(self) -> int:
        return self._books.customs.pending()

    def close(self) -> None:
        self.door.stop()
        self._customs_threads.close()
        self._books.close()
        self.server.kill()


class _Books:
    """The scripted customs side with its ledger, without wires."""

    def __init__(self, folder: Path, script: Mapping[str, object]) -> None:
        self.ledger, self.receipts = folder / "ledger.jsonl", folder / "receipts.jsonl"
        self._ledger = Ledger(self.ledger, self.receipts)
        self.customs = Customs(shipped(), msgspec.convert(script, Script), ledger=self._ledger)

    def close(self) -> None:
        self._ledger.close()


def sftp_table(
    *, port: int, user: str, key_file: Path, host_key: str, send_dir: str, receive_dir: str
) -> str:
    return (
        f'[destination.sftp]\nhost = "127.0.0.1"\nport = {port}\nuser = "{user}"\nkey_file = "{key_file}"\n'
        f'host_key = "{host_key}"\nsend_dir = "{send_dir}"\nreceive_dir = "{receive_dir}"\ntimeout_s = 5.0\n'
    )
