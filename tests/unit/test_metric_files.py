"""Real processes that count in shared files: killed, many, together, under two supervisors, on a full disk."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.observe.metric_files import FOLDER
from tests.servers.small_disk import fill, mounted
from tests.waiting import PATIENCE_S, until

REPOSITORY = Path(__file__).resolve().parents[2]


class Node:
    """Says what to do, and reads what is told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.logged: list[str] = []
        self._read()

    def _read(self) -> Any:
        """The next line that is told; what is logged is kept."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                return json.loads(line)
            except ValueError:
                self.logged.append(line)
        raise AssertionError("the node ended")

    def _ask(self, *words: object) -> Any:
        assert self._process.stdin is not None
        print(*words, file=self._process.stdin, flush=True)
        return self._read()

    def start(self, role: str, entries: int = 1) -> int:
        return int(self._ask("start", role, entries)["pid"])

    def kill(self, pid: int) -> None:
        assert self._ask("kill", pid) == {"killed by": "SIGKILL"}

    def sent(self) -> float:
        return float(self._ask("show")["sent"])

    def in_order(self) -> list[str]:
        return list(self._ask("show")["in order"])


@contextmanager
def node(state_dir: Path) -> Iterator[Node]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.metric_files_child", str(state_dir)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        watchdog = threading.Timer(PATIENCE_S, os.killpg, (process.pid, signal.SIGKILL))
        watchdog.start()
        try:
            yield Node(process)
        finally:
            watchdog.cancel()
            os.killpg(process.pid, signal.SIGKILL)


def names(state_dir: Path) -> list[str]:
    return sorted(file.name for file in (state_dir / FOLDER).iterdir())


def is_left(state_dir: Path) -> bool:
    """Whether every process that worked there has ended: a killed one lets go a moment later."""
    with (state_dir / FOLDER / "lock").open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_what_a_killed_process_counted_stays_and_its_successor_goes_on_in_the_same_files(
    tmp_path: Path,
) -> None:
    with node(tmp_path) as running:
        for lives in range(1, 21):
            pid = running.start("forward/customs/0")
            assert running.sent() == lives
            running.kill(pid)
            assert running.sent() == lives
        assert names(tmp_path) == [
            "counter_forward.customs.0.0.db",
            "forward.customs.0.0.lock",
            "gauge_livemin_forward.customs.0.0.db",
            "lock",
        ]


def test_processes_that_live_at_the_same_time_have_files_of_their_own(tmp_path: Path) -> None:
    with node(tmp_path) as running:
        first = running.start("notify")
        running.start("notify")
        running.start("keep")
        assert running.sent() == 3
        running.kill(first)
        running.start("notify")
        assert running.sent() == 4
        counters = [name for name in names(tmp_path) if name.startswith("counter_")]
        assert counters == ["counter_keep.0.db", "counter_notify.0.db", "counter_notify.1.db"]


def test_door_of_a_process_that_has_ended_is_not_shown(tmp_path: Path) -> None:
    with node(tmp_path) as running:
        first = running.start("accept/folders")
        running.start("accept/ann/amqp/0")
        assert running.in_order() == ["accept/ann/amqp/0", "accept/folders"]
        running.kill(first)
        assert running.in_order() == ["accept/ann/amqp/0"]


def test_files_of_an_earlier_run_are_removed_but_not_those_of_another_supervisor(tmp_path: Path) -> None:
    with node(tmp_path) as running:
        running.start("forward/customs/0")
        with node(tmp_path) as other:
            assert other.sent() == 1
            other.start("forward/customs/0")
            assert running.sent() == 2
        assert running.sent() == 2
    until(lambda: is_left(tmp_path))
    assert (tmp_path / FOLDER).stat().st_mode & 0o777 == 0o700
    with node(tmp_path) as running:
        assert running.sent() == 0
        assert names(tmp_path) == ["lock"]


def test_more_series_than_a_new_file_has_room_for_are_counted_and_found_again(tmp_path: Path) -> None:
    with node(tmp_path) as running:
        pid = running.start("forward/customs/0", 500)
        assert running.sent() == 500
        running.kill(pid)
        running.start("forward/customs/0", 500)
        assert running.sent() == 1000


def test_full_disk_ends_no_process_and_what_is_counted_before_and_after_is_there(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", mib=2) as disk, node(disk) as running:
        one = running.start("forward/customs/0")
        ballast = fill(disk)
        other = running.start("notify", 500)
        assert "metrics.unavailable" in "".join(running.logged)
        running.kill(one)
        one = running.start("forward/customs/0", 500)
        before = running.sent()
        assert 2 <= before < 502, "as far as there was room"
        for pid in (one, other):
            running.kill(pid)
        ballast.unlink()
        running.start("forward/customs/0", 500)
        running.start("notify", 500)
        assert running.sent() == before + 1000
