"""The rehearsals of the README and of docs/operations.md work as they are printed, command for command."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from rich.cells import cell_len

from gateway.simulator.world import WatchedProcess
from tests.generated import REPOSITORY
from tests.waiting import until

PAGES: Final = {
    "en": ("README.md", "A first declaration in five minutes"),
    "zh": ("README.zh-CN.md", "五分钟提交第一份单证"),
}
OPERATIONS: Final = ("docs/operations.md", "Rehearse with a simulated customs")
DEMO: Final = {"en": ("README.md", "What the demo shows"), "zh": ("README.zh-CN.md", "演示内容")}
READY: Final = {"gateway run": "node.started", "gateway simulate -c": "simulator.listening"}
"""Commands that stay in the foreground of a terminal of their own, and the log line that says that they are there."""
PORTS: Final = (8080, 2222)
_LOOPBACK: Final = (
    "import fcntl, socket, struct, sys\n"
    "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n"
    "    fcntl.ioctl(s, 0x8914, struct.pack('16sh', b'lo', 0x1 | 0x40))\n"
    "print('up', flush=True)\n"
    "sys.stdin.read()\n"
)
"""SIOCSIFFLAGS: lo is up and running; the namespace lasts as long as the process."""
_CHANGING: Final = {
    r"[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}": "«id»",
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z": "«time»",
    r"\b\d{17}\b": "«time of customs»",
    r"\b[0-9a-f]{40,64}\b": "«digest»",
}


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block; what is printed has no language."""

    language: str
    text: str


def blocks(page: str, heading: str) -> list[Block]:
    """The fenced blocks of one section."""
    text = (REPOSITORY / page).read_text("utf-8")
    (section,) = re.findall(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^## |^### |\Z)", text, re.MULTILINE | re.DOTALL
    )
    return [
        Block(language=language, text=content)
        for language, content in re.findall(r"^```(\w*)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    ]  # fmt: skip


def unlike(printed: str, said: str) -> list[str]:
    """The lines of a page that a command has not said, in this order; `…` stands for anything."""
    found, missing = iter(map(_same, said.splitlines())), []
    for line in printed.splitlines():
        form = ".*".join(map(re.escape, _same(line).split("…")))
        if line.strip() != "…" and not any(re.fullmatch(form, other) for other in found):
            missing.append(line)
    return missing


def _same(line: str) -> str:
    for form, name in _CHANGING.items():
        line = re.sub(form, name, line)
    return line.rstrip()


def commands(text: str) -> list[str]:
    """The commands of a block, each with the lines that it reads from the terminal; comments are none."""
    found: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        found.append(line)
        if document := re.search(r"<<'(\w+)'", line):
            for more in lines:
                found[-1] += f"\n{more}"
                if more == document[1]:
                    break
    return found


@dataclass(kw_only=True)
class Terminals:
    """Somebody who types what a page says, in one folder, on a machine where no port is in use."""

    folder: Path
    entering: Sequence[str]
    exports: list[str] = field(default_factory=list)
    running: dict[str, WatchedProcess] = field(default_factory=dict)

    def type(self, block: Block, printed: str) -> None:
        """Type a block, and see that everything ends well and what the page says is said."""
        *first, last = commands(block.text)
        said = "".join(map(self._do, first))
        # what is to come may be on its way when a person is slower than this
        until(lambda: unlike(printed, said + self._do(last)), wanted=lambda missing: missing == [])

    def _do(self, command: str) -> str:
        if command.startswith("export "):
            self.exports.append(command)
        elif server := next((one for one in READY if command.startswith(one)), ""):
            self._serve(server, command)
        else:
            return self._run(command)
        return ""

    def _run(self, command: str) -> str:
        done = subprocess.run(
            self._shell(command), cwd=self.folder, env=clean(), capture_output=True, text=True, check=False,
            timeout=100,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _serve(self, server: str, command: str) -> None:
        if server in self.running:  # stopped by hand and started again, as the page says
            assert self.running.pop(server).stop() == 0
        log = self.folder / f"{len(self.running)}-{server.replace(' ', '-')}.log"
        process = WatchedProcess(["env", "-C", str(self.folder), *self._shell(f"exec {command}")], log)
        self.running[server] = process
        process.wait_for_event(READY[server])

    def _shell(self, command: str) -> list[str]:
        return [*self.entering, "bash", "-c", "\n".join([*self.exports, command])]

    def put(self, block: Block) -> None:
        """Edit gateway.toml as the page says: this table, with the server's key, in place of that of the folder."""
        host_key = " ".join((self.folder / "customs" / "customs_host_key.pub").read_text().split()[:2])
        written, times = re.subn(r'host_key = "ssh-ed25519 [^"]*"', f'host_key = "{host_key}"', block.text)
        assert times == 1
        file = self.folder / "site" / "gateway.toml"
        text, times = re.subn(
            r"^\[destination\.folder\]\n.*?(?=^\[|^# \[)", lambda _: written + "\n", file.read_text("utf-8"),
            count=1, flags=re.MULTILINE | re.DOTALL,
        )  # fmt: skip
        assert times == 1
        file.write_text(text, "utf-8")

    def close(self) -> None:
        """End everything, the newest first."""
        for process in reversed(self.running.values()):
            assert process.stop() == 0


def clean() -> dict[str, str]:
    """The environment of a new login: the gateway of this checkout is not on its PATH."""
    ours = str(Path(sys.executable).parent)
    path = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part != ours]
    return {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | {
        "PATH": os.pathsep.join(path)
    }


@pytest.fixture
def entering() -> Iterator[tuple[str, ...]]:
    """What stands before a command so that the ports of the pages are free: a network of its own, where one may be had."""
    with subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", _LOOPBACK],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdin is not None
        if holder.stdout.readline() == b"up\n":
            yield "nsenter", f"--net=/proc/{holder.pid}/ns/net", "--"
        else:
            taken = [port for port in PORTS if not is_free(port)]
            if taken:
                pytest.skip(f"no network of its own, and ports that the pages name are in use: {taken}")
            yield ()
        holder.stdin.close()


def is_free(port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture
def terminals(entering: tuple[str, ...], tmp_path: Path) -> Iterator[Terminals]:
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    with closing(Terminals(folder=tmp_path, entering=entering)) as made:
        yield made


def test_a_first_declaration_is_the_same_in_both_languages() -> None:
    assert blocks(*PAGES["zh"]) == blocks(*PAGES["en"])


def test_rehearsals_work_as_they_are_printed(terminals: Terminals) -> None:
    for page, heading in (PAGES["en"], OPERATIONS):
        found = blocks(page, heading)
        assert found
        for block, following in zip(found, [*found[1:], Block(language="end", text="")], strict=True):
            if block.language == "sh":
                terminals.type(block, "" if following.language else following.text)
            elif block.language == "toml":
                terminals.put(block)
            else:
                assert block.language == ""


FORMS: Final = {
    "customs": r"customs   SFTP, ledger \S+/ledger\.jsonl",
    "gateway": r"gateway   http://127\.0\.0\.1:\d+  roles accept, forward, collect, keep",
    "accepted": r"202 CEB\d11Message «id» \S+ (?:order|payment|waybill)|202 CEB621Message «id» \S+ import inventory",
    "platform": r"platform  12 messages accepted, each after its fsync; waiting for customs …",
    "heading": r"declaration   key, and what customs said, in the order of its own time",
    "declaration": r"\d{3} \S{4}  \S+",
    "answers": r"    2 电子口岸申报中 → 3 发送海关成功(?: → \d+ \S+)*",
    "all home": r"12 declarations, \d+ answers at home, 0 still waiting, \d+\.\d s",
    "untouched": r"untouched: of 12 messages customs got, 12 are byte for byte what was accepted",
    "cut out": r"           once the inserted ds:Signature is cut out",
}
"""The lines of the demo; keys, times and some of what customs says are others in each run."""


def forms_of(said: str) -> set[str]:
    """Which lines there are; a line that is none of them fails."""
    found = set()
    for line in said.splitlines():
        if line.strip() in ("", "…"):
            continue
        (name,) = [name for name, form in FORMS.items() if re.fullmatch(form, _same(line))] or [line]
        assert name in FORMS, line
        found.add(name)
    return found


def test_demo_prints_what_the_readme_shows_in_80_columns() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "demo"], env=os.environ | {"COLUMNS": "80"},
        capture_output=True, text=True, check=True, timeout=100,
    )  # fmt: skip
    assert forms_of(done.stdout) == FORMS.keys()
    lines = [
        line for line in done.stdout.splitlines() if not line.startswith("customs ")
    ]  # a path of this machine
    assert [line for line in lines if cell_len(line) > 80] == []
    for page, heading in DEMO.values():
        (shown,) = blocks(page, heading)
        assert forms_of(shown.text) == FORMS.keys()
