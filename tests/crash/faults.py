"""What can go wrong, each as one deed done to a running world."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.crash.load import Load
from tests.crash.points import FROZEN_AT, IN_TRAFFIC, Whom, state_of
from tests.crash.ports import OpenSshPort
from tests.crash.world import LEASE_S, World
from tests.servers.postgres import PostgresServer
from tests.servers.receiver import Handler, Receiver, hangs
from tests.servers.small_disk import fill, remount
from tests.waiting import RECOVERY_S, until

STRIKES_WITHIN_S = RECOVERY_S
_HOUR_S, _DAY_S = 3600.0, 86_400.0
_LONGEST_UPLOAD_BYTES = 30_000
_PAGE_BYTES = os.sysconf("SC_PAGESIZE")
_TRAFFIC_EVERY_S = 0.1
_RELOADS = 5
_FROZEN_S = 3 * LEASE_S
_IN_COMMIT = ("in:spool.write",)
_LIVES = 4
_STRANGE_BYTES: Final = (
    "\u56de\u6267.xml".encode("gbk").decode("utf-8", "surrogateescape"),
    b"\xff\xfe\x80.xml".decode("utf-8", "surrogateescape"),
)
_STRANGE: Final = (
    "\u56de\u6267" * 36 + ".xml",  # as long as what writes it can make it
    "-rf *.xml",
    'a "quoted" name\twith\nlines\r\n.xml',
    "%00%s{0}$(id)`id`;.xml",
    "\u202efdp.\u200b\U0001f4e6.XML",
    "no ending, and a blank at the end ",
)
"""In UTF-8, for files and messages alike."""


@dataclass(kw_only=True)
class Scene:
    """What a fault may take hold of."""

    world: World
    load: Load
    rng: random.Random
    database: PostgresServer | None = None
    disk: Path | None = None
    """A small file system that holds the spool."""
    log_disk: Path | None = None
    """Another one, that holds the log."""
    kills: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    _quiet_until: float = 0.0

    def until(self, happened: Callable[[], bool]) -> None:
        """Wait until it happened, and see to it that there is traffic meanwhile."""

        def look() -> bool:
            if happened():
                return True
            if not self.load.working and time.monotonic() > self._quiet_until:
                self._quiet_until = time.monotonic() + _TRAFFIC_EVERY_S
                self.load.one_more_in_time()  # in a thread: whoever is to answer may be stopped
            return happened()

        until(look, seconds=STRIKES_WITHIN_S)

    def until_refused(self) -> None:
        """Wait until a platform is told to come later."""
        until(self.load.is_refused, seconds=STRIKES_WITHIN_S)

    def until_sent(self) -> None:
        """Wait until customs has what was accepted until now; what is given up is the tally's matter."""
        uids = {one.uid for one in list(self.load.answered)}

        def gone() -> bool:
            saw = {line["cop_msg_id"] for line in self.world.customs_saw()}
            return uids <= saw or uids <= saw | {line["message_id"] for line in self.logged("entry.dead")}

        until(gone, seconds=STRIKES_WITHIN_S)

    def until_answers(self) -> None:
        """Wait until one more message is taken: whoever has just been started has opened its spool by then."""
        answered = len(self.load.answered)
        self.until(lambda: len(self.load.answered) > answered)

    def until_started(self) -> None:
        """Wait until the node has started, perhaps once more: from then on it says what it does."""
        until(lambda: self.logged("node.started"), seconds=STRIKES_WITHIN_S)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Lines of this event that the node has written in this life."""
        return [line for line in list(self.world.node.process.events) if line.get("event") == event]


def kill(scene: Scene, whom: Whom) -> None:
    """SIGKILL at a named point; the world starts a node that died anew, as systemd does."""
    point, points, node = scene.rng.choice(IN_TRAFFIC), scene.world.points, scene.world.node
    deaths, lives = points.deaths(), node.lives
    passage = 1 if point.startswith("keep:") else scene.rng.randint(1, 3)
    points.arm(point, passage=passage, whom=whom)
    scene.until(lambda: points.deaths() > deaths and (whom == "role" or node.lives > lives))
    (death,) = points.deaths() - deaths
    assert (death.point, death.whom) == (point, whom)
    scene.kills += 1


def kill_role(scene: Scene) -> None:
    kill(scene, "role")


def kill_node(scene: Scene) -> None:
    kill(scene, "node")


def freeze_role(scene: Scene) -> None:
    """SIGSTOP beyond the lease, then SIGCONT: between two commits, in one (with its locks), or at any instant.

    A forward process between two commits sleeps until another one has sent what it had in hand.
    """
    role = scene.rng.choice(("forward", "forward", "forward", *FROZEN_AT))
    point = scene.rng.choice((*FROZEN_AT[role], *_IN_COMMIT, "at any instant", "at any instant"))
    if point == "at any instant":
        pid = scene.rng.choice(sorted(until(lambda: scene.world.points.living(role))))
        os.kill(pid, signal.SIGSTOP)
    else:
        pid = _stop_at(scene, f"{role}:{point}" if point in _IN_COMMIT else point)
    until(lambda: state_of(pid) in ("T", ""))
    over = time.monotonic() + _FROZEN_S
    if point in FROZEN_AT["forward"]:
        scene.until_sent()
    until(lambda: time.monotonic() > over)
    with suppress(ProcessLookupError):  # the supervisor has found it hanging
        os.kill(pid, signal.SIGCONT)


def _stop_at(scene: Scene, point: str) -> int:
    points = scene.world.points
    before = {*points.stopped(point)}
    points.arm(point, whom="stop")
    scene.until(lambda: {*points.stopped(point)} > before)
    (pid,) = {*points.stopped(point)} - before
    return pid


def touch_files(scene: Scene) -> None:
    """An enterprise's file is touched again and again, each time a reload, while its webhook hangs."""
    scene.until_started()
    owner, receiver = _receiver(scene)
    release = threading.Event()
    receiver.behaviour = hangs(release)
    asked = len(receiver.requests)
    scene.until(lambda: len(receiver.requests) > asked)
    for _ in range(_RELOADS):
        begun = len(_starts(scene, "keep"))
        scene.world.enterprise_file(owner).touch()
        until(lambda: len(_starts(scene, "keep")), begun.__lt__, seconds=STRIKES_WITHIN_S)
    receiver.behaviour = Handler.take
    taken = len(receiver.taken)
    release.set()
    scene.until(lambda: len(receiver.taken) > taken)


def _receiver(scene: Scene) -> tuple[str, Receiver]:
    ((owner, receiver),) = scene.world.receivers.items()
    return owner, receiver


def _starts(scene: Scene, role: str) -> list[dict[str, Any]]:
    lines = scene.logged("role.started") + scene.logged("role.restarted")
    return [line for line in lines if line["role"].partition("/")[0] == role]


def restart_port(scene: Scene) -> None:
    """The broker, or the SFTP server, restarted under load."""
    scene.world.port.restart()


def cut_confirm(scene: Scene) -> None:
    """The connection is cut, and what the other side has just confirmed stays unheard."""
    door = scene.world.port.door
    door.cut_at_answer_to(scene.rng.randint(1000, _LONGEST_UPLOAD_BYTES))
    scene.until(lambda: not door.threatening)


def cut_upload(scene: Scene) -> None:
    """The server dies in mid-upload: the rest of what was being sent never arrives, and sshd is killed."""
    port, dead = scene.world.port, threading.Event()

    def die() -> None:
        if isinstance(port, OpenSshPort):
            port.server.kill()
        dead.set()

    port.door.cut_in_mid_upload(scene.rng.randint(1000, _LONGEST_UPLOAD_BYTES), die)
    scene.until(dead.is_set)
    if isinstance(port, OpenSshPort):
        port.server.start()


def give_foreign_names(scene: Scene) -> None:
    """Answers come under names in GBK bytes, under very long and strange ones; they are answers all the same."""
    names = scene.world.port.names
    names.give((*_STRANGE_BYTES, *_STRANGE) if names.raw else _STRANGE)
    scene.until(lambda: not names.left())


def fill_disk(scene: Scene) -> None:
    """Not one byte left under the spool, until a platform is told to come later."""
    assert scene.disk is not None
    scene.until_answers()
    ballast = fill(scene.disk)
    scene.until_refused()
    ballast.unlink()


def fill_log(scene: Scene) -> None:
    """Not one byte left for stdout: the node goes on without, and says so as soon as it can."""
    assert scene.log_disk is not None
    scene.until_started()
    ballast, log = fill(scene.log_disk), scene.world.node.log
    scene.until(lambda: log.stat().st_size % _PAGE_BYTES == 0)  # what its last page still had is written, too
    scene.until_answers()
    scene.until_sent()
    ballast.unlink()
    scene.until(lambda: bool(scene.logged("log.lost")))


def set_clock_back(scene: Scene) -> None:
    """An hour back; nothing may wait until the old time has come round again."""
    scene.world.clock.move(-_HOUR_S)


def set_clock_back_by_days(scene: Scene) -> None:
    """Ten days back for a while: longer than a message is tried for, when somebody sets it right."""
    _set_clock_wrong(scene, -10 * _DAY_S)


def set_clock_ahead(scene: Scene) -> None:
    """A day ahead for a while."""
    _set_clock_wrong(scene, _DAY_S)


def _set_clock_wrong(scene: Scene, seconds: float) -> None:
    """By a wrong clock the node goes on; what it could not send when the clock is set right goes then."""
    scene.until_started()
    clock, door = scene.world.clock, scene.world.port.door
    clock.move(seconds)
    wrong = datetime.now(UTC) + timedelta(seconds=clock.shift_s)
    scene.until(lambda: abs(_last_line_at(scene) - wrong) < timedelta(seconds=_HOUR_S))
    scene.until_answers()
    scene.until_sent()
    door.stop()
    _attempt_in_vain(scene)
    clock.move(-seconds)
    _attempt_in_vain(scene)
    door.start()


def _last_line_at(scene: Scene) -> datetime:
    (*_, last) = (line["time"] for line in list(scene.world.node.process.events) if "time" in line)
    return datetime.fromisoformat(last)


def _attempt_in_vain(scene: Scene) -> None:
    """Wait until one more attempt has failed."""
    failed = len(_failures(scene))
    scene.until(lambda: len(_failures(scene)) > failed)


def _failures(scene: Scene) -> list[dict[str, Any]]:
    return scene.logged("entry.deferred") + scene.logged("entry.dead")


def restart_database(scene: Scene) -> None:
    assert scene.database is not None
    scene.database.restart()


def kill_database(scene: Scene) -> None:
    """SIGKILL of every process of PostgreSQL at once, then its recovery."""
    assert scene.database is not None
    scene.database.kill()
    scene.database.start()


def put_database_read_only(scene: Scene) -> None:
    """It can be read and not written, until a platform is told to come later.

    SQLite: the file system, on which the node has died; it tries to start there in vain.
    """
    if scene.database is not None:
        scene.database.put_read_only(on=True)
        scene.until_refused()
        scene.database.put_read_only(on=False)
        return
    disk, node = scene.disk, scene.world.node
    assert disk is not None

    def remounted_between_two_lives() -> bool:
        node.crash()
        return remount(disk, "ro")

    until(remounted_between_two_lives)
    lives = node.lives
    until(lambda: node.lives > lives + 1)
    assert remount(disk, "rw")


def repeat_deliveries(scene: Scene) -> None:
    """Collect is killed again and again while the spool cannot be written: each of its lives might take answers and give
    them back, which the broker counts."""
    scene.until_started()
    scene.until_answers()
    if scene.database is not None:
        scene.database.put_read_only(on=True)
    else:
        assert scene.disk is not None
        ballast = fill(scene.disk)
    scene.until_refused()
    killed: set[int] = set()
    for _ in range(_LIVES):
        begun = len(_starts(scene, "collect"))
        for pid in until(lambda: scene.world.points.living("collect") - killed):
            os.kill(pid, signal.SIGKILL)
            scene.kills += 1
            killed.add(pid)
        until(partial(_lives_again, scene, begun), seconds=STRIKES_WITHIN_S)
    if scene.database is not None:
        scene.database.put_read_only(on=False)
    else:
        ballast.unlink()


def _lives_again(scene: Scene, begun: int) -> bool:
    """Say whether collect has begun oftener than so, and its last life has said that it waits for the spool.

    On a full disk it need not: there is room in the write-ahead log for little, and it sees that it can write.
    """
    starts = _starts(scene, "collect")
    if len(starts) <= begun or scene.database is None:
        return len(starts) > begun
    events = list(scene.world.node.process.events)
    return any(line.get("event") == "feed.failed" for line in events[events.index(starts[-1]) :])


Fault = Callable[[Scene], None]
FAULTS: Final[Mapping[str, Fault]] = {
    "role killed": kill_role,
    "role frozen": freeze_role,
    "node killed": kill_node,
    "files touched": touch_files,
    "port restarted": restart_port,
    "confirm cut": cut_confirm,
    "upload cut": cut_upload,
    "foreign name": give_foreign_names,
    "delivery limit": repeat_deliveries,
    "disk full": fill_disk,
    "stdout full": fill_log,
    "clock set back": set_clock_back,
    "clock set back by days": set_clock_back_by_days,
    "clock set ahead": set_clock_ahead,
    "database restarted": restart_database,
    "database killed": kill_database,
    "database read-only": put_database_read_only,
}
