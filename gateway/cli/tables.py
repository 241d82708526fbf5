"""Tables that can be read in a pipe too, and progress bars that only a terminal sees."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeVar

from rich.cells import cell_len
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from gateway.cli.output import facts
from gateway.cli.terminal import echo, styled
from gateway.printable import printable

T = TypeVar("T")
_MANY = 5
"""From so many things on a progress bar is worth its lines."""
_READABLE = 12
"""Columns that a folded text has at least."""
_WIDE = 4000
"""Columns of what is not a terminal: nothing is cut or folded for a program that reads it."""


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """Write a table to stdout; the columns named in `right` hold numbers. No colours in a pipe.

    Those in `whole` (ids, times) are never folded: on a terminal too narrow for that each row is a paragraph.
    """
    terminal = sys.stdout.isatty()
    console = Console(highlight=False, force_terminal=terminal, width=None if terminal else _WIDE)
    shown = [[printable(cell) for cell in row] for row in rows]
    if _needed(columns, shown, whole) > console.width:
        for number, row in enumerate(shown):
            echo("") if number else None
            facts(dict(zip(columns, row, strict=True)))
        return
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        justify: Literal["right", "left"] = "right" if column in right else "left"
        drawn.add_column(column, justify=justify, no_wrap=not terminal or column in whole)
    for row in shown:
        drawn.add_row(*map(Text, row))
    with console.capture() as captured:
        console.print(drawn)
    styled("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _needed(columns: Sequence[str], rows: Sequence[Sequence[str]], whole: Sequence[str]) -> int:
    """Return how wide a table must be for what is not to be folded, and for a few characters of the rest; 0: any width."""
    if not whole:
        return 0
    widths = [max(map(cell_len, cells)) for cells in zip(columns, *rows, strict=True)]
    return sum(
        width if column in whole else min(width, _READABLE)
        for column, width in zip(columns, widths, strict=True)
    ) + 2 * (len(columns) - 1)


def progress(things: Sequence[T], doing: str, *, speaks: bool) -> Iterator[T]:
    """Pass the things on, with a progress bar when they are many and stderr is a terminal.

    `speaks`: the command writes to stdout meanwhile; on the same terminal its lines are progress enough.
    """
    crowded = speaks and sys.stdout.isatty()
    if len(things) < _MANY or crowded or not sys.stderr.isatty():
        yield from things
        return
    yield from track(things, description=printable(doing), console=Console(stderr=True), transient=True)
