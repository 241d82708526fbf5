"""Configuration → the spool it names: the one place that knows what a spool can be made of."""

from typing import Final

from gateway.config.gateway_toml import Config
from gateway.errors import ConfigError
from spool.locking import WAIT_S, OnWait
from spool.store import Spool

ROLE_WAIT_S: Final = 2.0
"""How long a role with a loop of its own waits for one at a time: it gives a sign of life in between."""


def build_spool(config: Config, *, wait_s: float = WAIT_S, on_wait: OnWait | None = None) -> Spool:
    """Open the spool, for one thread of one process. Raises ConfigError and SpoolError.

    SQLite: makes or brings up to date the file. PostgreSQL: the first use does so and connects.
    `wait_s`: how long one wait for another process's lock takes; `on_wait`: see `spool.locking`.
    """
    if config.spool.kind == "sqlite":
        from spool.sqlite import SqliteSpool  # noqa: PLC0415 (only who uses it loads it)

        return SqliteSpool(config.node.state_dir, wait_s=wait_s, on_wait=on_wait)
    try:
        from spool.postgres import PostgresSpool  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise ConfigError(
            f"the spool on PostgreSQL needs the extra `postgres`: {error}",
            where="spool.kind",
            fix="pip install 'customs-exchange-gateway[postgres]'",
        ) from error
    try:
        config.node.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(
            f"the state folder cannot be used: {error.strerror}", where=str(config.node.state_dir)
        ) from error
    return PostgresSpool(
        config.spool.dsn, password_file=config.spool.password_file, wait_s=wait_s, on_wait=on_wait
    )
