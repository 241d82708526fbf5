"""Looking at the spool: for the API, the command line and an operator at 3 a.m."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from spool.entry import AGE_BOUNDS_S, ANY, Depth, JournalLine, MessageView, Wanted
from spool.grouping import GROUPED, EntryGroup, bounds, group_of, in_order
from spool.lifecycle import OVER, State
from spool.sqlite.database import Database, to_time
from spool.sqlite.schema import unfinished

LINE: Final = "SELECT id, at, event, uid, detail FROM journal"
_VIEW = (
    "SELECT m.id, m.uid, m.owner, m.kind, m.sha256, m.facts, m.accepted_at, e.id, e.destination, e.cop_msg_id,"
    " e.part, e.state, e.attempts, e.due_at, e.error, e.sent_at, e.sent_sha256, e.facts"
    " FROM message m JOIN entry e ON e.message = m.id"
)
_OPEN = unfinished("e.")


class Looking:
    """The reading part of the spool."""

    db: Database

    def message(self, uid: str, *, owner: str | None = None) -> MessageView | None:
        """Return one message; with `owner` only if it is theirs."""
        with self.db.read() as connection:
            row = connection.execute(
                f"{_VIEW} WHERE m.uid = ?1 AND (?2 IS NULL OR m.owner = ?2) ORDER BY e.id LIMIT 1",
                (uid, owner),
            ).fetchone()
            return None if row is None else _view(connection, row)

    def ways(self, uid: str) -> list[MessageView]:
        """Return one message with each of its entries, in the order of the offer's ways."""
        with self.db.read() as connection:
            rows = connection.execute(f"{_VIEW} WHERE m.uid = ? ORDER BY e.id", (uid,)).fetchall()
            return [_view(connection, row) for row in rows]

    def body(self, uid: str) -> bytes | None:
        """Return the accepted bytes of a message."""
        with self.db.read() as connection:
            row = connection.execute(
                "SELECT p.body FROM message m JOIN payload p ON p.message = m.id WHERE m.uid = ?", (uid,)
            ).fetchone()
        return None if row is None else bytes(row[0])

    def about(self, owner: str | None, text: str, *, limit: int) -> list[MessageView]:
        """Return entries of messages about declarations that the identity or handle names, newest first."""
        with self.db.read() as connection:
            rows = connection.execute(
                f"{_VIEW} WHERE m.id IN (SELECT v.message FROM version v WHERE v.declaration IN"
                " (SELECT id FROM declaration WHERE identity = ?1 UNION SELECT declaration FROM handle WHERE text = ?1))"
                " AND (?2 IS NULL OR m.owner = ?2) ORDER BY m.id DESC, e.id LIMIT ?3",
                (text, owner, limit),
            ).fetchall()
            return [_view(connection, row) for row in rows]

    def search(self, text: str, *, limit: int = 20) -> list[str]:
        """Return uids of messages that the text may mean: a uid, CopMsgId, identity, handle, or value."""
        of_declaration = "SELECT m.uid FROM version v JOIN message m ON m.id = v.message WHERE v.declaration IN ({}) LIMIT ?2"
        ways = (
            "SELECT uid FROM message WHERE uid = upper(?1) LIMIT ?2",
            "SELECT m.uid FROM entry e JOIN message m ON m.id = e.message WHERE e.cop_msg_id = ?1 LIMIT ?2",
            (
                "SELECT m.uid FROM arrival a JOIN timeline t ON t.arrival = a.id JOIN version v"
                " ON v.declaration = t.declaration JOIN message m ON m.id = v.message"
                # the index holds only those that have one, and SQLite must be told that this is one
                " WHERE a.cop_msg_id = ?1 AND a.cop_msg_id <> '' LIMIT ?2"
            ),
            of_declaration.format("SELECT id FROM declaration WHERE identity = ?1"),
            of_declaration.format("SELECT declaration FROM handle WHERE text = ?1"),
            # not indexed: reads every declaration, the price of a bare value
            of_declaration.format(
                "SELECT id FROM declaration WHERE instr(identity || ' ', '=' || ?1 || ' ') > 0"
                " UNION SELECT declaration FROM handle WHERE substr(text, -length(?1) - 1) = '=' || ?1"
            ),
        )
        with self.db.read() as connection:
            for way in ways:
                rows = connection.execute(way, (text, limit)).fetchall()
                if rows:
                    return list(dict.fromkeys(str(row[0]) for row in rows))
        return []

    def beginning(self, text: str, *, limit: int) -> list[str]:
        """Return up to `limit` ids of messages that begin like this, in their order."""
        if (between := bounds(text)) is None:
            return []
        with self.db.read() as connection:
            rows = connection.execute(
                "SELECT uid FROM message WHERE uid >= ? AND uid < ? ORDER BY uid LIMIT ?", (*between, limit)
            ).fetchall()
        return [str(uid) for (uid,) in rows]

    def entries(self, wanted: Wanted = ANY, *, after: int = 0, limit: int = 100) -> list[MessageView]:
        """Return up to `limit` entries that are wanted, oldest first."""
        only_open = bool(wanted.states) and OVER.isdisjoint(wanted.states)
        # what is open is little, by its index, and then sorted; all else is much, and walked in its order
        number = "+e.id" if only_open else "e.id"
        conditions = [f"{number} > ?", *([_OPEN] if only_open else []), *_states(wanted)]
        given = _given(wanted)
        conditions += given
        query = f"{_VIEW} WHERE {' AND '.join(conditions)} ORDER BY {number} LIMIT ?"
        with self.db.read() as connection:
            rows = connection.execute(query, (after, *given.values(), limit)).fetchall()
            return [_view(connection, row) for row in rows]

    def depths(self) -> list[Depth]:
        """Return how many unsettled or dead entries each destination has, by state and age."""
        classes = " ".join(f"WHEN ?1 - m.accepted_at < {age * 1_000_000} THEN {age}" for age in AGE_BOUNDS_S)
        with self.db.read() as connection:
            rows = connection.execute(
                f"SELECT e.destination, e.state, CASE {classes} ELSE -1 END AS age, count(*)"
                " FROM entry e JOIN message m ON m.id = e.message"
                f" WHERE {_OPEN} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
                (self.db.now(),),
            ).fetchall()
        return [
            Depth(destination=destination, state=State(state), age_s=age, entries=count)
            for destination, state, age, count in rows
        ]

    def groups(self, wanted: Wanted = ANY, *, each: int) -> list[EntryGroup]:
        """Return what is wanted of the unsettled and dead entries, those of one destination, state and error together."""
        given = _given(wanted)
        with self.db.read() as connection:
            rows = connection.execute(
                GROUPED.format(" AND ".join([_OPEN, *_states(wanted), *given])),
                (*given.values(), each, each),
            ).fetchall()
        return in_order(group_of(row, to_time) for row in rows)

    def history(self, uid: str) -> Iterator[JournalLine]:
        """Return the journal lines of one message, oldest first."""
        with self.db.read() as connection:
            rows = connection.execute(f"{LINE} WHERE uid = ? AND uid <> '' ORDER BY id", (uid,)).fetchall()
        yield from map(line, rows)


def _states(wanted: Wanted) -> list[str]:
    """Give the condition that the states make, if any."""
    states = ", ".join(f"'{state.value}'" for state in wanted.states)
    return [f"e.state IN ({states})"] if states else []


def _given(wanted: Wanted) -> dict[str, str]:
    """Give the other conditions, each with its value."""
    asked = {
        "e.destination = ?": wanted.destination,
        "e.owner = ?": wanted.owner,
        "m.kind = ?": wanted.kind,
        "instr(e.error, ?) > 0": wanted.error,
    }
    return {condition: value for condition, value in asked.items() if value}


def line(row: tuple[int, int, str, str, str]) -> JournalLine:
    """Make the value from a row of the journal."""
    number, at, event, uid, detail = row
    return JournalLine(number=number, at=to_time(at), event=event, uid=uid, detail=detail)


def _view(connection: sqlite3.Connection, row: Sequence[object]) -> MessageView:
    (number, uid, owner, kind, sha256, facts, accepted_at, entry, destination, cop_msg_id) = row[:10]
    part, state, attempts, due_at, error, sent_at, sent_sha256, way = row[10:]
    waits_for = connection.execute(
        "SELECT m.uid FROM wait w JOIN entry e ON e.id = w.blocker JOIN message m ON m.id = e.message"
        " WHERE w.entry = ? ORDER BY e.id",
        (entry,),
    ).fetchall()
    identities = connection.execute(
        "SELECT d.identity FROM version v JOIN declaration d ON d.id = v.declaration WHERE v.message = ?"
        " ORDER BY d.id",
        (number,),
    ).fetchall()
    return MessageView(
        uid=str(uid),
        owner=str(owner),
        kind=str(kind),
        sha256=_bytes(sha256),
        facts=_bytes(facts),
        accepted_at=to_time(_int(accepted_at)),
        entry=_int(entry),
        destination=str(destination),
        cop_msg_id=str(cop_msg_id),
        part=str(part),
        state=State(str(state)),
        attempts=_int(attempts),
        due_at=to_time(_int(due_at)),
        waits_for=tuple(one for (one,) in waits_for),
        error=str(error),
        sent_at=None if sent_at is None else to_time(_int(sent_at)),
        sent_sha256=_bytes(sent_sha256),
        identities=tuple(one for (one,) in identities),
        way=_bytes(way),
    )


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)  # noqa: S101 (the column's type)
    return value


def _int(value: object) -> int:
    assert isinstance(value, int)  # noqa: S101 (the column's type)
    return value
