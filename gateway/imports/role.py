"""The role `import`: makes the sources of all enterprises into messages, in turns, a portion at a time.

A source may be what kills the process. So a job that was begun before and has not got on since is worked on alone until it
does, and is given up after a few times: others do not suffer for it.
"""

import resource
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.imports.job import LEASE_S, ImportTools, OpenImport
from gateway.model import Enterprise, EnterpriseId
from gateway.observe.defects import defect
from gateway.observe.log import log
from gateway.processes.stop import Stop
from gateway.upkeep.watermarks import Gauge
from spool.errors import SpoolError
from spool.imports import ClaimLostError
from spool.store import Spool, Topic

_IDLE_S: Final = 1.0
"""How often a job is looked for when no signal comes."""
_TURN_S: Final = 30.0
"""How long an import may be open while enterprises that have none open wait."""
_AGAIN_S: Final = 15.0
"""How long a job that cannot go on for now is left alone."""
_MEGABYTE: Final = 1024 * 1024
_HARD: Final = 2
_STATUS: Final = Path("/proc/self/status")


class ImportRole:
    """Works on the imports of a few enterprises at a time."""

    def __init__(
        self,
        *,
        spool: Spool,
        tools: ImportTools,
        enterprises: Mapping[EnterpriseId, Enterprise],
        gauge: Gauge,
        claimant: str,
        at_a_time: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._tools = tools
        self._enterprises = enterprises
        self._gauge = gauge
        self._claimant = claimant
        self._at_a_time = at_a_time
        self._clock = clock
        self._open: dict[str, OpenImport] = {}
        """Owner → the one import of it that is open."""
        self._look_at = 0.0
        """While some are open, others are looked for now and then."""

    def run(self, stop: Stop) -> None:
        """Work until asked to stop; what is open then is given back."""
        with self._spool.listen(Topic.IMPORTS) as waiter:
            while not stop():
                if not self._worked():
                    stop.pause(_IDLE_S, [waiter.fileno()])
                    waiter.wait(0.0)
        for owner in list(self._open):
            self._give_back(owner)

    def _worked(self) -> bool:
        """Do a round; False: there is nothing to do now."""
        try:
            return not self._gauge.refusals() and self.round()
        except SpoolError as error:
            log("spool.unavailable", error=str(error))
            return False

    def round(self) -> bool:
        """Do one step of each open import; False: there is nothing to do. Raises SpoolError."""
        self._take_up()
        turns = self._next()
        for one in turns:
            self._step(one)
        return bool(turns)

    def close(self) -> None:
        """Close the spool and all sources; the jobs stay claimed until somebody takes them up."""
        for one in self._open.values():
            one.close()
        self._spool.close()

    def _next(self) -> list[OpenImport]:
        """Return whose turn it is: one suspect alone, or all."""
        suspects = [one for one in self._open.values() if one.suspect]
        return suspects[:1] or list(self._open.values())

    def _take_up(self) -> None:
        """Open imports of enterprises that have none open; the longest open gives way to one that waits."""
        if (self._open and self._clock() < self._look_at) or not self._spool.active_imports():
            return
        self._look_at = self._clock() + _IDLE_S
        while len(self._open) <= self._at_a_time:
            oldest = min(self._open.values(), key=lambda one: one.opened_at, default=None)
            full = len(self._open) == self._at_a_time
            if full and (oldest is None or self._clock() - oldest.opened_at < _TURN_S):
                return
            claimed = self._spool.claim_import(self._claimant, lease_s=LEASE_S, besides=tuple(self._open))
            if claimed is None:
                return
            if full and oldest is not None:
                self._give_back(oldest.claimed.owner)
            caller = self._enterprises.get(EnterpriseId(claimed.owner))
            if caller is None or caller.disabled:
                self._spool.release_import(claimed.job, claimed.claim, due=_later(_AGAIN_S))
                continue
            self._open[claimed.owner] = OpenImport(claimed=claimed, caller=caller, tools=self._tools)

    def _step(self, one: OpenImport) -> None:
        owner = one.claimed.owner
        try:
            one.alive()
            went = one.step()
        except ClaimLostError:
            self._forget(owner)
        except SpoolError:
            self._give_back(owner, _later(_AGAIN_S))
            raise
        except Exception as error:  # noqa: BLE001 (one source must not end the work on the others)
            defect("import.failed", error, enterprise=owner, import_id=one.claimed.uid)
            self._forget(owner)  # still claimed: counts as an attempt
        else:
            if went.over:
                self._forget(owner)
            elif went.wait_s:
                log(
                    "import.paused", enterprise=owner, import_id=one.claimed.uid, wait_s=round(went.wait_s, 1)
                )
                self._give_back(owner, _later(went.wait_s))

    def _give_back(self, owner: str, due: datetime | None = None) -> None:
        """Give a job back as if it had not been claimed; when the spool cannot, it comes back with the end of its lease."""
        one = self._open.pop(owner)
        try:
            one.release(due)
        except SpoolError as error:
            log("spool.unavailable", error=str(error))

    def _forget(self, owner: str) -> None:
        self._open.pop(owner).close()


def limit_memory(memory_mb: int) -> None:
    """Let the kernel refuse this process more than twice this memory beside what it has now."""
    for line in _STATUS.read_text("ascii", "replace").splitlines():
        if line.startswith("VmPeak:"):
            most = int(line.split()[1]) * 1024 + _HARD * memory_mb * _MEGABYTE
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no rows in a core file
            return
    raise OSError(f"no VmPeak in {_STATUS}")


def _later(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)
