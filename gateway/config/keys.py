"""`[[key]]`: the signing keys, one table each, checked as a whole."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta

from gateway.config.sections import Count, Seconds, Section
from gateway.errors import ConfigError


class Pkcs11(Section, kw_only=True):
    """`[key.pkcs11]`: a key in an HSM or a token; needs the extra `pkcs11`."""

    module: Path
    """The manufacturer's shared library."""
    token: str
    """Label of the token."""
    label: str = ""
    """CKA_LABEL of the private key; at least one of `label` and `id` is needed."""
    id: Annotated[str, Meta(pattern=r"^([0-9a-fA-F]{2})*$")] = ""
    """CKA_ID, hex."""


class Ukey(Section, kw_only=True):
    """`[key.ukey]`: E-Port's USB key through its control (docs/spec/ukey.md); needs the extra `ukey`."""

    url: str = "ws://127.0.0.1:61232"
    sign_method: str = "cus-sec_SpcSignDataAsPEM"
    certificate_method: str = "cus-sec_SpcGetSignCertAsPEM"
    harmless_errors: tuple[str, ...] = ("读卡器", "50070")
    """Texts of errors that are unrelated to the PIN; every other error counts as a wrong PIN."""


class Remote(Section, kw_only=True):
    """`[key.remote]`: a key that `gateway signer` serves on another machine (docs/signer.md)."""

    url: str
    """`https://host:port`."""
    key: str
    """The signer's name for the key."""
    ca_file: Path
    client_certificate: Path
    client_key: Path


class KeyConfig(Section, kw_only=True):
    """`[[key]]`: one signing key, or several that replace each other."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")]
    kind: Literal["pem", "pkcs12", "pkcs11", "ukey", "remote", "pool", "rotation"]
    file: Path | None = None
    """For `pem` and `pkcs12`."""
    certificate: Path | None = None
    """PEM or DER; for every kind except `pkcs12`, `pool` and `rotation`."""
    password_file: Path | None = None
    """Password of the file, PIN of the device."""
    password_env: str = ""
    """Name of the environment variable with the password or PIN, instead of a file."""
    suite: Literal["", "rsa-sha1", "sm2-sm3", "sm2-sha1"] = ""
    """Must fit the certificate; empty: `rsa-sha1` or `sm2-sm3` (docs/spec/signing.md, Structure)."""
    pkcs11: Pkcs11 | None = None
    ukey: Ukey | None = None
    remote: Remote | None = None
    members: tuple[str, ...] = ()
    """For `pool`, whose members sign in parallel, and `rotation`, where the newest certificate already valid signs."""
    rate_per_minute: Annotated[float, Meta(ge=0)] | None = None
    """Signatures at most; default 250 for `ukey` (docs/spec/ukey.md), else 0: no bound."""
    parallel: Count | None = None
    """Signatures at the same time; default 4 for `remote`, else 1."""
    clients: tuple[str, ...] = ()
    """In signer.toml: common names of the certificates that may use it, instead of those of `[signer]`."""
    timeout_s: Seconds = 5.0
    """A device without an answer for so long is quarantined, then probed."""


DEVICES: Final = frozenset({"pkcs11", "ukey", "remote"})
"""Kinds of keys outside this process: they may be slow, unreachable or locked."""
GROUPS: Final = frozenset({"pool", "rotation"})


def check_names(kind: str, found: Sequence[str], file: Path) -> None:
    """Check that there is at least one table, and no name twice. Raises ConfigError."""
    if not found:
        raise ConfigError(f"no [[{kind}]] is configured", where=str(file), fix=f"add a [[{kind}]] table")
    if len(set(found)) != len(found):
        raise ConfigError(f"two [[{kind}]] tables have one name", where=str(file), fix="rename one of them")


def check_keys(keys: Sequence[KeyConfig], file: Path, *, lease_s: float) -> None:
    """Check that every key has what its kind needs and nothing else. Raises ConfigError."""
    single = {key.name for key in keys if key.kind not in GROUPS}
    for key in keys:
        where = f"{file}, key {key.name}"
        for name in _KEY_FIELDS:
            given, needed = bool(getattr(key, name)), name in _KEY_NEEDS[key.kind]
            if given and not needed and name not in _KEY_MAY.get(key.kind, ()):
                raise ConfigError(f'{name} is not for kind = "{key.kind}"', where=where, fix="remove it")
            if needed and not given:
                raise ConfigError(
                    f'kind = "{key.kind}" needs {name}',
                    where=where,
                    fix=f"for example: {_KEY_EXAMPLES[name]}",
                )
        _check_key(key, where, single, lease_s)


def _check_key(key: KeyConfig, where: str, single: Collection[str], lease_s: float) -> None:
    if key.password_file and key.password_env:
        raise ConfigError("password_file and password_env exclude each other", where=where, fix="keep one")
    if key.kind in {"pkcs11", "ukey"} and not (key.password_file or key.password_env):
        raise ConfigError("the device needs its PIN", where=where, fix='password_file = "keys/card.pin"')
    if key.pkcs11 is not None and not (key.pkcs11.label or key.pkcs11.id):
        raise ConfigError("which key of the token?", where=f"{where}, pkcs11", fix='label = "customs"')
    if key.kind in DEVICES and key.timeout_s > lease_s / 4:
        raise ConfigError(
            f"timeout_s {key.timeout_s:g} is more than a quarter of lease_s {lease_s:g}",
            where=where,
            fix="shorten it, or make lease_s longer",
        )
    unknown = [name for name in key.members if name not in single]
    if unknown or len(set(key.members)) != len(key.members):
        raise ConfigError(
            f"members must be other keys, each once: {', '.join(unknown or key.members)}",
            where=where,
            fix=f"of: {', '.join(sorted(single))}",
        )


_KEY_FIELDS: Final = (
    "suite",
    "file",
    "certificate",
    "password_file",
    "password_env",
    "pkcs11",
    "ukey",
    "remote",
    "members",
)
_KEY_NEEDS: Final[Mapping[str, frozenset[str]]] = {
    "pem": frozenset({"file", "certificate"}),
    "pkcs12": frozenset({"file"}),
    "pkcs11": frozenset({"pkcs11", "certificate"}),
    "ukey": frozenset({"ukey", "certificate"}),
    "remote": frozenset({"remote", "certificate"}),
    "pool": frozenset({"members"}),
    "rotation": frozenset({"members"}),
}
_KEY_MAY: Final[Mapping[str, frozenset[str]]] = {
    "remote": frozenset({"suite"}),
    **{
        kind: frozenset({"password_file", "password_env", "suite"})
        for kind in ("pem", "pkcs12", "pkcs11", "ukey")
    },
}
_KEY_EXAMPLES: Final = {
    "file": 'file = "keys/node.key"',
    "certificate": 'certificate = "keys/node.crt"',
    "pkcs11": "a table [key.pkcs11] with module, token and label",
    "ukey": "a table [key.ukey] with url",
    "remote": "a table [key.remote] with url, key, ca_file, client_certificate and client_key",
    "members": 'members = ["card-1", "card-2"]',
}


_UKEY_A_MINUTE: Final = 250.0
"""docs/spec/ukey.md, What goes wrong in the field."""
_PARALLEL: Final = 4


def rate_of(table: KeyConfig) -> float:
    """Return how many signatures a minute a key may make; 0: no limit."""
    default = _UKEY_A_MINUTE if table.kind == "ukey" else 0.0
    return default if table.rate_per_minute is None else table.rate_per_minute


def parallel_of(table: KeyConfig) -> int:
    """Return how many signatures a key may make at the same time."""
    return table.parallel or (_PARALLEL if table.kind == "remote" else 1)


def device_keys(keys: Sequence[KeyConfig]) -> frozenset[str]:
    """Return the names of keys that need a device to sign: entries that wait for one have a queue of their own."""
    devices = {key.name for key in keys if key.kind in DEVICES}
    return frozenset(devices | {key.name for key in keys if devices.intersection(key.members)})
