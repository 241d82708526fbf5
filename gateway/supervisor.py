"""Starts the roles as processes, starts them again when they die, drains and reloads them.

A role is forked from the supervisor, which holds no thread, no connection and no open spool, only the
rules it has read and the listening socket: a role that died is back within milliseconds, the memory of
the rules is shared, and connections that arrive meanwhile wait in the socket's queue.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from gateway.defects import defect
from gateway.observe import log

_SIGNALS: Final = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_PR_SET_PDEATHSIG: Final = 1
_CALM_S: Final = 10.0
"""A role that ran this long before it died starts again at once."""
_SLOWEST_S: Final = 10.0
_NOTICE_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One process to keep running: `run` is called in the child and returns when asked to stop."""

    name: str
    run: Callable[[], None]
    nice: int = 0
    """How much it stands back for others when processors are short (`man 7 sched`, nice value)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Child:
    role: Role
    pid: int
    started: float
    deaths: int = 0
    """How often it died soon after its start, in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sick:
    """A role that waits for its next start."""

    role: Role
    deaths: int
    at: float


class Supervisor:
    """Keeps roles running until SIGTERM or SIGINT; SIGHUP asks `reload` for new ones, each second `notice` may."""

    def __init__(
        self,
        roles: Sequence[Role],
        *,
        reload: Callable[[], Sequence[Role] | None],
        notice: Callable[[], Sequence[Role] | None] = lambda: None,
        drain_s: float,
    ) -> None:
        """`reload` returns the roles of the new configuration, or None to keep the old ones.

        `notice` is asked once a second for the same; it returns None when nothing has changed.
        `drain_s`: seconds that roles get to finish before they are killed.
        """
        self._roles = roles
        self._reload = reload
        self._notice = notice
        self._notice_at = time.monotonic() + _NOTICE_S
        self._drain_s = drain_s
        self._children: dict[int, _Child] = {}
        self._sick: list[_Sick] = []

    def run(self) -> None:
        """Start everything; return when everything has ended after a signal to stop."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        for role in self._roles:
            self._start(role)
        log("node.started", roles=[role.name for role in self._roles], pid=os.getpid())
        while True:
            found = signal.sigtimedwait(_SIGNALS, self._patience())
            self._reap()
            self._revive()
            if found is not None and found.si_signo in {signal.SIGTERM, signal.SIGINT}:
                break
            if found is not None and found.si_signo == signal.SIGHUP:
                self._renew(self._reload())
            elif time.monotonic() >= self._notice_at:
                self._renew(self._notice())
                self._notice_at = time.monotonic() + _NOTICE_S
        log("node.draining")
        self._sick.clear()
        self._stop(self._children.values())
        log("node.stopped")

    def _patience(self) -> float:
        soonest = min((sick.at for sick in self._sick), default=self._notice_at)
        return max(0.0, min(soonest, self._notice_at) - time.monotonic())

    def _start(self, role: Role, deaths: int = 0) -> None:
        sys.stdout.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _live(role, parent)
        self._children[pid] = _Child(role=role, pid=pid, started=time.monotonic(), deaths=deaths)
        log("role.started" if deaths == 0 else "role.restarted", role=role.name, pid=pid, deaths=deaths)

    def _reap(self) -> None:
        for child in list(self._children.values()):
            pid, _ = os.waitpid(child.pid, os.WNOHANG)
            if pid == 0:
                continue
            del self._children[pid]
            calm = time.monotonic() - child.started > _CALM_S
            deaths = 1 if calm else child.deaths + 1
            wait = 0.0 if deaths <= 3 else min(_SLOWEST_S, 0.1 * 2 ** (deaths - 3))  # noqa: PLR2004
            self._sick.append(_Sick(role=child.role, deaths=deaths, at=time.monotonic() + wait))

    def _revive(self) -> None:
        now = time.monotonic()
        ready = [sick for sick in self._sick if sick.at <= now]
        self._sick = [sick for sick in self._sick if sick.at > now]
        for sick in ready:
            self._start(sick.role, sick.deaths)

    def _renew(self, roles: Sequence[Role] | None) -> None:
        """Start the new roles first, then let the old ones finish: somebody answers at every instant."""
        if roles is None:
            return
        old = list(self._children.values())
        self._sick.clear()
        self._roles = roles
        for role in roles:
            self._start(role)
        self._stop(old)
        log("node.reloaded", roles=[role.name for role in roles])

    def _stop(self, children: Iterable[_Child]) -> None:
        """Ask these to end, wait for them, kill those that do not."""
        asked = list(children)
        for child in asked:
            os.kill(child.pid, signal.SIGTERM)
        until = time.monotonic() + self._drain_s
        waiting = {child.pid for child in asked}
        while waiting and time.monotonic() < until:
            for pid in list(waiting):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    waiting.discard(pid)
            if waiting:
                signal.sigtimedwait({signal.SIGCHLD}, max(0.0, min(1.0, until - time.monotonic())))
        for pid in waiting:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for child in asked:
            self._children.pop(child.pid, None)
            log("role.stopped", role=child.role.name, pid=child.pid, killed=child.pid in waiting)


def _live(role: Role, parent: int) -> NoReturn:
    """Be the role: never returns into the supervisor's code."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked to be told
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is the supervisor's business
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.nice(role.nice)
        role.run()
        code = 0
    except BaseException as error:  # noqa: BLE001 (the last place that can say why)
        defect("role.failed", error, role=role.name)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
