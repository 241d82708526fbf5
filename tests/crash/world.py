"""One or more nodes that a test can trip, between platforms and a port of customs."""

import os
import signal
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from gateway.config.site import NewEnterprise, write_site
from gateway.errors import GatewayError
from gateway.simulator.world import WatchedProcess, free_port, read_lines
from tests.crash.clock import ShiftedClock
from tests.crash.points import Points
from tests.crash.ports import Port
from tests.crash.tailed import Tailed
from tests.nodes import start_gateway
from tests.platforms import enterprises
from tests.servers.receiver import Receiver
from tests.waiting import until

_LOOKS_EVERY_S = 0.1
_WEBHOOK_S = 1.0
LEASE_S = 2.0
"""So short that what a dead node held goes on within the run."""
_SETTINGS = {
    "lease_s = 60.0": f"lease_s = {LEASE_S}",
    "first_s = 2.0": "first_s = 0.1",
    "ceiling_s = 600.0": "ceiling_s = 2.0",
    "# every_s = 60.0": "every_s = 2.0",
    "[watermarks]\n": "[watermarks]\nfree_bytes_warn = 0\nfree_bytes_refuse = 0\n",
}


class Node:
    """One gateway of the world; its address and its state stay over its deaths."""

    def __init__(self, name: str, config: Path, address: str, faults: Path) -> None:
        self.name, self.address, self.config = name, address, config
        self.log = config.parent.parent / "log" / f"{name}.log"
        self.log.parent.mkdir(exist_ok=True)
        self._program = ("-m", "tests.crash.node", str(faults), f"--log={self.log}")
        self._process: WatchedProcess | None = None
        self._wanted = threading.Event()
        self._keeper = threading.Thread(target=self._start_again, daemon=True)
        self.lives = 0

    @property
    def process(self) -> WatchedProcess:
        assert self._process is not None
        return self._process

    def start(self) -> None:
        """Return when every role is started; from now on a node that dies is started again, as by systemd."""
        self._wanted.set()
        self._live()
        self._keeper.start()

    def kill(self) -> None:
        """SIGKILL the supervisor and all its roles at once, for good."""
        self._wanted.clear()
        self._end()
        while self._keeper.is_alive():  # perhaps it has just started the next life
            self._keeper.join(_LOOKS_EVERY_S)
            self._end()

    def crash(self) -> None:
        """SIGKILL the same; it is started again."""
        lives = self.lives
        self._end()
        until(lambda: self.lives > lives)

    def _end(self) -> None:
        if self._process is not None and self._process.process.poll() is None:
            os.killpg(self._process.process.pid, signal.SIGKILL)

    def _live(self) -> None:
        start_gateway(self.config, self.log, program=self._program, listen=self._listen)

    def _listen(self, command: Sequence[str], log: Path) -> WatchedProcess:
        """Whoever kills it meanwhile must know it before it is ready, and whoever has counted this life finds it there."""
        self._process = Tailed(command, log)
        self.lives += 1
        return self._process

    def _start_again(self) -> None:
        while True:
            self.process.process.wait()
            self.process.kill()  # closes its log
            if not self._wanted.is_set():
                return
            with suppress(GatewayError):  # its database is away, perhaps
                self._live()


class World:
    """A site, its nodes and a port; a context manager that starts the nodes and kills them at the end."""

    def __init__(
        self,
        folder: Path,
        port: Port,
        *,
        owners: Sequence[NewEnterprise] = enterprises(4),
        spool_toml: str = "",
        names: Sequence[str] = ("node",),
        forwarders: int = 2,
        retention_days: int = 0,
        receivers: Mapping[str, Receiver] = MappingProxyType({}),
    ) -> None:
        """`folder/site` and `folder/log` may be there: small disks, for instance. `names`: a node each, on one spool.

        `receivers`: webhooks of enterprises, by their ids; their answers are not pulled.
        """
        self.folder, self.port, self.owners, self.receivers = folder, port, owners, receivers
        destination = f'[[destination]]\nname = "customs"\nactive = {forwarders}\n{port.toml}'
        first_port = free_port()
        self.site = write_site(
            folder / "site",
            destination_toml=f"{destination}\n{spool_toml}",
            enterprises=owners,
            port=first_port,
        )
        for owner, receiver in receivers.items():
            with self.enterprise_file(owner).open("a", encoding="utf-8") as file:
                file.write(receiver.toml(timeout_s=_WEBHOOK_S))
        self.points = Points(folder / "faults")
        self.clock = ShiftedClock(folder / "faults" / "clock")
        text = self.site.config.read_text("utf-8")
        settings = {**_SETTINGS, "[retention]\n": f"[retention]\ndays = {retention_days}\n"}
        for old, new in settings.items():
            assert old in text
            text = text.replace(old, new)
        self.nodes = []
        for number, name in enumerate(names):
            own_port = first_port if number == 0 else free_port()
            own = text.replace('name = "gateway"', f'name = "{name}"')
            if number:
                own = own.replace('state_dir = "state"', f'state_dir = "{name}"')
                own = own.replace(f"port = {first_port}", f"port = {own_port}")
            config = self.site.config if number == 0 else self.site.folder / f"{name}.toml"
            config.write_text(own, "utf-8")
            faults = folder / "faults"
            self.nodes.append(Node(name, config, f"http://127.0.0.1:{own_port}", faults))
        self.address = self.nodes[0].address

    @property
    def node(self) -> Node:
        """The first, or only, node."""
        return self.nodes[0]

    def enterprise_file(self, owner: str) -> Path:
        return self.site.enterprises / f"{owner}.toml"

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                node.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.kill()
        self.port.close()

    def customs_saw(self) -> list[dict[str, Any]]:
        return read_lines(self.port.ledger)

    def customs_sent(self) -> list[dict[str, Any]]:
        return read_lines(self.port.receipts)
