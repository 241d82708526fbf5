"""Read the folder of enterprises, one TOML file each: what each may submit, and how it is authenticated."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from gateway.config.channels import Channel, Deliver, check_deliver
from gateway.config.doors import Door, check_doors
from gateway.config.files import absolute, read_table, section_of
from gateway.config.gateway_toml import QuotaTable
from gateway.config.networks import networks
from gateway.config.sections import Count, Section
from gateway.errors import ConfigError
from gateway.model import Enterprise, EnterpriseId, HmacKey, Mailbox, Quota

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Fingerprint = Annotated[str, Meta(pattern=r"^([0-9A-Fa-f]{2}:?){32}$")]
"""SHA-256, also in the form that `openssl x509 -fingerprint -sha256` prints."""
_SECRET_BYTES: Final = 32
TOKENS: Final = 10
"""Most tokens of one enterprise that are valid at the same time; the same for certificates and HMAC keys."""


class HmacTable(Section, kw_only=True):
    """`[[hmac]]`: a key that signs requests; several may be valid at the same time."""

    key: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    """The value of X-Gateway-Key; no two enterprises may have the same."""
    secret_file: Path
    """At least 32 bytes, without white space around them; a relative path starts at the folder of this file."""
    until: date | None = None
    """Its last day, UTC; None: no end."""


class EnterpriseFile(Section, kw_only=True):
    """`enterprises/<id>.toml`; relative paths start at the folder of enterprises."""

    name: str
    cop_codes: Annotated[tuple[str, ...], Meta(min_length=1)]
    dxp_ids: Annotated[tuple[str, ...], Meta(min_length=1)]
    acts_for: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    """Further codes in the keys of its declarations that belong to it, in addition to `cop_codes`."""
    token_sha256: Sha256 | Annotated[tuple[Sha256, ...], Meta(max_length=TOKENS)] = ()
    token_until: Mapping[Sha256, date] = msgspec.field(default_factory=dict)
    """SHA-256 of a token → its last day, UTC; tokens not listed have no end."""
    certificate_sha256: Annotated[tuple[Fingerprint, ...], Meta(max_length=TOKENS)] = ()
    hmac: Annotated[tuple[HmacTable, ...], Meta(max_length=TOKENS)] = ()
    message_types: tuple[Annotated[str, Meta(pattern=r"^CEB\d{3}Message$")], ...] = ()
    addresses: tuple[str, ...] = ()
    mail_from: tuple[str, ...] = ()
    """Enterprises of this node, `"*"` for all, that may put messages and copies in its stream; empty: none."""
    mail_messages: Count = 1000
    """Most unread messages of others; `mail_bytes` is the limit of their bytes."""
    mail_bytes: Count = 64 * 1024 * 1024
    quota: QuotaTable | None = None
    key: str = ""
    block_on: tuple[str, ...] = ()
    """Severities of advice, and `rule:` with a rule's name, on which its messages are refused."""
    disabled: bool = False
    door: tuple[Door, ...] = ()
    """How its messages come in, other than by HTTP."""
    deliver: tuple[Deliver, ...] = ()
    """The channels that deliver its answers; empty: it fetches them."""


def load_enterprises(folder: Path, default: QuotaTable | None = None) -> dict[EnterpriseId, Enterprise]:
    """Read every `*.toml` of the folder, in name order. Raises ConfigError.

    `default`: the quota of enterprises whose files have none.
    """
    return {
        EnterpriseId(file.stem): enterprise_of(_read(file), file, default)
        for file in enterprise_files(folder)
    }


def load_doors(folder: Path) -> dict[EnterpriseId, tuple[Door, ...]]:
    """Read the doors of every enterprise that has any, with absolute paths. Raises ConfigError."""
    read = {EnterpriseId(file.stem): absolute(_read(file), folder).door for file in enterprise_files(folder)}
    check_doors(read, folder)
    return {owner: doors for owner, doors in read.items() if doors}


def enterprise_files(folder: Path) -> Iterator[Path]:
    """Return the files in name order. Raises ConfigError when there is no folder."""
    if not folder.is_dir():
        raise ConfigError(
            "there is no folder of enterprises", where=str(folder), fix="create it, or run `gateway init DIR`"
        )
    return iter(sorted(folder.glob("*.toml")))


def load_channels(folder: Path, *, lease_s: float) -> tuple[Channel, ...]:
    """Read the channels of all enterprises that are not disabled; paths are absolute. Raises ConfigError.

    A disabled enterprise gets nothing: its answers wait. `lease_s`: the lease of a claim, longer than a delivery.
    """
    return tuple(
        Channel(enterprise=file.stem, deliver=deliver)
        for file in enterprise_files(folder)
        if not (read := _read(file)).disabled
        for deliver in _channels(read, file, lease_s)
    )


def _channels(read: EnterpriseFile, file: Path, lease_s: float) -> tuple[Deliver, ...]:
    check_times(read, file, lease_s)
    return absolute(read, file.resolve().parent).deliver


def check_times(read: EnterpriseFile, file: Path, lease_s: float) -> None:
    """Check that no delivery can take longer than its lease. Raises ConfigError."""
    for one in read.deliver:
        if one.webhook is not None and one.webhook.timeout_s > lease_s / 2:
            raise ConfigError(
                f"timeout_s {one.webhook.timeout_s:g} is more than half of lease_s {lease_s:g}",
                where=f"{file}, deliver {one.name}",
                fix="shorten it, or make lease_s of gateway.toml longer",
            )


def _read(file: Path) -> EnterpriseFile:
    return checked(read_table(file), file)


def checked(table: Mapping[str, Any], file: Path) -> EnterpriseFile:
    """Check the content of an enterprise's file. Raises ConfigError."""
    read = section_of(table, EnterpriseFile, file)
    check_deliver(read.deliver, file)
    return read


def enterprise_of(read: EnterpriseFile, file: Path, default: QuotaTable | None) -> Enterprise:
    """Make an Enterprise from its file; `default`: its quota if the file has none. Raises ConfigError."""
    tokens = (read.token_sha256,) if isinstance(read.token_sha256, str) else read.token_sha256
    quota = read.quota or default
    if unknown := read.token_until.keys() - set(tokens):
        raise ConfigError(
            f"token_until names a token that is not in token_sha256: {min(unknown)}",
            where=str(file),
            fix="take it out; `gateway enterprise end-token` ends a token and its date",
        )
    return Enterprise(
        id=EnterpriseId(file.stem),
        name=read.name,
        cop_codes=frozenset(read.cop_codes),
        dxp_ids=frozenset(read.dxp_ids),
        acts_for=frozenset(read.acts_for),
        token_sha256=tokens,
        token_until={digest: _end_of(day) for digest, day in read.token_until.items()},
        certificate_sha256=frozenset(one.replace(":", "").lower() for one in read.certificate_sha256),
        hmac_keys=tuple(
            HmacKey(
                id=one.key, secret=_secret(file, one), until=None if one.until is None else _end_of(one.until)
            )
            for one in read.hmac
        ),
        message_types=frozenset(read.message_types),
        addresses=networks(read.addresses, f"{file}, addresses"),
        quota=None if quota is None else _quota(quota),
        key=read.key,
        block_on=read.block_on,
        disabled=read.disabled,
        mailbox=Mailbox(
            senders=frozenset(read.mail_from), messages=read.mail_messages, size_bytes=read.mail_bytes
        ),
        lanes=tuple(Channel(enterprise=file.stem, deliver=one).lane for one in read.deliver),
    )


def _end_of(day: date) -> datetime:
    """Return the end of a day: the start of the next."""
    return datetime.combine(day, time.min, UTC) + timedelta(days=1)


def _secret(file: Path, table: HmacTable) -> bytes:
    named = file.parent / table.secret_file
    try:
        secret = named.read_bytes().strip()
    except OSError as error:
        raise ConfigError(
            f"cannot read the secret of the HMAC key {table.key}: {error.strerror}",
            where=f"{file}, secret_file {named}",
            fix="`openssl rand -hex 32` writes one; the service user must be able to read it",
        ) from error
    if len(secret) < _SECRET_BYTES:
        raise ConfigError(
            f"the secret of the HMAC key {table.key} has {len(secret)} bytes, at least {_SECRET_BYTES} are needed",
            where=f"{file}, secret_file {named}",
            fix="`openssl rand -hex 32` writes one",
        )
    return secret


def _quota(table: QuotaTable) -> Quota:
    return Quota(
        messages_per_minute=table.messages_per_minute,
        declarations_per_minute=table.declarations_per_minute,
        bytes_per_minute=table.bytes_per_minute,
        open_entries=table.open_entries,
    )


def shared_proofs(enterprises: Mapping[EnterpriseId, Enterprise]) -> dict[EnterpriseId, str]:
    """Return each enterprise that has the same proof as another one, with the kind of the proof; never a secret."""
    kinds: dict[str, dict[EnterpriseId, Iterable[str]]] = {
        "token": {name: one.token_sha256 for name, one in enterprises.items()},
        "client certificate": {name: one.certificate_sha256 for name, one in enterprises.items()},
        "HMAC key id": {name: [key.id for key in one.hmac_keys] for name, one in enterprises.items()},
    }
    found: dict[EnterpriseId, str] = {}
    for kind, proofs in kinds.items():
        owners = Counter(proof for own in proofs.values() for proof in set(own))
        for name, own in proofs.items():
            if any(owners[proof] > 1 for proof in own):
                found.setdefault(name, kind)
    return found
