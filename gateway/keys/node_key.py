"""The journal key of this node: it signs the checkpoints, and others verify them with the public half."""

from pathlib import Path
from typing import Final
from urllib.parse import quote

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.config.gateway_toml import Config
from gateway.errors import ConfigError
from gateway.keys.key_files import write_key_file
from spool.note import NodeKey, NoteError, VerifierKey, verifier_key

_WHAT: Final = "the key of the journal"


def key_file(config: Config) -> Path:
    """Return the file of the key."""
    return config.journal.key_file or config.node.state_dir / "keys" / "node-journal.key"


def former_file(config: Config) -> Path:
    """Return the file with the public halves of this node's former keys, one per line; it may be missing."""
    file = key_file(config)
    return file.with_name(f"{file.name}.former")


def known_keys(config: Config) -> tuple[VerifierKey, ...]:
    """Return the keys that may have signed the log of this node: the current and the former. Raises ConfigError."""
    file = former_file(config)
    try:
        former = [verifier_key(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
    except FileNotFoundError:
        former = []
    except (OSError, UnicodeDecodeError, NoteError) as error:
        raise ConfigError(
            f"the former keys of the journal cannot be read: {error}",
            where=str(file),
            fix="a line each, as `gateway journal key` printed it",
        ) from error
    return tuple(dict.fromkeys([node_key(config).public, *former]))


def renew(config: Config) -> NodeKey:
    """Replace the key of this node; only the public half of the old one is kept. Raises ConfigError.

    Even after a crash, every key that has signed is either the current key or among the former ones.
    """
    file, former = key_file(config), former_file(config)
    if config.journal.key_file is not None:
        raise ConfigError(
            "the configuration names the key of the journal, so it is not made here",
            where=f"journal.key_file {file}",
            fix=f"write what `gateway journal key` prints into {former}, then make another key with openssl",
        )
    if file.exists():
        write_key_file(former, "".join(f"{one}\n" for one in known_keys(config)).encode(), what=_WHAT)
    write_key_file(file, _fresh(), what=_WHAT)
    return node_key(config)


def node_key(config: Config) -> NodeKey:
    """Load the key of this node; create it first if the configuration names none. Raises ConfigError.

    A key that the configuration names is never created: several nodes may share it, and a wrong path is an error.
    """
    file = key_file(config)
    if config.journal.key_file is None and not file.exists():
        _make(file)
    try:
        private = load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(
            f"cannot read the key of the journal: {error.strerror}",
            where=str(file),
            fix="openssl genpkey -algorithm ed25519 -out FILE, mode 600, or leave journal.key_file out",
        ) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"not a private key without password: {error}", where=str(file)) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError("the key of the journal is not an Ed25519 key", where=str(file))
    return NodeKey(name=f"gateway/{quote(config.node.name, safe='')}", private=private)


def _make(file: Path) -> None:
    """Write a new key, readable only by its owner; if two processes do so at the same time, both use the first."""
    write_key_file(file, _fresh(), what=_WHAT, replace=False)


def _fresh() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
