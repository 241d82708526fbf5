"""What can go wrong, each as one deed done to a running world."""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from tests.crash.load import Load
from tests.crash.points import IN_TRAFFIC, Whom
from tests.crash.ports import OpenSshPort
from tests.crash.world import World
from tests.servers.postgres import PostgresServer
from tests.waiting import RECOVERY_S

STRIKES_WITHIN_S = RECOVERY_S
_HOUR_S = 3600.0
_LONGEST_UPLOAD_BYTES = 30_000


@dataclass(kw_only=True)
class Scene:
    """What a fault may take hold of."""

    world: World
    load: Load
    rng: random.Random
    database: PostgresServer | None = None
    disk: Path | None = None
    """A small file system that holds the spool."""
    kills: int = 0
    struck: Counter[str] = field(default_factory=Counter)

    def until(self, happened: Callable[[], bool]) -> None:
        """Wait until it happened, and see to it that there is traffic meanwhile."""

        def look() -> bool:
            if happened():
                return True
            if not self.load.working:
                self.load.one_more()
            return happened()

        Retrying(
            retry=retry_if_result(lambda so: not so), wait=wait_fixed(0.05), stop=stop_after_delay(STRIKES_WITHIN_S)
        )(look)  # fmt: skip


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
    port = scene.world.port
    bytes_sent = scene.rng.randint(1000, _LONGEST_UPLOAD_BYTES)
    port.door.cut_in_mid_upload(bytes_sent, port.server.kill if isinstance(port, OpenSshPort) else None)
    scene.until(lambda: not port.door.threatening)
    if isinstance(port, OpenSshPort):
        port.server.start()


def fill_disk(scene: Scene) -> None:
    """Not one byte left under the spool, until a platform is told to come later."""
    assert scene.disk is not None
    ballast = scene.disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(1 << 16)):
            pass
    refused = Retrying(
        retry=retry_if_result(lambda so: not so), wait=wait_fixed(0), stop=stop_after_delay(STRIKES_WITHIN_S)
    )
    refused(scene.load.is_refused)
    ballast.unlink()


def set_clock_back(scene: Scene) -> None:
    """An hour back; nothing may wait until the old time has come round again."""
    scene.world.clock.move(-_HOUR_S)


def restart_database(scene: Scene) -> None:
    assert scene.database is not None
    scene.database.restart()


def kill_database(scene: Scene) -> None:
    """SIGKILL of every process of PostgreSQL at once, then its recovery."""
    assert scene.database is not None
    scene.database.kill()
    scene.database.start()


Fault = Callable[[Scene], None]
FAULTS: Final[Mapping[str, Fault]] = {
    "role killed": kill_role,
    "node killed": kill_node,
    "port restarted": restart_port,
    "confirm cut": cut_confirm,
    "upload cut": cut_upload,
    "disk full": fill_disk,
    "clock set back": set_clock_back,
    "database restarted": restart_database,
    "database killed": kill_database,
}
