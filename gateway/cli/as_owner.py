"""How commands act on a node: root as the user that owns it, and every act with a journal line."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gateway.app.open_spool import build_spool
from gateway.cli.failure import say
from gateway.config.gateway_toml import Config
from gateway.errors import GatewayError
from gateway.upkeep.operator_acts import Act, note, write
from spool.errors import SpoolError


@contextmanager
def as_owner_of(folder: Path) -> Iterator[None]:
    """Switch to the user and group that own a folder, or its nearest existing parent; does nothing unless run by root.

    Files written meanwhile belong to that user, and what it cannot read fails. The change affects the whole process.
    """
    if os.name != "posix" or os.geteuid() != 0:
        yield
        return
    facts = next(one for one in (folder, *folder.absolute().parents) if one.exists()).stat()
    group = os.getegid()
    try:
        os.setegid(facts.st_gid)
        os.seteuid(facts.st_uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)


def tell_journal(config: Config, event: str, act: Act) -> None:
    """Write an act into the journal; if that fails, print a warning, and the act stays done.

    An operator must be able to disable an enterprise also while the database is unavailable.
    """
    try:
        with as_owner_of(config.node.state_dir), closing(build_spool(config)) as spool:
            write(spool, note(event, act))
    except (GatewayError, SpoolError) as error:
        say("warning", f"it is done, but the journal has no line of it: {error.what}", error.where, error.fix)
