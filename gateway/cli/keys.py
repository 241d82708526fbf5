"""Loads the key that `--key` names: a key file, a folder with one key in it, or a key of gateway.toml."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gateway.config.gateway_toml import load_config
from gateway.errors import ConfigError
from gateway.keys.backlog import health_dir
from gateway.keys.keyring import Loader
from signing.errors import SigningError
from signing.keys.files import FileSigner, Signer, load_pem, load_pkcs12

_PKCS12: Final = frozenset({".p12", ".pfx"})
_KEYS: Final = frozenset({".key", ".pem", *_PKCS12})
_CERTIFICATES: Final = (".crt", ".cer", ".pem")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySource:
    """How to find and read a key."""

    certificate: Path | None
    """Certificate of a PEM key; None: it is in the key file or beside it."""
    password_file: Path | None
    pkcs12: bool
    """The file is PKCS#12, whatever its name ends in."""
    suite: str
    """The suite of a key file; empty: as its certificate says."""
    config: Path


def find_signer(name: str, source: KeySource) -> Signer:
    """Load the key that `name` means: an existing file or folder, otherwise a [[key]].

    An empty name means the default key of the configuration.

    The certificate of a PEM key, when none is given, is in the key file itself or beside it under the same
    name (`node.key`, `node.crt`); one that does not belong to the key is never used. Raises ConfigError.
    """
    if not name:
        return _configured("", source.config)
    path = Path(name)
    if path.is_dir():
        path = _only_key(path)
    if path.is_file():
        return _from_file(path, source)
    return _configured(name, source.config)


def _only_key(folder: Path) -> Path:
    found = [path for path in sorted(folder.iterdir()) if path.suffix in _KEYS and _is_key(path)]
    if len(found) != 1:
        raise ConfigError(
            f"{len(found)} private keys in the folder", where=str(folder), fix="name the key file itself"
        )
    return found[0]


def _is_key(path: Path) -> bool:
    return path.suffix in _PKCS12 or b"PRIVATE KEY-----" in path.read_bytes()


def _from_file(path: Path, source: KeySource) -> FileSigner:
    password = _password(source.password_file)
    try:
        if source.pkcs12 or path.suffix.lower() in _PKCS12:
            return load_pkcs12(path, password, suite=source.suite)
        certificate = source.certificate or _certificate_of(path)
        return load_pem(path, certificate, password, suite=source.suite)
    except SigningError as error:
        raise ConfigError(error.what, where=error.where, fix=error.fix) from error


def _certificate_of(key: Path) -> Path:
    if b"-----BEGIN CERTIFICATE-----" in key.read_bytes():
        return key
    beside = (key.with_suffix(suffix) for suffix in _CERTIFICATES)
    found = next((path for path in beside if path != key and path.is_file()), None)
    if found is None:
        raise ConfigError(
            "the key has no certificate beside it", where=str(key), fix="name it with --certificate"
        )
    return found


def _password(file: Path | None) -> str | None:
    try:
        return None if file is None else file.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the password file: {error}", where=str(file)) from error


def _configured(name: str, config: Path) -> Signer:
    if not config.is_file():
        raise ConfigError(
            f"there is no key file {name}, and no {config} that could name a key"
            if name
            else f"no key is named, and there is no {config} with a default key",
            fix="name a PEM or PKCS#12 file, or a [[key]] of the configuration given with -c",
        )
    read = load_config(config)
    name = name or read.signing.default_key
    names = [key.name for key in read.key]
    if name not in names:
        raise ConfigError(
            f"neither a file nor a [[key]]: {name}", where=str(config), fix=f"one of: {', '.join(names)}"
        )
    key = Loader(health_dir=health_dir(read)).load(name, read.key)
    return key.current(datetime.now(UTC))[0].signer
