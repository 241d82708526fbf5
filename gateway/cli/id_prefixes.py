"""Finds a message by a unique prefix of its id, as an operator types it."""

from typing import Final

import click

from gateway.cli.failure import NOT_IN_ORDER, say
from spool.store import Spool

_NAMED: Final = 3
"""Messages with the same prefix that are named at most."""


def begun(spool: Spool, text: str) -> list[str]:
    """Return the id of the only message whose id begins with this, in either case, or an empty list.

    When several match, prints an error that names the first of them and ends the command; none is guessed.
    """
    found = spool.beginning(text.upper(), limit=_NAMED + 1)
    if len(found) > 1:
        more = ", …" if len(found) > _NAMED else ""
        say(
            "error",
            f"several messages begin with {text}; nothing was changed",
            ", ".join(found[:_NAMED]) + more,
            "give more of the id: `gateway spool list` shows it whole",
        )
        click.get_current_context().exit(NOT_IN_ORDER)
    return found
