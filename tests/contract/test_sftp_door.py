"""docs/sftp-door.md, block by block: OpenSSH with a chroot before a folder door, driven by the real sftp client."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.config.site import NewEnterprise
from tests.documents import order
from tests.door_node import DoorNode
from tests.servers.openssh import OpenSsh, need_openssh, write_key
from tests.servers.private_root import PrivateRoot
from tests.waiting import until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sftp-door.md"
SITE = Path("/srv/site")
EXAMPLE = NewEnterprise(
    id="example", name="Example", cop_codes=("4400000001",), dxp_ids=("DXPENT0000000001",)
)
OTHER = NewEnterprise(id="other", name="Other", cop_codes=("4401000002",), dxp_ids=("DXPENT0000000002",))


def blocks(language: str) -> list[str]:
    """The fenced blocks of the page, as they stand there."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@dataclass(kw_only=True)
class Machine:
    root: PrivateRoot
    server: OpenSsh
    node: DoorNode
    folder: Path

    def _ssh_options(self, user: str) -> list[str]:
        port = self.server.port
        return [
            "-o", f"Port={port}", "-o", f"IdentityFile={self.folder / user}", "-o", "IdentitiesOnly=yes",
            "-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}",
            "-o", "BatchMode=yes",
        ]  # fmt: skip

    def sftp(self, batch: str, *, user: str = "example") -> subprocess.CompletedProcess[str]:
        """One batch of the real client; it ends at the first command that fails, unless that begins with `-`."""
        command = ["sftp", *self._ssh_options(user), "-b", "-", f"{user}@127.0.0.1"]
        return subprocess.run(
            command, input=batch, capture_output=True, text=True, cwd=self.folder, check=False, timeout=60
        )

    def done(self, batch: str, *, user: str = "example") -> str:
        told = self.sftp(batch, user=user)
        assert told.returncode == 0, (told.stderr, self.server.said[-5:])
        return told.stdout

    def fails(self, command: str, *, user: str = "example") -> str:
        told = self.sftp(f"{command}\n", user=user)
        assert told.returncode != 0, (command, told.stdout)
        return told.stderr

    def ssh(self, *arguments: str, user: str = "example") -> subprocess.CompletedProcess[bytes]:
        command = ["ssh", *self._ssh_options(user), f"{user}@127.0.0.1", *arguments]
        return subprocess.run(command, input=b"", capture_output=True, check=False, timeout=60)

    def local(self, name: str, body: bytes) -> None:
        (self.folder / name).write_bytes(body)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need_openssh()
    folder = tmp_path_factory.mktemp("machine")
    with PrivateRoot() as root:
        root.shell("useradd --system --user-group gateway")
        once, each, client = blocks("sh")
        assert "rename" in client
        root.shell(once)
        (door,) = blocks("toml")
        for one in (EXAMPLE, OTHER):
            (folder / f"{one.id}.pub").write_text(write_key(folder / one.id) + "\n")
            root.shell(each.replace("example", one.id), folder=folder)
        node = DoorNode(
            folder,
            {one.id: f"\n{door.replace('example', one.id)}" for one in (EXAMPLE, OTHER)},
            owners=(EXAMPLE, OTHER),
        )
        root.shell(
            f"chown -R gateway:gateway {node.site.folder}; mkdir {SITE}; mount --bind {node.site.folder} {SITE}"
        )
        (match,) = blocks("sshd_config")
        server = OpenSsh(folder, "Subsystem sftp internal-sftp", match, strict=True, inside=root.inside())
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
        node.start(inside=root.inside("gateway"), config=SITE / "gateway.toml")
        yield Machine(root=root, server=server, node=node, folder=folder)
        node.stop()
        server.kill()


def test_declaration_is_put_renamed_taken_and_its_report_fetched(machine: Machine) -> None:
    body = order("ORDER-1")
    machine.local("order.xml", body)
    (*_, client) = blocks("sh")
    batch = client.partition("<<'END'\n")[2].removesuffix("END\n")
    machine.done(batch)
    until(lambda: machine.sftp("ls -1 reports\n").stdout, lambda told: "order.xml.accepted.json" in told)
    machine.done("get reports/order.xml.accepted.json\nrm reports/order.xml.accepted.json\n")
    report = json.loads((machine.folder / "order.xml.accepted.json").read_bytes())
    assert (report["state"], report["message_type"]) == ("accepted", "CEB311Message")
    arrived = until(machine.node.at_customs, lambda found: report["id"] in found)
    assert arrived[report["id"]] == body
    until(lambda: machine.root.names("/srv/doors/example/in"), lambda names: not names)
    assert machine.root.read("/srv/doors/example/done/order.xml") == body


def test_refused_one_comes_back_with_its_report(machine: Machine) -> None:
    body = order("ORDER-2").replace(b"<ceb:currency>142", b"<ceb:currency>dollars")
    machine.local("bad.xml", body)
    machine.done("put bad.xml in/bad.xml\n")  # under its final name at once, as many clients do
    until(lambda: machine.sftp("ls -1 rejected\n").stdout, lambda told: "bad.xml\n" in told)
    machine.done("get rejected/bad.xml back.xml\nget rejected/bad.xml.problem.json\nrm rejected/bad.xml*\n")
    problem = json.loads((machine.folder / "bad.xml.problem.json").read_bytes())
    assert (problem["code"], problem["status"]) == ("invalid-message", 422)
    assert problem["faults"]
    assert (machine.folder / "back.xml").read_bytes() == body
    assert machine.root.names("/srv/doors/example/rejected") == []


def test_file_that_the_gateway_may_not_read_is_refused_with_the_cure(machine: Machine) -> None:
    machine.local("private.xml", order("ORDER-4"))
    (machine.folder / "private.xml").chmod(0o600)
    machine.done("put private.xml in/private.xml\n")
    until(lambda: machine.sftp("ls -1 rejected\n").stdout, lambda told: "private.xml\n" in told)
    machine.done("get rejected/private.xml.problem.json\nrm rejected/private.xml*\n")
    problem = json.loads((machine.folder / "private.xml.problem.json").read_bytes())
    assert [fault["rule"] for fault in problem["faults"]] == ["unreadable"]
    assert "chmod 640" in problem["faults"][0]["fix"]


def test_user_cannot_leave_its_folder(machine: Machine) -> None:
    machine.local("x.xml", b"<x/>")
    seen = machine.done("cd ../../..\npwd\nls -1\n")
    assert "Remote working directory: /\n" in seen
    assert {line for line in seen.splitlines() if not line.startswith(("sftp>", "Remote"))} == {
        "done", "in", "rejected", "reports",
    }  # fmt: skip
    for command in (
        "get /etc/passwd",
        "get ../../../etc/passwd",
        "ls /srv/doors/other",
        "put x.xml /x.xml",
        "mkdir /new",
        "rename /in /out",
        "ln -s /etc/passwd in/evil.xml",
        "ln in/x.xml in/y.xml",
        "chmod 777 /",
    ):
        assert machine.fails(command)
    assert machine.root.names("/srv/doors/example") == ["done", "in", "rejected", "reports"]


def test_account_is_good_for_nothing_but_sftp(machine: Machine) -> None:
    for asked in (["cat", "/etc/passwd"], ["-tt"], ["-tt", "sh"]):
        told = machine.ssh(*asked)
        assert told.stdout.strip() in (b"", b"This service allows sftp connections only.")
        assert told.returncode != 0
    with socket.create_server(("127.0.0.1", 0)) as inner:
        port = inner.getsockname()[1]
        tunnel = machine.ssh("-W", f"127.0.0.1:{port}")
        assert tunnel.returncode != 0
        assert b"administratively prohibited" in tunnel.stderr or b"open failed" in tunnel.stderr
        inner.settimeout(0)
        with pytest.raises(BlockingIOError):
            inner.accept()


def test_key_of_one_enterprise_does_not_open_the_door_of_another(machine: Machine) -> None:
    other = machine.folder / "other"
    mine = other.read_bytes()
    other.write_bytes((machine.folder / "example").read_bytes())
    try:
        assert "Permission denied" in machine.fails("ls", user="other")
    finally:
        other.write_bytes(mine)
    machine.local("theirs.xml", order("ORDER-3"))
    machine.done("put theirs.xml in/theirs.xml\n", user="other")
    told = until(
        lambda: machine.sftp("get rejected/theirs.xml.problem.json\n", user="other").returncode,
        lambda code: code == 0,
    )
    assert told == 0
    problem = json.loads((machine.folder / "theirs.xml.problem.json").read_bytes())
    assert problem["code"] == "not-your-identity", "example's declaration, from the door of other"


def test_gateway_that_is_no_member_of_the_group_is_told_so_by_check(machine: Machine) -> None:
    """As its own user, which may write; as somebody else, who may not."""

    def grades(user: str) -> dict[str, str]:
        told = subprocess.run(
            [*machine.root.inside(user), *_check()], capture_output=True, text=True, check=False
        ).stdout
        return {line["name"]: line["grade"] for line in map(json.loads, told.splitlines())}

    assert grades("gateway")["door example folder"] == "ok"
    machine.root.shell("gpasswd -d gateway other")
    assert grades("gateway")["door other folder"] == "fail"
    machine.root.shell("usermod --append --groups other gateway")


def _check() -> list[str]:
    return [sys.executable, "-m", "gateway", "check", "--json", "-c", str(SITE / "gateway.toml")]
