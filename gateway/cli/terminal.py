"""The way of all text to a terminal: whatever stands in a line, it is shown and not obeyed."""

import click

from gateway.printable import printable


def echo(line: str, *, err: bool = False) -> None:
    """Write one line of text to stdout or stderr; every command does so by this, whatever stands in it."""
    click.echo(printable(line), err=err)


def styled(lines: str) -> None:
    """Write lines that have styles of ours in them; what came from outside was made printable before."""
    click.echo(lines)
