"""One fault run: a node under load, what goes wrong chosen by a seed, and the count of what was lost."""

import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tests.crash.answers import (
    Reader,
    bring_home,
    expected_bodies,
    left_in,
    wait_until_answered,
    wait_until_sent,
)
from tests.crash.faults import FAULTS, Scene
from tests.crash.load import Load
from tests.crash.ports import BrokerPort, OpenSshPort, Port, simulated_amqp, simulated_sftp
from tests.crash.tally import Tally, tally
from tests.crash.world import World
from tests.platforms import enterprises
from tests.servers.postgres import PostgresServer
from tests.servers.rabbitmq import Brokers
from tests.servers.receiver import Receiver
from tests.servers.small_disk import mounted
from tests.waiting import RECOVERY_S

PortKind = Literal["amqp", "sftp", "rabbitmq", "openssh"]
SpoolKind = Literal["SQLite", "PostgreSQL"]

_HOME_WITHIN_S: Final = RECOVERY_S
_SCRIPT: Final = {"delay_s": [0.0, 0.2], "duplicates": 0.1, "reorder": 0.2, "refuse": 0.1, "batch": 20}
_SPOOL_MIB: Final = 96
_LOG_MIB: Final = 32
_ALWAYS: Final = (
    *(
        "role killed",
        "role frozen",
        "node killed",
        "files touched",
        "port restarted",
        "confirm cut",
        "foreign name",
    ),
    *("clock set back", "clock set back by days", "clock set ahead"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a run is played on; servers are shared by many runs."""

    port: PortKind
    database: PostgresServer | None = None
    """None: SQLite."""
    brokers: Brokers | None = None
    """For `rabbitmq`."""
    disks: bool = False
    """Whether there are small disks, for the log and for a spool that is SQLite."""

    def __str__(self) -> str:
        return f"{self.port}, {'PostgreSQL' if self.database else 'SQLite'}"

    @property
    def has_spool_disk(self) -> bool:
        return self.disks and self.database is None


def kinds(port: PortKind, spool: SpoolKind, *, disks: bool) -> list[str]:
    """Name what can go wrong on such a stage; twice what goes wrong on few."""
    postgres = spool == "PostgreSQL"
    return [
        *_ALWAYS,
        *(("upload cut",) if port in ("sftp", "openssh") else ()),
        *(("delivery limit", "delivery limit") if port == "rabbitmq" and (postgres or disks) else ()),
        *(("disk full",) if disks and not postgres else ()),
        *(("stdout full",) if disks else ()),
        *(("database read-only",) if postgres or disks else ()),
        *(("database restarted", "database killed") if postgres else ()),
    ]


def schedule(run: int, among: Sequence[str], count: int, *, rounds: str) -> list[str]:
    """Name the `count` faults of the so many-th run on a stage, in order.

    The runs of a stage go on one after the other through shuffled rounds, each of which has every kind; `rounds` is what
    they are shuffled by.
    """
    first, last = divmod(run * count, len(among)), divmod((run + 1) * count - 1, len(among))
    dealt = [
        kind for number in range(first[0], last[0] + 1) for kind in _shuffled(among, f"{rounds} {number}")
    ]
    return dealt[first[1] :][:count]


def _shuffled(kinds: Sequence[str], seed: str) -> list[str]:
    return random.Random(f"round {seed}").sample(kinds, len(kinds))


def run(seed: int, stage: Stage, faults: Sequence[str], *, messages: int) -> Tally:
    """Play one run: so many messages, and the faults spread over them; returns when all should be at home."""
    with (
        tempfile.TemporaryDirectory(prefix="gateway-run-") as name,
        _world(Path(name), stage, seed) as world,
        _kept_if_broken(Path(name), seed),
    ):
        rng = random.Random(f"faults {seed}")
        reader = Reader(world, receivers=world.receivers)
        load = Load(world, seed=seed, count=messages)
        scene = Scene(
            world=world,
            load=load,
            rng=rng,
            database=stage.database,
            disk=world.site.folder if stage.has_spool_disk else None,
            log_disk=world.node.log.parent if stage.disks else None,
        )
        for number, fault in enumerate(faults, 1):
            load.wait_for(number * messages // (len(faults) + 1))
            FAULTS[fault](scene)
            scene.struck[fault] += 1
        load.join()
        wait_until_sent(world, _HOME_WITHIN_S)
        wait_until_answered(world, {one.uid for one in load.answered}, _HOME_WITHIN_S)
        got = bring_home(world, _HOME_WITHIN_S, reader.stop(), receivers=world.receivers)
        wait_until_sent(world, _HOME_WITHIN_S)  # the notices to the receiver, too
        result = tally(
            load.answered,
            world.customs_saw(),
            expected_bodies(world),
            got,
            left=left_in(world),
            unanswered=len(load.errors),
            kills=scene.kills,
            faults=scene.struck,
        )
        if result.broken:
            raise BrokenRunError(result, load.errors)
    return result


class BrokenRunError(AssertionError):
    """A promise was not kept, or a platform was not answered."""

    def __init__(self, result: Tally, errors: Sequence[str]) -> None:
        super().__init__(f"{result.broken} {errors[:3] or ''}: {result}")
        self.result = result


@contextmanager
def _kept_if_broken(folder: Path, seed: int) -> Iterator[None]:
    """Leave everything that a broken run wrote for somebody to look into."""
    try:
        yield
    except BaseException:
        kept = Path(tempfile.mkdtemp(prefix=f"gateway-broken-{seed}-"))
        shutil.copytree(folder, kept, ignore=shutil.ignore_patterns("wake"), dirs_exist_ok=True)
        print(f"seed {seed} is broken: what the run wrote is in {kept}", flush=True)
        raise


@contextmanager
def _world(folder: Path, stage: Stage, seed: int) -> Iterator[World]:
    (folder / "customs").mkdir()
    spool_toml = ""
    if stage.database is not None:
        spool_toml = f'[spool]\nkind = "postgres"\ndsn = "{stage.database.new_schema()}"\n'
    with ExitStack() as stack:
        if stage.has_spool_disk:
            stack.enter_context(mounted(folder / "site", mib=_SPOOL_MIB))
        if stage.disks:
            stack.enter_context(mounted(folder / "log", mib=_LOG_MIB))
        receiver = stack.enter_context(Receiver(folder))
        port = _port(folder / "customs", stage, {**_SCRIPT, "seed": seed})
        owners = enterprises(4)
        receivers = {owners[-1].id: receiver}
        yield stack.enter_context(
            World(folder, port, owners=owners, spool_toml=spool_toml, receivers=receivers)
        )


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
