"""Tables that can be read in a pipe too, and progress bars that only a terminal sees."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from gateway.cli.terminal import styled
from gateway.printable import printable

T = TypeVar("T")
_MANY = 5
"""From so many things on a progress bar is worth its lines."""
_WIDE = 4000
"""Columns of what is not a terminal: nothing is cut or folded for a program that reads it."""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Write a table to stdout; the columns named in `right` hold numbers. No colours in a pipe."""
    terminal = sys.stdout.isatty()
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, justify="right" if column in right else "left", no_wrap=not terminal)
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    console = Console(highlight=False, force_terminal=terminal, width=None if terminal else _WIDE)
    with console.capture() as captured:
        console.print(drawn)
    styled("\n".join(line.rstrip() for line in captured.get().splitlines()))


def progress(things: Sequence[T], doing: str, *, speaks: bool) -> Iterator[T]:
    """Pass the things on, with a progress bar when they are many and stderr is a terminal.

    `speaks`: the command writes to stdout meanwhile; on the same terminal its lines are progress enough.
    """
    crowded = speaks and sys.stdout.isatty()
    if len(things) < _MANY or crowded or not sys.stderr.isatty():
        yield from things
        return
    yield from track(things, description=printable(doing), console=Console(stderr=True), transient=True)
