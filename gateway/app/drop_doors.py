"""Builds the drop doors, as processes: one for all folders, one for each queue.

A folder only costs a check now and then, so one process serves hundreds; a broker that does not answer blocks
its caller, so each queue has its own process.
"""

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.config.doors import AmqpDoor, Door, FolderDoor, RabbitmqDoor, kind_of
from gateway.config.gateway_toml import Config
from gateway.doors.drop.batch import BatchSubmitter
from gateway.doors.drop.folder import FolderDropAdapter
from gateway.doors.drop.loop import DropAdapter, DropLoop, run_drop_loops
from gateway.doors.drop.queue import QueueDropAdapter, link_of
from gateway.doors.drop.sheets import SheetDrop, SheetDropAdapter, SheetSubmitter
from gateway.goods.cache import RegisterCache
from gateway.judges.asking import Asking
from gateway.judges.judge import Judge
from gateway.keys.backlog import Backlogs
from gateway.model import Enterprise, EnterpriseId
from gateway.processes.stop import Stop
from gateway.processes.supervisor import Role
from gateway.submission.commit import BatchCommit
from gateway.submission.intake import Intake
from gateway.submission.mail_limit import Full
from gateway.submission.quotas import Quotas
from gateway.transports.adapters import adapter_of
from gateway.transports.folder import POLL_S
from gateway.upkeep.watermarks import Gauge
from spool.store import Spool

_LISTEN_S: Final = 1.0
"""How long a queue is waited for before SIGTERM is checked."""
_BREATH_S: Final = 0.05
"""Pause between two such waits; also limits the retry rate of a failing door."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The drop doors of all enterprises."""

    config: Config
    doors: Mapping[EnterpriseId, Sequence[Door]]
    judge: Judge
    line: socket.socket
    """Socket on which judges are asked for."""
    open_spool: Callable[[], Spool]

    def roles(self) -> list[Role]:
        """Return the processes; a disabled enterprise has none: messages at its doors stay there."""
        folders = [(owner, door) for owner, door in self._open() if isinstance(door, FolderDoor)]
        roles = [self._role("accept/folders", folders, wait_s=0.0, pause_s=POLL_S)] if folders else []
        count: dict[str, int] = {}
        for owner, door in self._open():
            if not isinstance(door, FolderDoor):
                name = f"accept/{owner.id}/{kind_of(door)}"
                count[name] = count.get(name, 0) + 1
                numbered = f"{name}/{count[name] - 1}"
                roles.append(self._role(numbered, [(owner, door)], wait_s=_LISTEN_S, pause_s=_BREATH_S))
        return roles

    def _open(self) -> Iterator[tuple[Enterprise, Door]]:
        for owner, doors in self.doors.items():
            enterprise = self.judge.enterprises.get(owner)  # None: its file appeared between two readings
            if enterprise is not None and not enterprise.disabled:
                yield from ((enterprise, door) for door in doors)

    def _role(
        self, name: str, doors: Sequence[tuple[Enterprise, Door]], *, wait_s: float, pause_s: float
    ) -> Role:
        def run() -> None:
            stop = Stop().on_sigterm()
            spool = self.open_spool()
            asking = Asking(self.line, self.judge)
            submitter = self.submitter(spool, asking)
            loops = [
                DropLoop(
                    caller=owner,
                    kind=kind_of(door),
                    adapter=self._adapter(door, owner.id, spool),
                    submitter=SheetSubmitter(spool, submitter.closed) if _takes_sheets(door) else submitter,
                )
                for owner, door in doors
            ]
            run_drop_loops(loops, stop, wait_s=wait_s, pause_s=pause_s)
            asking.close()
            spool.close()

        waits_s = max(4 * getattr(door, "timeout_s", 0.0) for _, door in doors)
        return Role(name=name, run=run, waits_s=waits_s)

    def submitter(self, spool: Spool, asking: Asking) -> BatchSubmitter:
        """Build the batch submitter of one process."""
        commit = BatchCommit(spool)
        full = Full(spool, self.judge.local_receivers)
        registers = RegisterCache(spool, size_bytes=self.config.goods.memory_bytes)
        intake = Intake(
            config=self.config,
            spool=spool,
            commit=commit,
            queues=Backlogs(self.config, spool),
            quotas=Quotas(spool),
        )
        return BatchSubmitter(
            intake=intake,
            judge=lambda body, caller: asking.examine(
                body, caller, full.to(caller.id), registers.of(caller.id)
            ),
            advise=lambda view: asking.advise(view, spool, registers.of(view.owner)),
            commit=commit,
            spool=spool,
            gauge=Gauge(self.config.watermarks, spool=spool, state_dir=self.config.node.state_dir),
            size_bytes=self.config.accept.limits.size_bytes,
            refuse_wait_s=self.config.signing.refuse_wait_s,
        )

    def _adapter(self, door: Door, enterprise: str, spool: Spool) -> DropAdapter:
        match door:
            case FolderDoor() if _takes_sheets(door):
                drop = SheetDrop(
                    door,
                    owner=enterprise,
                    spool=spool,
                    mappings=self.judge.mappings,
                    bounds=self.config.accept.imports,
                )
                return SheetDropAdapter(door, enterprise=enterprise, drop=drop, spool=spool)
            case FolderDoor():
                size_bytes = self.config.accept.limits.size_bytes
                return FolderDropAdapter(door, size_bytes=size_bytes, enterprise=enterprise)
            case RabbitmqDoor() | AmqpDoor():
                adapter = adapter_of(link_of(door))
                return QueueDropAdapter(adapter.feed(), adapter.transport(), enterprise=enterprise)


def _takes_sheets(door: Door) -> bool:
    return isinstance(door, FolderDoor) and bool(door.mappings)
