"""A gateway whose enterprises have doors beside HTTP, and customs behind a folder."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gateway.app.build import App
from gateway.config.site import NewEnterprise, Site, write_site
from gateway.model import EnterpriseId
from gateway.simulator.world import WatchedProcess, free_port
from gateway.xml.envelope import unwrap
from signing.xml.splice import strip
from tests.platforms import Platform

ANN = NewEnterprise(id="ann", name="Ann", cop_codes=("4400000001",), dxp_ids=("DXPENT0000000001",))
BOB = NewEnterprise(id="bob", name="Bob", cop_codes=("4401000002",), dxp_ids=("DXPENT0000000002",))
CUSTOMS = """
[[destination]]
name = "customs"
envelope = "{envelope}"
[destination.folder]
send_dir = "customs/out"
receive_dir = "customs/in"
"""


@dataclass(frozen=True, kw_only=True)
class FolderPlace:
    """The folders of one door."""

    root: Path

    @classmethod
    def make(cls, root: Path) -> "FolderPlace":
        for name in ("in", "reports", "rejected", "done"):
            (root / name).mkdir(parents=True)
        return cls(root=root)

    def toml(self, *, stable_s: float = 0.0, done: bool = True) -> str:
        keys = {"dir": "in", "reports_dir": "reports", "rejected_dir": "rejected"}
        keys |= {"done_dir": "done"} if done else {}
        lines = [f'{key} = "{self.root / name}"' for key, name in keys.items()]
        return "\n".join(['\n[[door]]\nkind = "folder"', *lines, f"stable_s = {stable_s}\n"])

    def lay(self, name: str, body: bytes) -> None:
        """As a careful client: under another name first."""
        part = self.root / "in" / f"{name}.part"
        part.write_bytes(body)
        part.rename(self.root / "in" / name)

    def names(self, folder: str) -> list[str]:
        return sorted(file.name for file in (self.root / folder).iterdir())

    def shown(self, folder: str) -> list[str]:
        """Final names alone, as `ls` shows them: what is being written has a hidden one."""
        return [name for name in self.names(folder) if not name.startswith(".")]

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()


class DoorNode:
    """A site with doors, and its process."""

    def __init__(
        self,
        folder: Path,
        doors: dict[str, str],
        *,
        envelope: str = "DxpMsg",
        owners: Sequence[NewEnterprise] = (ANN, BOB),
    ) -> None:
        """`doors`: enterprise → its `[[door]]` tables."""
        port = free_port()
        self.site: Site = write_site(
            folder / "site", destination_toml=CUSTOMS.format(envelope=envelope), enterprises=owners, port=port
        )
        for name in ("customs/out", "customs/in"):
            (self.site.folder / name).mkdir(parents=True)
        for owner, toml in doors.items():
            file = self.site.enterprises / f"{owner}.toml"
            file.write_text(file.read_text("utf-8") + toml, "utf-8")
        self.port = port
        self.address = f"http://127.0.0.1:{port}"
        self._log = folder / "run.log"
        self._process: WatchedProcess | None = None

    @property
    def process(self) -> WatchedProcess:
        assert self._process is not None
        return self._process

    def start(self, *program: str, inside: Sequence[str] = (), config: Path | None = None) -> None:
        """`program`: arguments to Python in place of `-m gateway`. Returns when every role is started.

        `inside`: the command that starts it elsewhere, where `config` is the name of its configuration.
        """
        run = ["run", "-c", str(config or self.site.config)]
        command = [*inside, sys.executable, *(program or ("-m", "gateway")), *run]
        self._process = WatchedProcess(command, self._log)
        self._process.wait_for_event("node.started")

    def stop(self) -> None:
        assert self.process.stop() == 0

    @contextmanager
    def running(self, *, inside: Sequence[str] = ()) -> Iterator[Self]:
        """Let it run while the block lasts, however that ends."""
        try:
            self.start(inside=inside)
            yield self
        finally:
            code = self.process.stop()
        assert code == 0

    def platform(self, owner: str) -> Platform:
        return Platform(self.address, self.site.tokens[EnterpriseId(owner)])

    def token(self, owner: str) -> str:
        return self.site.tokens[EnterpriseId(owner)]

    def pid(self, role: str) -> int:
        """The process of a role as it is now."""
        lines = [
            line
            for line in list(self.process.events)
            if line.get("event") in {"role.started", "role.restarted"}
        ]
        return next(int(line["pid"]) for line in reversed(lines) if line["role"] == role)

    def event(self, name: str, **fields: object) -> dict[str, Any]:
        """Wait for a line of this event with these fields."""
        wanted = {"event": name, **fields}.items()
        return self.process.wait_for(lambda line: wanted <= line.items())

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in list(self.process.events) if line.get("event") == name]

    def kill(self, role: str) -> None:
        """SIGKILL a role as it is and wait until it lives again."""
        names = ("role.started", "role.restarted")
        born = [line["pid"] for name in names for line in self.events(name) if line["role"] == role]
        latest = [line for line in list(self.process.events) if line.get("event") in names]
        pid = next(line["pid"] for line in reversed(latest) if line["role"] == role)
        os.kill(pid, signal.SIGKILL)
        self.process.wait_for(
            lambda line: line.get("event") in names and line["role"] == role and line["pid"] not in born
        )

    def at_customs(self) -> dict[str, bytes]:
        """What customs got: CopMsgId → the business bytes as they were accepted, without our signature."""
        found = {}
        for file in (self.site.folder / "customs/out").glob("[!.]*.xml"):
            opened = unwrap(file.read_bytes())
            found[opened.envelope.cop_msg_id] = strip(opened.business)[0]
        return found

    def app(self) -> App:
        return App(self.site.config)
