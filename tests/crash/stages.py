"""Where fault runs are played: the stage follows from the seed, so that a seed alone says all about a run."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.crash.fault_run import PortKind, SpoolKind, Stage, kinds, mounts_allowed, run, schedule
from tests.crash.tally import Tally
from tests.servers import openssh, postgres, rabbitmq

TURNS: tuple[tuple[PortKind, SpoolKind], ...] = (
    ("amqp", "SQLite"), ("sftp", "SQLite"), ("rabbitmq", "SQLite"), ("sftp", "PostgreSQL"), ("rabbitmq", "PostgreSQL"),
    ("openssh", "SQLite"), ("amqp", "PostgreSQL"), ("sftp", "SQLite"), ("amqp", "SQLite"), ("openssh", "PostgreSQL"),
)  # fmt: skip
"""By the last digit of the seed."""


class StageServers:
    """The servers that runs share, each started when the first run needs it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._database: postgres.PostgresServer | None = None
        self._brokers: rabbitmq.Brokers | None = None
        self._disks = mounts_allowed()

    def play(self, seed: int, *, messages: int, faults: int, only: str = "") -> Tally:
        """Play the run of a seed, with all kinds of faults or only one. Skips, or in CI fails, when a server cannot be had."""
        chosen = [only] * faults if only else self.schedule(seed, faults)
        return run(seed, self.stage(seed), chosen, messages=messages)

    def schedule(self, seed: int, faults: int) -> list[str]:
        """Name the faults of that run."""
        return scheduled(seed, faults, disks=self._disks)

    def stage(self, seed: int) -> Stage:
        port, spool = TURNS[seed % len(TURNS)]
        if port == "openssh":
            openssh.need_openssh()
        return Stage(
            port=port,
            database=self._postgres() if spool == "PostgreSQL" else None,
            brokers=self._rabbitmq() if port == "rabbitmq" else None,
            disks=self._disks,
        )

    def _postgres(self) -> postgres.PostgresServer:
        if self._database is None:
            self._database = self._stack.enter_context(postgres.running())
        return self._database

    def _rabbitmq(self) -> rabbitmq.Brokers:
        if self._brokers is None:
            rabbitmq.need_rabbitmq()
            self._brokers = self._stack.enter_context(rabbitmq.Brokers())
        return self._brokers


def scheduled(seed: int, faults: int, *, disks: bool) -> list[str]:
    """Name the faults of the run of a seed, in order; `disks`: small file systems can be mounted."""
    run_number, turn = divmod(seed, len(TURNS))
    port, spool = TURNS[turn]
    return schedule(run_number, kinds(port, spool, disks=disks), faults, rounds=str(turn))


def spool_of(seed: int) -> SpoolKind:
    """Say what the spool of that run is made of."""
    return TURNS[seed % len(TURNS)][1]


@contextmanager
def stage_servers() -> Iterator[StageServers]:
    """Servers for as long as the block lasts."""
    with ExitStack() as stack:
        yield StageServers(stack)
