"""Looking at the spool: for the API, the command line and an operator at 3 a.m."""

from collections.abc import Iterator
from typing import Final

from spool.entry import AGE_BOUNDS_S, ANY, Depth, JournalLine, MessageView, Wanted
from spool.grouping import GROUPED, EntryGroup, bounds, group_of, in_order
from spool.lifecycle import OVER, State
from spool.postgres.arrays import texts
from spool.postgres.database import Database, Row, to_time
from spool.postgres.texts import short

LINE: Final = "SELECT id, at, event, uid, detail FROM journal"
_VIEW: Final = (
    "SELECT m.uid, m.owner, m.kind, m.sha256, m.facts, m.accepted_at, e.id, e.destination, e.cop_msg_id, e.part,"
    " e.state, e.attempts, e.due_at, e.error, e.sent_at, e.sent_sha256, e.facts,"
    " ARRAY(SELECT b.uid FROM wait w JOIN entry b ON b.id = w.blocker WHERE w.entry = e.id ORDER BY b.id),"
    " ARRAY(SELECT d.identity FROM version v JOIN declaration d ON d.id = v.declaration"
    " WHERE v.message = m.id ORDER BY d.id)"
    " FROM message m JOIN entry e ON e.message = m.id"
)
_OPEN: Final = "e.state IN ('ready', 'sending', 'held', 'dead')"
"""Word for word the condition of the index `entry_open`."""
_OF_DECLARATION: Final = "SELECT m.uid FROM version v JOIN message m ON m.id = v.message WHERE v.declaration IN ({}) ORDER BY m.id LIMIT %s"
_SEARCHES: Final = (
    ("SELECT uid FROM message WHERE uid = upper(%s) LIMIT %s", False),
    ("SELECT uid FROM entry WHERE cop_msg_id = %s ORDER BY id LIMIT %s", False),
    (
        _OF_DECLARATION.format(
            "SELECT t.declaration FROM arrival a JOIN timeline t ON t.arrival = a.id"
            " WHERE a.cop_msg_id = %s AND a.cop_msg_id <> ''"  # the condition of the index, for a generic plan
        ),
        True,
    ),
    (_OF_DECLARATION.format("SELECT id FROM declaration WHERE identity = %s"), False),
    (_OF_DECLARATION.format("SELECT declaration FROM handle WHERE text = %s"), True),
    # not indexed: reads every declaration, the price of a bare value
    (
        _OF_DECLARATION.format(
            "SELECT id FROM declaration WHERE position('=' || %s || ' ' IN identity || ' ') > 0"
        ),
        False,
    ),
    (
        _OF_DECLARATION.format(
            "SELECT h.declaration FROM handle h, (SELECT '=' || %s AS wanted) AS o"
            " WHERE right(h.text, length(o.wanted)) = o.wanted"
        ),
        False,
    ),
)
"""From the likeliest to the dearest; with each whether its index holds shortened texts."""


class Looking:
    """The reading part of the spool."""

    db: Database

    def message(self, uid: str, *, owner: str | None = None) -> MessageView | None:
        """Return one message with its first entry; with `owner` only if it is theirs."""
        rows = self.db.rows(f"{_VIEW} WHERE m.uid = %s ORDER BY e.id LIMIT 1", uid)
        view = _view(rows[0]) if rows else None
        return view if view is not None and owner in {None, view.owner} else None

    def ways(self, uid: str) -> list[MessageView]:
        """Return one message with each of its entries, in the order of the offer's ways."""
        return [_view(row) for row in self.db.rows(f"{_VIEW} WHERE m.uid = %s ORDER BY e.id", uid)]

    def body(self, uid: str) -> bytes | None:
        """Return the accepted bytes of a message."""
        rows = self.db.rows(
            "SELECT p.body FROM message m JOIN payload p ON p.day = m.day AND p.message = m.id WHERE m.uid = %s",
            uid,
        )
        return bytes(rows[0][0]) if rows else None

    def about(self, owner: str | None, text: str, *, limit: int) -> list[MessageView]:
        """Return entries of messages about declarations that the identity or handle names, newest first."""
        condition, values = ("", ()) if owner is None else (" AND m.owner = %s", (owner,))
        rows = self.db.rows(
            f"{_VIEW} WHERE m.id IN (SELECT v.message FROM version v WHERE v.declaration IN (SELECT id FROM declaration"
            " WHERE identity = %s UNION SELECT declaration FROM handle WHERE text = %s))"
            f"{condition} ORDER BY m.id DESC, e.id LIMIT %s",
            text,
            short(text),
            *values,
            limit,
        )
        return [_view(row) for row in rows]

    def search(self, text: str, *, limit: int = 20) -> list[str]:
        """Return uids of messages that the text may mean: a uid, CopMsgId, identity, handle, or value."""
        for query, shortened in _SEARCHES:
            rows = self.db.rows(query, short(text) if shortened else text, limit)
            if rows:
                return list(dict.fromkeys(row[0] for row in rows))
        return []

    def beginning(self, text: str, *, limit: int) -> list[str]:
        """Return up to `limit` ids of messages that begin like this, in their order."""
        if (between := bounds(text)) is None:
            return []
        return [
            row[0]
            for row in self.db.rows(
                "SELECT uid FROM message WHERE uid >= %s AND uid < %s AND starts_with(uid, %s) ORDER BY uid LIMIT %s",
                *between,
                text,
                limit,
            )
        ]

    def entries(self, wanted: Wanted = ANY, *, after: int = 0, limit: int = 100) -> list[MessageView]:
        """Return up to `limit` entries that are wanted, oldest first."""
        only_open = bool(wanted.states) and OVER.isdisjoint(wanted.states)
        # what is open is little, by its index, and then sorted; all else is much, and walked in its order
        number = "e.id + 0" if only_open else "e.id"
        given = _given(wanted)
        conditions = [f"{number} > %s", *([_OPEN] if only_open else []), *given]
        query = f"{_VIEW} WHERE {' AND '.join(conditions)} ORDER BY {number} LIMIT %s"
        return [_view(row) for row in self.db.rows(query, after, *given.values(), limit)]

    def depths(self) -> list[Depth]:
        """Return how many unsettled or dead entries each destination has, by state and age."""
        classes = " ".join(
            f"WHEN n.now - m.accepted_at < {age * 1_000_000} THEN {age}" for age in AGE_BOUNDS_S
        )
        rows = self.db.rows(
            f"SELECT e.destination, e.state, CASE {classes} ELSE -1 END AS age, count(*)"
            " FROM entry e JOIN message m ON m.id = e.message, (SELECT %s AS now) AS n"
            f" WHERE {_OPEN} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            self.db.now(),
        )
        return [
            Depth(destination=destination, state=State(state), age_s=age, entries=count)
            for destination, state, age, count in rows
        ]

    def groups(self, wanted: Wanted = ANY, *, each: int) -> list[EntryGroup]:
        """Return what is wanted of the unsettled and dead entries, those of one destination, state and error together."""
        given = _given(wanted)
        rows = self.db.rows(
            GROUPED.format(" AND ".join([_OPEN, *given])).replace("?", "%s"),
            *given.values(),
            each,
            each,
        )
        return in_order(group_of(row, to_time) for row in rows)

    def history(self, uid: str) -> Iterator[JournalLine]:
        """Return the journal lines of one message, oldest first."""
        own = "WHERE uid = %s AND uid <> ''"
        rows = self.db.rows(f"{LINE} {own} UNION ALL {LINE}_rest {own} ORDER BY id", short(uid), short(uid))
        yield from map(happening, rows)


def _given(wanted: Wanted) -> dict[str, bytes | str]:
    """Give the conditions, each with its value."""
    asked = {
        "e.state = ANY(%s)": texts(state.value for state in wanted.states) if wanted.states else "",
        "e.destination = %s": wanted.destination,
        "e.owner = %s": wanted.owner,
        "m.kind = %s": wanted.kind,
        "position(%s IN e.error) > 0": wanted.error,
    }
    return {condition: value for condition, value in asked.items() if value}


def happening(row: Row) -> JournalLine:
    """Make the value from a row of the journal."""
    number, at, event, uid, detail = row
    return JournalLine(number=number, at=to_time(at), event=event, uid=uid, detail=detail)


def _view(row: Row) -> MessageView:
    (uid, owner, kind, sha256, facts, accepted_at, entry, destination, cop_msg_id, part) = row[:10]
    (state, attempts, due_at, error, sent_at, sent_sha256, way, waits_for, identities) = row[10:]
    return MessageView(
        uid=uid,
        owner=owner,
        kind=kind,
        sha256=sha256,
        facts=facts,
        accepted_at=to_time(accepted_at),
        entry=entry,
        destination=destination,
        cop_msg_id=cop_msg_id,
        part=part,
        state=State(state),
        attempts=attempts,
        due_at=to_time(due_at),
        waits_for=tuple(waits_for),
        error=error,
        sent_at=None if sent_at is None else to_time(sent_at),
        sent_sha256=sent_sha256,
        identities=tuple(identities),
        way=way,
    )
