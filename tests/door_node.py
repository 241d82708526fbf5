"""A gateway whose enterprises have doors beside HTTP, and customs behind a folder."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.config.site import NewEnterprise, write_site
from gateway.simulator.world import free_port
from gateway.xml.envelope import unwrap
from signing.xml.splice import strip
from tests.nodes import Node

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
        """As a careful client: whole before it has its name, which may be as long and strange as the file system takes."""
        part = self.root / f"laid-{threading.get_ident()}"
        part.write_bytes(body)
        part.rename(self.root / "in" / name)

    def names(self, folder: str) -> list[str]:
        return sorted(file.name for file in (self.root / folder).iterdir())

    def shown(self, folder: str) -> list[str]:
        """Final names alone, as `ls` shows them: what is being written has a hidden one."""
        return [name for name in self.names(folder) if not name.startswith(".")]

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()


class DoorNode(Node):
    """A site with doors."""

    def __init__(
        self,
        folder: Path,
        doors: dict[str, str],
        *,
        envelope: str = "DxpMsg",
        owners: Sequence[NewEnterprise] = (ANN, BOB),
    ) -> None:
        """`doors`: enterprise → its `[[door]]` tables."""
        site = write_site(
            folder / "site",
            destination_toml=CUSTOMS.format(envelope=envelope),
            enterprises=owners,
            port=free_port(),
        )
        super().__init__(site, folder / "run.log")
        for name in ("customs/out", "customs/in"):
            (site.folder / name).mkdir(parents=True)
        for owner, toml in doors.items():
            file = site.enterprises / f"{owner}.toml"
            file.write_text(file.read_text("utf-8") + toml, "utf-8")

    def at_customs(self) -> dict[str, bytes]:
        """What customs got: CopMsgId → the business bytes as they were accepted, without our signature."""
        found = {}
        for file in (self.site.folder / "customs/out").glob("[!.]*.xml"):
            opened = unwrap(file.read_bytes())
            found[opened.envelope.cop_msg_id] = strip(opened.business)[0]
        return found
