"""Acting on a node: root as the user whose node it is, and everybody with a line in the journal."""

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
    """Be the user and the group that a folder belongs to, or the nearest above it that is there; only root can.

    What is written then is theirs, and what they cannot read, is not read. The whole process has one effective user.
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
    """Write into the journal what was done; when it cannot be, say so: what was done stays done.

    An enterprise must be shut out also while the database is away.
    """
    try:
        with as_owner_of(config.node.state_dir), closing(build_spool(config)) as spool:
            write(spool, note(event, act))
    except (GatewayError, SpoolError) as error:
        say("warning", f"it is done, but the journal has no line of it: {error.what}", error.where, error.fix)
