"""Builds the HTTP door: all that its handlers use, in the process and the event loop that serve it."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Final, cast

from gateway.app.parcel_reader import parcel_reader
from gateway.config.gateway_toml import Config, nobody_from_elsewhere
from gateway.config.in_force import ConfigState
from gateway.config.networks import networks, within
from gateway.doors.http.asgi_request import AsgiApp
from gateway.doors.http.authenticate import Authenticator
from gateway.doors.http.bounds import DOOR_WAIT_S, bounds_of
from gateway.doors.http.connection_slots import ConnectionSlots
from gateway.doors.http.failed_logins import Logins
from gateway.doors.http.handlers import build
from gateway.doors.http.handover import Handover
from gateway.doors.http.long_poll import LongPoll
from gateway.doors.http.nonces import Nonces
from gateway.doors.http.server import HttpDoor
from gateway.doors.http.service import Service
from gateway.doors.http.services import HttpServices
from gateway.doors.http.submissions import Submissions
from gateway.evidence.exporter import EvidenceExporter
from gateway.goods.cache import RegisterCache
from gateway.imports.taking import SpoolThread
from gateway.judges.advising import Advising
from gateway.judges.judge import Judge
from gateway.judges.pool import Pool
from gateway.keys.backlog import Backlogs, key_backlogs
from gateway.keys.metrics import key_families
from gateway.keys.node_key import node_key
from gateway.keys.public_keyring import PublicKeyring
from gateway.observe.metrics import Meter, spool_metrics
from gateway.receipts.learning.known_cures import KnownCures
from gateway.submission.commit import GroupCommit
from gateway.submission.intake import Intake
from gateway.submission.mail_limit import Full
from gateway.submission.quotas import Quotas
from gateway.upkeep.retention import archive_dir
from gateway.upkeep.token_expiry import expiry_family, token_expiries
from gateway.upkeep.watermarks import Gauge, free_bytes
from spool.archive import Archive
from spool.store import Spool

_MEGABYTE: Final = 1024 * 1024


@contextmanager
def http_door(
    *,
    config: Config,
    judge: Judge,
    line: socket.socket,
    keyring: PublicKeyring,
    open_spool: Callable[[], Spool],
    metrics_token: str,
    config_state: ConfigState,
    handover: Handover,
    secured: bool,
) -> Iterator[HttpDoor]:
    """Build what is served, and close it at the end. Raises SpoolError.

    `judge` judges short cases in this process; `line`: where judges for all others are asked for.
    `metrics_token`: token that `/metrics` requires; empty: its caller must be on this machine.
    """
    meter = Meter()
    bounds = bounds_of(config.accept)
    trusted = networks(config.accept.trusted_proxies, "accept.trusted_proxies")
    limits = config.judges
    with (
        closing(open_spool()) as spool,
        closing(SpoolThread("uploads", open_spool)) as uploads,
        closing(SpoolThread("reports", open_spool)) as reports,
        closing(Pool(line, judges=limits.processes, waiting_bytes=limits.waiting_mb * _MEGABYTE)) as pool,
        spool_metrics(
            meter,
            open_spool,
            lambda: free_bytes(config.node.state_dir),
            more=lambda read: [
                *key_families(keyring, key_backlogs(config, read)),
                *config_state.families(),
                expiry_family(token_expiries(judge.enterprises.values())),
            ],
        ),
    ):
        registers = RegisterCache(spool, size_bytes=config.goods.memory_bytes)
        services = HttpServices(
            intake=Intake(
                config=config,
                spool=spool,
                commit=GroupCommit(spool, batch=config.accept.commit_batch, committed=meter.committed),
                queues=Backlogs(config, spool),
                quotas=Quotas(spool),
                mappings=judge.mappings,
            ),
            spool=spool,
            rules=judge.rules,
            size_bytes=config.accept.limits.size_bytes,
            refuse_wait_s=config.signing.refuse_wait_s,
            authenticator=Authenticator(
                judge.enterprises.values(),
                trusted_proxies=trusted,
                nonces=Nonces(config.node.state_dir / "nonces"),
                logins=Logins(longest_s=config.accept.login_delay_s),
            ),
            long_poll=LongPoll(spool, polls_of_enterprise=config.accept.max_polls_per_enterprise),
            pool=pool,
            registers=registers,
            advising=Advising(judge, pool, spool, registers),
            gauge=Gauge(config.watermarks, spool=spool, state_dir=config.node.state_dir),
            meter=meter,
            exporter=EvidenceExporter(spool=spool, rules=judge.rules, config=config, key=node_key(config)),
            cures=KnownCures(spool, judge.rules),
            archive=Archive(archive_dir(config), wait_s=DOOR_WAIT_S),
            mappings=judge.mappings,
            uploads=uploads,
            reports=reports,
            imports=config.accept.imports,
            folder=config.node.state_dir,
            parcels=parcel_reader(config, judge, spool),
            metrics_token=metrics_token,
            config_state=config_state,
            near=nobody_from_elsewhere(config.accept),
        )
        yield HttpDoor(
            service=Service(
                submissions=Submissions(
                    services, judge=judge, full=Full(spool, judge.local_receivers), pool=pool
                ),
                app=cast("AsgiApp", build(services)),
                bounds=bounds,
                places=ConnectionSlots(
                    most=bounds.connections,
                    most_of_address=bounds.connections_of_address,
                    exempt=lambda address: within(address, trusted),
                ),
                meter=meter,
                handover=handover,
                secured=secured,
            ),
            long_poll=services.long_poll,
        )
