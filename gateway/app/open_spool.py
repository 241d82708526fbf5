"""Opens the spool that the configuration names; the only place that knows the kinds of spools."""

from typing import Final

from gateway.config.gateway_toml import Config
from gateway.errors import ConfigError
from spool.locking import WAIT_S, OnWait
from spool.store import Spool

ROLE_WAIT_S: Final = 2.0
"""Longest single lock wait of a role that has its own loop: it sends a heartbeat between waits."""


def build_spool(config: Config, *, wait_s: float = WAIT_S, on_wait: OnWait | None = None) -> Spool:
    """Open the spool, for one thread of one process. Raises ConfigError and SpoolError.

    SQLite: creates or upgrades the file. PostgreSQL: does so, and connects, on first use.
    `wait_s`: length of one wait for another process's lock; `on_wait`: see `spool.locking`.
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
