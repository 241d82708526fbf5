"""Load the `[[key]]` tables as keys that sign: only this module knows all kinds of keys.

Only a process that signs keeps a `Keyring`; all others get a `PublicKeyring` (ADR 0031).
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.config.keys import DEVICES, GROUPS, KeyConfig, parallel_of, rate_of
from gateway.errors import ConfigError
from gateway.keys.public_keyring import Certified, PublicKeyring, PublicSigningKey
from signing.errors import SigningError
from signing.keys.device import NOBODY, Device, Identity, Pin, identity_of
from signing.keys.files import Signer, load_pem, load_pkcs12
from signing.keys.guard import GuardedSigner
from signing.keys.health import HealthFile
from signing.keys.pool import Member, SigningKey, member_of

if TYPE_CHECKING:
    from signing.keys.pkcs11 import Module


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """Every key of a configuration by its name."""

    keys: Mapping[str, SigningKey]

    def in_memory(self) -> Mapping[str, Signer]:
        """Return the keys that sign without waiting, for callers that sign synchronously."""
        plain = {name: key.members[0].signer for name, key in self.keys.items() if key.in_memory}
        changing = {name: key for name, key in self.keys.items() if key.in_memory and len(key.members) > 1}
        return _ByTime(plain, changing) if changing else plain

    def signers(self) -> Iterator[Signer]:
        """Yield every key that may ever sign, each once."""
        return iter({one.name: one.signer for key in self.keys.values() for one in key.members}.values())

    def devices(self) -> Mapping[str, SigningKey]:
        """Return the keys that need a device."""
        return {name: key for name, key in self.keys.items() if not key.in_memory}

    def public(self) -> PublicKeyring:
        """Return the public facts of these keys, for roles that do not sign."""
        return PublicKeyring(keys={name: _public(key) for name, key in self.keys.items()})


def _public(key: SigningKey) -> PublicSigningKey:
    return PublicSigningKey(members=tuple(_certified(one) for one in key.members), rotates=key.rotates)


def _certified(member: Member) -> Certified:
    return Certified(
        name=member.name,
        suite=member.signer.suite.name,
        serial=member.signer.key_name,
        not_before=member.not_before,
        not_after=member.not_after,
    )


class _ByTime(Mapping[str, Signer]):
    """Keys in memory, some of them rotations or pools whose current member depends on the time."""

    def __init__(self, plain: Mapping[str, Signer], changing: Mapping[str, SigningKey]) -> None:
        self._plain = plain
        self._changing = changing

    def __getitem__(self, name: str) -> Signer:
        key = self._changing.get(name)
        return self._plain[name] if key is None else key.current(datetime.now(UTC))[0].signer

    def __iter__(self) -> Iterator[str]:
        return iter(self._plain)

    def __len__(self) -> int:
        return len(self._plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """Loads keys; connects to no device."""

    health_dir: Path
    """Folder with the state of devices, shared by every process that uses them."""
    operator: bool = False
    """True if an operator asked for it (SIGHUP): refused PINs may be tried again, once."""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    modules: dict[Path, "Module"] = field(default_factory=dict, repr=False)
    """PKCS#11 modules that keys share."""

    def load_all(self, tables: Sequence[KeyConfig]) -> Keyring:
        """Load every key. Raises ConfigError for the first that cannot be loaded."""
        single = {table.name: self._member(table) for table in tables if table.kind not in GROUPS}
        keys = {name: SigningKey(name=name, members=(member,)) for name, member in single.items()}
        for table in tables:
            if table.kind in GROUPS:
                keys[table.name] = _group(table, single)
        return Keyring(keys=keys)

    def load(self, name: str, tables: Sequence[KeyConfig]) -> SigningKey:
        """Load only one key and its members. Raises ConfigError."""
        wanted = next((table for table in tables if table.name == name), None)
        if wanted is None:
            known = ", ".join(table.name for table in tables)
            raise ConfigError(f"there is no [[key]] {name}", fix=f"one of: {known}")
        names: Collection[str] = {name, *wanted.members}
        return self.load_all([table for table in tables if table.name in names]).keys[name]

    def _member(self, table: KeyConfig) -> Member:
        where = f"key {table.name}"
        try:
            if table.kind in DEVICES:
                return self._device(table)
            return member_of(table.name, self._file(table))
        except SigningError as error:
            raise ConfigError(error.what, where=f"{where}, {error.where}", fix=error.fix) from error

    def _file(self, table: KeyConfig) -> Signer:
        if table.file is None:
            raise ConfigError("a key file is missing", where=f"key {table.name}", fix="file = …")
        secret = self._secret(table)
        password = None if secret is None else secret.value
        if table.kind == "pkcs12":
            return load_pkcs12(table.file, password, suite=table.suite)
        if table.certificate is None:
            raise ConfigError(
                "a PEM key needs its certificate",
                where=f"key {table.name}",
                fix='add certificate = "keys/node.crt"',
            )
        return load_pem(table.file, table.certificate, password, suite=table.suite)

    def _device(self, table: KeyConfig) -> Member:
        if table.certificate is None:
            raise ConfigError(
                "a device needs its certificate as a file",
                where=f"key {table.name}",
                fix=f"gateway signer --show-certificate {table.name} writes the one it holds",
            )
        identity = identity_of(table.certificate, table.suite)
        pin = self._secret(table)
        health = HealthFile(self.health_dir, table.name)
        pin_identity = pin.identity if pin else ""
        guarded = GuardedSigner(
            build_device(table, identity, pin, self.modules),
            identity,
            health,
            name=table.name,
            pin_identity=pin_identity,
            generation=health.pardon(pin_identity, operator=self.operator),
            alone=table.kind == "ukey",
        )
        return Member(
            name=table.name,
            signer=guarded,
            device=guarded,
            health=health,
            not_before=identity.facts.not_before,
            not_after=identity.facts.not_after,
            rate_per_minute=rate_of(table),
            parallel=parallel_of(table),
            timeout_s=table.timeout_s,
            warnings=_pin_warnings(pin),
        )

    def _secret(self, table: KeyConfig) -> Pin | None:
        where = f"key {table.name}"
        if table.password_env:
            value = self.environment.get(table.password_env)
            if value is None:
                raise ConfigError(
                    f"the environment has no {table.password_env}", where=where, fix="set it for the service"
                )
            return Pin(value=value, origin=f"environment {table.password_env}")
        if table.password_file is None:
            return None
        try:
            text = table.password_file.read_text("utf-8").rstrip("\r\n")
            seen = table.password_file.stat()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the password file: {error}", where=where) from error
        identity = f"{seen.st_ino}:{seen.st_mtime_ns}:{seen.st_size}"
        return Pin(value=text, origin=str(table.password_file), identity=identity)


def show_certificate(table: KeyConfig) -> bytes:
    """Read the certificate from a device, DER; needs neither the configured one nor a PIN. Raises ConfigError."""
    device = build_device(table, NOBODY, Pin(value="", origin="nowhere"), {})
    try:
        return device.certificate()
    except SigningError as error:
        raise ConfigError(error.what, where=f"key {table.name}, {error.where}", fix=error.fix) from error
    finally:
        device.close()


def build_device(
    table: KeyConfig, identity: Identity, pin: Pin | None, modules: dict[Path, "Module"]
) -> Device:
    """Build the client of a device; it connects on first use. Raises ConfigError, SigningError."""
    if table.pkcs11 is not None and pin is not None:
        try:
            from signing.keys.pkcs11 import KeyLocation, Module, Pkcs11Signer  # noqa: PLC0415 (an extra)
        except ImportError as error:
            raise _extra(table, "pkcs11") from error
        place = KeyLocation(
            module=modules.setdefault(table.pkcs11.module, Module(table.pkcs11.module)),
            token=table.pkcs11.token,
            label=table.pkcs11.label,
            id=table.pkcs11.id,
        )
        return Pkcs11Signer(place, identity, pin)
    if table.ukey is not None and pin is not None:
        try:
            from signing.keys.ukey import Control, UkeySigner  # noqa: PLC0415 (an extra)
        except ImportError as error:
            raise _extra(table, "ukey") from error
        control = Control(
            url=table.ukey.url,
            sign_method=table.ukey.sign_method,
            certificate_method=table.ukey.certificate_method,
            harmless_errors=table.ukey.harmless_errors,
            timeout_s=table.timeout_s,
        )
        return UkeySigner(control, identity, pin)
    if table.remote is not None:
        from signing.keys.remote import Endpoint, RemoteSigner  # noqa: PLC0415 (only who uses it)

        endpoint = Endpoint(
            url=table.remote.url,
            key=table.remote.key,
            ca_file=table.remote.ca_file,
            client_certificate=table.remote.client_certificate,
            client_key=table.remote.client_key,
            timeout_s=table.timeout_s,
        )
        return RemoteSigner(endpoint, identity)
    raise ConfigError(f'kind = "{table.kind}" lacks its table or its PIN', where=f"key {table.name}")


def _group(table: KeyConfig, single: Mapping[str, Member]) -> SigningKey:
    missing = [name for name in table.members if name not in single]
    if missing or not table.members:
        raise ConfigError(
            f"members that are no keys: {', '.join(missing)}",
            where=f"key {table.name}",
            fix="name other keys",
        )
    members = tuple(single[name] for name in table.members)
    return SigningKey(name=table.name, members=members, rotates=table.kind == "rotation")


def _pin_warnings(pin: Pin | None) -> tuple[str, ...]:
    if pin is None or not pin.is_factory_default:
        return ()
    return (f"the PIN in {pin.origin} is the one that cards are delivered with: give the card another",)


def _extra(table: KeyConfig, extra: str) -> ConfigError:
    return ConfigError(
        f'kind = "{table.kind}" needs the extra {extra}',
        where=f"key {table.name}",
        fix=f'install "customs-exchange-gateway[{extra}]"',
    )
