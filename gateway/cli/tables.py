"""Tables that are readable in a pipe too, and progress bars shown only on a terminal."""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeVar

from rich.cells import cell_len
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, track
from rich.table import Table
from rich.text import Text

from gateway.cli.output import facts
from gateway.cli.terminal import echo, styled
from gateway.printable import printable

T = TypeVar("T")
_MANY = 5
"""Fewest things for which a progress bar is shown."""
_READABLE = 12
"""Least width of a folded column, in characters."""
_UNITS = re.compile(r"[!-\u2e7f]+\s*|\s+|[^\s!-\u2e7f][，。；：、）]*\s*")
"""A word with the white space behind it, or a Chinese character with the signs that may not begin a line."""
_WIDE = 4000
"""Width in characters when stdout is not a terminal: nothing is cut or folded for programs."""


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """Write a table to stdout, without colours in a pipe; columns named in `right` are aligned right.

    Columns in `whole` (ids, times) are never folded: if the terminal is too narrow, each row becomes a paragraph.
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
    """Return the least table width that keeps `whole` unfolded and shows a few characters of the rest; 0: any width."""
    if not whole:
        return 0
    widths = [max(map(cell_len, cells)) for cells in zip(columns, *rows, strict=True)]
    return sum(
        width if column in whole else min(width, _READABLE)
        for column, width in zip(columns, widths, strict=True)
    ) + 2 * (len(columns) - 1)


def counted(things: Iterable[T], doing: str) -> Iterator[T]:
    """Yield the things, of unknown number, and count them on stderr if that is a terminal."""
    if not sys.stderr.isatty():
        yield from things
        return
    console = Console(stderr=True)
    columns = (TextColumn(printable(doing)), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield from bar.track(things, total=None)


def progress(things: Sequence[T], doing: str, *, speaks: bool) -> Iterator[T]:
    """Yield the things, with a progress bar when they are many and stderr is a terminal.

    `speaks`: the command writes to stdout meanwhile; if that is a terminal, its lines replace the bar.
    """
    crowded = speaks and sys.stdout.isatty()
    if len(things) < _MANY or crowded or not sys.stderr.isatty():
        yield from things
        return
    yield from track(things, description=printable(doing), console=Console(stderr=True), transient=True)


def folded(text: str, width: int) -> list[str]:
    """Fold a text into lines that take at most so many columns of a terminal, Chinese characters two each."""
    lines, line = list[str](), ""
    for word in _UNITS.findall(text):
        if line and cell_len(line + word.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += word if line else word.lstrip()
    return [*lines, line.rstrip()] if line.strip() else lines
