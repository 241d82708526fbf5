"""The key of this node: what it vouches for in its checkpoints, others verify with the public half."""

import os
from pathlib import Path
from urllib.parse import quote

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.config import Config
from gateway.errors import ConfigError
from spool.note import NodeKey


def key_file(config: Config) -> Path:
    """Return where the key is."""
    return config.journal.key_file or config.node.state_dir / "keys" / "node-journal.key"


def node_key(config: Config) -> NodeKey:
    """Load the key of this node, and make it first where the configuration names none. Raises ConfigError.

    A key that the configuration names is never made: several nodes may share it, and a wrong path must be told.
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
    """Write a new key that nobody else may read; of two processes that do so at once, one key counts for both."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as written:
            written.write(pem)
            written.flush()
            os.fsync(written.fileno())
        try:
            os.link(draft, file)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    except OSError as error:
        raise ConfigError(
            f"cannot write the key of the journal: {error.strerror}", where=str(file)
        ) from error
