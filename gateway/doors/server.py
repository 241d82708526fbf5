"""Serves the HTTP door on a listening socket until SIGTERM, then finishes what it has begun."""

import asyncio
import signal
import socket
from collections.abc import Callable, Mapping
from types import FrameType

import uvicorn

from gateway.config import Config
from gateway.doors.http import Bell, Counter, build
from gateway.model import Enterprise, EnterpriseId
from gateway.roles.accept import GroupCommit, Intake
from gateway.rules import Rules
from spool.store import Spool

_DRAIN_S = 10
_KEEP_ALIVE_S = 75
"""A platform that submits now and then keeps its connection."""


class _Server(uvicorn.Server):
    """Sends long polls home first: they would keep the door open."""

    def __init__(self, config: uvicorn.Config, bell: Bell) -> None:
        super().__init__(config)
        self._bell = bell

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._bell.dismiss()
        super().handle_exit(sig, frame)


def serve(
    door: socket.socket,
    *,
    config: Config,
    rules: Rules,
    enterprises: Mapping[EnterpriseId, Enterprise],
    open_spool: Callable[[], Spool],
) -> None:
    """Serve until SIGTERM; returns when every request that was begun has its answer."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)  # raised again by the server at its end
    asyncio.run(_serve(door, config=config, rules=rules, enterprises=enterprises, open_spool=open_spool))


async def _serve(
    door: socket.socket,
    *,
    config: Config,
    rules: Rules,
    enterprises: Mapping[EnterpriseId, Enterprise],
    open_spool: Callable[[], Spool],
) -> None:
    spool = open_spool()
    commit = GroupCommit(open_spool, batch=config.accept.commit_batch)
    bell = Bell(spool)
    counter = Counter(
        intake=Intake(config=config, rules=rules, commit=commit),
        spool=spool,
        rules=rules,
        size_bytes=config.accept.limits.size_bytes,
        enterprises=lambda: enterprises,
        bell=bell,
    )
    server = _Server(
        uvicorn.Config(
            build(counter),
            http="httptools",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_S,
            timeout_keep_alive=_KEEP_ALIVE_S,
            backlog=2048,
        ),
        bell,
    )
    try:
        await server.serve(sockets=[door])
    finally:
        commit.close()
        spool.close()
