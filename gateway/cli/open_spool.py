"""Opens the spool that a configuration names, for commands that read it or act on it.

Reads no keys, and enterprises only where needed: an operator must be able to inspect the spool when one of them is
broken.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.app.open_spool import build_spool
from gateway.cli.as_owner import as_owner_of
from gateway.config.gateway_toml import Config, load_config
from gateway.config.tenants import load_tenants
from gateway.errors import ConfigError
from gateway.model import Enterprise, EnterpriseId
from gateway.rules.loading import edition_names, rules_of
from spool.sqlite import SqliteSpool
from spool.store import Spool

__all__ = ["enterprises_of", "open_spool", "rules_of", "spool_of"]


@contextmanager
def open_spool(config: Config) -> Iterator[Spool]:
    """Open the spool of a configuration and close it at the end. Raises ConfigError when there is no state folder.

    Never creates a missing folder: a wrong configuration must not look like an empty spool. Nor a missing spool: an
    empty one in a temporary folder is used instead. Root opens the spool as the folder's owner.
    """
    folder = config.node.state_dir
    if config.spool.kind == "sqlite" and not folder.is_dir():
        raise ConfigError(
            "there is no state folder",
            where=str(folder),
            fix="start `gateway run` once, or name another with -c",
        )
    if config.spool.kind == "sqlite" and not (folder / "spool.db").exists():
        with TemporaryDirectory() as nowhere, closing(SqliteSpool(Path(nowhere))) as empty:
            yield empty
        return
    with as_owner_of(folder), closing(build_spool(config)) as spool:
        yield spool


def enterprises_of(config: Config) -> Mapping[EnterpriseId, Enterprise]:
    """Read the enterprises as a running node does, which tolerates broken files. Raises ConfigError."""
    folder = config.accept.enterprises_dir
    editions = edition_names(config)
    return load_tenants(folder, default=config.quota, lease_s=config.lease_s, editions=editions).enterprises


@contextmanager
def spool_of(file: Path) -> Iterator[Spool]:
    """Open the spool that a configuration file names. Raises ConfigError and SpoolError."""
    with open_spool(load_config(file)) as spool:
        yield spool
