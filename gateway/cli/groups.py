"""Shows entries grouped by destination, state and error, so that a large group does not hide a small one."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from gateway.cli import tables
from gateway.cli.output import facts, instant
from gateway.cli.terminal import echo
from gateway.printable import printable
from spool.grouping import EntryGroup

EACH: Final = 5
"""Errors of a destination that are shown as separate groups."""
_ENOUGH: Final = 40
"""Characters of an error that suffice to find its entries again."""


def customs_first(groups: Sequence[EntryGroup]) -> list[EntryGroup]:
    """Sort destinations of customs before local ones (`@…`), which may be very many."""
    return sorted(groups, key=lambda one: one.destination.startswith("@"))


def tell_groups(groups: Sequence[EntryGroup], file: Path) -> None:
    """Print a paragraph for each group, with the command that lists its entries."""
    for number, one in enumerate(customs_first(groups)):
        echo("") if number else None
        entries = "1 entry" if one.entries == 1 else f"{one.entries} entries"
        echo(f"{one.destination}  {one.state}  {entries}")
        facts({"error": _error(one), "oldest": one.uid, "accepted": instant(one.oldest)}, indent="  ")
        echo(f"  {_command(one, file)}")


def tell_errors(groups: Sequence[EntryGroup]) -> None:
    """Print a table of the groups that have an error."""
    failing = [one for one in customs_first(groups) if _error(one)]
    if not failing:
        return
    echo("")
    tables.table(
        ("destination", "state", "entries", "oldest", "error"),
        ((one.destination, one.state, str(one.entries), instant(one.oldest), _error(one)) for one in failing),
        right=("entries",),
        whole=("destination", "state", "entries", "oldest"),
    )


def view(one: EntryGroup) -> dict[str, object]:
    """Return the JSON form of a group."""
    return {
        "error": one.error,
        "errors": one.errors,
        "entries": one.entries,
        "oldest": one.oldest,
        "id": one.uid,
    }


def _error(one: EntryGroup) -> str:
    return f"({one.errors} other errors)" if one.errors > 1 else one.error


def _command(one: EntryGroup, file: Path) -> str:
    """Return the command that lists these entries; filters by the start of the error if a terminal shows it unchanged."""
    part = one.error[:_ENOUGH]
    command = ["gateway", "spool", "list", "--destination", one.destination, "--state", one.state]
    command += ["--error", part] if part and printable(part) == part else []
    given = click.get_current_context().get_parameter_source("file")
    command += ["-c", str(file)] if given is not click.core.ParameterSource.DEFAULT else []
    return shlex.join(command)
