"""What collect does while the spool cannot be written: brokers that count deliveries lose nothing by it."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from gateway.config.local_receivers import NOBODY
from gateway.errors import DeliveryError
from gateway.ports import Arrival, Feed
from gateway.processes.stop import Stop
from gateway.receipts.collect import Collect
from gateway.receipts.filing import ReceiptFiler
from gateway.receipts.transfer import Transfer
from gateway.transports.memory import MemoryEndpoint, MemoryFeed
from spool.errors import SpoolError
from spool.locking import FileLock
from spool.postgres import PostgresSpool
from spool.sqlite import SqliteSpool
from spool.store import Spool
from tests.contract.conftest import RabbitmqMedium
from tests.servers import postgres
from tests.servers.small_disk import fill, mounted
from tests.shipped_rules import shipped
from tests.unit.test_new_messages import config

PATIENCE_S = 60.0
DELIVERY_LIMIT = 3
BODIES = [b"<a>%d</a>" % number for number in range(10)]


class Watched:
    """A feed that says what was asked of it, and wakes whoever waits for that."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.calls: list[str] = []
        self.settled: list[bytes] = []
        self._changed = threading.Condition()

    def receive(self, *, limit: int, timeout_s: float) -> Sequence[Arrival]:
        self._note("receive")
        return self.feed.receive(limit=limit, timeout_s=min(timeout_s, 0.1))

    def done(self, arrivals: Sequence[Arrival]) -> None:
        self.feed.done(arrivals)
        self._note("done", *(arrival.body for arrival in arrivals))

    def idle(self) -> None:
        self._note("idle")
        self.feed.idle()

    def close(self) -> None:
        self.feed.close()

    def count(self, call: str) -> int:
        return self.calls.count(call)

    def wait(self, wanted: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(wanted, PATIENCE_S), (self.calls, self.settled)

    def _note(self, call: str, *bodies: bytes) -> None:
        with self._changed:
            self.calls.append(call)
            self.settled += bodies
            self._changed.notify_all()


class Node:
    """A collect role in a thread, started again when it dies, as the supervisor does."""

    def __init__(self, spool: Spool, feed: Callable[[], Feed]) -> None:
        self._spool = spool
        self._make = feed
        self.watched = Watched(feed())
        self.deaths: list[Exception] = []
        self._stop = Stop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        rules = shipped()
        while not self._stop():
            transfer = Transfer(local_receivers=NOBODY, config=config())
            filer = ReceiptFiler(spool=self._spool, rules=rules, config=config(), transfer=transfer)
            role = Collect(spool=self._spool, feed=self.watched, destination="port", filer=filer)
            try:
                role.run(self._stop)
            except Exception as error:  # noqa: BLE001 (what ends a process)
                self.deaths.append(error)
                role.close()
                self.watched.feed = self._make()

    def end(self) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        self.watched.close()


@contextmanager
def running(spool: Spool, feed: Callable[[], Feed]) -> Iterator[Node]:
    node = Node(spool, feed)
    try:
        yield node
    finally:
        node.end()


def kept(spool: Spool) -> list[bytes]:
    return sorted(raw.body for number in range(1, 100) if (raw := spool.arrival(number)) is not None)


class Database:
    """A PostgreSQL of the test's own that may be put to read-only, as it is after a failover."""

    def __init__(self, server: postgres.PostgresServer) -> None:
        self.dsn = server.new_schema()
        self._server = server

    def put_read_only(self, *, on: bool) -> None:
        self._server.put_read_only(on=on)


@pytest.fixture
def database() -> Iterator[Database]:
    with postgres.running() as server:
        yield Database(server)


def test_answers_outlast_a_read_only_database_and_a_delivery_limit(
    rabbitmq: RabbitmqMedium, database: Database
) -> None:
    rabbitmq.site.delete(rabbitmq.answers)
    rabbitmq.site.declare(rabbitmq.answers, queue_type="quorum", delivery_limit=DELIVERY_LIMIT)
    with closing(PostgresSpool(database.dsn)) as spool, running(spool, rabbitmq.feed) as node:
        node.watched.wait(lambda: node.watched.count("receive") > 0)  # it has found the spool in order
        database.put_read_only(on=True)
        for number, body in enumerate(BODIES):
            rabbitmq.offer(body, f"r{number}")
        node.watched.wait(lambda: len(node.deaths) + node.watched.count("idle") > 2 * DELIVERY_LIMIT)
        database.put_read_only(on=False)
        node.watched.wait(lambda: sorted(node.watched.settled) == BODIES)
    assert node.deaths == []
    assert rabbitmq.site.count(rabbitmq.answers) == 0
    with closing(PostgresSpool(database.dsn)) as spool:
        assert kept(spool) == BODIES
        assert not spool.unfiled(100)


def test_nothing_is_received_before_the_spool_was_written(
    rabbitmq: RabbitmqMedium, database: Database
) -> None:
    for number, body in enumerate(BODIES):
        rabbitmq.offer(body, f"r{number}")
    with closing(PostgresSpool(database.dsn)) as spool:
        spool.unfiled(1)  # its tables are there
        database.put_read_only(on=True)
        with running(spool, rabbitmq.feed) as node:
            node.watched.wait(lambda: node.watched.count("idle") > 1)
            assert node.watched.count("receive") == 0
            assert rabbitmq.site.count(rabbitmq.answers) == len(BODIES)
            database.put_read_only(on=False)
            node.watched.wait(lambda: sorted(node.watched.settled) == BODIES)


def test_connection_lost_while_the_spool_is_waited_for_is_made_anew_only_afterwards(
    rabbitmq: RabbitmqMedium, database: Database
) -> None:
    with closing(PostgresSpool(database.dsn)) as spool, running(spool, rabbitmq.feed) as node:
        node.watched.wait(lambda: node.watched.count("receive") > 0)
        database.put_read_only(on=True)
        rabbitmq.offer(BODIES[0], "r0")
        node.watched.wait(lambda: node.watched.count("idle") > 1)
        received = node.watched.count("receive")
        rabbitmq.stop()
        rabbitmq.start()
        idle = node.watched.count("idle")
        node.watched.wait(lambda: node.watched.count("idle") > idle + 3)
        assert node.watched.count("receive") == received
        database.put_read_only(on=False)
        node.watched.wait(lambda: node.watched.settled == BODIES[:1])
    assert node.deaths == []


def test_answers_outlast_a_full_disk(tmp_path: Path) -> None:
    endpoint = MemoryEndpoint()
    bodies = [b"<a>%d%s</a>" % (number, b"x" * 100_000) for number in range(10)]
    with mounted(tmp_path / "disk", mib=4) as disk, closing(SqliteSpool(disk / "state")) as spool:
        with running(spool, lambda: MemoryFeed(endpoint)) as node:
            node.watched.wait(lambda: node.watched.count("receive") > 0)
            ballast = fill(disk)
            for number, body in enumerate(bodies):
                endpoint.offer(body, f"r{number}")
            node.watched.wait(lambda: bool(node.deaths) or node.watched.count("idle") > 1)
            ballast.unlink()
            node.watched.wait(lambda: sorted(node.watched.settled) == bodies)
        assert kept(spool) == bodies
        assert not spool.unfiled(100)
    assert node.deaths == []


@contextmanager
def database_locked(folder: Path) -> Iterator[None]:
    """As by the `sqlite3` tool with an open transaction."""
    with closing(sqlite3.connect(folder / "spool.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def lock_kept(folder: Path) -> Iterator[None]:
    """As by a role that stands still in a commit."""
    with closing(FileLock(folder / "spool.lock", "the spool's lock")) as other, other.held():
        yield


@pytest.mark.parametrize("kept_by_another", [database_locked, lock_kept])
def test_answers_outlast_a_spool_that_somebody_else_keeps(
    kept_by_another: Callable[[Path], AbstractContextManager[None]], tmp_path: Path
) -> None:
    endpoint = MemoryEndpoint()
    with closing(SqliteSpool(tmp_path, wait_s=0.05)) as spool:
        with running(spool, lambda: MemoryFeed(endpoint)) as node:
            node.watched.wait(lambda: node.watched.count("receive") > 0)
            with kept_by_another(tmp_path):
                for number, body in enumerate(BODIES):
                    endpoint.offer(body, f"r{number}")
                node.watched.wait(lambda: bool(node.deaths) or node.watched.count("idle") > 1)
            node.watched.wait(lambda: sorted(node.watched.settled) == BODIES)
        assert kept(spool) == BODIES
    assert node.deaths == []


def test_error_that_waiting_does_not_mend_ends_the_role_before_anything_is_received(tmp_path: Path) -> None:
    class Broken(SqliteSpool):
        def put(self, *_: object, **__: object) -> NoReturn:
            raise SpoolError("corrupt")

    feed = Watched(MemoryFeed(MemoryEndpoint()))
    with closing(Broken(tmp_path)) as spool:
        transfer = Transfer(local_receivers=NOBODY, config=config())
        filer = ReceiptFiler(spool=spool, rules=shipped(), config=config(), transfer=transfer)
        role = Collect(spool=spool, feed=feed, destination="port", filer=filer)
        with pytest.raises(SpoolError, match="corrupt"):
            role.run(Stop())
    assert feed.calls == []


def test_what_the_other_side_does_not_let_go_is_filed_all_the_same(tmp_path: Path) -> None:
    """As where a server lets nobody remove files: it comes again and is known."""

    class Keeping(MemoryFeed):
        def done(self, arrivals: Sequence[Arrival]) -> None:  # noqa: ARG002  # the Protocol has it
            raise DeliveryError("a collected file cannot be removed")

    endpoint = MemoryEndpoint()
    endpoint.offer(BODIES[0], "r0")
    with closing(SqliteSpool(tmp_path)) as spool:
        transfer = Transfer(local_receivers=NOBODY, config=config())
        filer = ReceiptFiler(spool=spool, rules=shipped(), config=config(), transfer=transfer)
        role = Collect(spool=spool, feed=Keeping(endpoint), destination="port", filer=filer)
        with pytest.raises(DeliveryError, match="removed"):
            role.step()
        assert kept(spool) == BODIES[:1]
        assert not spool.unfiled(10)
        assert role.step() == 0
