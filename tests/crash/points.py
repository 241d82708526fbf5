"""Named points between two commits, at which a process of the node kills or stops itself when a test asks for it.

The test's side arms a point; the node's side (tests/crash/node.py) passes points and dies or stops at an armed one.
They meet in a folder: a file for each armed point, for each point that was ever passed, for each death or stop, and for each
process that lives.
"""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Whom = Literal["role", "node"]
Armed = Literal["role", "node", "stop"]
"""Who is killed at a point, or that its process is stopped (SIGSTOP) and lives on when somebody lets it."""

CALLS: Final[Mapping[str, tuple[str, ...]]] = {
    "accept": ("spool.put", "spool.acknowledge"),
    "forward": ("spool.recover", "spool.claim", "transport.send", "spool.settle"),
    "collect": ("spool.put", "feed.receive", "spool.keep", "feed.done", "spool.file"),
    "keep": ("spool.repair_clock", "spool.recover", "spool.seal", "archive.append", "spool.purge"),
}
"""Role → what it does that another life or another program can see: each is a commit or an effect outside."""
CONFIRMED: Final = "forward:after:transport.confirm"
"""The other side has confirmed one parcel, and others of the batch are still on their way."""
POINTS: Final = (
    *(
        f"{role}:{when}:{call}"
        for role, calls in CALLS.items()
        for call in calls
        for when in ("before", "after")
    ),
    CONFIRMED,
)
DOORS: Final = ("folders", "rabbitmq", "amqp")
AT_DOORS: Final = tuple(
    f"{door}:{when}:{call}"
    for door in DOORS
    for call in ("adapter.receive", "spool.put", "adapter.tell", "adapter.done")
    for when in ("before", "after")
)
"""Of the doors beside HTTP, which a node has only where an enterprise asks for them."""
NOTIFY: Final = (
    *(
        f"notify:{when}:{call}"
        for call in (
            "spool.put",
            "spool.recover",
            "spool.claim",
            "transport.send",
            "spool.settle",
            "spool.acknowledge",
        )
        for when in ("before", "after")
    ),
    "notify:after:transport.confirm",
)
"""Points of the role that runs where an enterprise has channels."""
RARE: Final = (
    *("keep:before:spool.file", "keep:after:spool.file"),
    *("forward:before:spool.put", "forward:after:spool.put"),
)
"""No test asks for these: passed only when an orphan waits for its owner at the moment at which the keeper starts, and
once in the life of a spool, when a key is new to its journal."""
AT_START: Final = tuple(
    f"{role}:{when}:{call}"
    for role, call in (
        *(("forward", "spool.recover"), ("collect", "spool.put")),
        *(("notify", "spool.recover"), ("notify", "spool.put")),
    )
    for when in ("before", "after")
)
"""Passed once in the life of a process."""
IN_HAND: Final = (
    *("forward:after:spool.claim", "forward:before:transport.send", CONFIRMED),
    *("forward:after:transport.send", "forward:before:spool.settle"),
)
"""Whoever dies here had entries in hand that are not settled."""
NOTIFY_IN_HAND: Final = tuple(point.replace("forward", "notify") for point in IN_HAND)
"""The same for deliveries."""
WITH_AGE: Final = tuple(point for point in POINTS if "archive." in point or "spool.purge" in point)
"""Passed only when there is something to purge."""
IN_TRAFFIC: Final = tuple(point for point in POINTS if point not in (*AT_START, *WITH_AGE))


FROZEN_AT: Final[Mapping[str, tuple[str, ...]]] = {
    "forward": IN_HAND,
    "collect": tuple(point for point in IN_TRAFFIC if point.startswith("collect:")),
    "accept": tuple(point for point in IN_TRAFFIC if point.startswith("accept:")),
    "keep": ("keep:before:spool.repair_clock", "keep:after:spool.recover"),
    "notify": NOTIFY_IN_HAND,
}
"""Role → where it is stopped: with something in hand, or with a commit before or behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """One process, or node, that killed itself."""

    point: str
    whom: Whom
    pid: int


class Points:
    """The folder, seen from either side."""

    def __init__(self, folder: Path) -> None:
        self._armed, self._passed, self._deaths = folder / "armed", folder / "passed", folder / "deaths"
        self._stopped, self._lives = folder / "stopped", folder / "lives"
        for made in (self._armed, self._passed, self._deaths, self._stopped, self._lives):
            made.mkdir(parents=True, exist_ok=True)
        self._known: set[str] = set()
        self._counts: dict[tuple[int, int], int] = {}

    def arm(self, point: str, *, passage: int = 1, whom: Armed = "role") -> None:
        """Let the process that passes the point for the `passage`-th time from now on kill itself, or its node, or stop."""
        draft = self._armed.with_name("draft")
        draft.write_text(f"{passage} {whom}")
        draft.rename(self._armed / point)

    def stopped(self, point: str) -> list[int]:
        """Processes that have stopped themselves there."""
        return [int(file.name.partition("@")[2]) for file in self._stopped.glob(f"{point}@*")]

    def disarm(self) -> None:
        for file in self._armed.iterdir():
            file.unlink(missing_ok=True)

    def waiting(self) -> set[str]:
        """Points that are armed and were not reached yet."""
        return {file.name for file in self._armed.iterdir()}

    def passed(self) -> set[str]:
        """Every point that any process has passed."""
        return {file.name for file in self._passed.iterdir()}

    def deaths(self) -> set[Death]:
        """Everybody who died at a point so far."""
        return {_death(file) for file in self._deaths.iterdir()}

    def begins(self, role: str) -> None:
        """In the node: say which role this process is."""
        draft = self._lives.with_name(f"draft-{os.getpid()}")
        draft.write_text(role)
        draft.rename(self._lives / str(os.getpid()))

    def living(self, role: str) -> set[int]:
        """Processes of a role that live, whatever was logged of them."""
        return {
            int(file.name)
            for file in self._lives.iterdir()
            if file.read_text() == role and state_of(int(file.name))
        }

    def go_through(self, point: str) -> None:
        """In the node: pass the point, or die or stop there."""
        if point not in self._known:
            (self._passed / point).touch()
            self._known.add(point)
        try:
            descriptor = os.open(self._armed / point, os.O_RDONLY)
        except FileNotFoundError:
            return
        with os.fdopen(descriptor, encoding="utf-8") as file:
            about, (passage, whom) = os.fstat(descriptor), file.read().split()
        armed = about.st_ino, about.st_mtime_ns
        self._counts[armed] = self._counts.get(armed, 0) + 1
        if self._counts[armed] >= int(passage):
            self._end(point, whom)

    def stop_at(self, point: str) -> None:
        """In the node: stop there, as by SIGSTOP, if the point is armed; it is none of those that every run passes."""
        try:
            (self._armed / point).rename(self._stopped / f"{point}@{os.getpid()}")
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGSTOP)

    def _end(self, point: str, whom: str) -> None:
        if whom == "stop":
            self.stop_at(point)
            return
        try:  # one step says both that it is ours and that we die here, whoever else kills us meanwhile
            (self._armed / point).rename(self._deaths / f"{point}@{os.getpid()}")
        except FileNotFoundError:  # another process of the role was faster
            return
        if whom == "node":
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def _death(file: Path) -> Death:
    point, _, pid = file.name.partition("@")
    return Death(point=point, whom="node" if file.read_text().endswith("node") else "role", pid=int(pid))


def state_of(pid: int) -> str:
    """State of a process as the system has it (`man 5 proc`): T is stopped; empty when it is dead."""
    try:
        about = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    state = about.rpartition(")")[2].split()[0]
    return "" if state in "ZX" else state
