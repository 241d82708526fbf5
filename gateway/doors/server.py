"""Serves the HTTP door on a listening socket until SIGTERM, then finishes what it has begun."""

import asyncio
import signal
import socket
from collections.abc import Callable
from ssl import SSLContext
from typing import cast

from gateway.config import Config, nobody_from_elsewhere
from gateway.config_state import ConfigState
from gateway.door_metrics import door_families
from gateway.doors.app_request import AsgiApp
from gateway.doors.bell import LongPoll
from gateway.doors.bounds import bounds_of
from gateway.doors.callers import Authenticator
from gateway.doors.counter import HttpServices
from gateway.doors.handover import OpenDoor
from gateway.doors.http import build
from gateway.doors.listener import Listener
from gateway.doors.logins import Logins
from gateway.doors.nonces import Nonces
from gateway.doors.places import ConnectionSlots
from gateway.doors.service import Service
from gateway.doors.submissions import Submissions
from gateway.endings import expiry_family, token_expiries
from gateway.evidence.gather import EvidenceExporter
from gateway.heartbeat import beat
from gateway.judges.judge import Judge
from gateway.judges.pool import Pool
from gateway.key_metrics import key_families
from gateway.metrics import Meter, spool_metrics
from gateway.networks import networks, within
from gateway.node_key import node_key
from gateway.public_keyring import PublicKeyring
from gateway.queues import Backlogs, key_backlogs
from gateway.roles.accept import Intake
from gateway.roles.commit import GroupCommit
from gateway.roles.mail import Full
from gateway.roles.quotas import Quotas
from gateway.roles.retain import archive_dir
from gateway.roles.watermarks import Gauge, free_bytes
from gateway.spooling import DOOR_WAIT_S
from spool.archive import Archive
from spool.store import Spool

_DRAIN_S = 10.0
_MEGABYTE = 1024 * 1024
_BEAT_S = 1.0


def serve(
    door: OpenDoor,
    *,
    config: Config,
    judge: Judge,
    line: socket.socket,
    keyring: PublicKeyring,
    open_spool: Callable[[], Spool],
    metrics_token: str,
    config_state: ConfigState,
    tls: SSLContext | None = None,
) -> None:
    """Serve until SIGTERM; returns when every request that was begun has its answer.

    `judge` judges here what takes a moment; `line`: where judges for the rest are asked for.
    `metrics_token`: what `/metrics` asks for; empty: that its caller is on this machine.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until there is a loop that can be told of it
    asyncio.run(
        _serve(
            door,
            config=config,
            judge=judge,
            line=line,
            keyring=keyring,
            open_spool=open_spool,
            metrics_token=metrics_token,
            config_state=config_state,
            tls=tls,
        )
    )


async def _beat() -> None:
    """Let the supervisor hear that the loop goes round."""
    while True:
        beat()
        await asyncio.sleep(_BEAT_S)


async def _serve(
    door: OpenDoor,
    *,
    config: Config,
    judge: Judge,
    line: socket.socket,
    keyring: PublicKeyring,
    open_spool: Callable[[], Spool],
    metrics_token: str,
    config_state: ConfigState,
    tls: SSLContext | None = None,
) -> None:
    spool = open_spool()
    meter = Meter()
    commit = GroupCommit(spool, batch=config.accept.commit_batch, committed=meter.committed)
    long_poll = LongPoll(spool, polls_of_enterprise=config.accept.max_polls_per_enterprise)
    services = HttpServices(
        intake=Intake(
            config=config, spool=spool, commit=commit, queues=Backlogs(config, spool), quotas=Quotas(spool)
        ),
        spool=spool,
        rules=judge.rules,
        size_bytes=config.accept.limits.size_bytes,
        refuse_wait_s=config.signing.refuse_wait_s,
        callers=Authenticator(
            judge.enterprises.values(),
            trusted_proxies=networks(config.accept.trusted_proxies, "accept.trusted_proxies"),
            nonces=Nonces(config.node.state_dir / "nonces"),
            logins=Logins(longest_s=config.accept.login_delay_s),
        ),
        long_poll=long_poll,
        gauge=Gauge(config.watermarks, spool=spool, state_dir=config.node.state_dir),
        meter=meter,
        exporter=EvidenceExporter(spool=spool, rules=judge.rules, config=config, key=node_key(config)),
        archive=Archive(archive_dir(config), wait_s=DOOR_WAIT_S),
        mappings=judge.mappings,
        metrics_token=metrics_token,
        config_state=config_state,
        near=nobody_from_elsewhere(config.accept),
    )

    bounds = bounds_of(config.accept)
    trusted = networks(config.accept.trusted_proxies, "accept.trusted_proxies")
    limits = config.judges
    pool = Pool(line, judges=limits.processes, waiting_bytes=limits.waiting_mb * _MEGABYTE)
    service = Service(
        submissions=Submissions(services, judge=judge, full=Full(spool, judge.local_receivers), pool=pool),
        app=cast("AsgiApp", build(services)),
        bounds=bounds,
        places=ConnectionSlots(
            most=bounds.connections,
            most_of_address=bounds.connections_of_address,
            exempt=lambda address: within(address, trusted),
        ),
        meter=meter,
        handover=door.handover,
        secured=tls is not None,
    )
    try:
        with spool_metrics(
            meter,
            open_spool,
            lambda: free_bytes(config.node.state_dir),
            more=lambda read: [
                *key_families(keyring, key_backlogs(config, read)),
                *config_state.families(),
                expiry_family(token_expiries(judge.enterprises.values())),
                *door_families(config.node.state_dir),
            ],
        ):
            async with long_poll.ringing():
                beating = asyncio.create_task(_beat())
                await _until_asked_to_stop(door, service, long_poll, tls)
                beating.cancel()
    finally:
        pool.close()
        spool.close()


async def _until_asked_to_stop(
    door: OpenDoor, service: Service, long_poll: LongPoll, tls: SSLContext | None
) -> None:
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    listener = Listener(door, service, tls)
    listener.open()
    await asked.wait()
    long_poll.dismiss()  # long polls would keep the door open
    await listener.drain(_DRAIN_S)
