"""Read messages, entries, timelines and the journal: for the API, the command line, an operator."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spool import values
from spool.entry import AGE_BOUNDS_S, ANY, Depth, JournalLine, MessageView, TimelineEntry, Wanted
from spool.grouping import GROUPED, EntryGroup, bounds, group_of, in_order
from spool.lifecycle import OVER
from spool.shared.backend import Row, Store
from spool.times import to_time

TIMELINE: Final = (
    "SELECT d.identity, t.at, t.kind, t.status, t.facts, t.digest, t.body_index, t.arrival, t.notice, a.received_at,"
    " t.declaration"
    " FROM timeline t JOIN declaration d ON d.id = t.declaration JOIN arrival a ON a.id = t.arrival"
)
"""Rows of `values.timeline_entry`, and the number of the declaration."""
LINE: Final = "SELECT id, at, event, uid, detail FROM journal"
"""Rows of `values.journal_line`."""
NAMED: Final = (
    "(SELECT id FROM declaration WHERE identity = ? UNION SELECT declaration FROM handle WHERE text = ?)"
)
"""Declarations that an identity or a handle names."""
_TIMELINE_OF: Final = f"{TIMELINE} WHERE t.declaration IN {NAMED}{{}} ORDER BY t.at, t.id"
_ABOUT: Final = (
    f" WHERE m.id IN (SELECT v.message FROM version v WHERE v.declaration IN {NAMED}){{}}"
    " ORDER BY m.id DESC, e.id LIMIT ?"
)
_AGES: Final = " ".join(f"WHEN n.now - m.accepted_at < {age * 1_000_000} THEN {age}" for age in AGE_BOUNDS_S)
_DEPTHS: Final = (
    f"SELECT e.destination, e.state, CASE {_AGES} ELSE -1 END AS age, count(*)"
    " FROM entry e JOIN message m ON m.id = e.message, (SELECT ? AS now) AS n WHERE {} GROUP BY 1, 2, 3"
)
"""Entries by destination, state and class of age."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSql:
    """What a backend says in its own SQL."""

    view: str
    """Columns of `values.message_view` from `message m JOIN entry e`; what follows them is for `SharedReading.views`."""
    among: str
    """Condition: a column is one of a list, which is one value."""
    open: str
    """The condition of the index `entry_open`, word for word."""
    error: str
    """Condition: a text is part of the error."""
    body: str
    """The accepted bytes of a message and what they were made from (NULL: nothing else), by uid."""
    beginning: str
    """Uids from a text up to another, `grouping.bounds`, that begin with a third, in order; limit."""
    searches: tuple[tuple[str, bool], ...]
    """Uids that a text may mean, oldest first, with a limit: from the likeliest to the dearest query.

    With each whether it looks for the text as the indexes hold it (`Store.key`).
    """
    history: str
    """Journal lines about one uid, in order."""


class SharedReading:
    """The part of a spool that reads messages: `spool.store.SpoolReading`."""

    def __init__(self, db: Store, sql: ReadingSql) -> None:
        self._db = db
        self._sql = sql
        self._timelines = f"{TIMELINE} WHERE t.declaration {sql.among} ORDER BY t.at, t.id"

    def message(self, uid: str, *, owner: str | None = None) -> MessageView | None:
        """Return one message with its first entry; with `owner` only if it is theirs."""
        views = self._views(" WHERE m.uid = ? ORDER BY e.id LIMIT 1", uid)
        return views[0] if views and owner in {None, views[0].owner} else None

    def ways(self, uid: str) -> list[MessageView]:
        """Return one message with each of its entries, in the order of the message's ways."""
        return self._views(" WHERE m.uid = ? ORDER BY e.id", uid)

    def body(self, uid: str) -> bytes | None:
        """Return the accepted bytes of a message."""
        kept = self.kept(uid)
        return None if kept is None else kept[0]

    def kept(self, uid: str) -> tuple[bytes, bytes] | None:
        """Return the accepted bytes of a message, and what they were made from, empty when they are as submitted."""
        rows = self._db.rows(self._sql.body, uid)
        return (bytes(rows[0][0]), bytes(rows[0][1] or b"")) if rows else None

    def timeline(self, owner: str | None, text: str) -> list[TimelineEntry]:
        """Return the answers about declarations that the identity or handle names, by `at`."""
        mine, whose = ("", ()) if owner is None else (" AND d.owner = ?", (owner,))
        rows = self._db.rows(_TIMELINE_OF.format(mine), text, self._db.key(text), *whose)
        return [values.timeline_entry(row) for row in rows]

    def timelines(self, declarations: Collection[int]) -> Mapping[int, Sequence[TimelineEntry]]:
        """Return the answers about each of these declarations that has any, by `at`."""
        found: defaultdict[int, list[TimelineEntry]] = defaultdict(list)
        for row in self._db.rows(self._timelines, self._db.numbers(declarations)):
            found[row[-1]].append(values.timeline_entry(row))
        return found

    def about(self, owner: str | None, text: str, *, limit: int) -> list[MessageView]:
        """Return entries of messages about declarations that the identity or handle names, newest first."""
        mine, whose = ("", ()) if owner is None else (" AND m.owner = ?", (owner,))
        return self._views(_ABOUT.format(mine), text, self._db.key(text), *whose, limit)

    def search(self, text: str, *, limit: int = 20) -> list[str]:
        """Return uids of messages that the text may mean: a uid, CopMsgId, identity, handle, or value; oldest first."""
        for query, as_key in self._sql.searches:
            rows = self._db.rows(query, self._db.key(text) if as_key else text, limit)
            if rows:
                return list(dict.fromkeys(row[0] for row in rows))
        return []

    def beginning(self, text: str, *, limit: int) -> list[str]:
        """Return up to `limit` ids of messages that begin like this, in their order."""
        between = bounds(text)
        return (
            [row[0] for row in self._db.rows(self._sql.beginning, *between, text, limit)] if between else []
        )

    def entries(self, wanted: Wanted = ANY, *, after: int = 0, limit: int = 100) -> list[MessageView]:
        """Return up to `limit` entries that are wanted, oldest first."""
        only_open = bool(wanted.states) and OVER.isdisjoint(wanted.states)
        # what is open is little, by its index, and then sorted; all else is much, and walked in its order
        number = "e.id + 0" if only_open else "e.id"
        given = self._given(wanted)
        conditions = [f"{number} > ?", *([self._sql.open] if only_open else []), *_states(wanted), *given]
        return self._views(
            f" WHERE {' AND '.join(conditions)} ORDER BY {number} LIMIT ?", after, *given.values(), limit
        )

    def depths(self) -> list[Depth]:
        """Return how many unsettled or dead entries each destination has, by state and age."""
        return [
            values.depth(row) for row in sorted(self._db.rows(_DEPTHS.format(self._sql.open), self._db.now()))
        ]

    def groups(self, wanted: Wanted = ANY, *, each: int) -> list[EntryGroup]:
        """Return what is wanted of the unsettled and dead entries, those of one destination, state and error together."""
        given = self._given(wanted)
        query = GROUPED.format(" AND ".join([self._sql.open, *_states(wanted), *given]))
        return in_order(group_of(row, to_time) for row in self._db.rows(query, *given.values(), each, each))

    def history(self, uid: str) -> Iterator[JournalLine]:
        """Return the journal lines of one message, oldest first."""
        yield from map(values.journal_line, self._db.rows(self._sql.history, self._db.key(uid)))

    def _views(self, condition: str, *given: object) -> list[MessageView]:
        return self.views(self._db.rows(f"{self._sql.view}{condition}", *given))

    def views(self, rows: Sequence[Row]) -> list[MessageView]:
        """Make values of rows of `ReadingSql.view`."""
        return [values.message_view(row) for row in rows]

    def _given(self, wanted: Wanted) -> dict[str, str]:
        """Give the conditions with a value, each with its own."""
        asked = {
            "e.destination = ?": wanted.destination,
            "e.owner = ?": wanted.owner,
            "m.kind = ?": wanted.kind,
            self._sql.error: wanted.error,
        }
        return {condition: value for condition, value in asked.items() if value}


def _states(wanted: Wanted) -> list[str]:
    """Give the condition that the states make, if any."""
    states = ", ".join(f"'{state.value}'" for state in wanted.states)
    return [f"e.state IN ({states})"] if states else []
