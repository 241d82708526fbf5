"""Serves the HTTP door on a listening socket until SIGTERM, then finishes what it has begun."""

import asyncio
import signal
import socket
from collections.abc import Callable
from ssl import SSLContext
from types import FrameType

import uvicorn

from gateway.config import Config
from gateway.door_metrics import door_families
from gateway.doors.bell import Bell
from gateway.doors.callers import Callers
from gateway.doors.counter import Counter
from gateway.doors.http import build
from gateway.doors.logins import Logins
from gateway.doors.nonces import Nonces
from gateway.doors.submissions import Submissions
from gateway.doors.wire import DoorProtocol
from gateway.evidence.gather import Office
from gateway.heartbeat import beat
from gateway.judges.judge import Judge
from gateway.judges.pool import Pool
from gateway.key_metrics import key_families
from gateway.keyring import Keyring
from gateway.metrics import Meter, spool_metrics
from gateway.networks import networks
from gateway.node_key import node_key
from gateway.queues import Queues, key_queues
from gateway.roles.accept import Intake
from gateway.roles.commit import GroupCommit
from gateway.roles.quotas import Quotas
from gateway.roles.retain import archive_dir
from gateway.roles.watermarks import Gauge, free_bytes
from spool.archive import Archive
from spool.store import Spool

_DRAIN_S = 10
_MEGABYTE = 1024 * 1024
_BEAT_S = 1.0
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
    judge: Judge,
    line: socket.socket,
    keyring: Keyring,
    open_spool: Callable[[], Spool],
    metrics_token: str,
    tls: SSLContext | None = None,
) -> None:
    """Serve until SIGTERM; returns when every request that was begun has its answer.

    `judge` judges here what takes a moment; `line`: where judges for the rest are asked for.
    `metrics_token`: what `/metrics` asks for; empty: nothing.
    """
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)  # raised again by the server at its end
    asyncio.run(
        _serve(
            door,
            config=config,
            judge=judge,
            line=line,
            keyring=keyring,
            open_spool=open_spool,
            metrics_token=metrics_token,
            tls=tls,
        )
    )


async def _beat() -> None:
    """Let the supervisor hear that the loop goes round."""
    while True:
        beat()
        await asyncio.sleep(_BEAT_S)


async def _serve(
    door: socket.socket,
    *,
    config: Config,
    judge: Judge,
    line: socket.socket,
    keyring: Keyring,
    open_spool: Callable[[], Spool],
    metrics_token: str,
    tls: SSLContext | None = None,
) -> None:
    spool = open_spool()
    meter = Meter()
    commit = GroupCommit(spool, batch=config.accept.commit_batch, committed=meter.committed)
    bell = Bell(spool)
    counter = Counter(
        intake=Intake(config=config, commit=commit, queues=Queues(config, spool), quotas=Quotas(spool)),
        spool=spool,
        rules=judge.rules,
        size_bytes=config.accept.limits.size_bytes,
        refuse_wait_s=config.signing.refuse_wait_s,
        callers=Callers(
            judge.enterprises.values(),
            trusted_proxies=networks(config.accept.trusted_proxies, "accept.trusted_proxies"),
            nonces=Nonces(config.node.state_dir / "nonces"),
            logins=Logins(longest_s=config.accept.login_delay_s),
        ),
        bell=bell,
        gauge=Gauge(config.watermarks, spool=spool, state_dir=config.node.state_dir),
        meter=meter,
        office=Office(spool=spool, rules=judge.rules, config=config, key=node_key(config)),
        archive=Archive(archive_dir(config)),
        mappings=judge.mappings,
        metrics_token=metrics_token,
    )

    limits = config.judges
    pool = Pool(line, judges=limits.processes, waiting_bytes=limits.waiting_mb * _MEGABYTE)

    class Protocol(DoorProtocol):
        submissions = Submissions(counter, judge=judge, pool=pool)

    server = _Server(
        uvicorn.Config(
            build(counter),
            http=Protocol,
            ws="none",
            loop="asyncio",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_S,
            timeout_keep_alive=_KEEP_ALIVE_S,
            backlog=2048,
            ssl_context_factory=None if tls is None else lambda _config, _default: tls,
        ),
        bell,
    )
    try:
        with spool_metrics(
            meter,
            open_spool,
            lambda: free_bytes(config.node.state_dir),
            more=lambda read: [
                *key_families(keyring, key_queues(config, read)),
                *door_families(config.node.state_dir),
            ],
        ):
            beating = asyncio.create_task(_beat())
            await server.serve(sockets=[door])
            beating.cancel()
    finally:
        pool.close()
        spool.close()
