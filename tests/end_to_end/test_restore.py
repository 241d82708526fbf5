"""The drill of docs/operations.md, word for word: back up, lose everything, restore, and the proofs hold."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.config.site import DEMO, write_site
from gateway.evidence.verification import FindingMark, verify_bundle
from gateway.keys.node_key import node_key
from gateway.upkeep.checkpoints import Sealer
from gateway.upkeep.retention import Retention, archive_dir
from spool.archive import Archive
from spool.entry import Fate
from spool.note import verifier_key
from tests import documents as make
from tests.command_line import Node, invoke, lines, node_at

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = ROOT / "docs/operations.md"
PLACES = ("/etc/customs-exchange-gateway", "/var/lib/customs-exchange-gateway", "/var/backups")


def drill() -> tuple[str, str]:
    """The commands of the section, as they stand there: how to back up, how to restore."""
    section = OPERATIONS.read_text("utf-8").partition("\n## Back up\n")[2].partition("\n## ")[0]
    backup, restore = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return backup, restore


class Machine:
    """A folder that stands for `/`, and the commands of a system that a test may not touch."""

    def __init__(self, root: Path) -> None:
        self.root = root
        site = write_site(root / "site", port=0, enterprises=(DEMO,)).folder
        for place in PLACES:
            (root / place[1:]).parent.mkdir(parents=True, exist_ok=True)
        site.rename(root / PLACES[0][1:])
        (root / PLACES[2][1:]).mkdir(parents=True)
        self.config = root / PLACES[0][1:] / "gateway.toml"
        self.state = root / PLACES[1][1:]
        text = self.config.read_text("utf-8")
        assert 'state_dir = "state"' in text
        self.config.write_text(text.replace('state_dir = "state"', f'state_dir = "{self.state}"'), "utf-8")
        (root / "bin").mkdir()
        for name in ("systemctl", "chown"):
            (root / "bin" / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {root}/asked\n')
            (root / "bin" / name).chmod(0o755)
        if shutil.which("sqlite3") is None:
            tool = 'import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); a = sys.argv[2].partition(" \'");'
            tool += " c.backup(sqlite3.connect(a[2][:-1])) if a[0] == '.backup' else print(*c.execute(a[0]).fetchone())"
            (root / "bin/sqlite3.py").write_text(tool)
            (root / "bin/sqlite3").write_text(
                f'#!/bin/sh\nexec {sys.executable} {root}/bin/sqlite3.py "$@"\n'
            )
            (root / "bin/sqlite3").chmod(0o755)
        self.node: Node = node_at(self.config.parent)

    def run(self, commands: str) -> str:
        """Run them as they stand, each of which must succeed."""
        for place in PLACES:
            commands = commands.replace(place, f"{self.root}{place}")
        path = f"{self.root}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-e"], input=commands, capture_output=True, text=True, check=False, env=environment(path)
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def seal(self) -> None:
        with closing(self.node.app.spool()) as spool:
            Sealer(spool, node_key(self.node.app.config), every_s=60, events=99).look()

    def live(self, number: int) -> str:
        """Accept and send one message, and seal what happened."""
        (uid,) = self.node.accept(make.order(f"ORDER-{number}"))
        self.node.settle(Fate.DELIVERED)
        self.seal()
        return uid

    def put_away(self) -> None:
        """Archive and purge what was sent, as keep does when it is over."""
        with closing(self.node.app.spool()) as spool:
            shelf = Archive(archive_dir(self.node.app.config))
            later = datetime.now(UTC) + timedelta(days=3)
            assert Retention(spool=spool, archive=shelf, days=1, batch=9, clock=lambda: later).step().purged


def environment(path: str) -> Mapping[str, str]:
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_restored_node_proves_what_was_before_and_what_comes_after(machine: Machine) -> None:
    backup, restore = drill()
    old = machine.node.run("journal", "key").stdout.strip()
    archived = machine.live(1)
    machine.put_away()
    kept = machine.live(2)
    assert "ok" in machine.run(backup)
    lost = machine.live(3)
    (given_out := machine.root / "given-out").write_text(machine.node.run("journal", "checkpoint").stdout)

    assert "the log holds" in machine.run(restore)
    assert (machine.root / "asked").read_text().splitlines() == [
        "systemctl stop customs-exchange-gateway",
        f"chown -R gateway: {machine.state}",
        "systemctl start customs-exchange-gateway",
    ]
    new = machine.node.run("journal", "key").stdout.strip()
    assert new != old
    assert machine.node.run("journal", "key", "--all").stdout.split() == [new, old]
    after = machine.live(4)
    audit = machine.node.run("journal", "verify", "--json")
    (said,) = lines(audit)
    assert (audit.exit_code, said["faults"], said["unsealed"]) == (0, [], 0)
    assert said["archived"] > 0

    keys = machine.root / "keys.pub"
    keys.write_text(machine.node.run("journal", "key", "--all").stdout)
    for uid in (archived, kept, after):
        file = machine.root / "evidence.json"
        assert machine.node.run("evidence", "export", uid, "-o", file).exit_code == 0
        findings = verify_bundle(file.read_bytes(), [verifier_key(line) for line in (old, new)])
        assert [one.text for one in findings if one.mark is FindingMark.BROKEN] == []
        assert invoke("evidence", "verify", file, "--key", keys).exit_code == 0
    assert machine.node.run("trace", lost).exit_code == 1
    forked = machine.node.run("journal", "verify", "--checkpoint", given_out)
    assert forked.exit_code == 1, "what was given out after the backup is of another log, and is said to be"
