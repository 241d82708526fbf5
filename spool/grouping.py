"""Group many entries for an operator: ids by prefix, and entries with the same error together."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from spool.lifecycle import State

LEAST: Final = 4
"""Least characters of an id prefix."""
_BEGINNING: Final = re.compile(rf"[0-9A-F-]{{{LEAST},36}}")


def bounds(beginning: str) -> tuple[str, str] | None:
    """Return a lower and an upper bound of all ids with this prefix; None: no message id can have it.

    Valid for any collation: ids are UUIDs in capitals, and Z sorts after all their characters.
    """
    return (beginning, beginning + "Z") if _BEGINNING.fullmatch(beginning) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryGroup:
    """Entries of one destination and state with the same error, or with any of its rarer errors."""

    destination: str
    state: State
    error: str
    """Empty: no error, or several."""
    errors: int
    """Number of different errors; more than 1 for the group of the rarer ones."""
    entries: int
    oldest: datetime
    """Acceptance time of the oldest."""
    uid: str
    """The message of the entry that was created first."""


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
"""SQL for both dialects: of the entries that match a condition, one row per destination, state and error for the
largest groups of a destination and state, and one row for all others together."""


def group_of(row: Sequence[Any], to_time: Callable[[int], datetime]) -> EntryGroup:
    """Make the value from a row of `GROUPED`, with the number types of either backend."""
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
    """Sort by destination and state, then the largest first and the group of rarer errors last."""
    return sorted(
        groups, key=lambda one: (one.destination, one.state, one.errors > 1, -one.entries, one.error)
    )
