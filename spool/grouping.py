"""What an operator sees of many entries: ids by how they begin, and entries of one error as one thing."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from spool.lifecycle import State

LEAST: Final = 4
"""Characters that the beginning of an id has at least."""
_BEGINNING: Final = re.compile(rf"[0-9A-F-]{{{LEAST},36}}")


def bounds(beginning: str) -> tuple[str, str] | None:
    """Give the least text that begins like this, and one above all ids that do; None: no id of a message does.

    In the order of any collation: ids are UUIDs in capitals, and Z stands behind all that is in them.
    """
    return (beginning, beginning + "Z") if _BEGINNING.fullmatch(beginning) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryGroup:
    """Entries of one destination and state that have the same error, or all those of its rarer errors."""

    destination: str
    state: State
    error: str
    """Empty: none, or several."""
    errors: int
    """How many different ones; more than 1 where the rarer ones are taken together."""
    entries: int
    oldest: datetime
    """When the first of them was accepted."""
    uid: str
    """The message of the entry that was made first."""


GROUPED: Final = (
    "WITH grouped AS (SELECT e.destination, e.state, e.error, count(*) AS entries, min(m.accepted_at) AS oldest,"
    " min(e.id) AS first FROM entry e JOIN message m ON m.id = e.message WHERE {} GROUP BY 1, 2, 3),"
    " ranked AS (SELECT *, row_number() OVER (PARTITION BY destination, state ORDER BY entries DESC, error) AS place"
    " FROM grouped),"
    " summed AS (SELECT destination, state, error, 1 AS errors, entries, oldest, first FROM ranked WHERE place <= ?"
    " UNION ALL SELECT destination, state, CASE count(*) WHEN 1 THEN min(error) ELSE '' END, count(*), sum(entries),"
    " min(oldest), min(first) FROM ranked WHERE place > ? GROUP BY destination, state)"
    " SELECT s.*, (SELECT m.uid FROM entry e JOIN message m ON m.id = e.message WHERE e.id = s.first) FROM summed s"
)
"""A row for each destination, state and error, the largest of a destination and state and the sum of all others, of
what a condition lets pass; in both dialects."""


def group_of(row: Sequence[Any], to_time: Callable[[int], datetime]) -> EntryGroup:
    """Make the value from a row of `GROUPED`, whichever backend counts as what."""
    destination, state, error, errors, entries, oldest, _, uid = row
    return EntryGroup(
        destination=destination,
        state=State(state),
        error=error,
        errors=errors,
        entries=int(entries),
        oldest=to_time(oldest),
        uid=uid,
    )


def in_order(groups: Iterable[EntryGroup]) -> list[EntryGroup]:
    """Sort by destination and state, within these the largest first and the rarer ones of all last."""
    return sorted(
        groups, key=lambda one: (one.destination, one.state, one.errors > 1, -one.entries, one.error)
    )
