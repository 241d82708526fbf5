"""Real processes: what the supervisor keeps running, starts again, ends, and takes with it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pytest

from gateway.processes.sd_notify import sd_notify
from tests.waiting import PATIENCE_S

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class Node:
    """A running supervisor and everything it has told so far."""

    process: subprocess.Popen[bytes]
    heard: list[dict[str, Any]] = field(default_factory=list)
    _fresh: list[dict[str, Any]] = field(default_factory=list)
    """Lines that nobody has waited for yet: the lines of two processes come in any order."""

    def wait_for(self, event: str, **fields: object) -> dict[str, Any]:
        """Return the next line with these fields; fails when all who could write one are gone."""
        wanted = {"event": event, **fields}
        for line in chain(list(self._fresh), self._lines()):
            if wanted.items() <= line.items():
                self._fresh.remove(line)
                return line
        raise AssertionError(f"never told: {wanted}; told: {self.heard}")

    def end(self) -> None:
        """Read until supervisor and roles are all gone: only then nobody holds the pipe any more."""
        for _ in self._lines():
            pass
        self.process.wait()

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def place(self, event: str, **fields: object) -> int:
        """Give the place of the one line with these fields in what was told."""
        wanted = {"event": event, **fields}
        (found,) = (n for n, line in enumerate(self.heard) if wanted.items() <= line.items())
        return found

    def _lines(self) -> Iterator[dict[str, Any]]:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            self.heard.append(json.loads(text))
            self._fresh.append(self.heard[-1])
            yield self.heard[-1]


@contextmanager
def node(*roles: str, drain_s: float = 20.0, reload: str = "keep") -> Iterator[Node]:
    """Run a supervisor; whatever happens, nothing of it is left."""
    command = [sys.executable, "-m", "tests.unit.supervisor_child", str(drain_s), reload, *roles]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    with process:
        watchdog = threading.Timer(PATIENCE_S, os.killpg, (process.pid, signal.SIGKILL))
        watchdog.start()
        try:
            yield Node(process)
        finally:
            watchdog.cancel()
            process.kill()


def test_role_that_was_killed_is_started_again() -> None:
    with node("patient", "deaf") as running:
        first = {running.wait_for("up")["pid"], running.wait_for("up")["pid"]}
        victim = running.heard[running.place("role.started", role="patient")]["pid"]
        os.kill(victim, signal.SIGKILL)
        again = running.wait_for("role.restarted", role="patient")
        assert again["deaths"] == 1
        assert again["pid"] not in first
        running.wait_for("up", pid=again["pid"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_roles_finish_what_they_hold_when_the_node_is_asked_to_stop(number: int) -> None:
    with node("patient", "patient") as running:
        pids = {running.wait_for("up")["pid"] for _ in range(2)}
        running.send(number)
        running.end()
        assert running.process.returncode == 0
        assert {line["pid"] for line in running.heard if line["event"] == "down"} == pids
        stopped = [line for line in running.heard if line["event"] == "role.stopped"]
        assert [line["killed"] for line in stopped] == [False, False]
        assert running.place("node.draining") < running.place("node.stopped") < running.place("end")


def test_role_that_does_not_end_in_time_is_killed_and_holds_up_nobody() -> None:
    with node("deaf", "patient", drain_s=5.0) as running:
        for _ in range(2):
            running.wait_for("up")
        running.send(signal.SIGTERM)
        running.end()
        assert running.process.returncode == 0
        stopped = {line["role"]: line["killed"] for line in running.heard if line["event"] == "role.stopped"}
        assert stopped == {"deaf": True, "patient": False}
        assert running.heard[running.place("end")]["wall_s"] >= 5.0


def test_roles_die_with_a_supervisor_that_is_killed() -> None:
    with node("deaf", "patient") as running:
        for _ in range(2):
            running.wait_for("up")
        running.process.kill()
        running.end()
        assert running.process.returncode == -signal.SIGKILL
        assert "down" not in {line["event"] for line in running.heard}


def test_reload_starts_the_new_roles_before_it_ends_the_old_ones() -> None:
    with node("patient", reload="deaf") as running:
        old = running.wait_for("up")["pid"]
        running.send(signal.SIGHUP)
        running.wait_for("node.reloaded", roles=["deaf"])
        new = running.place("role.started", role="deaf")
        assert new < running.place("down", pid=old)
        assert new < running.place("role.stopped", pid=old, killed=False)
        assert running.process.poll() is None


def test_what_is_noticed_takes_the_way_of_a_reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTICE", str(tmp_path / "changed"))
    with node("patient", reload="deaf") as running:
        old = running.wait_for("up")["pid"]
        (tmp_path / "changed").touch()
        running.wait_for("node.reloaded", roles=["deaf"])
        assert running.place("role.started", role="deaf") < running.place(
            "role.stopped", pid=old, killed=False
        )
        assert not (tmp_path / "changed").exists()


def test_role_of_a_reloaded_node_is_started_again_too() -> None:
    with node("patient", reload="patient") as running:
        running.wait_for("up")
        running.send(signal.SIGHUP)
        running.wait_for("node.reloaded")
        pid = [line["pid"] for line in running.heard if line["event"] == "role.started"][-1]
        os.kill(pid, signal.SIGKILL)
        assert running.wait_for("role.restarted")["pid"] != pid


def test_configuration_that_cannot_be_used_keeps_the_old_roles() -> None:
    with node("patient", reload="keep") as running:
        old = running.wait_for("up")["pid"]
        running.send(signal.SIGHUP)
        running.wait_for("reload asked")
        running.send(signal.SIGTERM)
        running.end()
        assert running.place("role.started") < running.place("role.stopped", pid=old)
        assert "node.reloaded" not in {line["event"] for line in running.heard}


def test_role_that_fails_at_its_start_is_tried_again_with_growing_pauses() -> None:
    with node("failing", "patient") as running:
        starts: list[float] = []
        while len(starts) < 7:
            line = running.wait_for("up")
            starts += [line["at"]] if "at" in line else []
        running.send(signal.SIGTERM)
        running.end()
        pauses = [after - before for before, after in pairwise(starts[3:7])]
        assert all(pause >= least for pause, least in zip(pauses, (0.2, 0.4, 0.8), strict=True))
        errors = {line["error"] for line in running.heard if line["event"] == "role.failed"}
        assert errors == {"RuntimeError: no such host"}
        end = running.heard[running.place("end")]
        assert end["cpu_s"] < 0.75 * end["wall_s"], "it spins while it waits"


def test_stop_while_a_role_waits_for_its_next_start_needs_no_patience() -> None:
    with node("failing") as running:
        running.wait_for("role.restarted", deaths=4)
        running.send(signal.SIGTERM)
        running.end()
        assert running.process.returncode == 0


def test_role_that_stands_back_has_its_nice_value_and_no_other_has() -> None:
    with node("modest") as running:
        own = os.getpriority(os.PRIO_PROCESS, running.process.pid)
        assert running.wait_for("up")["nice"] == own + 3
        running.send(signal.SIGTERM)
        running.end()


def test_role_that_is_silent_is_killed_and_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUNG", "4")
    with node("deaf", "lively", "waiting") as running:
        hung = running.wait_for("role.hung", role="deaf")
        assert hung["silent_s"] >= 4
        again = running.wait_for("role.restarted", role="deaf")
        assert again["pid"] != hung["pid"]
        running.wait_for("role.hung", role="deaf", pid=again["pid"])
        assert {line["role"] for line in running.heard if line["event"] == "role.hung"} == {"deaf"}


def test_roles_are_looked_after_while_old_ones_take_their_time_to_end() -> None:
    with node("deaf", reload="patient", drain_s=3600.0) as running:
        running.wait_for("up")
        running.send(signal.SIGHUP)
        new = running.wait_for("role.started", role="patient")
        running.wait_for("up", pid=new["pid"])
        os.kill(new["pid"], signal.SIGKILL)
        again = running.wait_for("role.restarted", role="patient")
        running.wait_for("up", pid=again["pid"])
        assert not any(line["event"] in ("role.stopped", "node.reloaded") for line in running.heard)


def test_role_that_others_need_ends_after_them() -> None:
    with node("needed", "lively", "patient") as running:
        for _ in range(3):
            running.wait_for("up")
        running.send(signal.SIGTERM)
        running.end()
        stopped = [line["role"] for line in running.heard if line["event"] == "role.stopped"]
        assert stopped[-1] == "needed"
        assert sorted(stopped) == ["lively", "needed", "patient"]


def test_systemd_is_told_of_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(place))
        systemd.settimeout(PATIENCE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(place))
        with node("patient") as running:
            assert [systemd.recv(100), systemd.recv(100)] == [b"READY=1", b"WATCHDOG=1"]
            running.send(signal.SIGTERM)
            running.end()
        heard = systemd.recv(100)
        while heard == b"WATCHDOG=1":
            heard = systemd.recv(100)
        assert heard == b"STOPPING=1"


def test_nothing_is_told_where_no_systemd_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("", "relative", str(tmp_path / "nobody")):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        sd_notify("READY=1")
