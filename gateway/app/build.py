"""The composition root: the only file that builds adapters and connects them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from ssl import SSLContext
from typing import Final

from gateway.advice.adviser import Adviser
from gateway.advice.blocking import check_block_on
from gateway.app.drop_doors import Doors
from gateway.app.open_spool import ROLE_WAIT_S, build_spool
from gateway.app.parcel_reader import parcel_reader
from gateway.config.channels import Channel, Deliver
from gateway.config.gateway_toml import LOCAL, Config, Destination, Verifying, load_config
from gateway.config.in_force import ConfigState, LastReload
from gateway.config.left_out import LeftOut
from gateway.config.local_receivers import LocalReceivers, local_receivers_of
from gateway.config.tenants import load_tenants
from gateway.delivery.notify import Notify
from gateway.delivery.render import DeliveryRenderer
from gateway.doors.http.bounds import DOOR_WAIT_S
from gateway.doors.http.handover import OpenDoor
from gateway.doors.http.tls import door_context
from gateway.errors import ConfigError
from gateway.judges.asking import Asking
from gateway.judges.host import host
from gateway.judges.judge import Judge
from gateway.judges.link import JudgeLink
from gateway.keys.backlog import health_dir
from gateway.keys.keyring import Keyring, Loader
from gateway.keys.mark_key import mark_key
from gateway.keys.node_key import node_key
from gateway.keys.public_keyring import PublicKeyring
from gateway.mapping.language import SourceMapping
from gateway.mapping.loading import usable_mappings
from gateway.model import BEIJING, SECOND, Enterprise, EnterpriseId
from gateway.parcels.facts import Linker
from gateway.parcels.person_allowance import PersonAllowance
from gateway.ports import Feed, Transport
from gateway.processes.isolated import isolated
from gateway.processes.stop import Stop
from gateway.processes.supervisor import Role
from gateway.receipts.collect import Collect
from gateway.receipts.filing import ReceiptFiler
from gateway.receipts.learning.code_scan import CodeScan
from gateway.receipts.local import LocalTransport
from gateway.receipts.overdue import OverdueScan
from gateway.receipts.transfer import Transfer
from gateway.rules.loading import Rules, editions_named, rules_of
from gateway.rules.plain_form import PREFIXES
from gateway.rules.schemas import View
from gateway.sending.forward import Forward
from gateway.sending.resend import policy_of
from gateway.submission.edition import EditionChoice
from gateway.submission.mail_limit import bounded
from gateway.submission.pipeline import no_links
from gateway.submission.signature import Trust
from gateway.transports.adapters import adapter_of, out_adapter_of
from gateway.upkeep.allowance_scan import AllowanceScan
from gateway.upkeep.checkpoints import Sealer
from gateway.upkeep.keep import Keep
from gateway.upkeep.parcel_scan import ParcelScan
from gateway.upkeep.retention import retention
from gateway.upkeep.stale_imports import StaleImports
from gateway.upkeep.token_expiry import token_expiries
from gateway.upkeep.watermarks import Gauge
from signing.errors import SigningError
from signing.keys.issuers import Issuers
from spool import claimants
from spool.store import Spool

_LOCAL_LINGER_S: Final = 0.05
_NICE: Final = 5
"""Of all roles but accept: a platform waits for the answer of accept, nothing waits for the others to the
millisecond."""


def adviser_of(config: Config, rules: Rules) -> Adviser:
    """Return what gives advice; rules of the operator's own are all compiled now. Raises RulesError."""
    adviser = Adviser(rules.rulebook, rules.tables, rules.schemas)
    if config.rules.advice_dir is not None or config.rules.rules_dir is not None:
        adviser.check(rules.catalogue.declarations())
    return adviser


class App:
    """One configuration, read and checked, and everything that can be built from it."""

    def __init__(self, file: Path, *, operator: bool = False, generation: int = 1) -> None:
        """Read the configuration, the rules, the enterprises and what is public of the keys. Raises GatewayError.

        What is wrong in an enterprise's file or in a mapping is listed in `left_out`.
        `operator`: an operator asked for it (SIGHUP), so PINs that were refused may be tried again.
        `generation`: number of configurations of this node since its start, including this one.
        """
        self.file = file
        self.generation = generation
        self.config: Config = load_config(file)
        self.rules: Rules = rules_of(self.config)
        self.mappings: Mapping[str, SourceMapping]
        self.mappings, wrong = usable_mappings(
            self.rules, self.config.rules.rules_dir, self.config.accept.mappings_dir
        )
        tenants = load_tenants(
            self.config.accept.enterprises_dir,
            default=self.config.quota,
            lease_s=self.config.lease_s,
            editions=self.rules.editions.names,
        )
        self.enterprises: Mapping[EnterpriseId, Enterprise] = tenants.enterprises
        check_block_on(self.enterprises.values(), self.rules.rulebook, self.config.accept.enterprises_dir)
        self.channels: tuple[Channel, ...] = tenants.channels
        self.doors = tenants.doors
        self.left_out: tuple[LeftOut, ...] = (*wrong, *tenants.left_out)
        self.local_receivers: LocalReceivers = replace(
            local_receivers_of(self.enterprises.values()), incomplete=tenants.has_unknown_ids
        )
        self.metrics_token = _secret(self.config.metrics.token_file)
        self.trust = load_trust(self.config.verifying)
        self.keys: PublicKeyring = isolated(lambda: self._look_at_keys(operator=operator), PublicKeyring)
        self.judge = Judge(
            config=self.config,
            rules=self.rules,
            enterprises=self.enterprises,
            local_receivers=self.local_receivers,
            trust=self.trust,
            suite_of=self.keys.suite,
            mappings=self.mappings,
            editions=EditionChoice(self.config, self.local_receivers),
            adviser=adviser_of(self.config, self.rules),
            linker=Linker(mark_key(self.config)) if self.config.matching.enabled else no_links,
        )
        self._line: JudgeLink | None = None
        """Link on which the roles ask for judges; None before there are roles."""

    def close(self) -> None:
        """Close what roles built here would need, if they are not to be started again."""
        if self._line is not None:
            self._line.close()

    def keyring(self) -> Keyring:
        """Load the private keys into the memory of this process. Raises ConfigError."""
        return Loader(health_dir=health_dir(self.config)).load_all(self.config.key)

    def _look_at_keys(self, *, operator: bool) -> PublicKeyring:
        """Load every private key that roles will need, to check that this works. Raises ConfigError."""
        self._tls()
        return (
            Loader(health_dir=health_dir(self.config), operator=operator).load_all(self.config.key).public()
        )

    def _tls(self) -> SSLContext | None:
        return None if self.config.accept.tls is None else door_context(self.config.accept.tls)

    def warm(self) -> None:
        """Compile every schema of every edition in use, in all forms, and the rules of advice in force: forked roles share them.

        Raises RulesError.
        """
        now = datetime.now(BEIJING).strftime(SECOND)
        self.judge.adviser.warm(self.rules.catalogue.declarations(), now)
        for edition in self._editions_in_use():
            _compile(self.rules.for_edition(edition))

    def _editions_in_use(self) -> tuple[str, ...]:
        own = (one.edition for one in self.enterprises.values() if one.edition and not one.disabled)
        return tuple(dict.fromkeys((*editions_named(self.config), *own)))

    def spool(self, *, wait_s: float = ROLE_WAIT_S, stop: Stop | None = None) -> Spool:
        """Open the spool, for one thread.

        `wait_s`: length of one wait for another process's lock; waits are repeated until `stop` is set, if given.
        """
        return build_spool(self.config, wait_s=wait_s, on_wait=None if stop is None else stop.waited)

    def forward(self, destination: Destination, number: int, stop: Stop | None = None) -> Forward:
        """Build the forward role number `number` of a destination."""
        return Forward(
            spool=self.spool(stop=stop),
            transport=build_transport(destination),
            destination=destination,
            keyring=self.keyring(),
            config=self.config,
            claimant=self._claimant(f"forward/{destination.name}/{number}"),
        )

    def local(self, spool: Spool) -> Forward:
        """Build the forward role of messages to this node; it pauses after signals, as most are not for it."""
        return Forward(
            spool=spool,
            transport=LocalTransport(
                spool=spool, filer=self.filer(spool), local_receivers=bounded(self.local_receivers, spool)
            ),
            destination=Destination(name=LOCAL),
            keyring=Keyring(keys={}),  # these messages came in their own envelope: nothing is signed
            config=self.config,
            claimant=self._claimant(f"forward/{LOCAL}"),
            linger_s=_LOCAL_LINGER_S,
        )

    def filer(self, spool: Spool) -> ReceiptFiler:
        """Build the receipt filer."""
        return ReceiptFiler(
            spool=spool,
            rules=self.rules,
            config=self.config,
            transfer=Transfer(local_receivers=bounded(self.local_receivers, spool), config=self.config),
            opener=None if self._line is None else Asking(self._line.asking, self.judge).open,
        )

    def collect(self, destination: Destination) -> Collect:
        """Build the collect role of a destination."""
        spool = self.spool()
        return Collect(
            spool=spool,
            feed=build_feed(destination),
            destination=destination.name,
            filer=self.filer(spool),
        )

    def notify(self, spool: Spool) -> Notify:
        """Build the notify role, for all channels of this configuration."""
        from gateway.views.api import receipt_view  # noqa: PLC0415 (only who shows answers loads it)

        return Notify(
            spool=spool,
            channels=self.channels,
            incomplete={one.enterprise for one in self.left_out if one.kind == "channel"},
            deliveries=DeliveryRenderer(
                spool=spool,
                catalogue=self.rules.catalogue,
                show=lambda notice: receipt_view(notice, self.rules.codes),
            ),
            build=build_channel,
            config=self.config,
            claimant=self._claimant("notify"),
        )

    def _claimant(self, role: str) -> str:
        return claimants.generation(f"{self.config.node.name}/{role}", self.generation)

    def keep(self, stop: Stop) -> Keep:
        """Build the keep role."""
        spool = self.spool(stop=stop)
        return Keep(
            spool=spool,
            filer=self.filer(spool),
            keyring=self.keys,
            gauge=Gauge(self.config.watermarks, spool=spool, state_dir=self.config.node.state_dir),
            retention=retention(self.config, spool) if self.config.retention.days else None,
            waits_s={
                one.name: policy_of(self.config, one).ceiling_s
                for one in (*self.config.destination, Destination(name=LOCAL))
            },
            lease_s=self.config.lease_s,
            endings=token_expiries(self.enterprises.values()),
            overdue_scan=OverdueScan(spool, self.rules),
            code_scan=CodeScan(spool, self.rules, self.config.accept.limits, self.enterprises),
            parcel_scan=ParcelScan(spool, parcel_reader(self.config, self.judge, spool))
            if self.config.matching.enabled
            else None,
            allowance_scan=AllowanceScan(spool, PersonAllowance(spool, self.rules.codes))
            if self.config.matching.enabled
            else None,
            stale_imports=StaleImports(spool, days=self.config.retention.days),
            sealer=Sealer(
                spool,
                node_key(self.config),
                every_s=self.config.journal.every_s,
                events=self.config.journal.events,
            ),
        )

    def roles(
        self, names: Collection[str], door: OpenDoor | None, last_reload: LastReload | None = None
    ) -> list[Role]:
        """Return the processes of these roles, and the one that runs the judges.

        `door` is served by accept; `last_reload`: where accept reads the results of reloads.
        """
        state = ConfigState(left_out=self.left_out, last_reload=last_reload or LastReload())
        line = self._line = JudgeLink()
        roles = [
            Role(
                name="judges",
                run=lambda: host(line.hosting, self.judge, self.config.judges),
                nice=_NICE,
                outlives=True,
            )
        ]
        if "accept" in names and door is not None:
            roles.append(Role(name="accept", run=lambda: self._serve(door, line, state)))
        if "accept" in names:
            roles += self._doors(line).roles()
        for destination in self.config.destination:
            if "forward" in names:
                roles += [self._forwarder(destination, number) for number in range(destination.active)]
            if "collect" in names:
                roles.append(self._collector(destination))
        if "forward" in names:
            roles.append(_role(f"forward/{LOCAL}", lambda stop: self.local(self.spool(stop=stop))))
        if "import" in names:
            roles.append(Role(name="import", run=self._import, nice=_NICE))
        if "notify" in names and self.channels:
            roles.append(_role("notify", lambda stop: self.notify(self.spool(stop=stop))))
        if "keep" in names:
            roles.append(Role(name="keep", run=self._keep, nice=_NICE))
        return roles

    def _keep(self) -> None:
        stop = Stop().on_sigterm()
        self.keep(stop).run(stop)

    def _import(self) -> None:
        from gateway.app.import_role import import_role  # noqa: PLC0415 (only who makes imports loads it)
        from gateway.imports.role import limit_memory  # noqa: PLC0415

        limit_memory(self.config.accept.imports.memory_mb)
        stop = Stop().on_sigterm()
        role = import_role(
            config=self.config,
            judge=self.judge,
            spool=self.spool(stop=stop),
            claimant=self._claimant("import"),
        )
        role.run(stop)
        role.close()

    def _serve(self, door: OpenDoor, line: JudgeLink, state: ConfigState) -> None:
        from gateway.app.http_door import http_door  # noqa: PLC0415 (only who serves loads it and the server)
        from gateway.doors.http.server import serve  # noqa: PLC0415

        tls = self._tls()
        serve(
            door,
            lambda: http_door(
                config=self.config,
                judge=self.judge,
                line=line.asking,
                keyring=self.keys,
                open_spool=lambda: self.spool(wait_s=DOOR_WAIT_S),
                metrics_token=self.metrics_token,
                config_state=state,
                handover=door.handover,
                secured=tls is not None,
            ),
            tls=tls,
        )

    def _doors(self, line: JudgeLink) -> Doors:
        return Doors(
            config=self.config,
            judge=self.judge,
            line=line.asking,
            doors=self.doors,
            open_spool=self.spool,
        )

    def _forwarder(self, destination: Destination, number: int) -> Role:
        name = f"forward/{destination.name}/{number}"
        return _role(
            name, lambda stop: self.forward(destination, number, stop), waits_s=_waits_s(destination)
        )

    def _collector(self, destination: Destination) -> Role:
        name = f"collect/{destination.name}"
        return _role(name, lambda _: self.collect(destination), waits_s=_waits_s(destination))


def _compile(rules: Rules) -> None:
    for kind in rules.catalogue.declarations():
        for prefix in PREFIXES:
            rules.plain.form(kind.name, prefix)
    for root in sorted(rules.schemas.roots):
        for view in View:
            rules.schemas.schema_for(root, view)


def _role(name: str, build: Callable[[Stop], Forward | Collect | Notify], *, waits_s: float = 0.0) -> Role:
    def run() -> None:
        stop = Stop().on_sigterm()
        role = build(stop)
        role.run(stop)
        role.close()

    return Role(name=name, run=run, nice=_NICE, waits_s=waits_s)


def _waits_s(destination: Destination) -> float:
    """Say how long a role may wait for the other side at a time: to connect, to log in, to ask and to be answered."""
    return 4 * destination.link.timeout_s


def _secret(file: Path | None) -> str:
    """Read a file that holds one secret; empty when none is configured. Raises ConfigError."""
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
    """Load the trust settings of `[verifying]`. Raises ConfigError."""
    try:
        issuers = None if verifying.issuers_file is None else Issuers.load(verifying.issuers_file)
    except SigningError as error:
        raise ConfigError(error.what, where=error.where, fix=error.fix) from error
    return Trust(issuers=issuers, company_oid=verifying.company_oid, rsa_bits=verifying.rsa_bits)


def build_transport(destination: Destination) -> Transport:
    """Build what carries entries to this destination; connects on first use. Raises ConfigError."""
    return adapter_of(destination.link).transport()


def build_channel(deliver: Deliver) -> Transport:
    """Build what carries answers home on a channel; connects on first use. Raises ConfigError."""
    return out_adapter_of(deliver.link).transport()


def build_feed(destination: Destination) -> Feed:
    """Build what brings in the answers of this destination; connects on first use. Raises ConfigError."""
    return adapter_of(destination.link).feed()
