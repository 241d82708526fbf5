"""gateway.toml → one frozen Config, fully checked before anything starts.

Unknown keys are errors. Relative paths start at the folder of the file. Secrets are never values here, only
paths of files, which the code that needs a secret reads.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta

from gateway.config.editions import EditionName, EditionTable, check_editions
from gateway.config.files import EXAMPLES, absolute, read_section
from gateway.config.keys import KeyConfig, check_keys, check_names
from gateway.config.links import Amqp, Folder, Link, Port, Rabbitmq, Sftp
from gateway.config.networks import is_loopback, networks
from gateway.config.sections import Count, NotNegative, Seconds, Section
from gateway.errors import ConfigError

Watermark = Annotated[int, Meta(ge=0)]
"""A watermark; 0: off."""
DxpId = Annotated[str, Meta(min_length=1, max_length=16)]
"""SenderId and ReceiverId hold 1 to 16 characters (docs/spec/dxp.md, DxpMsg)."""
DxpIds = DxpId | tuple[DxpId, ...]
TypeName = Annotated[str, Meta(pattern=r"^CEB\d{3}Message$")]
CustomsCode = Annotated[str, Meta(pattern=r"^\d{4}$")]
FamilyName = Literal["import", "export"]
FAMILIES: Final[tuple[FamilyName, ...]] = ("import", "export")
KINDS: Final = ("sftp", "rabbitmq", "amqp", "folder")
"""The tables of a destination that say how it is reached; exactly one is there."""
LOCAL: Final = "@local"
"""The destination of messages that stay at this node; no [[destination]] can have this name."""
HOME: Final = "@home"
"""Prefix of the destinations of notices, `@home/<enterprise>/<channel>`."""


class Node(Section, kw_only=True):
    """`[node]`: the identity of this node."""

    name: Annotated[str, Meta(min_length=1, max_length=40)]
    state_dir: Path
    dxp_id: DxpId
    """Our own DXP id: SenderId if a message has none of the right length."""
    node_id: Annotated[str, Meta(pattern=r"^\d{8}$")] = "00000000"
    """8-digit transfer node id, for DxpMsgSv (docs/spec/dxp.md, DxpMsgSv)."""
    hung_after_s: Seconds = 60.0
    """A role without a heartbeat for so long is killed and started again."""


class LimitsConfig(Section, kw_only=True):
    """`[accept.limits]`: the largest allowed message."""

    size_bytes: Count = 4 * 1024 * 1024
    depth: Count = 64
    elements: Count = 200_000


class Tls(Section, kw_only=True):
    """`[accept.tls]`: TLS at the door itself, 1.2 or later."""

    certificate: Path
    """PEM: the door's own certificate, then the intermediate ones."""
    key: Path
    """PEM, without a password."""
    client_ca: Path | None = None
    """PEM of the issuers of client certificates; callers may then send one, and one of another issuer is refused."""


class ImportsConfig(Section, kw_only=True):
    """`[accept.imports]`: sources of many declarations that are taken as a whole (docs/imports.md)."""

    size_bytes: Count = 512 * 1024 * 1024
    """Of one source."""
    jobs_per_enterprise: Count = 8
    """Most imports of one enterprise that are not over."""
    kept_bytes: Count = 8 * 1024**3
    """Most bytes of sources of one enterprise that are kept, those of imports that are over too."""
    at_a_time: Count = 4
    """Imports of different enterprises that are worked on in turns."""
    memory_mb: Count = 300
    """Memory of the role `import` for all of them; the kernel stops it at twice as much."""


class Accept(Section, kw_only=True):
    """`[accept]`: the HTTP door."""

    host: str = "127.0.0.1"
    port: Port = 8080
    enterprises_dir: Path = Path("enterprises")
    mappings_dir: Path | None = None
    """Folder of own mappings from JSON and CSV, in addition to those shipped (docs/mappings.md)."""
    limits: LimitsConfig = LimitsConfig()
    imports: ImportsConfig = ImportsConfig()
    commit_batch: Count = 256
    """Most messages in one commit."""
    tls: Tls | None = None
    """Without it, plain HTTP."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks of proxies whose X-Forwarded-For is trusted."""
    max_connections: Count = 2048
    """Most open connections; fewer if the process may not have that many descriptors."""
    max_connections_per_address: Count = 256
    """Most of one IPv4 address or IPv6 /64; trusted proxies have no such limit."""
    max_polls_per_enterprise: Count = 16
    """Most long polls for receipts (`wait=`) at the same time."""
    head_s: Seconds = 10.0
    """For request line and headers, from the first byte; also for a TLS handshake, and until the first request."""
    body_s: Seconds = 20.0
    """For a body, plus its size divided by `least_bytes_per_s`; the same for the client to read an answer."""
    least_bytes_per_s: Count = 4096
    idle_s: Seconds = 75.0
    """How long an idle connection is kept, so that a platform that submits now and then keeps its own."""
    login_delay_s: Annotated[float, Meta(ge=0, le=10)] = 3.0
    """Longest delay of an answer to an unauthenticated caller when one address fails repeatedly; 0: no delay."""


class Judges(Section, kw_only=True):
    """`[judges]`: the processes that judge inputs which may be expensive, and the limits for one input."""

    processes: Count = 4
    """Most at a time for the HTTP door; for one enterprise at most half. Folders, queues and feeds have one each."""
    cpu_s: Seconds = 10.0
    """Processor time for one input; an input that takes longer is refused as `too-expensive`."""
    memory_mb: Count = 320
    """Memory for one input; the kernel stops a judge at twice as much."""
    waiting_mb: Count = 64
    """Most megabytes of inputs that wait to be judged; for one enterprise at most what is still free."""


class RulesConfig(Section, kw_only=True):
    """`[rules]`: which schemas and tables to use."""

    edition: EditionName = "202205"
    """The edition that judges where no route, enterprise or period names another."""
    rules_dir: Path | None = None
    """Folder with `xsd/` and `mappings/` to use instead of the built-in ones."""
    advice_dir: Path | None = None
    """Folder of own rules (`*.toml`) and tables (`tables.toml`) for advice, in addition to those shipped."""


class GoodsConfig(Section, kw_only=True):
    """`[goods]`: the goods registers of the enterprises (docs/goods.md)."""

    memory_mb: Count = 64
    """Megabytes of registers that each process at a door keeps in memory; those that were needed last stay."""

    @property
    def memory_bytes(self) -> int:
        """The same in bytes."""
        return self.memory_mb * 1024 * 1024


class Signing(Section, kw_only=True):
    """`[signing]`: which key signs messages that are submitted unsigned."""

    default_key: str
    refuse_wait_s: Annotated[float, Meta(ge=0)] = 0.0
    """Refuse unsigned messages while those that wait for their key would take it longer than this; 0: never."""


class Verifying(Section, kw_only=True):
    """`[verifying]`: demands on the certificate of a message that comes signed, in addition to its period."""

    issuers_file: Path | None = None
    """PEM certificates of the accepted issuers; None: any issuer."""
    company_oid: Annotated[str, Meta(pattern=r"^([0-2](\.(0|[1-9]\d*))+)?$")] = ""
    """OID in subject or extensions whose value must be the copCode or copName of the message; empty: no check."""
    rsa_bits: Annotated[int, Meta(ge=1024, le=8192)] = 2048
    """Least bits of an RSA key. Customs' oldest certificates have 1024."""


class Retry(Section, kw_only=True):
    """`[retry]`: when a failed attempt is repeated."""

    first_s: Seconds = 2.0
    ceiling_s: Seconds = 600.0
    attempts: Count = 200
    """After so many failed attempts an entry becomes a dead letter."""
    max_age_s: Seconds = 259_200.0
    """An attempt that fails so long after acceptance is the last, if the waits between attempts can add up to that."""


class Destination(Section, kw_only=True):
    """`[[destination]]`: one customs endpoint, exactly one of `sftp`, `rabbitmq`, `amqp`, `folder`."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,40}$")]
    families: tuple[FamilyName, ...] = FAMILIES
    """The families that it carries: no other is ever sent there."""
    envelope: Literal["DxpMsg", "DxpMsgSv"] = "DxpMsg"
    end_node: Annotated[str, Meta(pattern=r"^\d{8}$")] = "00000002"
    """EndNode of DxpMsgSv: the node of the receiver (docs/spec/dxp.md, DxpMsgSv, Real ids)."""
    sftp: Sftp | None = None
    rabbitmq: Rabbitmq | None = None
    amqp: Amqp | None = None
    folder: Folder | None = None
    batch: Count = 64
    """Most entries in one claim."""
    active: Count = 1
    """Forward processes for this destination."""
    retry: Retry | None = None
    """Replaces the common `[retry]`."""
    retry_on_answer: bool = True
    """Resend a message when an answer of the exchange asks for it, as DxpRep 3001 to 3999 do."""
    authority: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,40}$")] = "customs"
    """The authority at the other end: destinations of one authority may answer for each other."""
    answers_for: tuple[str, ...] | None = None
    """Names of other destinations that it may answer for, instead of all those of its authority."""
    leading_zero: bool = False
    """Put one 0x00 byte before all that is sent, as some links into the customs network want it
    (docs/spec/dxp.md, How public gateways use the queues). On what comes in, such a byte is always skipped."""

    @property
    def kind(self) -> str:
        """Name of the table that says how it is reached; empty for `@local`, which has none."""
        return next((kind for kind in KINDS if getattr(self, kind) is not None), "")

    @property
    def link(self) -> Link:
        """How it is reached. Raises ConfigError for `@local`."""
        link = self.sftp or self.rabbitmq or self.amqp or self.folder
        if link is None:
            raise ConfigError(
                f"destination {self.name} has no link", fix="see [[destination]] in the configuration"
            )
        return link


class RouteConfig(Section, kw_only=True):
    """`[[route]]`: the destinations of a message that meets every condition; the first matching route decides.

    A condition is one text, or a list of which one must match; an absent condition matches every message.
    """

    to: Annotated[tuple[str, ...], Meta(min_length=1)]
    """Names of destinations: each gets the message, as an entry of its own."""
    receiver: DxpIds = ()
    """ReceiverId: that of the catalogue, or one of those in the sender's own DxpMsg."""
    sender: DxpIds = ()
    """SenderId that the envelope will have."""
    enterprise: str | tuple[str, ...] = ()
    message_type: TypeName | tuple[TypeName, ...] = ()
    family: FamilyName | None = None
    customs_code: CustomsCode | tuple[CustomsCode, ...] = ()
    """Must match for every declaration of the message; types without a customsCode never match."""
    share: Annotated[float, Meta(ge=0, le=100)] = 100.0
    """Percentage of the messages that meet the other conditions, chosen by the CopMsgId."""
    receivers: Annotated[tuple[DxpId, ...], Meta(max_length=5)] = ()
    """ReceiverIds instead of that of the catalogue, for messages submitted without an envelope."""
    split: bool = False
    """Send a copy to each of `receivers` instead of one envelope that names them all."""
    edition: EditionName | None = None
    """The edition by which its messages are judged, whatever the enterprise and the day say."""


class SpoolTable(Section, kw_only=True):
    """`[spool]`: which database holds the spool."""

    kind: Literal["sqlite", "postgres"] = "sqlite"
    """One node: a file in `state_dir`. Several nodes: one PostgreSQL; each node needs its own name."""
    dsn: str = ""
    """Only for `postgres`: libpq's connection string, `host=… dbname=… user=…`, without the password."""
    password_file: Path | None = None


class Watermarks(Section, kw_only=True):
    """`[watermarks]`: how full the spool may get; 0 turns a mark off."""

    free_bytes_warn: Watermark = 2 * 1024**3
    free_bytes_refuse: Watermark = 512 * 1024**2
    """With fewer free bytes on the disk of `state_dir`, the door refuses new messages."""
    age_warn_s: NotNegative = 0.0
    """Age of the oldest message that waits to be sent and is not held."""
    depth_warn: Watermark = 0
    depth_refuse: Watermark = 0
    """With so many unsettled entries, the door refuses new messages."""


class RetentionConfig(Section, kw_only=True):
    """`[retention]`: how long finished messages stay in the spool."""

    days: Annotated[int, Meta(ge=0, le=36_500)] = 0
    """After so many days without an event they are archived and purged; 0: never."""
    archive_dir: Path | None = None
    """Default: `archive` in `state_dir`."""
    batch: Annotated[int, Meta(ge=1, le=1000)] = 50
    """Most messages that one commit purges."""


class YearlyLimit(Section, kw_only=True, rename={"from_": "from"}):
    """`[[matching.yearly_limit]]`: how much a person may buy by cross-border retail import in a calendar year."""

    from_: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d$")]
    """The first day on which it is in force."""
    yuan: Count


class Matching(Section, kw_only=True):
    """`[matching]`: comparing the documents of one parcel (docs/parcels.md)."""

    enabled: bool = True
    """Keep with each order, payment, waybill and inventory what comparing needs, and compare."""
    key_file: Path | None = None
    """Secret, 32 bytes or more, under which personal values are marked; default: `keys/parcel-marks.key` in
    `state_dir`, created at the first start. Nodes on one PostgreSQL need the same."""
    amount_tolerance: NotNegative = 0.0
    """How far the amount paid may differ between order and payment and still count as equal; customs names none."""
    price_tolerance_percent: NotNegative = 0.0
    """How far the price of an item may differ between order and inventory, in percent of the order's."""
    compared_at_most: Count = 5
    """Versions of documents that one enterprise may hand in under one number within 24 hours and still be told whether
    they agree with documents of others."""
    yearly_limit: tuple[YearlyLimit, ...] = (YearlyLimit(from_="2019-01-01", yuan=26_000),)
    """The newest that is in force counts (docs/spec/business_rules.md, Person and tax); none: no advice on it."""


class NotifyConfig(Section, kw_only=True):
    """`[notify]`: delivery of answers on the channels of the enterprises."""

    parallel: Annotated[int, Meta(ge=2, le=512)] = 32
    """Most deliveries at the same time; channels that are slow or fail share half of them."""


class Journal(Section, kw_only=True):
    """`[journal]`: the log that proves what happened to every message."""

    key_file: Path | None = None
    """PEM of the Ed25519 key that signs its checkpoints; default: `keys/node-journal.key` in `state_dir`, created
    at the first start."""
    every_s: Seconds = 60.0
    """Longest time that a line waits for the checkpoint that proves it."""
    events: Count = 20_000
    """When so many lines wait, the checkpoint is made earlier."""


LayerName = Literal["transport", "format", "business", "decision"]
"""Layer of an answer that may be overdue, see mappings/patience.toml."""
ClockTime = Annotated[str, Meta(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")]


class PatienceRow(Section, kw_only=True):
    """`[[patience]]`: how long an answer usually takes, overriding mappings/patience.toml; a later row wins."""

    layer: LayerName
    message_type: TypeName | tuple[TypeName, ...] = ()
    """Empty: every type without its own time."""
    usual_s: Annotated[int, Meta(ge=0, le=31_536_000)]
    """0: never overdue."""


class BusyHours(Section, kw_only=True, rename={"from_": "from"}):
    """`[[busy_hours]]`: the answer to a message sent in these hours, Beijing time, may take `factor` times as long."""

    from_: ClockTime
    to: ClockTime
    factor: Annotated[int, Meta(ge=1, le=100)]
    days: tuple[Annotated[str, Meta(pattern=r"^\d\d-\d\d$")], ...] = ()
    """`MM-DD`; empty: every day."""


class Metrics(Section, kw_only=True):
    """`[metrics]`: `GET /metrics`."""

    token_file: Path | None = None
    """File with the bearer token that it requires; without one, only callers on this machine may read it."""


Bound = Annotated[int, Meta(ge=0, le=10**15)]
"""A limit of a quota; 0: no limit."""


class QuotaTable(Section, kw_only=True):
    """`[quota]` of an enterprise's file: how much it may submit."""

    messages_per_minute: Bound = 0
    declarations_per_minute: Bound = 0
    bytes_per_minute: Bound = 0
    open_entries: Bound = 0


class DefaultQuota(QuotaTable, kw_only=True):
    """`[quota]` of gateway.toml: for enterprises whose files have none; about the capacity of a node."""

    messages_per_minute: Bound = 60_000
    declarations_per_minute: Bound = 600_000
    bytes_per_minute: Bound = 6_000_000_000


class Config(Section, kw_only=True):
    """The whole of gateway.toml."""

    node: Node
    accept: Accept = Accept()
    judges: Judges = Judges()
    rules: RulesConfig = RulesConfig()
    edition: tuple[EditionTable, ...] = ()
    """Periods of editions, and folders of their schemas; a route or an enterprise may name another edition."""
    goods: GoodsConfig = GoodsConfig()
    signing: Signing
    verifying: Verifying = Verifying()
    key: tuple[KeyConfig, ...]
    destination: tuple[Destination, ...]
    spool: SpoolTable = SpoolTable()
    route: tuple[RouteConfig, ...] = ()
    """Empty: the first destination that carries the family."""
    retry: Retry = Retry()
    watermarks: Watermarks = Watermarks()
    retention: RetentionConfig = RetentionConfig()
    patience: tuple[PatienceRow, ...] = ()
    busy_hours: tuple[BusyHours, ...] | None = None
    """Replaces all hours in mappings/patience.toml; None: use those."""
    metrics: Metrics = Metrics()
    quota: DefaultQuota = DefaultQuota()
    journal: Journal = Journal()
    notify: NotifyConfig = NotifyConfig()
    matching: Matching = Matching()
    lease_s: Seconds = 60.0
    """How long a claim on an entry lasts if its process stops renewing it."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"


def nobody_from_elsewhere(accept: Accept) -> bool:
    """Whether the door can be reached only from this machine, and no proxy is configured."""
    return not accept.trusted_proxies and is_loopback(accept.host)


def load_config(file: Path) -> Config:
    """Read and check gateway.toml; every path in the result is absolute. Raises ConfigError."""
    config = read_section(file, Config)
    base = file.resolve().parent
    config = absolute(config, base)
    _check(config, file)
    return config


def _check(config: Config, file: Path) -> None:
    """Check rules that involve several keys. Raises ConfigError."""
    keys = [key.name for key in config.key]
    names = [destination.name for destination in config.destination]
    for kind, found in (("key", keys), ("destination", names)):
        check_names(kind, found, file)
    _check_keys(config, keys, file)
    _check_bounds(config, file)
    networks(config.accept.trusted_proxies, f"{file}, accept.trusted_proxies")
    _check_spool(config.spool, file)
    check_editions(config.edition, file)
    for destination in config.destination:
        kinds = [kind for kind in KINDS if getattr(destination, kind) is not None]
        if len(kinds) != 1:
            raise ConfigError(
                f"destination {destination.name} has {len(kinds)} transports, must have one",
                where=f"{file}, destination {destination.name}",
                fix=f"keep exactly one of {', '.join(f'[destination.{kind}]' for kind in KINDS)}",
            )
        _check_archive(destination, file)
        _check_names(
            destination.answers_for or (), names, f"{file}, destination {destination.name}, answers_for"
        )
    for number, route in enumerate(config.route, start=1):
        _check_route(route, config, f"{file}, [[route]] number {number}", last=number == len(config.route))
    if config.route:
        _check_families(config, file)


def _check_keys(config: Config, names: list[str], file: Path) -> None:
    check_keys(config.key, file, lease_s=config.lease_s)
    for key in config.key:
        if key.clients:
            raise ConfigError(
                "clients is for signer.toml",
                where=f"{file}, key {key.name}",
                fix="remove it: nobody asks here",
            )
    if config.signing.default_key not in names:
        raise ConfigError(
            f"default_key names no [[key]]: {config.signing.default_key}",
            where=f"{file}, signing.default_key",
            fix=f"one of: {', '.join(names)}",
        )


def _check_bounds(config: Config, file: Path) -> None:
    marks = config.watermarks
    if 0 < marks.free_bytes_warn < marks.free_bytes_refuse or 0 < marks.depth_refuse < marks.depth_warn:
        raise ConfigError(
            "a mark that refuses lies before the one that warns",
            where=f"{file}, watermarks",
            fix="free_bytes_warn is the larger, depth_warn the smaller of its two; 0 turns one off",
        )
    if config.judges.waiting_mb * 1024 * 1024 < config.accept.limits.size_bytes:
        raise ConfigError(
            "no message of the size that is allowed may wait to be judged",
            where=f"{file}, judges.waiting_mb",
            fix="make it some times accept.limits.size_bytes",
        )


def _check_archive(destination: Destination, file: Path) -> None:
    """Check that collected files are not moved to where they would be collected again or sent from."""
    place = destination.sftp or destination.folder
    if place is None or not place.archive_dir:
        return
    if Path(place.archive_dir) in (Path(place.receive_dir), Path(place.send_dir)):
        raise ConfigError(
            "archive_dir is the folder itself, not another",
            where=f"{file}, destination {destination.name}",
            fix="name a folder of its own on the same disk, or leave archive_dir out",
        )


def _check_names(named: Sequence[str], known: Sequence[str], where: str) -> None:
    unknown = [name for name in named if name not in known]
    if unknown:
        raise ConfigError(
            f"there is no destination {', '.join(unknown)}", where=where, fix=f"one of: {', '.join(known)}"
        )


def _check_route(route: RouteConfig, config: Config, where: str, *, last: bool) -> None:
    _check_names(route.to, [destination.name for destination in config.destination], where)
    for name, texts in (("to", route.to), ("receivers", route.receivers)):
        if len(set(texts)) != len(texts):
            raise ConfigError(f"{name} names one twice", where=where, fix="name each once")
    if route.split and not route.receivers:
        raise ConfigError(
            "split needs receivers", where=where, fix='add receivers = ["…", "…"], or remove split'
        )
    if not families_of(route, config):
        raise ConfigError(
            "no message can take this way: its destinations carry other families",
            where=where,
            fix="change family, or families of the destinations",
        )
    if not last and all(getattr(route, name) == default for name, default in _UNCONDITIONAL.items()):
        raise ConfigError(
            "every message fits here, so the [[route]] tables below are never reached",
            where=where,
            fix="move it to the end, or give it a condition",
        )


def _check_families(config: Config, file: Path) -> None:
    """Raise ConfigError for a family that a destination carries but no route covers."""
    for family in FAMILIES:
        carried = any(family in destination.families for destination in config.destination)
        if carried and not any(
            route.share > 0 and family in families_of(route, config) for route in config.route
        ):
            raise ConfigError(
                f"no [[route]] takes {family} messages",
                where=str(file),
                fix=f'add one, or take "{family}" out of the families of the destinations',
            )


_UNCONDITIONAL: Final = {
    "receiver": (), "sender": (), "enterprise": (), "message_type": (), "family": None, "customs_code": (),
    "share": 100.0,
}  # fmt: skip


def families_of(route: RouteConfig, config: Config) -> frozenset[str]:
    """Return the families that a route covers: those of its condition that all its destinations carry."""
    families = frozenset[str](FAMILIES if route.family is None else (route.family,))
    for destination in config.destination:
        if destination.name in route.to:
            families &= frozenset(destination.families)
    return families


def _check_spool(spool: SpoolTable, file: Path) -> None:
    if (spool.kind == "postgres") != bool(spool.dsn):
        raise ConfigError(
            'dsn and kind = "postgres" go together',
            where=f"{file}, spool.dsn",
            fix=f"for example: {EXAMPLES['dsn']}",
        )
    if re.search(r"\bpassword\s*=|://[^/@]*:[^/@]*@", spool.dsn):
        raise ConfigError(
            "a password is no part of the configuration",
            where=f"{file}, spool.dsn",
            fix='write it into a file and name that: password_file = "keys/database.password"',
        )
