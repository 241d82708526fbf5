"""Taking messages in: duplicates known, contradictions told, order fixed, all in one commit."""

import sqlite3
from collections.abc import Sequence

from spool.entry import Clash, Known, Offer, Reply, Taken
from spool.lifecycle import UNSETTLED, State
from spool.signals import Signals
from spool.sqlite.database import Database

_UNSETTLED = ", ".join(f"'{state.value}'" for state in sorted(UNSETTLED))


class Accepting:
    """The accepting part of the spool."""

    db: Database
    signals: Signals

    def put(self, offers: Sequence[Offer]) -> list[Reply]:
        """Take in offers, in order, in one commit."""
        with self.db.write() as connection:
            now = self.db.now()
            replies = [_take(connection, offer, now) for offer in offers]
        if any(isinstance(reply, Taken) for reply in replies):
            self.signals.wake("entries")
        return replies

    def note(self, event: str, *, uid: str = "", detail: str = "") -> None:
        """Write one line in the journal."""
        with self.db.write() as connection:
            journal(connection, self.db.now(), event, uid, detail)


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
    blockers = _unsettled(connection, offer.destination, [number for number in known if number is not None])
    entry = run(
        "INSERT INTO entry (message, destination, cop_msg_id, state, due_at, blockers) VALUES (?, ?, ?, ?, ?, ?)",
        (message, offer.destination, offer.cop_msg_id, State.READY.value, now, len(blockers)),
    ).lastrowid
    if blockers:
        connection.executemany(
            "INSERT INTO wait (blocker, entry) VALUES (?, ?)", [(blocker, entry) for blocker in blockers]
        )
    _index(connection, offer, known, message)
    journal(connection, now, "message.accepted", offer.uid)
    return Taken(uid=offer.uid)


def _same(connection: sqlite3.Connection, offer: Offer) -> Known | Clash | None:
    row = connection.execute(
        "SELECT uid FROM message WHERE owner = ? AND sha256 = ?", (offer.owner, offer.sha256)
    ).fetchone()
    if row is not None:
        return Known(uid=row[0])
    if offer.request_key:
        row = connection.execute(
            "SELECT uid FROM message WHERE owner = ? AND request_key = ?", (offer.owner, offer.request_key)
        ).fetchone()
        if row is not None:
            return Clash(uid=row[0], reason="request_key")
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


def _unsettled(connection: sqlite3.Connection, destination: str, declarations: Sequence[int]) -> set[int]:
    """Return the entries that must go before: all unsettled ones that share a declaration."""
    return {
        entry
        for declaration in declarations
        for (entry,) in connection.execute(
            "SELECT e.id FROM version v JOIN entry e ON e.message = v.message"
            f" WHERE v.declaration = ? AND e.destination = ? AND e.state IN ({_UNSETTLED})",
            (declaration, destination),
        )
    }


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
        connection.execute(
            "INSERT OR IGNORE INTO version (declaration, version, message) VALUES (?, ?, ?)",
            (declaration, subject.version, message),
        )
        for text in subject.handles:
            connection.execute(
                "INSERT OR IGNORE INTO handle (text, declaration) VALUES (?, ?)", (text, declaration)
            )
