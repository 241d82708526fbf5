"""The secret of the node under which personal values are marked, so that they can be compared without being kept."""

import os
from pathlib import Path
from typing import Final

from gateway.config.gateway_toml import Config
from gateway.errors import ConfigError
from gateway.keys.key_files import write_key_file

_WHAT: Final = "the secret of the parcel marks"
_BYTES: Final = 32
_FIX: Final = "head -c 32 /dev/urandom > FILE, mode 600, the same on every node of a spool, or leave matching.key_file out"


def mark_key_file(config: Config) -> Path:
    """Return the file of the secret."""
    return config.matching.key_file or config.node.state_dir / "keys" / "parcel-marks.key"


def mark_key(config: Config) -> bytes:
    """Load the secret; create it first if the configuration names none. Raises ConfigError.

    A file that the configuration names is never created: several nodes share it, and a wrong path is an error.
    """
    file = mark_key_file(config)
    if config.matching.key_file is None and not file.exists():
        write_key_file(file, os.urandom(_BYTES), what=_WHAT, replace=False)
    try:
        secret = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {_WHAT}: {error.strerror}", where=str(file), fix=_FIX) from error
    if len(secret) < _BYTES:
        raise ConfigError(f"{_WHAT} has less than {_BYTES} bytes", where=str(file), fix=_FIX)
    return secret
