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

from gateway.config.gateway_toml import Config
from gateway.errors import ConfigError
from spool.note import NodeKey, NoteError, VerifierKey, verifier_key


def key_file(config: Config) -> Path:
    """Return where the key is."""
    return config.journal.key_file or config.node.state_dir / "keys" / "node-journal.key"


def former_file(config: Config) -> Path:
    """Return where the public halves of the keys are that this node had before, a line each; the file may be missing."""
    file = key_file(config)
    return file.with_name(f"{file.name}.former")


def known_keys(config: Config) -> tuple[VerifierKey, ...]:
    """Return what the log of this node may be signed by: its key, and those that it had before. Raises ConfigError."""
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
    """Make a new key in place of this node's, whose public half is kept, and whose private half is not. Raises ConfigError.

    Whatever dies meanwhile, every key that has signed is either the key or among the former ones.
    """
    file, former = key_file(config), former_file(config)
    if config.journal.key_file is not None:
        raise ConfigError(
            "the configuration names the key of the journal, so it is not made here",
            where=f"journal.key_file {file}",
            fix=f"write what `gateway journal key` prints into {former}, then make another key with openssl",
        )
    if file.exists():
        _write(former, "".join(f"{one}\n" for one in known_keys(config)).encode())
    _write(file, _fresh())
    return node_key(config)


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
    _write(file, _fresh(), replace=False)


def _fresh() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(file: Path, content: bytes, *, replace: bool = True) -> None:
    """Write a file whole, for its owner alone; one that is there is kept unless it is to be replaced. Raises ConfigError."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as written:
            written.write(content)
            written.flush()
            os.fsync(written.fileno())
        if replace:
            draft.replace(file)
        else:
            _link(draft, file)
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigError(
            f"cannot write the key of the journal: {error.strerror}", where=str(file)
        ) from error


def _link(draft: Path, file: Path) -> None:
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
