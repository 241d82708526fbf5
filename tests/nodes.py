"""A gateway as a process: whoever needs one starts, hears, kills and stops it here."""

import os
import signal
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

from gateway.app.build import App
from gateway.config.site import Site
from gateway.model import EnterpriseId
from gateway.simulator.world import WatchedProcess
from tests.platforms import Platform

GATEWAY = ("-m", "gateway")
BORN = ("role.started", "role.restarted")


class Listen(Protocol):
    """How a process is begun and heard."""

    def __call__(self, command: Sequence[str], log: Path, /) -> WatchedProcess: ...


def start_gateway(
    config: Path,
    log: Path,
    *,
    program: Sequence[str] = GATEWAY,
    inside: Sequence[str] = (),
    listen: Listen = WatchedProcess,
) -> WatchedProcess:
    """Start `gateway run`; returns when every role is started.

    `program`: arguments to Python; `inside`: the command that starts it elsewhere, where `config` is the name of its
    configuration.
    """
    process = listen([*inside, sys.executable, *program, "run", "-c", str(config)], log)
    try:
        process.wait_for_event("node.started")
    except BaseException:
        process.kill()
        raise
    return process


def pids(events: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Role → its process as it was last told; `events` are lines of a log."""
    return {line["role"]: line["pid"] for line in list(events) if line.get("event") in BORN}


def kill_role(process: WatchedProcess, role: str) -> None:
    """SIGKILL a role as it is and wait until it lives again."""
    born = {line["pid"] for line in list(process.events) if line.get("event") in BORN}
    os.kill(pids(process.events)[role], signal.SIGKILL)
    process.wait_for(
        lambda line: line.get("event") in BORN and line["role"] == role and line["pid"] not in born
    )


class Node:
    """The gateway of a site; address, state and log stay over its lives."""

    def __init__(self, site: Site, log: Path) -> None:
        self.site = site
        self.port: int = tomllib.loads(site.config.read_text("utf-8"))["accept"]["port"]
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = log
        self._process: WatchedProcess | None = None

    @property
    def process(self) -> WatchedProcess:
        assert self._process is not None
        return self._process

    def start(
        self, *, program: Sequence[str] = GATEWAY, inside: Sequence[str] = (), config: Path | None = None
    ) -> None:
        """Return when every role is started; the arguments are those of `start_gateway`."""
        self._process = start_gateway(config or self.site.config, self.log, program=program, inside=inside)

    def stop(self) -> None:
        assert self.process.stop() == 0

    @contextmanager
    def running(self, *, inside: Sequence[str] = ()) -> Iterator[Self]:
        """Let it run while the block lasts, however that ends."""
        self.start(inside=inside)
        try:
            yield self
        finally:
            code = self.process.stop()
        assert code == 0

    def token(self, owner: str) -> str:
        return self.site.tokens[EnterpriseId(owner)]

    def platform(self, owner: str) -> Platform:
        return Platform(self.address, self.token(owner))

    def pid(self, role: str) -> int:
        """The process of a role as it is now."""
        return pids(self.process.events)[role]

    def kill(self, role: str) -> None:
        """SIGKILL a role as it is and wait until it lives again."""
        kill_role(self.process, role)

    def event(self, name: str, **fields: object) -> dict[str, Any]:
        """Wait for a line of this event with these fields."""
        wanted = {"event": name, **fields}.items()
        return self.process.wait_for(lambda line: wanted <= line.items())

    def events(self, *names: str) -> list[dict[str, Any]]:
        return [line for line in list(self.process.events) if line.get("event") in names]

    def app(self) -> App:
        return App(self.site.config)
