"""A process is stopped while it holds a lock: nobody waits for it for ever, and everybody says who it is."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from gateway.doors.http.nonces import Nonces, Use
from gateway.model import EnterpriseId
from gateway.processes.stop import Stop
from gateway.samples.compose import compose
from signing.errors import KeyUnavailable
from signing.keys.health import HealthFile
from spool.archive import Archive
from spool.errors import SpoolError
from spool.locking import FileLock, OnWait
from spool.postgres import PostgresSpool
from spool.sqlite import SqliteSpool
from spool.store import Spool
from tests.crash.ports import simulated_sftp
from tests.crash.world import World
from tests.platforms import NotNow, Platform, rng
from tests.servers.postgres import shared
from tests.spool_samples import new_message
from tests.waiting import until

WAIT_S = 0.1
LONG_S = 3600.0
NOW = 1_764_230_400
ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def stopped(what: str, where: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a process that has the lock and stands still."""
    command = [sys.executable, "-m", "tests.crash.frozen_child", what, where]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "stopped\n"
        until(lambda: Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        try:
            yield child
        finally:
            child.kill()


class Kind:
    """A spool, and how somebody else keeps its lock."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.where = str(folder) if name == "sqlite" else shared().schema_for(folder)

    def open(self, wait_s: float = WAIT_S, on_wait: OnWait | None = None) -> Spool:
        if self.name == "sqlite":
            return SqliteSpool(Path(self.where), wait_s=wait_s, on_wait=on_wait)
        return PostgresSpool(self.where, wait_s=wait_s, on_wait=on_wait)

    def stopped(self) -> "AbstractContextManager[subprocess.Popen[str]]":
        return stopped(self.name, self.where)


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    made = Kind(request.param, tmp_path / "state")
    with closing(made.open()) as spool:
        spool.put((), marks={"before": 1})
    return made


def holder(kind: Kind, child: "subprocess.Popen[str]") -> str:
    return f"process {child.pid} (python" if kind.name == "sqlite" else "session "


def test_wait_for_a_process_that_stands_still_ends_with_its_name(kind: Kind) -> None:
    with closing(kind.open()) as spool, kind.stopped() as child:
        for _ in range(3):
            with pytest.raises(SpoolError, match="holds") as caught:
                spool.put([new_message("M1", "d=1")], marks={"mine": 1})
            assert caught.value.temporary
            assert holder(kind, child) in caught.value.what
        assert holder(kind, child) in str(until(spool.held_up))
        assert spool.message("M1") is None, "what is not taken is not there"
        child.kill()
        child.wait()
        until(lambda: _puts(spool, "M1"))
        assert spool.held_up() is None


def _puts(spool: Spool, uid: str) -> bool:
    try:
        spool.put([new_message(uid, f"d={uid}")], marks={"mine": 1})
    except SpoolError:
        return False
    return True


def test_whoever_has_nothing_better_to_do_waits_on_and_hears_of_it(kind: Kind) -> None:
    with kind.stopped() as child:
        heard: list[str] = []

        stop = Stop()

        def on_wait(error: SpoolError) -> None:
            heard.append(error.what)
            stop.waited(error)
            if len(heard) == 3:
                child.send_signal(signal.SIGCONT)

        with closing(kind.open(on_wait=on_wait)) as spool:
            spool.put([new_message("M1", "d=1")], marks={"mine": 1})
            assert spool.message("M1") is not None
        assert len(heard) >= 3
        assert all(holder(kind, child) in what for what in heard[:3])


def test_whoever_waits_on_gives_up_when_asked_to(kind: Kind) -> None:
    stop = Stop()
    stop.set()
    with (
        kind.stopped(),
        closing(kind.open(on_wait=stop.waited)) as spool,
        pytest.raises(SpoolError, match="holds"),
    ):
        spool.put((), marks={"mine": 1})


def test_spool_opens_while_somebody_stands_still_and_can_be_read(tmp_path: Path) -> None:
    kind = Kind("sqlite", tmp_path)
    with closing(kind.open()) as spool:
        spool.put([new_message("M1", "d=1")])
    with kind.stopped(), closing(kind.open(LONG_S)) as spool:
        assert spool.message("M1") is not None


def test_lock_that_comes_when_nobody_wants_it_any_more_is_given_back(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with stopped("lock", str(file)) as child:
        impatient, closed = FileLock(file, "it", wait_s=WAIT_S), FileLock(file, "it", wait_s=WAIT_S)
        for one in (impatient, closed):
            with pytest.raises(SpoolError, match=rf"process {child.pid} \(python"):
                one.acquire()
        closed.close()
        forked = os.fork()
        if forked == 0:  # has the same locks, as a role has those of its supervisor
            signal.pause()
        child.kill()
        child.wait()
        with closing(FileLock(file, "it", wait_s=LONG_S)) as patient, patient.held():
            pass
        os.kill(forked, signal.SIGKILL)
        os.waitpid(forked, 0)
        with closing(impatient):
            until(lambda: _takes(impatient))


def _takes(lock: FileLock) -> bool:
    try:
        with lock.held():
            return True
    except SpoolError:  # its thread has not given it back yet
        return False


def test_database_that_somebody_else_writes_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    """SQLite's own lock, taken by a program that does not know ours, for instance the `sqlite3` tool."""
    with (
        closing(SqliteSpool(tmp_path, wait_s=WAIT_S)) as spool,
        closing(SqliteSpool(tmp_path)) as other,
    ):
        other.db.connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(SpoolError, match=rf"process {os.getpid()} \(.*\) holds the database's own lock"):
            spool.put([new_message("M1", "d=1")])
        other.db.connection.execute("ROLLBACK")
        spool.put([new_message("M1", "d=1")])


def test_nonces_are_not_waited_for_for_ever(tmp_path: Path) -> None:
    with stopped("lock", str(tmp_path / "nonces.lock")) as child:
        nonces = Nonces(tmp_path / "nonces")
        with pytest.raises(SpoolError, match=f"process {child.pid} ") as caught:
            nonces.use("ann", "ann-1", NOW, "n", now=NOW)
        assert caught.value.temporary
        child.send_signal(signal.SIGCONT)
        child.wait()
        assert until(lambda: _uses(nonces)) is Use.FIRST


def _uses(nonces: Nonces) -> Use | None:
    try:
        return nonces.use("ann", "ann-1", NOW, "n", now=NOW)
    except SpoolError:
        return None


def test_archive_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    (tmp_path / "2026-11-11.tar.gz").touch()
    archive = Archive(tmp_path, wait_s=WAIT_S)
    with (
        stopped("lock", str(tmp_path / ".lock")) as child,
        pytest.raises(SpoolError, match=rf"process {child.pid} \(python.*archive's lock") as caught,
    ):
        archive.get("M1")
    assert caught.value.temporary
    assert archive.get("M1") is None


@pytest.mark.parametrize(
    ("suffix", "use"),
    [
        ("lock", lambda health: health.failed("it is dark")),
        ("alone", lambda health: health.alone().__enter__()),
    ],
)
def test_key_is_not_waited_for_for_ever(
    tmp_path: Path, suffix: str, use: Callable[[HealthFile], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signing.keys.health._CHANGING_S", WAIT_S)
    monkeypatch.setattr("signing.keys.health._ALONE_S", WAIT_S)
    health = HealthFile(tmp_path, "card")
    with (
        stopped("lock", str(tmp_path / f"card.{suffix}")),
        pytest.raises(KeyUnavailable, match="key card cannot be used: another process has kept the lock"),
    ):
        use(health)
    until(lambda: health.failed("it is dark") or health.read().failures)


def test_node_whose_role_stands_still_in_a_commit_says_so_and_goes_on_by_itself(tmp_path: Path) -> None:
    (tmp_path / "customs").mkdir()
    world = World(tmp_path, simulated_sftp(tmp_path / "customs", {"seed": 1}))
    text = world.site.config.read_text("utf-8")
    assert "# hung_after_s = 60.0" in text
    world.site.config.write_text(text.replace("# hung_after_s = 60.0", "hung_after_s = 15.0"), "utf-8")
    one = world.owners[0]
    body = compose("CEB311Message", cop_code=one.cop_codes[0], dxp_id=one.dxp_ids[0], rng=rng(1)).body
    with world:
        events = world.node.process.events
        world.points.arm("keep:in:spool.write")
        (pid,) = until(lambda: world.points.stopped("keep:in:spool.write"))
        with closing(Platform(world.address, world.site.tokens[EnterpriseId(one.id)])) as platform:
            with pytest.raises(NotNow) as caught:
                platform.once("POST", "/v1/messages", body)
            assert caught.value.reply.status == 503
            assert "retry-after" in {name.lower() for name in caught.value.reply.headers}
            alive = platform.once("GET", "/healthz")
            assert (alive.status, alive.json()["status"]) == (200, "alive")
            (reason,) = alive.json()["reasons"]
            assert "another process" in reason
            with pytest.raises(NotNow) as caught:
                platform.once("GET", "/readyz")
            assert reason in caught.value.reply.body.decode()
            assert not [line for line in events if line["event"] == "role.hung"], (
                "all of that before it is ended"
            )

            taken = platform.submit(body)
            assert taken.status in {200, 202}
            until(lambda: [line for line in events if line["event"] == "entry.sent"])
            assert platform.once("GET", "/healthz").json()["reasons"] == []
    ended = [(line["role"], line["pid"]) for line in events if line["event"] == "role.hung"]
    assert ended == [("keep", pid)], "and nobody else"
    born = [line["role"] for line in events if line["event"] in {"role.restarted", "role.failed"}]
    assert born == ["keep"]
    waited = [line for line in events if line["event"] == "spool.unavailable"]
    assert f"process {pid} (keep, stopped)" in waited[0]["error"]
