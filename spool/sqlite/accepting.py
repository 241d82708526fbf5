"""Taking messages in: duplicates known, contradictions told, order fixed, all in one commit."""

import sqlite3
from collections.abc import Sequence

from spool.entry import Clash, Known, Note, Offer, Reply, Taken
from spool.lifecycle import State
from spool.signals import Signals
from spool.sqlite.database import Database
from spool.sqlite.ordering import add_waits, unsettled


class Accepting:
    """The accepting part of the spool."""

    db: Database
    signals: Signals

    def put(self, offers: Sequence[Offer], *, notes: Sequence[Note] = ()) -> list[Reply]:
        """Take in offers, in order, and write notes in the journal, in one commit; one reply an offer."""
        with self.db.write() as connection:
            now = self.db.now()
            replies = [_take(connection, offer, now) for offer in offers]
            for note in notes:
                journal(connection, now, note.event, note.uid, note.detail)
        if any(isinstance(reply, Taken) for reply in replies):
            self.signals.wake("entries")
        return replies


def journal(connection: sqlite3.Connection, now: int, event: str, uid: str, detail: str = "") -> None:
    """Append a line to the journal, within the caller's transaction."""
    connection.execute(
        "INSERT INTO journal (at, event, uid, detail) VALUES (?, ?, ?, ?)", (now, event, uid, detail)
    )


def _take(connection: sqlite3.Connection, offer: Offer, now: int) -> Reply:
    earlier = _same(connection, offer)
    if earlier is not None:
        return earlier
    known = [_declaration(connection, offer.owner, subject.identity) for subject in offer.subjects]
    clash = _contradiction(connection, offer, known)
    if clash is not None:
        return clash
    run = connection.execute
    message = run(
        "INSERT INTO message (uid, owner, kind, sha256, request_key, facts, accepted_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (offer.uid, offer.owner, offer.kind, offer.sha256, offer.request_key, offer.facts, now),
    ).lastrowid
    run("INSERT INTO payload (message, body) VALUES (?, ?)", (message, offer.body))
    blockers = unsettled(connection, offer.destination, [number for number in known if number is not None])
    entry = run(
        "INSERT INTO entry (message, destination, cop_msg_id, state, due_at, blockers) VALUES (?, ?, ?, ?, ?, ?)",
        (message, offer.destination, offer.cop_msg_id, State.READY.value, now, len(blockers)),
    ).lastrowid
    assert entry is not None  # noqa: S101 (SQLite just gave it)
    if blockers:
        add_waits(connection, [(blocker, entry) for blocker in blockers])
    _index(connection, offer, known, message)
    journal(connection, now, "message.accepted", offer.uid)
    return Taken(uid=offer.uid)


def _same(connection: sqlite3.Connection, offer: Offer) -> Known | None:
    """Find what was taken before: the same bytes, or the owner's own name for the request."""
    ways: list[tuple[str, str | bytes]] = [("sha256", offer.sha256)]
    if offer.request_key:
        ways.append(("request_key", offer.request_key))
    for column, value in ways:
        row = connection.execute(
            f"SELECT uid FROM message WHERE owner = ? AND {column} = ?", (offer.owner, value)
        ).fetchone()
        if row is not None:
            return Known(uid=row[0])
    return None


def _declaration(connection: sqlite3.Connection, owner: str, identity: str) -> int | None:
    row = connection.execute(
        "SELECT id FROM declaration WHERE identity = ? AND owner = ?", (identity, owner)
    ).fetchone()
    return None if row is None else int(row[0])


def _contradiction(connection: sqlite3.Connection, offer: Offer, known: Sequence[int | None]) -> Clash | None:
    row = connection.execute(
        "SELECT m.uid, m.owner FROM entry e JOIN message m ON m.id = e.message"
        " WHERE e.cop_msg_id = ? AND e.destination = ?",
        (offer.cop_msg_id, offer.destination),
    ).fetchone()
    if row is not None:
        return Clash(uid=row[0] if row[1] == offer.owner else "", reason="cop_msg_id")
    for subject, declaration in zip(offer.subjects, known, strict=True):
        if declaration is None or not subject.version:
            continue
        row = connection.execute(
            "SELECT m.uid FROM version v JOIN message m ON m.id = v.message JOIN entry e ON e.message = m.id"
            " WHERE v.declaration = ? AND v.version = ? AND e.state NOT IN ('dead', 'discarded') LIMIT 1",
            (declaration, subject.version),
        ).fetchone()
        if row is not None:
            return Clash(uid=row[0], reason="version", identities=(subject.identity,))
    return None


def _index(
    connection: sqlite3.Connection, offer: Offer, known: Sequence[int | None], message: int | None
) -> None:
    made: dict[str, int | None] = {}
    for subject, earlier in zip(offer.subjects, known, strict=True):
        declaration = earlier if earlier is not None else made.get(subject.identity)
        if declaration is None:
            declaration = connection.execute(
                "INSERT INTO declaration (identity, owner, facts) VALUES (?, ?, ?)",
                (subject.identity, offer.owner, subject.facts),
            ).lastrowid
            made[subject.identity] = declaration
        else:  # a later version may change what answers are compared with
            connection.execute(
                "UPDATE declaration SET facts = ?1 WHERE id = ?2 AND facts <> ?1",
                (subject.facts, declaration),
            )
        connection.execute(
            "INSERT OR IGNORE INTO version (declaration, version, message) VALUES (?, ?, ?)",
            (declaration, subject.version, message),
        )
        for text in subject.handles:
            connection.execute(
                "INSERT OR IGNORE INTO handle (text, declaration) VALUES (?, ?)", (text, declaration)
            )
