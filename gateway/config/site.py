"""A place for one gateway: the commented gateway.toml, demo keys, enterprises with fresh tokens.

What `gateway init` writes and what the demonstration runs on. Nothing that is there is ever replaced.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from gateway.errors import ConfigError
from gateway.model import EnterpriseId, Quota
from signing.keys.certificate import make_self_signed

_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEnterprise:
    """An enterprise to be written; its token is made then."""

    id: str
    """1 to 40 of `a-z 0-9 . _ -`; the name of its file."""
    name: str
    cop_codes: tuple[str, ...]
    dxp_ids: tuple[str, ...]
    acts_for: tuple[str, ...] = ()
    """Codes that it declares with, beside `cop_codes`."""
    key: str = ""
    """Name of its signing key; empty: the default key of the node."""
    mail_from: tuple[str, ...] = ()
    """Enterprises that may put something in its stream."""
    quota: Quota | None = None
    """None: that of `[quota]` in gateway.toml."""


SENSIBLE: Final = Quota(
    messages_per_minute=3_000,
    declarations_per_minute=30_000,
    bytes_per_minute=300_000_000,
    open_entries=100_000,
)
"""What a new enterprise gets: fifty messages a second; more is the operator's decision."""


DEMO: Final = NewEnterprise(
    id="demo", name="Demo enterprise", cop_codes=("4400000001",), dxp_ids=("DXPENT0000000001",)
)
"""Invented codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What was written, and the secrets that are told this once."""

    folder: Path
    config: Path
    """gateway.toml"""
    key: Path
    """RSA-2048, PEM, mode 0600."""
    certificate: Path
    enterprises: Path
    state: Path
    tokens: Mapping[EnterpriseId, str] = field(repr=False)

    def token_file(self, enterprise: EnterpriseId) -> Path:
        """Name the file, mode 0600, that holds the token of an enterprise."""
        return self.folder / f"{enterprise}.token"


def write_site(
    folder: Path,
    *,
    destination_toml: str | None = None,
    enterprises: Sequence[NewEnterprise] = (DEMO,),
    port: int = 8080,
) -> Site:
    """Write a whole site into `folder`, which is made when it is not there.

    `destination_toml` takes the place of the default `[[destination]]`, a folder under state/ that works
    without any server. `port` is that of the HTTP door on 127.0.0.1; 0 lets the system choose. Makes a key
    (a tenth of a second). Raises ConfigError when a file is there already or cannot be written.
    """
    folder = folder.resolve()
    site = Site(
        folder=folder,
        config=folder / "gateway.toml",
        key=folder / "keys" / "node.key",
        certificate=folder / "keys" / "node.crt",
        enterprises=folder / "enterprises",
        state=folder / "state",
        tokens={EnterpriseId(one.id): new_token() for one in enterprises},
    )
    text = _TEMPLATE.format(port=port, destination=(destination_toml or _FOLDER).strip())
    tenants = {one.id: enterprise_toml(one, site.tokens[EnterpriseId(one.id)]) for one in enterprises}
    _refuse_to_replace(site)
    try:
        _write_files(site, text, tenants, with_folders=destination_toml is None)
    except OSError as error:
        raise ConfigError(
            f"cannot write the site: {error.strerror}",
            where=str(error.filename or folder),
            fix="name a folder that may be written",
        ) from error
    return site


def new_token() -> str:
    """Make a bearer token: 43 random characters that need no quoting anywhere."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def token_digest(token: str) -> str:
    """Give what an enterprise file keeps of a token: hex SHA-256, lower case."""
    return hashlib.sha256(token.encode()).hexdigest()


def enterprise_toml(enterprise: NewEnterprise, token: str) -> str:
    """Write the file of an enterprise; only the digest of the token is in it. Raises ConfigError."""
    if not _ID.fullmatch(enterprise.id):
        raise ConfigError(
            f"{enterprise.id!r} cannot be the name of an enterprise",
            fix="use 1 to 40 of a-z, 0-9, '.', '_' and '-', first a letter or digit",
        )
    return _ENTERPRISE.format(
        name=_text(enterprise.name),
        cop_codes=_texts(enterprise.cop_codes),
        dxp_ids=_texts(enterprise.dxp_ids),
        acts_for=_texts(enterprise.acts_for),
        token_sha256=_texts((token_digest(token),)),
        key=_text(enterprise.key),
        mail_from=_texts(enterprise.mail_from),
        quota=_quota(enterprise.quota),
    )


def _quota(quota: Quota | None) -> str:
    """Write the lines of `[quota]`, as comments where there is none."""
    mark = "# " if quota is None else ""
    return "\n".join(
        [f"{mark}[quota]", *(f"{mark}{name} = {bound}" for name, bound in asdict(quota or SENSIBLE).items())]
    )


def add_enterprise(folder: Path, enterprise: NewEnterprise) -> str:
    """Write `<id>.toml` into the enterprises folder and return the token. Raises ConfigError."""
    token = new_token()
    text = enterprise_toml(enterprise, token)
    file = folder / f"{enterprise.id}.toml"
    try:
        _create(file, text)
    except FileExistsError as error:
        raise ConfigError(
            f"there is an enterprise {enterprise.id} already",
            where=str(file),
            fix="choose another name; a new token is made by `gateway enterprise rotate-token`",
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot write the file: {error.strerror}", where=str(file)) from error
    return token


def _refuse_to_replace(site: Site) -> None:
    files = (site.config, site.key, site.certificate, site.enterprises, *map(site.token_file, site.tokens))
    for file in files:
        if file.exists():
            raise ConfigError(
                "there is a gateway here already, nothing was changed",
                where=str(file),
                fix="name another folder, or remove the old one yourself",
            )


def _write_files(site: Site, text: str, tenants: Mapping[str, str], *, with_folders: bool) -> None:
    folders = [site.folder, site.key.parent, site.enterprises, site.state]
    if with_folders:
        folders += [site.state / "outbox", site.state / "inbox"]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True, mode=0o755 if folder == site.folder else 0o700)
    key, certificate = make_self_signed("Customs exchange gateway demonstration")
    _create(site.key, key.decode())
    _create(site.certificate, certificate.decode())
    for name, tenant in tenants.items():
        _create(site.enterprises / f"{name}.toml", tenant)
    for identifier, token in site.tokens.items():
        _create(site.token_file(identifier), f"{token}\n")
    _create(site.config, text, mode=0o644)  # last: with it the site is whole


def _create(file: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a new file that nobody else may read; FileExistsError when it is there."""
    file.touch(mode=mode, exist_ok=False)
    file.write_text(text, encoding="utf-8")


def _text(value: str) -> str:
    """Write a TOML basic string; its escapes are those of JSON."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _texts(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


_ENTERPRISE: Final = """\
name = {name}
# Codes that BaseTransfer.copCode of its messages may have.
cop_codes = {cop_codes}
# DXP ids that BaseTransfer.dxpId and SenderId may have.
dxp_ids = {dxp_ids}
# Other codes that its declarations are named by (ebpCode, ebcCode, payCode, logisticsCode, agentCode, operatorCode):
# nobody else may declare with them. Codes in cop_codes are its own already. Needed where it shares a DXP id.
acts_for = {acts_for}
# SHA-256 of its bearer token; the token itself is kept nowhere. Several are valid at once as ["…", "…"]:
# `gateway enterprise rotate-token` adds one, `gateway enterprise end-token` ends the older.
token_sha256 = {token_sha256}
# The last day (UTC) of tokens that have one, `rotate-token --until 2027-06-30` writes it: {{"SHA-256" = 2027-06-30}}.
# token_until = {{}}
# SHA-256 of its client certificates, as `openssl x509 -noout -fingerprint -sha256` prints it; needs [accept.tls].
# certificate_sha256 = ["AB:CD:…"]
# What it may hand in; without the line, every type.
# message_types = ["CEB311Message", "CEB621Message"]
# Where its requests may come from; without the line, anywhere.
# addresses = ["10.1.0.0/16", "203.0.113.7"]
# Which enterprises of this node may put messages and copies (BaseSubscribe) in its stream, ["*"]: all; none: nobody.
# Of what it has not acknowledged, so many messages and bytes at most.
mail_from = {mail_from}
# mail_messages = 1000
# mail_bytes = 67108864
# Name of the [[key]] that signs for it; empty: signing.default_key.
key = {key}
disabled = false

# Keys that sign its requests (docs/http-api.md, Who you are); the secret is made by `openssl rand -hex 32`.
# [[hmac]]
# key = "demo-1"
# secret_file = "demo-1.hmac"
# until = 2027-06-30                     # its last day, UTC; without the line, it has no end

# How much it may hand in; 0 or no line: no bound; without the table, what [quota] of gateway.toml says. open_entries:
# messages that wait to go out.
{quota}

# Where it hands in messages beside HTTP (docs/doors.md): as many [[door]] tables as it needs, each with folders or
# queues of its own. Relative paths count from the folder of this file.
# [[door]]
# kind = "folder"                        # behind SFTP or FTP (docs/sftp-door.md), or a mount
# dir = "/srv/doors/example/in"          # where it lays files
# reports_dir = "/srv/doors/example/reports"    # NAME.accepted.json for what was taken
# rejected_dir = "/srv/doors/example/rejected"  # what was refused, beside NAME.problem.json
# done_dir = "/srv/doors/example/done"   # what was taken; without it, it is removed
# stable_s = 5.0                         # a file is whole when unchanged for so long; 0: it gets its name when whole
# [[door]]
# kind = "rabbitmq"                      # AMQP 0-9-1
# hosts = ["amqps://mq1.example.net:5671", "amqps://mq2.example.net:5671"]
# vhost = "/"
# user = "gateway"
# password_file = "../keys/mq.password"
# ca_file = "../keys/mq-ca.crt"
# client_certificate = "../keys/mq.crt"  # in place of user and password
# client_key = "../keys/mq.key"
# queue = "example.in"
# reply_queue = "example.replies"        # every message is answered there
# prefetch = 20
# heartbeat_s = 30
# timeout_s = 20.0
# [[door]]
# kind = "amqp"                          # AMQP 1.0 (needs the extra `amqp`)
# url = "amqps://mq.example.net:5671"
# user = "gateway"
# password_file = "../keys/mq.password"
# ca_file = "../keys/mq-ca.crt"
# queue = "EXAMPLE.IN"
# reply_queue = "EXAMPLE.REPLIES"
# timeout_s = 20.0
# prefetch = 20

# Its answers can be fetched by HTTP. A [[deliver]] brings them as well; several are independent of each other. Each
# has a name and exactly one way; paths count from the folder of this file (docs/delivery.md).
# [[deliver]]
# name = "erp"
# [deliver.webhook]
# url = "https://erp.example.com/customs"
# # umask 077; echo "whsec_$(openssl rand -base64 32)" > erp.secret; a second line is a second secret, for rotation.
# secret_file = "erp.secret"
# # The authority that issued its certificate, in place of those of the system.
# # ca_file = "erp-ca.pem"
# # Addresses of the own network, and http:// there.
# # allow_private = false
# # Requests at the same time at most, and seconds for each.
# # parallel = 4
# # timeout_s = 15.0
# # In place of [retry] of gateway.toml.
# # [deliver.retry]
# # attempts = 200
#
# [[deliver]]
# name = "outbox"
# [deliver.folder]
# send_dir = "/srv/outbox/acme"
#
# [[deliver]]
# name = "drop"
# [deliver.sftp]
# host = "sftp.example.com"
# user = "gateway"
# key_file = "../keys/client.key"
# host_key = "ssh-ed25519 AAAA…"
# send_dir = "/answers"
#
# [[deliver]]
# name = "queue"
# # What the queue gets: "json", the form with the receipt in it, or "raw", the receipt's bytes alone.
# content = "json"
# [deliver.rabbitmq]
# hosts = ["amqps://mq.example.com:5671"]
# user = "gateway"
# password_file = "mq.password"
# send_queue = "answers"
#
# [[deliver]]
# name = "amqp"
# [deliver.amqp]
# url = "amqps://mq.example.com:5671"
# send_address = "answers"
"""

_FOLDER: Final = """\
[[destination]]
name = "customs"
# Which messages go there: "import", "export" or both.
families = ["import", "export"]
# DxpMsg, as an enterprise terminal sends, or DxpMsgSv, as a transfer node does.
envelope = "DxpMsg"
# Who is at the other end. What one destination carried, others of the same authority may answer: a receive queue of
# its own, another way to customs. Give a partner's link an authority of its own: what it says of a message that it
# never had is kept and decides nothing. answers_for names such destinations one by one, in place of the authority.
authority = "customs"
# answers_for = ["customs"]
# EndNode of a DxpMsgSv.
end_node = "00000002"
# Entries that one process takes at once, and how many processes carry them.
batch = 64
active = 1
# One 0x00 byte before all that is sent, as some links into the customs network want it.
leading_zero = false
# When the exchange answers that something failed on its side (DxpRep 3001 to 3999), send the same again, within
# the bounds of [retry]; false: the enterprise is told, and nothing else happens.
retry_on_answer = true

# This one is a folder on this machine: it works at once, and nobody answers unless somebody puts answers
# into receive_dir. Exactly one of folder, sftp and amqp belongs to a destination.
[destination.folder]
send_dir = "state/outbox"
receive_dir = "state/inbox"
# Where answers are moved once they are in the spool; without one they are removed.
# archive_dir = "state/archived"
# For whoever writes answers under their final name: take one when nothing has changed for so long.
# stable_s = 0.0
"""

_TEMPLATE: Final = """\
# Configuration of the customs exchange gateway.
# Relative paths count from the folder of this file. Secrets are files, never values.
# `gateway check` says whether all of it is in order; SIGHUP makes a running gateway read it again.

# How long a claim on an entry holds when its process falls silent. Half of it is for beginning to send what was claimed:
# `gateway check` says when the time-outs of a batch do not fit.
lease_s = 60.0
# debug, info, warning or error
log_level = "info"

[node]
# Shown in logs.
name = "gateway"
# The spool: the only memory. On a disk of this machine, never inside a checkout.
state_dir = "state"
# Our own DXP id: SenderId where a message names none that fits (1 to 16 characters).
dxp_id = "DXPENT0000000001"
# Our 8-digit transfer node id; only for DxpMsgSv.
node_id = "00000000"
# A role that is silent for so long is killed and started again (role.hung).
# hung_after_s = 60.0

# What the spool is made of: "sqlite", one file in state_dir, or "postgres" for several nodes, each of
# which needs a name of its own above.
# [spool]
# kind = "postgres"
# dsn = "host=db.example.net dbname=gateway user=gateway"
# password_file = "keys/database.password"

[accept]
# The HTTP door. Before anybody else can reach it, give it TLS ([accept.tls] below) or put a proxy with TLS before it.
host = "127.0.0.1"
port = {port}
# A file for each enterprise: `gateway enterprise add` writes one.
enterprises_dir = "enterprises"
# Your own mappings from JSON and CSV, NAME.toml for ?mapping=NAME, beside those shipped (docs/mappings.md).
# mappings_dir = "mappings"
# Messages that one commit takes at most.
commit_batch = 256
# Networks of proxies whose X-Forwarded-For is believed; it matters where an enterprise's file names addresses.
# trusted_proxies = ["10.0.0.5"]
# Connections open at the same time, in all and of one address (trusted proxies: as many as they want). When there are
# too many, those go first on which nobody has shown who he is. Each takes a descriptor (docs/operations.md).
# max_connections = 2048
# max_connections_per_address = 256
# Requests of one enterprise that wait for receipts (GET /v1/receipts?wait=) at the same time.
# max_polls_per_enterprise = 16
# Seconds for the headers of a request; for its body, beside what it takes at the least rate (an answer has as long to
# be read); and how long a connection is kept open between two requests.
# head_s = 10.0
# body_s = 20.0
# least_bytes_per_s = 4096
# idle_s = 75.0
# An address that fails to log in again and again waits ever longer for its answer, up to so many seconds.
# login_delay_s = 3.0

# TLS at the door itself, PEM files. With client_ca, the issuers of client certificates, an enterprise may show a
# certificate in place of a token (certificate_sha256 in its file).
# [accept.tls]
# certificate = "keys/door.crt"
# key = "keys/door.key"
# client_ca = "keys/clients-ca.crt"

[accept.limits]
# What one message may be at most.
size_bytes = 4194304
depth = 64
elements = 200000

[judges]
# What is not in plain form, or large, or has faults to explain, is judged in processes of its own, which are killed
# when one input takes more of the processor or of memory than this; it is then refused as too-expensive.
# cpu_s = 10.0
# memory_mb = 320
# So many at a time at the HTTP door, for one enterprise at most half; folders, queues and feeds have one each.
# processes = 4
# Of what waits to be judged; an enterprise that has much of it waiting is told 503.
# waiting_mb = 64

[rules]
# Edition of the customs schemas.
edition = "202205"
# A folder with xsd/ and mappings/ to use in place of the built-in ones.
# rules_dir = "rules"

[signing]
# Which key signs what is handed in unsigned, where the enterprise names none.
default_key = "node"

# Refuse unsigned messages (503) while those that wait for their key would keep it busy for longer; 0: never.
# refuse_wait_s = 0.0

# A demonstration key that customs does not know. For PKCS#12: kind = "pkcs12", file = "keys/node.p12".
[[key]]
name = "node"
kind = "pem"
file = "keys/node.key"
certificate = "keys/node.crt"
# password_file = "keys/node.password"
# Of an SM2 certificate: "sm2-sm3", the default, or "sm2-sha1"; of an RSA certificate "rsa-sha1".
# suite = "sm2-sm3"
# Other kinds (docs/operations.md, Keys in devices): "pkcs11", "ukey", "remote"; and keys that stand in for each
# other: "pool", side by side, and "rotation", in which the newest certificate that has begun signs.
# [[key]]
# name = "company"
# kind = "rotation"
# members = ["node", "node-2026"]

[verifying]
# What is asked of the certificate of a message that comes signed, beside its period. The issuers it must
# have, PEM, RSA or SM2, one after the other; without the file, any issuer will do.
# issuers_file = "keys/issuers.pem"
# Where a certificate names its company: an extension, or a part of the subject such as 2.5.4.10, the
# organisation. It must then say the copCode or the copName of the message.
# company_oid = "2.5.4.10"
# How many bits an RSA key must have. Customs' oldest certificates have 1024; take them only from whom you know.
# rsa_bits = 2048

[retry]
# A failed attempt is tried again after first_s, then longer and longer up to ceiling_s; after so many
# failed attempts the entry is a dead letter and waits for an operator.
first_s = 2.0
ceiling_s = 600.0
attempts = 200
# So long after its acceptance a failed attempt is the last, where its failed attempts account for such an age: a clock
# that was wrong, or an outage in which nothing was tried, ends nothing. A destination may have a [destination.retry].
max_age_s = 259200.0

[watermarks]
# Below the first mark a warning is logged; below the second new messages are answered 503 until there is room
# again, while receipts, sending and collecting go on. Bytes free on the disk of state_dir; 0 turns a mark off.
# free_bytes_warn = 2147483648
# free_bytes_refuse = 536870912
# Seconds since the oldest message that waits to go was accepted.
# age_warn_s = 0.0
# Messages on their way out.
# depth_warn = 0
# depth_refuse = 0

[retention]
# Messages that are sent or discarded, answered or not, and about which nothing happened for so many days are
# archived and leave the spool; a late answer about one of them is an orphan. 0 keeps everything for ever.
# days = 0
# Where the archive is kept, a file for each day; default: archive in state_dir.
# archive_dir = "state/archive"
# Messages that one commit purges.
# batch = 50

[journal]
# Every step of every message is written into a log that nobody can change unnoticed; what proves that are its
# checkpoints, signed with this key, which is made at the first start. `gateway journal key` prints the public half.
# key_file = "state/keys/node-journal.key"
# A checkpoint comes after so many seconds or lines.
# every_s = 60.0
# events = 20000

[notify]
# Answers brought home by [[deliver]] in the files of enterprises: deliveries under way at the same time. Channels that
# are slow or fail share half of them.
# parallel = 32

# How much each enterprise may hand in whose own file has no [quota]; 0: no bound.
# [quota]
# messages_per_minute = 60000
# declarations_per_minute = 600000
# bytes_per_minute = 6000000000
# open_entries = 0

[metrics]
# GET /metrics asks for the bearer token in this file. Without one it answers only where the door is on loopback and
# there is no proxy before it: it names enterprises. openssl rand -hex 32 > keys/metrics.token
# token_file = "keys/metrics.token"

# How long an answer of customs usually takes before it is called overdue (docs/operations.md), in place of what
# mappings/patience.toml says. layer: transport, format, business (the first receipt), decision. 0: never overdue.
# [[patience]]
# message_type = "CEB621Message"         # or a list; without: every type that has no time of its own
# layer = "business"
# usual_s = 1800
# When it takes `factor` times as long, Beijing time; in place of all hours of that table.
# [[busy_hours]]
# from = "20:00"
# to = "24:00"
# factor = 2
# days = ["11-11"]                       # without: every day

{destination}

# The same by SFTP:
# [destination.sftp]
# host = "sftp.example.net"
# port = 22
# user = "gateway"
# key_file = "keys/sftp.key"
# Its OpenSSH user certificate, where the server trusts an authority in place of single keys.
# certificate_file = "keys/sftp.key-cert.pub"
# The server's public key, as `ssh-keyscan HOST` prints it; any other is refused. "@cert-authority ssh-ed25519
# AAAA...": the key of the authority that certified it.
# host_key = "ssh-ed25519 AAAA..."
# send_dir = "/in"
# receive_dir = "/out"
# Where answers are moved once they are in the spool; without one they are removed.
# archive_dir = "/out/done"
# For a server that writes answers under their final name: take one when nothing has changed for so long.
# stable_s = 0.0
# Connections over which one process spreads the files of a batch.
# connections = 1
# timeout_s = 20.0

# The same by RabbitMQ (docs/rabbitmq.md):
# [destination.rabbitmq]
# hosts = ["amqps://mq1.example.net:5671", "amqps://mq2.example.net:5671"]
# user = "gateway"
# password_file = "keys/mq.password"
# ca_file = "keys/mq-ca.crt"
# send_queue = "{{sender}}"
# receive_queues = ["DXPENT0000000001_HZ"]

# The same by AMQP 1.0 (needs the extra `amqp`):
# [destination.amqp]
# url = "amqps://mq.example.net:5671"
# send_address = "CUSTOMS.IN"
# receive_address = "CUSTOMS.OUT"
# user = "gateway"
# password_file = "keys/mq.password"
# ca_file = "keys/mq-ca.crt"
# timeout_s = 20.0
# prefetch = 100

# Which way a message goes: the first [[route]] that fits decides, and what fits none is refused. Without any,
# the first destination that carries its family. Conditions are a text or a list of which one must hold, and
# all that are given must hold. What is handed in as a DxpMsg keeps the receivers that it names.
# [[route]]
# receiver = "DXPEDCCEB0000002"          # ReceiverId
# sender = "DXPENT0000000001"            # SenderId
# enterprise = ["demo"]
# message_type = ["CEB311Message", "CEB621Message"]
# family = "import"
# customs_code = "5100"                  # of every declaration in the message
# share = 1                              # per cent of what meets the other conditions
# to = ["customs", "tax"]                # each gets the message, whatever becomes of the other
# receivers = ["DXPEDCCEB0000002", "DXPEDC0000000001"]
# split = true                           # a copy for each of the receivers; false: one that names them all
# [[route]]
# to = ["customs"]
"""
