"""One question about many pairs of values: a statement for each costs several times what finding the row does."""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

_AT_ONCE: Final = 128
"""Pairs in one statement at most."""


def of_pairs(connection: sqlite3.Connection, query: str, pairs: Sequence[tuple[str, Any]]) -> Iterator[Any]:
    """Run the query with `{pairs}` as a table of columns `first` and `second`; give its rows, perhaps some twice.

    The query begins its joins there and goes on with CROSS JOIN, so that SQLite looks each pair up in an index.
    """
    for start in range(0, len(pairs), _AT_ONCE):
        some = list(pairs[start : start + _AT_ONCE])
        size = 1 << (len(some) - 1).bit_length()
        some += [some[-1]] * (size - len(some))  # few sizes, few statements to prepare
        yield from connection.execute(_statement(query, size), [value for pair in some for value in pair])


@cache
def _statement(query: str, size: int) -> str:
    values = ", ".join(["(?, ?)"] * size)
    return query.format(pairs=f"(SELECT column1 AS first, column2 AS second FROM (VALUES {values}))")
