"""Writes all text to the terminal: control sequences in it are shown, never executed."""

import click

from gateway.printable import printable


def echo(line: str, *, err: bool = False) -> None:
    """Write one line of text, made printable, to stdout or stderr; every command uses this."""
    click.echo(printable(line), err=err)


def styled(lines: str) -> None:
    """Write lines that contain our own styles; text from outside must be made printable before."""
    click.echo(lines)
