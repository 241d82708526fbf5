"""Start the roles as processes, restart them when they die or hang, drain and reload them.

A role is forked from the supervisor, which has no thread, no connection and no open spool, only the loaded
rules and the listening socket: a dead role is restarted within milliseconds, the memory of the rules is
shared, and connections that arrive meanwhile wait in the socket's queue.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NoReturn

from gateway.observe.defects import defect
from gateway.observe.log import log
from gateway.observe.metric_files import join
from gateway.processes.heartbeat import Heartbeat, beats
from gateway.processes.sd_notify import sd_notify
from spool.retry import backoff_s

_SIGNALS: Final = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_CALM_S: Final = 10.0
"""A role that ran this long before it died starts again at once."""
_AT_ONCE: Final = 3
"""So many times a role that dies is started again without a wait."""
_AGAIN_S: Final = 0.2
_SLOWEST_S: Final = 10.0
_NOTICE_S: Final = 1.0
_AWAY_S: Final = 5.0
"""A supervisor without a scan for so long was itself suspended, or was reading a configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One process to keep running: `run` is called in the child and returns when asked to stop."""

    name: str
    run: Callable[[], None]
    nice: int = 0
    """Nice value: how much it yields to others when processors are short (`man 7 sched`)."""
    waits_s: float = 0.0
    """Longest time that it may wait for another process without a heartbeat."""
    outlives: bool = False
    """The other roles need it to finish: it is asked to stop only after they have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Child:
    role: Role
    pid: int
    started: float
    heart: Heartbeat
    deaths: int = 0
    """How many times in a row it died soon after its start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sick:
    """A role that waits for its restart."""

    role: Role
    deaths: int
    at: float


@dataclass(slots=True, kw_only=True)
class _Leaving:
    """Roles of one configuration that were asked to stop, and those that are asked after them."""

    asked: dict[int, _Child]
    then: dict[int, _Child]
    kill_at: float
    succeeded_by: Sequence[Role]
    """The roles of the next configuration; empty: the node ends."""
    killed: set[int] = field(default_factory=set)


class Supervisor:
    """Keeps roles running until SIGTERM or SIGINT; `reload` (at SIGHUP) or `notice` (each second) may replace them."""

    def __init__(
        self,
        roles: Sequence[Role],
        *,
        reload: Callable[[], Sequence[Role] | None],
        notice: Callable[[], Sequence[Role] | None] = lambda: None,
        drain_s: float,
        hung_after_s: float = 60.0,
    ) -> None:
        """`reload` returns the roles of the new configuration, or None to keep the old ones.

        `notice` is called once a second for the same; it returns None when nothing has changed.
        `drain_s`: seconds that roles get to finish before they are killed. `hung_after_s`: seconds without a
        heartbeat (`gateway.processes.heartbeat`) after which a role is killed and restarted.
        """
        self._roles = roles
        self._reload = reload
        self._notice = notice
        self._notice_at = time.monotonic() + _NOTICE_S
        self._drain_s = drain_s
        self._hung_after_s = hung_after_s
        self._children: dict[int, _Child] = {}
        self._sick: list[_Sick] = []
        self._leaving: list[_Leaving] = []
        self._looked = self._awake_since = time.monotonic()

    def run(self) -> None:
        """Start all roles; return when all have ended after a signal to stop."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        for role in self._roles:
            self._start(role)
        log("node.started", roles=[role.name for role in self._roles], pid=os.getpid())
        sd_notify("READY=1")
        while True:
            found = signal.sigtimedwait(_SIGNALS, self._patience())
            self._look_after()
            if found is not None and found.si_signo in {signal.SIGTERM, signal.SIGINT}:
                break
            if found is not None and found.si_signo == signal.SIGHUP:
                self._renew(self._reload())
            elif time.monotonic() >= self._notice_at:
                sd_notify("WATCHDOG=1")
                self._renew(self._notice())
                self._notice_at = time.monotonic() + _NOTICE_S
        log("node.draining")
        sd_notify("STOPPING=1")
        self._sick.clear()
        old, self._children = self._children, {}
        self._dismiss(old)
        while self._leaving:
            self._notice_at = time.monotonic() + _NOTICE_S
            signal.sigtimedwait({signal.SIGCHLD}, self._patience())
            sd_notify("WATCHDOG=1")
            self._part()
        log("node.stopped")

    def _look_after(self) -> None:
        """Reap dead roles, restart them, follow up roles that were asked to stop, and kill hung ones."""
        self._reap()
        self._revive()
        self._part()
        self._end_hung()

    def _patience(self) -> float:
        times = [self._notice_at, *(sick.at for sick in self._sick)]
        times += [one.kill_at for one in self._leaving if one.asked.keys() - one.killed]
        return max(0.0, min(times) - time.monotonic())

    def _start(self, role: Role, deaths: int = 0) -> None:
        _flush()
        parent, heart = os.getpid(), Heartbeat()
        pid = os.fork()
        if pid == 0:
            _live(role, parent, heart)
        self._children[pid] = _Child(role=role, pid=pid, started=time.monotonic(), heart=heart, deaths=deaths)
        log("role.started" if deaths == 0 else "role.restarted", role=role.name, pid=pid, deaths=deaths)

    def _reap(self) -> None:
        for child in list(self._children.values()):
            if not _has_ended(child.pid):
                continue
            del self._children[child.pid]
            calm = time.monotonic() - child.started > _CALM_S
            deaths = 1 if calm else child.deaths + 1
            wait = (
                0.0
                if deaths <= _AT_ONCE
                else backoff_s(deaths - _AT_ONCE, first_s=_AGAIN_S, ceiling_s=_SLOWEST_S)
            )
            self._sick.append(_Sick(role=child.role, deaths=deaths, at=time.monotonic() + wait))

    def _revive(self) -> None:
        now = time.monotonic()
        ready = [sick for sick in self._sick if sick.at <= now]
        self._sick = [sick for sick in self._sick if sick.at > now]
        for sick in ready:
            self._start(sick.role, sick.deaths)

    def _end_hung(self) -> None:
        """Kill roles without a heartbeat for too long; time when the supervisor was suspended does not count."""
        now = time.monotonic()
        if now - self._looked > _AWAY_S:
            self._awake_since = now
        self._looked = now
        for child in self._children.values():
            silent_s = now - max(child.heart.last, self._awake_since)
            if silent_s > self._hung_after_s + child.role.waits_s:
                log("role.hung", role=child.role.name, pid=child.pid, silent_s=round(silent_s, 1))
                os.kill(child.pid, signal.SIGKILL)
                child.heart.beat()  # so that it is logged only once

    def _renew(self, roles: Sequence[Role] | None) -> None:
        """Start the new roles first, then let the old ones finish, so that the node always answers."""
        if roles is None:
            return
        old, self._children = self._children, {}
        self._sick.clear()
        self._roles = roles
        for role in roles:
            self._start(role)
        self._dismiss(old, succeeded_by=roles)

    def _dismiss(self, children: Mapping[int, _Child], *, succeeded_by: Sequence[Role] = ()) -> None:
        """Ask these to stop; `_part` waits for them without blocking the supervision of the others."""
        asked = {pid: child for pid, child in children.items() if not child.role.outlives}
        then = {pid: child for pid, child in children.items() if child.role.outlives}
        for pid in asked:
            os.kill(pid, signal.SIGTERM)
        kill_at = time.monotonic() + self._drain_s
        self._leaving.append(_Leaving(asked=asked, then=then, kill_at=kill_at, succeeded_by=succeeded_by))
        self._part()

    def _part(self) -> None:
        """Remove roles that have ended as asked; kill those that have not in time."""
        now = time.monotonic()
        for leaving in self._leaving:
            for pid, child in list(leaving.asked.items()):
                if _has_ended(pid):
                    del leaving.asked[pid]
                    log("role.stopped", role=child.role.name, pid=pid, killed=pid in leaving.killed)
                elif now >= leaving.kill_at and pid not in leaving.killed:
                    leaving.killed.add(pid)
                    os.kill(pid, signal.SIGKILL)
            if not leaving.asked and leaving.then:
                leaving.asked, leaving.then = leaving.then, {}
                leaving.kill_at = now + self._drain_s
                for pid in leaving.asked:
                    os.kill(pid, signal.SIGTERM)
            if not leaving.asked and leaving.succeeded_by:
                log("node.reloaded", roles=[role.name for role in leaving.succeeded_by])
        self._leaving = [leaving for leaving in self._leaving if leaving.asked]


def _has_ended(pid: int) -> bool:
    """Whether a child has ended; reaps it if so."""
    return os.waitpid(pid, os.WNOHANG)[0] != 0


def _live(role: Role, parent: int, heart: Heartbeat) -> NoReturn:
    """Run the role in the child process: never returns to the supervisor's code."""
    code = 1
    try:
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        prctl(
            _PR_SET_NAME, role.name.encode()
        )  # its first 15 bytes, for `ps` and for processes that wait for its locks
        if os.getppid() != parent:  # the parent died before prctl took effect
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor handles the terminal's Ctrl-C
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.nice(role.nice)
        beats(heart)
        join(role.name)
        role.run()
        code = 0
    except BaseException as error:  # noqa: BLE001 (the last place that can say why)
        defect("role.failed", error, role=role.name)
    finally:
        try:
            _flush()
        finally:
            os._exit(code)


def _flush() -> None:
    """Flush the buffers, as far as possible, so that a child does not write their content again."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
