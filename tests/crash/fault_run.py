"""One fault run: a node under load, what goes wrong chosen by a seed, and the count of what was lost."""

import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tests.crash.faults import FAULTS, Scene
from tests.crash.homecoming import Reader, bring_home, expected_bodies, wait_until_answered, wait_until_sent
from tests.crash.load import Load
from tests.crash.ports import BrokerPort, OpenSshPort, Port, simulated_amqp, simulated_sftp
from tests.crash.tally import Tally, tally
from tests.crash.world import World
from tests.servers.postgres import PostgresServer
from tests.servers.rabbitmq import Brokers
from tests.waiting import RECOVERY_S

PortKind = Literal["amqp", "sftp", "rabbitmq", "openssh"]

_HOME_WITHIN_S: Final = RECOVERY_S
_SCRIPT: Final = {"delay_s": [0.0, 0.2], "duplicates": 0.1, "reorder": 0.2, "refuse": 0.1, "batch": 20}
_ALWAYS: Final = ("role killed", "node killed", "port restarted", "confirm cut", "clock set back")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a run is played on; servers are shared by many runs."""

    port: PortKind
    database: PostgresServer | None = None
    """None: SQLite."""
    brokers: Brokers | None = None
    """For `rabbitmq`."""
    disk_mib: int = 0
    """Size of a small disk for the spool; 0: none."""

    def kinds(self) -> tuple[str, ...]:
        """What can go wrong here."""
        return (
            *_ALWAYS,
            *(("upload cut",) if self.port in ("sftp", "openssh") else ()),
            *(("disk full",) if self.disk_mib else ()),
            *(("database restarted", "database killed") if self.database else ()),
        )


def schedule(seed: int, stage: Stage, count: int) -> list[str]:
    """Name `count` faults, in order; no kind twice before each has been there once."""
    rng, chosen = random.Random(f"schedule {seed}"), list[str]()
    while len(chosen) < count:
        kinds = list(stage.kinds())
        rng.shuffle(kinds)
        chosen += kinds
    return chosen[:count]


def run(seed: int, stage: Stage, faults: Sequence[str], *, messages: int) -> Tally:
    """Play one run: so many messages, and the faults spread over them; returns when all should be at home."""
    with tempfile.TemporaryDirectory(prefix="gateway-run-") as name, _world(Path(name), stage, seed) as world:
        rng = random.Random(f"faults {seed}")
        disk = world.site.folder if stage.disk_mib else None
        reader = Reader(world)
        load = Load(world, seed=seed, count=messages)
        scene = Scene(world=world, load=load, rng=rng, database=stage.database, disk=disk)
        for number, fault in enumerate(faults, 1):
            load.wait_for(number * messages // (len(faults) + 1))
            FAULTS[fault](scene)
            scene.struck[fault] += 1
        load.join()
        wait_until_sent(world, _HOME_WITHIN_S)
        wait_until_answered(world, {one.uid for one in load.answered}, _HOME_WITHIN_S)
        got = bring_home(world, _HOME_WITHIN_S, reader.stop())
        result = tally(
            load.answered,
            world.customs_saw(),
            expected_bodies(world),
            got,
            kills=scene.kills,
            faults=scene.struck,
        )
        if any(result.promises):
            _keep(Path(name), seed)
    assert load.errors == []
    return result


def _keep(folder: Path, seed: int) -> None:
    """Leave everything that a broken run wrote for somebody to look into."""
    kept = Path(tempfile.mkdtemp(prefix=f"gateway-broken-{seed}-"))
    shutil.copytree(folder, kept, ignore=shutil.ignore_patterns("wake"), dirs_exist_ok=True)
    print(f"seed {seed} broke a promise: what the run wrote is in {kept}")


@contextmanager
def _world(folder: Path, stage: Stage, seed: int) -> Iterator[World]:
    (folder / "customs").mkdir()
    (folder / "site").mkdir()
    spool_toml = ""
    if stage.database is not None:
        spool_toml = f'[spool]\nkind = "postgres"\ndsn = "{stage.database.new_schema()}"\n'
    with _small_disk(folder / "site", stage.disk_mib):
        port = _port(folder / "customs", stage, {**_SCRIPT, "seed": seed})
        with World(folder, port, spool_toml=spool_toml) as world:
            yield world


def _port(folder: Path, stage: Stage, script: dict[str, object]) -> Port:
    match stage.port:
        case "amqp":
            return simulated_amqp(folder, script)
        case "sftp":
            return simulated_sftp(folder, script)
        case "openssh":
            return OpenSshPort(folder, script)
        case "rabbitmq":
            assert stage.brokers is not None
            return BrokerPort(folder, script, stage.brokers)


@contextmanager
def _small_disk(folder: Path, size_mib: int) -> Iterator[None]:
    """Mount a file system of that size there."""
    if not size_mib:
        yield
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def mounts_allowed() -> bool:
    """Whether a small disk can be made here: mount is there, and lets us (only root is let)."""
    if shutil.which("mount") is None:
        return False
    with tempfile.TemporaryDirectory() as name:
        command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", name]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return False
        subprocess.run(["umount", name], check=True)
    return True
