"""gateway.toml → one frozen Config, checked whole before anything starts.

Unknown keys are errors. Relative paths count from the folder of the file. Secrets are never values
here: they are paths of files, read by whoever needs them.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform

import msgspec
from msgspec import Meta, Struct

from gateway.errors import ConfigError
from gateway.model import Enterprise, EnterpriseId

Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
DxpId = Annotated[str, Meta(min_length=1, max_length=16)]
"""SenderId and ReceiverId hold 1 to 16 characters (spec dxp.md, DxpMsg)."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every table of gateway.toml."""


S = TypeVar("S", bound="Section")


class Node(Section, kw_only=True):
    """`[node]`: who we are."""

    name: Annotated[str, Meta(min_length=1, max_length=40)]
    state_dir: Path
    dxp_id: DxpId
    """Our own DXP id: SenderId where a message names none that fits."""
    node_id: Annotated[str, Meta(pattern=r"^\d{8}$")] = "00000000"
    """8-digit transfer node id, for DxpMsgSv (spec dxp.md, DxpMsgSv)."""


class Limits(Section, kw_only=True):
    """`[accept.limits]`: what a message may be at most."""

    size_bytes: Count = 4 * 1024 * 1024
    depth: Count = 64
    elements: Count = 200_000


class Accept(Section, kw_only=True):
    """`[accept]`: the HTTP door."""

    host: str = "127.0.0.1"
    port: Port = 8080
    enterprises_dir: Path = Path("enterprises")
    limits: Limits = Limits()
    commit_batch: Count = 256
    """Messages that one commit takes at most."""


class Rules(Section, kw_only=True):
    """`[rules]`: which schemas and tables."""

    edition: str = "202205"
    rules_dir: Path | None = None
    """Folder with `xsd/` and `mappings/` to use in place of the built-in ones."""


class Key(Section, kw_only=True):
    """`[[key]]`: one signing key."""

    name: str
    kind: Literal["pem", "pkcs12"]
    file: Path
    certificate: Path | None = None
    """PEM certificate; only for `pem`."""
    password_file: Path | None = None


class Signing(Section, kw_only=True):
    """`[signing]`: which key signs what is handed in unsigned."""

    default_key: str


class Sftp(Section, kw_only=True):
    """`[destination.sftp]`."""

    host: str
    port: Port = 22
    user: str
    key_file: Path
    host_key: str
    """The server's public key as in known_hosts: `ssh-ed25519 AAAA…`; any other is refused."""
    send_dir: str
    receive_dir: str
    timeout_s: Seconds = 20.0


class Amqp(Section, kw_only=True):
    """`[destination.amqp]`: AMQP 1.0."""

    url: str
    """`amqp://host:port` or `amqps://…`."""
    send_address: str
    receive_address: str
    user: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    timeout_s: Seconds = 20.0
    prefetch: Count = 100


class Folder(Section, kw_only=True):
    """`[destination.folder]`."""

    send_dir: Path
    receive_dir: Path


class Destination(Section, kw_only=True):
    """`[[destination]]`: one customs endpoint, exactly one of `sftp`, `amqp`, `folder`."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,40}$")]
    families: tuple[Literal["import", "export"], ...] = ("import", "export")
    envelope: Literal["DxpMsg", "DxpMsgSv"] = "DxpMsg"
    end_node: Annotated[str, Meta(pattern=r"^\d{8}$")] = "00000002"
    """EndNode of DxpMsgSv: the node of the receiver (spec dxp.md, DxpMsgSv, Real ids)."""
    sftp: Sftp | None = None
    amqp: Amqp | None = None
    folder: Folder | None = None
    batch: Count = 32
    """Entries that one claim takes at most."""
    active: Count = 1
    """Forward processes for this destination."""


class Retry(Section, kw_only=True):
    """`[retry]`: when a failed attempt is tried again."""

    first_s: Seconds = 2.0
    ceiling_s: Seconds = 600.0
    attempts: Count = 200
    """After so many failed attempts an entry becomes a dead letter."""


class Config(Section, kw_only=True):
    """The whole of gateway.toml."""

    node: Node
    accept: Accept = Accept()
    rules: Rules = Rules()
    signing: Signing
    key: tuple[Key, ...]
    destination: tuple[Destination, ...]
    retry: Retry = Retry()
    lease_s: Seconds = 60.0
    """How long a claim on an entry holds if its process falls silent."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class EnterpriseFile(Section, kw_only=True):
    """`enterprises/<id>.toml`."""

    name: str
    cop_codes: Annotated[tuple[str, ...], Meta(min_length=1)]
    dxp_ids: Annotated[tuple[str, ...], Meta(min_length=1)]
    token_sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    key: str = ""
    disabled: bool = False


EXAMPLES = {
    "state_dir": 'state_dir = "state"',
    "dxp_id": 'dxp_id = "DXPENT0000000001"',
    "port": "port = 8080",
    "kind": 'kind = "pem"',
    "envelope": 'envelope = "DxpMsg"',
    "host_key": 'host_key = "ssh-ed25519 AAAA…"',
    "url": 'url = "amqp://127.0.0.1:5672"',
    "token_sha256": 'token_sha256 = "<64 hex digits>", as `printf %s TOKEN | sha256sum` prints it',
}


def load_config(file: Path) -> Config:
    """Read and check gateway.toml; every path in the result is absolute. Raises ConfigError."""
    config = _read(file, Config)
    base = file.resolve().parent
    config = _absolute(config, base)
    _check(config, file)
    return config


def load_enterprises(folder: Path) -> dict[EnterpriseId, Enterprise]:
    """Read every `*.toml` of the folder, in name order. Raises ConfigError."""
    if not folder.is_dir():
        raise ConfigError(
            "there is no folder of enterprises", where=str(folder), fix="create it, or run `gateway init DIR`"
        )
    return {EnterpriseId(file.stem): _enterprise(file) for file in sorted(folder.glob("*.toml"))}


def _enterprise(file: Path) -> Enterprise:
    read = _read(file, EnterpriseFile)
    return Enterprise(
        id=EnterpriseId(file.stem),
        name=read.name,
        cop_codes=frozenset(read.cop_codes),
        dxp_ids=frozenset(read.dxp_ids),
        token_sha256=read.token_sha256,
        key=read.key,
        disabled=read.disabled,
    )


def _read(file: Path, kind: type[S]) -> S:
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read the file: {error.strerror}",
            where=str(file),
            fix="name another with -c, or write one with `gateway init DIR`",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not TOML: {error}", where=str(file), fix="mend that line") from error
    try:
        return msgspec.convert(table, kind, dec_hook=_decode_path)
    except msgspec.ValidationError as error:
        raise _explain(error, file) from error


def _decode_path(kind: type[Any], value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"expected the text of a path, got {type(value).__name__}")


def _explain(error: msgspec.ValidationError, file: Path) -> ConfigError:
    """Say which key is wrong and what a right one looks like; msgspec ends with `at `$.a.b``."""
    text, _, place = str(error).partition(" - at ")
    key = place.strip("`").removeprefix("$").lstrip(".")
    names = re.findall(r"\w+", key) + re.findall(r"`(\w+)`", text)
    example = next((EXAMPLES[name] for name in reversed(names) if name in EXAMPLES), "")
    return ConfigError(
        text,
        where=f"{file}, {key or 'top level'}",
        fix=f"for example: {example}"
        if example
        else "the commented file of `gateway init DIR` shows every key",
    )


def _absolute(value: S, base: Path) -> S:
    changes: dict[str, Any] = {}
    for name in value.__struct_fields__:
        field = getattr(value, name)
        if isinstance(field, Path):
            changes[name] = base / field
        elif isinstance(field, Section):
            changes[name] = _absolute(field, base)
        elif isinstance(field, tuple) and field and isinstance(field[0], Section):
            changes[name] = tuple(_absolute(item, base) for item in field)
    return msgspec.structs.replace(value, **changes)


def _check(config: Config, file: Path) -> None:
    """What one key alone cannot say."""
    keys = [key.name for key in config.key]
    names = [destination.name for destination in config.destination]
    for kind, found in (("key", keys), ("destination", names)):
        if not found:
            raise ConfigError(f"no [[{kind}]] is configured", where=str(file), fix=f"add a [[{kind}]] table")
        if len(set(found)) != len(found):
            raise ConfigError(
                f"two [[{kind}]] tables have one name", where=str(file), fix="rename one of them"
            )
    if config.signing.default_key not in keys:
        raise ConfigError(
            f"default_key names no [[key]]: {config.signing.default_key}",
            where=f"{file}, signing.default_key",
            fix=f"one of: {', '.join(keys)}",
        )
    for destination in config.destination:
        kinds = [kind for kind in ("sftp", "amqp", "folder") if getattr(destination, kind) is not None]
        if len(kinds) != 1:
            raise ConfigError(
                f"destination {destination.name} has {len(kinds)} transports, must have one",
                where=f"{file}, destination {destination.name}",
                fix="keep exactly one of [destination.sftp], [destination.amqp], [destination.folder]",
            )
