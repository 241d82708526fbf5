"""Where fault runs are played: the stage follows from the seed, so that a seed alone says all about a run."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.crash.fault_run import PortKind, Stage, mounts_allowed, run, schedule
from tests.crash.tally import Tally
from tests.servers import openssh, postgres, rabbitmq

_TURNS: tuple[PortKind, ...] = (
    "amqp", "sftp", "amqp", "sftp", "rabbitmq", "sftp", "amqp", "sftp", "amqp", "openssh",
)  # fmt: skip
"""By the last digit of the seed. RabbitMQ and OpenSSH go with PostgreSQL, the simulator with SQLite."""
_DISK_MIB = 96


class Theatre:
    """The servers that runs share, each started when the first run needs it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._database: postgres.PostgresServer | None = None
        self._brokers: rabbitmq.Brokers | None = None
        self._disk_mib = _DISK_MIB if mounts_allowed() else 0

    def play(self, seed: int, *, messages: int, faults: int) -> Tally:
        """Play the run of a seed. Skips the test, or in CI fails it, when a server cannot be had."""
        return run(seed, self.stage(seed), self.schedule(seed, faults), messages=messages)

    def schedule(self, seed: int, faults: int) -> list[str]:
        """Name the faults of that run. Skips or fails as `play`."""
        return schedule(seed, self.stage(seed), faults)

    def stage(self, seed: int) -> Stage:
        port = _TURNS[seed % len(_TURNS)]
        if port in ("amqp", "sftp"):
            return Stage(port=port, disk_mib=self._disk_mib)
        if port == "openssh":
            openssh.need_openssh()
            return Stage(port=port, database=self._postgres())
        return Stage(port=port, database=self._postgres(), brokers=self._rabbitmq())

    def _postgres(self) -> postgres.PostgresServer:
        if self._database is None:
            self._database = self._stack.enter_context(postgres.running())
        return self._database

    def _rabbitmq(self) -> rabbitmq.Brokers:
        if self._brokers is None:
            rabbitmq.need_rabbitmq()
            self._brokers = self._stack.enter_context(rabbitmq.Brokers())
        return self._brokers


@contextmanager
def theatre() -> Iterator[Theatre]:
    """Servers for as long as the block lasts."""
    with ExitStack() as stack:
        yield Theatre(stack)
