"""Bring answers home: what was filed for an owner, and how far the owner has acknowledged it."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spool import values
from spool.entry import Notice, TimelineEntry, Unread
from spool.shared.backend import Store
from spool.shared.reading import TIMELINE
from spool.times import to_time

_PAGE: Final = (
    "SELECT n.cursor, n.arrival, a.kind, a.received_at FROM notice n JOIN arrival a ON a.id = n.arrival"
    " WHERE n.owner = ? AND n.cursor > ? ORDER BY n.cursor LIMIT ?"
)
"""Notices of an owner behind a cursor."""
_FILED: Final = f"{TIMELINE} WHERE t.arrival = ? AND d.owner = ? ORDER BY t.body_index, t.id"
"""What of an arrival is on an owner's timelines."""
BESIDES: Final = "EXISTS (SELECT 1 FROM timeline b WHERE b.declaration = t.declaration AND b.kind || ' ' || b.status {but})"
"""Whether the declaration of answer `t` has an answer but for passing ones."""
_ADDRESSED: Final = "SELECT 1 FROM addressed WHERE arrival = ? AND owner = ?"
"""Whether an arrival is for an owner as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxSql:
    """What a backend says in its own SQL."""

    answers: str
    """Rows of `values.timeline_entry`, but for received_at, of an owner's notices behind one cursor and up to another."""
    besides: str
    """Identities of an owner's notices behind one cursor and up to another with an answer `BESIDES`."""
    newest: str
    """Owner and newest cursor of each of these owners that has any."""
    unread: str
    """Number and bytes of an owner's mail (given twice) behind what it has acknowledged; no more are counted."""
    acknowledge: str
    """Set how far an owner has read to this cursor, never backwards nor ahead of the newest; the cursor that holds."""
    acknowledged: str
    """How far an owner has read."""


class SharedInbox:
    """The part of a spool that owners read: `spool.store.SpoolInbox`."""

    def __init__(self, db: Store, sql: InboxSql) -> None:
        self._db = db
        self._sql = sql

    def notices(self, owner: str, *, after: int, limit: int) -> list[Notice]:
        """Return what was filed for this owner after the cursor, in cursor order."""
        page = self._db.rows(_PAGE, owner, after, limit)
        received = {cursor: to_time(received_at) for cursor, _, _, received_at in page}
        answers: defaultdict[int, list[TimelineEntry]] = defaultdict(list)
        for row in self._db.rows(self._sql.answers, owner, after, page[-1][0]) if page else ():
            answers[row[8]].append(values.timeline_entry(row, received[row[8]]))
        return [
            Notice(
                cursor=cursor,
                arrival=arrival,
                kind=kind,
                received_at=received[cursor],
                rows=tuple(answers[cursor]),
            )
            for cursor, arrival, kind, _ in page
        ]

    def answered_besides(
        self, owner: str, *, after: int, up_to: int, passing: Collection[str]
    ) -> frozenset[str]:
        """Return the identities of the declarations of these notices that have an answer but for passing ones."""
        rows = self._db.rows(self._sql.besides, owner, after, up_to, self._db.texts(passing))
        return frozenset(row[0] for row in rows)

    def newest_notices(self, owners: Sequence[str]) -> Mapping[str, int]:
        """Return the newest cursor of each of these owners who has any."""
        return dict(self._db.rows(self._sql.newest, self._db.texts(owners)))

    def filed_for(self, owner: str, arrival: int) -> list[TimelineEntry]:
        """Return the rows of one arrival that are this owner's."""
        return [values.timeline_entry(row) for row in self._db.rows(_FILED, arrival, owner)]

    def addressed(self, owner: str, arrival: int) -> bool:
        """Say whether an arrival was filed as a whole for this owner."""
        return bool(self._db.rows(_ADDRESSED, arrival, owner))

    def unread(self, owner: str, *, at_most: int) -> Unread:
        """Return how much an owner was addressed as a whole and has not acknowledged; no more messages are counted."""
        ((messages, size),) = self._db.rows(self._sql.unread, owner, owner, at_most)
        return Unread(messages=messages, size_bytes=size)

    def acknowledge(self, owner: str, cursor: int) -> int:
        """Remember how far the owner has read (never backwards); returns the cursor that holds."""
        rows = self._db.transact(lambda one: one.all(self._sql.acknowledge, owner, cursor))
        return int(rows[0][0]) if rows else 0

    def acknowledged(self, owner: str) -> int:
        """Return how far the owner has read; 0 at first."""
        rows = self._db.rows(self._sql.acknowledged, owner)
        return int(rows[0][0]) if rows else 0
