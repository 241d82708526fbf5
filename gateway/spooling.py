"""Configuration → the spool it names: the one place that knows what a spool can be made of."""

from gateway.config import Config
from gateway.errors import ConfigError
from spool.store import Spool


def build_spool(config: Config) -> Spool:
    """Open the spool, for one thread of one process. Raises ConfigError and SpoolError.

    SQLite: makes or brings up to date the file. PostgreSQL: the first use does so and connects.
    """
    if config.spool.kind == "sqlite":
        from spool.sqlite import SqliteSpool  # noqa: PLC0415 (only who uses it loads it)

        return SqliteSpool(config.node.state_dir)
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
    return PostgresSpool(config.spool.dsn, password_file=config.spool.password_file)
