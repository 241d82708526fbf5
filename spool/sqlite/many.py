"""One query for many values: what a statement costs by itself is paid once, and few different ones are prepared."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

_WIDTHS: Final = (1, 4, 16, 32, 64, 128)
"""How many values a statement takes; what is left over repeats the last one."""


def select(run: Callable[..., list[Any]], query: str, rows: Iterable[Sequence[object]]) -> list[Any]:
    """Run a query (`SqliteDatabase.rows`) with the rows in place of its `{}`, as `(VALUES …)` or `IN (VALUES …)` has them.

    It must not matter to the caller that a row may be there twice.
    """
    given, found = list(rows), []
    for start in range(0, len(given), _WIDTHS[-1]):
        part = given[start : start + _WIDTHS[-1]]
        width = next(width for width in _WIDTHS if width >= len(part))
        part += part[-1:] * (width - len(part))
        values = list(chain.from_iterable(part))
        found += run(_statement(query, width, len(part[0])), *values)
    return found


@cache
def _statement(query: str, width: int, columns: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return query.format(", ".join([row] * width))
