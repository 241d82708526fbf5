"""Ids as an operator types them: whole, or so much of the beginning as is like no other's."""

from typing import Final

import click

from gateway.cli.failure import NOT_IN_ORDER, say
from spool.store import Spool

_NAMED: Final = 3
"""Of the messages that begin alike so many are named."""


def begun(spool: Spool, text: str) -> list[str]:
    """Give the id of the only message whose id begins like this, in capitals or not, or nothing.

    Where several begin like this it says so, names the first of them, and ends the command: none is guessed.
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
