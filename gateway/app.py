"""The composition root: the only file that builds adapters and wires them up."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from gateway.app_doors import Doors
from gateway.config import LOCAL, Config, Destination, Folder, Verifying, load_config
from gateway.config_deliver import Channel, Deliver
from gateway.config_enterprises import load_channels, load_doors, load_enterprises, shared_proofs
from gateway.doors.handover import OpenDoor
from gateway.doors.tls import door_context
from gateway.errors import ConfigError
from gateway.homes import Homes, homes_of
from gateway.keyring import Keyring, Loader
from gateway.mapping.language import SourceMapping
from gateway.mapping.shelf import load_mappings
from gateway.model import Enterprise, EnterpriseId
from gateway.node_key import node_key
from gateway.plain_form import PREFIXES
from gateway.ports import Feed, Transport
from gateway.queues import health_dir
from gateway.roles.collect import Collect, Registry
from gateway.roles.forward import Forward
from gateway.roles.keep import Keep
from gateway.roles.letters import Letters
from gateway.roles.local import LocalTransport
from gateway.roles.notify import Notify
from gateway.roles.retain import retention
from gateway.roles.sealing import Sealer
from gateway.roles.stop import Stop
from gateway.roles.transfer import Transfer
from gateway.roles.vigil import Vigil
from gateway.roles.watermarks import Gauge
from gateway.rules import Rules, rules_of
from gateway.schemas import View
from gateway.spooling import build_spool
from gateway.stages.signature import Trust
from gateway.supervisor import Role
from signing.errors import SigningError
from signing.issuers import Issuers
from spool.store import Spool

_LOCAL_LINGER_S: Final = 0.05
_NICE: Final = 5
"""Of all roles but accept: a platform waits for its answer, nobody waits for the others to the millisecond."""


class App:
    """One configuration, read and checked, and everything that can be built from it."""

    def __init__(self, file: Path, *, operator: bool = False) -> None:
        """Read the configuration, the rules, the enterprises and the keys. Raises GatewayError.

        `operator`: somebody asks for it (SIGHUP), so that PINs that were refused may be tried again.
        """
        self.file = file
        self.config: Config = load_config(file)
        self.rules: Rules = rules_of(self.config)
        self.mappings: Mapping[str, SourceMapping] = load_mappings(
            self.rules, self.config.rules.rules_dir, self.config.accept.mappings_dir
        )
        self.enterprises: Mapping[EnterpriseId, Enterprise] = load_enterprises(
            self.config.accept.enterprises_dir
        )
        _no_doubles(self.enterprises, self.config.accept.enterprises_dir)
        self.tls = None if self.config.accept.tls is None else door_context(self.config.accept.tls)
        self.channels: tuple[Channel, ...] = load_channels(
            self.config.accept.enterprises_dir, lease_s=self.config.lease_s
        )
        self.homes: Homes = homes_of(self.enterprises.values())
        self.metrics_token = _secret(self.config.metrics.token_file)
        self.trust = load_trust(self.config.verifying)
        self.doors = load_doors(self.config.accept.enterprises_dir)
        loader = Loader(health_dir=health_dir(self.config), operator=operator)
        self.keyring: Keyring = loader.load_all(self.config.key)

    def warm(self) -> None:
        """Compile every schema now, in both of its forms, so that forked roles share them."""
        schemas = self.rules.schemas
        for kind in self.rules.catalogue.declarations():
            for prefix in PREFIXES:
                self.rules.plain.form(kind.name, prefix)
        for root in sorted(schemas.roots):
            for view in View:
                schemas.schema_for(root, view)

    def spool(self) -> Spool:
        """Open the spool, for one thread of one process."""
        return build_spool(self.config)

    def forward(self, destination: Destination, number: int) -> Forward:
        """Build the forward role number `number` of a destination."""
        return Forward(
            spool=self.spool(),
            transport=build_transport(destination),
            destination=destination,
            keyring=self.keyring,
            config=self.config,
            claimant=f"{self.config.node.name}/forward/{destination.name}/{number}",
        )

    def local(self, spool: Spool) -> Forward:
        """Build the forward role of what stays here; most signals are not meant for it, so it takes its time."""
        return Forward(
            spool=spool,
            transport=LocalTransport(spool=spool, registry=self.registry(spool), homes=self.homes),
            destination=Destination(name=LOCAL),
            keyring=Keyring(keys={}),  # what stays here came in an envelope of its own: nothing is signed
            config=self.config,
            claimant=f"{self.config.node.name}/forward/{LOCAL}",
            linger_s=_LOCAL_LINGER_S,
        )

    def registry(self, spool: Spool) -> Registry:
        """Build what files arrivals."""
        transfer = Transfer(homes=self.homes, config=self.config)
        return Registry(spool=spool, rules=self.rules, config=self.config, transfer=transfer)

    def collect(self, destination: Destination) -> Collect:
        """Build the collect role of a destination."""
        spool = self.spool()
        return Collect(
            spool=spool,
            feed=build_feed(destination),
            destination=destination.name,
            registry=self.registry(spool),
        )

    def notify(self, spool: Spool) -> Notify:
        """Build the notify role: of all channels of this configuration."""
        from gateway.doors.views import receipt_view  # noqa: PLC0415 (only who shows answers loads it)

        return Notify(
            spool=spool,
            channels=self.channels,
            letters=Letters(
                spool=spool,
                catalogue=self.rules.catalogue,
                show=lambda notice: receipt_view(notice, self.rules.codes),
            ),
            build=build_channel,
            config=self.config,
            claimant=f"{self.config.node.name}/notify",
        )

    def keep(self) -> Keep:
        """Build the keep role."""
        spool = self.spool()
        return Keep(
            spool=spool,
            registry=self.registry(spool),
            keyring=self.keyring,
            gauge=Gauge(self.config.watermarks, spool=spool, state_dir=self.config.node.state_dir),
            retention=retention(self.config, spool) if self.config.retention.days else None,
            waits_s={one.name: (one.retry or self.config.retry).ceiling_s for one in self.config.destination},
            lease_s=self.config.lease_s,
            vigil=Vigil(spool, self.rules),
            sealer=Sealer(
                spool,
                node_key(self.config),
                every_s=self.config.journal.every_s,
                events=self.config.journal.events,
            ),
        )

    def roles(self, names: Collection[str], door: OpenDoor | None) -> list[Role]:
        """Return the processes of these roles; `door` is what accept serves."""
        roles: list[Role] = []
        if "accept" in names and door is not None:
            roles.append(Role(name="accept", run=lambda: self._serve(door)))
        if "accept" in names:
            roles += self._doors().roles()
        for destination in self.config.destination:
            if "forward" in names:
                roles += [self._forwarder(destination, number) for number in range(destination.active)]
            if "collect" in names:
                roles.append(self._collector(destination))
        if "forward" in names:
            roles.append(_role(f"forward/{LOCAL}", lambda: self.local(self.spool())))
        if "notify" in names and self.channels:
            roles.append(_role("notify", lambda: self.notify(self.spool())))
        if "keep" in names:
            roles.append(Role(name="keep", run=lambda: self.keep().run(Stop().on_sigterm()), nice=_NICE))
        return roles

    def _serve(self, door: OpenDoor) -> None:
        from gateway.doors.server import serve  # noqa: PLC0415 (only who serves loads the server)

        serve(
            door,
            config=self.config,
            rules=self.rules,
            enterprises=self.enterprises,
            keyring=self.keyring,
            trust=self.trust,
            mappings=self.mappings,
            open_spool=self.spool,
            metrics_token=self.metrics_token,
            tls=self.tls,
        )

    def _doors(self) -> Doors:
        return Doors(
            config=self.config,
            rules=self.rules,
            enterprises=self.enterprises,
            doors=self.doors,
            homes=self.homes,
            keyring=self.keyring,
            trust=self.trust,
            open_spool=self.spool,
        )

    def _forwarder(self, destination: Destination, number: int) -> Role:
        return _role(f"forward/{destination.name}/{number}", lambda: self.forward(destination, number))

    def _collector(self, destination: Destination) -> Role:
        return _role(f"collect/{destination.name}", lambda: self.collect(destination))


def _role(name: str, build: Callable[[], Forward | Collect | Notify]) -> Role:
    def run() -> None:
        role = build()
        role.run(Stop().on_sigterm())
        role.close()

    return Role(name=name, run=run, nice=_NICE)


def _no_doubles(enterprises: Mapping[EnterpriseId, Enterprise], folder: Path) -> None:
    """See that nobody can be taken for somebody else. Raises ConfigError."""
    for name, proof in shared_proofs(enterprises).items():
        raise ConfigError(
            f"another enterprise has the same {proof} as {name}",
            where=str(folder),
            fix="give each its own; for a token `gateway enterprise rotate-token`, then `end-token`",
        )


def _secret(file: Path | None) -> str:
    """Read a file that holds one secret; empty when none is named. Raises ConfigError."""
    if file is None:
        return ""
    try:
        secret = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the token file: {error}", where=str(file)) from error
    if not secret:
        raise ConfigError("the token file is empty", where=str(file), fix="write a random token into it")
    return secret


def load_trust(verifying: Verifying) -> Trust:
    """Read what `[verifying]` names. Raises ConfigError."""
    try:
        issuers = None if verifying.issuers_file is None else Issuers.load(verifying.issuers_file)
    except SigningError as error:
        raise ConfigError(error.what, where=error.where, fix=error.fix) from error
    return Trust(issuers=issuers, company_oid=verifying.company_oid)


def build_transport(destination: Destination) -> Transport:
    """Build what carries entries to this destination; connects on first use."""
    if destination.sftp is not None:
        from gateway.transports.sftp import SftpTransport  # noqa: PLC0415 (only who uses it loads it)

        return SftpTransport(destination.sftp)
    if destination.rabbitmq is not None:
        from gateway.transports.rabbitmq import RabbitmqTransport  # noqa: PLC0415

        return RabbitmqTransport(destination.rabbitmq)
    if destination.amqp is not None:
        from gateway.transports.amqp import AmqpTransport  # noqa: PLC0415 (an extra)

        return AmqpTransport(destination.amqp)
    from gateway.transports.folder import FolderTransport  # noqa: PLC0415

    return FolderTransport(_folder(destination))


def build_channel(deliver: Deliver) -> Transport:
    """Build what carries answers home on a channel; connects on first use. Raises ConfigError."""
    if deliver.webhook is not None:
        from gateway.transports.webhook import WebhookTransport  # noqa: PLC0415 (only who uses it loads it)

        return WebhookTransport(deliver.webhook)
    return build_transport(way_of(deliver))


def way_of(deliver: Deliver) -> Destination:
    """Return a channel that is no webhook as the destination that it is like."""
    return Destination(
        name=deliver.name,
        sftp=deliver.sftp,
        rabbitmq=deliver.rabbitmq,
        amqp=deliver.amqp,
        folder=deliver.folder,
    )


def build_feed(destination: Destination) -> Feed:
    """Build what brings in the answers of this destination; connects on first use."""
    if destination.sftp is not None:
        from gateway.transports.sftp import SftpFeed  # noqa: PLC0415 (only who uses it loads it)

        return SftpFeed(destination.sftp)
    if destination.rabbitmq is not None:
        from gateway.transports.rabbitmq import RabbitmqFeed  # noqa: PLC0415

        return RabbitmqFeed(destination.rabbitmq)
    if destination.amqp is not None:
        from gateway.transports.amqp import AmqpFeed  # noqa: PLC0415 (an extra)

        return AmqpFeed(destination.amqp)
    from gateway.transports.folder import FolderFeed  # noqa: PLC0415

    return FolderFeed(_folder(destination))


def _folder(destination: Destination) -> Folder:
    if destination.folder is None:
        raise ConfigError(
            f"destination {destination.name} has no transport", fix="see [[destination]] in the configuration"
        )
    return destination.folder
