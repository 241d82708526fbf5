"""Taking messages in: duplicates known, contradictions told, order fixed, all in one commit."""

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from spool.entry import Accepted, Conflict, Duplicate, NewMessage, Note, PutResult, Submission, Way
from spool.fairness import fair_key_of
from spool.journal import accepted
from spool.lifecycle import State
from spool.requests import recognised, taken_before
from spool.signals import Signals
from spool.sqlite.database import Database
from spool.sqlite.many import select
from spool.sqlite.ordering import unsettled
from spool.store import NO_MARKS
from spool.travelling import MOST, UNTOLD, clashes

_TAKEN = "(e.state NOT IN ('dead', 'discarded') OR e.first_sent_at IS NOT NULL)"
"""Of an entry: its declarations may be at customs, or may still get there. What was ever sent may be (docs/adr/0037)."""
_SAME_BYTES = "SELECT m.owner, m.sha256, m.uid FROM (VALUES {}) AS o CROSS JOIN message m ON m.owner = o.column1 AND m.sha256 = o.column2"
_SAME_REQUEST = (
    "SELECT m.owner, m.request_key, m.uid FROM (VALUES {}) AS o CROSS JOIN message m"
    " ON m.owner = o.column1 AND m.request_key = o.column2 AND m.request_key <> '' AND m.request_key <> lower(hex(m.sha256))"
)
"""With the conditions of the index `message_request` in it: without, SQLite goes through all that the owner ever sent."""
_SAME_DIGEST = f"{_SAME_BYTES} AND m.request_key = lower(hex(m.sha256))"
"""What that index leaves out, because many name their requests by the digest of the bytes: one write the less for each."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DECLARED = "SELECT d.owner, d.identity, d.id FROM (VALUES {}) AS o CROSS JOIN declaration d ON d.identity = o.column2 AND d.owner = o.column1"

_KEEP_EARLIER = (
    "INSERT OR IGNORE INTO earlier_facts SELECT id, facts FROM declaration WHERE id = ?2 AND facts <> ?1"
)
_RENEW = "UPDATE declaration SET facts = ?1 WHERE id = ?2 AND facts <> ?1"
_MARK = (
    "INSERT INTO mark VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET reached = max(reached, excluded.reached)"
)


class Accepting:
    """The accepting part of the spool."""

    db: Database
    signals: Signals

    def put(
        self,
        new_messages: Sequence[NewMessage],
        *,
        notes: Sequence[Note] = (),
        marks: Mapping[str, int] = NO_MARKS,
    ) -> list[PutResult]:
        """Take in offers, in order, write notes in the journal and set marks, in one commit; one reply an offer."""
        with self.db.write() as connection:
            batch = _Batch(connection, self.db.now(), new_messages)
            replies = [batch.take(new) for new in new_messages]
            batch.write()
            write_journal(connection, batch.now, [(note.event, note.uid, note.detail) for note in notes])
            if marks:
                connection.executemany(_MARK, list(marks.items()))
        if any(isinstance(reply, Accepted) for reply in replies):
            self.signals.wake("entries")
        return replies

    def taken(self, submissions: Sequence[Submission]) -> list[Duplicate | Conflict | None]:
        """Say of each what `put` would say of these bytes if they were taken before; None: they were not."""
        with self.db.read() as connection:
            requests = _requests(connection, submissions)
        return [recognised(one, requests) for one in submissions]

    def mark(self, name: str) -> int | None:
        """Return how far that mark has got; None when it was never set."""
        (reached,) = self.db.row("SELECT max(reached) FROM mark WHERE name = ?", (name,))
        return None if reached is None else int(reached)


def write_journal(connection: sqlite3.Connection, now: int, lines: Iterable[tuple[str, str, str]]) -> None:
    """Append (event, uid, detail) lines to the journal, within the caller's transaction."""
    connection.executemany(
        "INSERT INTO journal (at, event, uid, detail) VALUES (?, ?, ?, ?)",
        [(now, event, uid, detail) for event, uid, detail in lines],
    )


def _requests(
    connection: sqlite3.Connection, asked: Sequence[NewMessage | Submission]
) -> dict[tuple[str, str | bytes], str]:
    """Look up at once what was taken of all this: `spool.requests.Requests`."""
    ask, requests = partial(select, connection), dict[tuple[str, str | bytes], str]()
    for owner, sha256, uid in ask(_SAME_BYTES, [(one.owner, one.sha256) for one in asked]):
        requests[owner, sha256] = uid
    keyed = [one for one in asked if one.request_key]
    for owner, request_key, uid in ask(_SAME_REQUEST, [(one.owner, one.request_key) for one in keyed]):
        requests[owner, request_key] = uid
    digests = [
        (one.owner, bytes.fromhex(one.request_key))
        for one in keyed
        if _DIGEST.fullmatch(one.request_key) and one.request_key != one.sha256.hex()
    ]
    for owner, sha256, uid in ask(_SAME_DIGEST, digests):
        requests[owner, sha256.hex()] = uid
    return requests


@dataclass(slots=True)
class _Rows:
    """What one commit inserts, a list a table: a statement for many rows costs a fraction of one for each."""

    message: list[tuple[int, str, str, str, bytes, str, bytes, int]] = field(default_factory=list)
    payload: list[tuple[int, bytes]] = field(default_factory=list)
    entry: list[tuple[object, ...]] = field(default_factory=list)
    wait: list[tuple[int, int]] = field(default_factory=list)
    declaration: list[tuple[int, str, str, bytes]] = field(default_factory=list)
    facts: list[tuple[bytes, int]] = field(default_factory=list)
    version: list[tuple[int, str, int]] = field(default_factory=list)
    handle: list[tuple[str, int]] = field(default_factory=list)
    journal: list[tuple[str, str, str]] = field(default_factory=list)


class _Batch:
    """The offers of one commit: judged against the database and against each other, then written at once."""

    def __init__(self, connection: sqlite3.Connection, now: int, new_messages: Sequence[NewMessage]) -> None:
        self._run = connection.execute
        self._connection = connection
        self.now = now
        self._rows = _Rows()
        # nobody else writes during this transaction, so the numbers are ours to give
        given = dict(self._run("SELECT name, seq FROM sqlite_sequence").fetchall())
        self._message, self._entry, self._declaration = (
            int(given.get(table, 0)) for table in ("message", "entry", "declaration")
        )
        self._requests = _requests(connection, new_messages)
        """Also of what is taken now."""
        self._declared: dict[tuple[str, str], int] = {}
        """Owner and identity → number, of declarations that are there."""
        self._look(new_messages)
        self._travelling: dict[tuple[str, str], tuple[str, str]] = {}
        """CopMsgId and sender → uid and owner, of what is taken now."""
        self._versions: dict[tuple[int, str], str] = {}
        self._waiting: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
        self._fresh: list[tuple[int, str]] = []

    def _look(self, new_messages: Sequence[NewMessage]) -> None:
        """Ask at once which declarations that the offers name are there already."""
        about = [(one.owner, subject.identity) for one in new_messages for subject in one.subjects]
        for owner, identity, number in select(self._connection, _DECLARED, about):
            self._declared[owner, identity] = number

    def take(self, new: NewMessage) -> PutResult:
        """Judge one offer; if it is new, its rows are to be written."""
        reply = taken_before(new, self._requests) or self._travels(new)
        if reply is not None:
            return reply
        owner, declared = new.owner, self._declared
        known = [declared.get((owner, subject.identity)) for subject in new.subjects]
        clash = self._contradiction(new, known)
        if clash is not None:
            return clash
        self._add(new, known)
        return Accepted(uid=new.uid)

    def _travels(self, new: NewMessage) -> Conflict | None:
        """Find another message of its sender under one of the offer's CopMsgIds; our own uid cannot have been used."""
        for way in new.ways:
            if way.cop_msg_id == new.uid:
                continue
            found = self._travelling.get((way.cop_msg_id, way.sender)) or self._taken(way, new.owner)
            if found is not None:
                uid, owner = found
                return Conflict(uid=uid if owner == new.owner else "", reason="cop_msg_id")
        return None

    def _taken(self, way: Way, owner: str) -> tuple[str, str] | None:
        """Return uid and owner of the message that has the CopMsgId, if `travelling.clashes` with it."""
        rows = self._run(
            "SELECT m.uid, m.owner, e.sender FROM entry e JOIN message m ON m.id = e.message"
            f" WHERE e.cop_msg_id = ? AND e.sender IN (?, '{UNTOLD}') LIMIT {MOST}",
            (way.cop_msg_id, way.sender),
        )
        for uid, of, sender in rows:
            if clashes(way.sender, owner, with_sender=sender, with_owner=of):
                return uid, of
        return None

    def _contradiction(self, new: NewMessage, known: Sequence[int | None]) -> Conflict | None:
        for subject, declaration in zip(new.subjects, known, strict=True):
            if declaration is None or not subject.version:
                continue
            uid = self._versions.get((declaration, subject.version))
            row = (uid,) if uid else self._run(
                "SELECT m.uid FROM version v JOIN message m ON m.id = v.message JOIN entry e ON e.message = m.id"
                f" WHERE v.declaration = ? AND v.version = ? AND {_TAKEN} LIMIT 1",
                (declaration, subject.version),
            ).fetchone()  # fmt: skip
            if row is not None:
                return Conflict(uid=row[0], reason="version", identities=(subject.identity,))
        return None

    def _add(self, new: NewMessage, known: Sequence[int | None]) -> None:
        self._message += 1
        message = self._message
        self._requests[new.owner, new.sha256] = new.uid
        if new.request_key:
            self._requests[new.owner, new.request_key] = new.uid
        self._rows.message.append(
            (
                message,
                new.uid,
                new.owner,
                new.kind,
                new.sha256,
                new.request_key,
                new.facts,
                self.now,
            )
        )
        self._rows.payload.append((message, new.body))
        self._rows.journal.append((new.event, new.uid, accepted(new)))
        numbers = self._subjects(new, message)
        earlier = [number for number in known if number is not None]
        for way in new.ways:
            self._way(new, way, message, earlier)
        for entry, destination in self._fresh:  # only now: ways of one message do not wait for each other
            for number in numbers:
                self._waiting[number, destination].append(entry)
        self._fresh.clear()

    def _subjects(self, new: NewMessage, message: int) -> list[int]:
        """Add the declarations that are new, and what is new of the others; return the numbers of all."""
        rows, declared, versions, owner = self._rows, self._declared, self._versions, new.owner
        numbers: list[int] = []
        for subject in new.subjects:
            identity = subject.identity
            declaration = declared.get((owner, identity))
            if declaration is None:
                declaration = self._declaration = self._declaration + 1
                declared[owner, identity] = declaration
                rows.declaration.append((declaration, identity, owner, subject.facts))
            else:  # a later version may change what answers are compared with, and they may answer either
                rows.facts.append((subject.facts, declaration))
            if subject.version:
                versions[declaration, subject.version] = new.uid
            rows.version.append((declaration, subject.version, message))
            for text in subject.handles:
                rows.handle.append((text, declaration))
            numbers.append(declaration)
        return numbers

    def _way(self, new: NewMessage, way: Way, message: int, earlier: Sequence[int]) -> None:
        self._entry += 1
        entry = self._entry
        blockers = unsettled(self._connection, way.destination, earlier) if earlier else set()
        for number in earlier:
            blockers.update(self._waiting[number, way.destination])
        self._rows.wait += [(blocker, entry) for blocker in blockers]
        self._fresh.append((entry, way.destination))
        self._travelling[way.cop_msg_id, way.sender] = (new.uid, new.owner)
        ready = State.READY.value
        self._rows.entry.append(
            (
                entry, message, new.owner, fair_key_of(new.owner, new.resource), way.destination,
                way.cop_msg_id, way.sender, way.part, way.facts, new.priority, ready, self.now, len(blockers),
            )
        )  # fmt: skip

    def write(self) -> None:
        """Insert the rows of everything taken."""
        rows = self._rows
        if not rows.message:
            return

        def many(statement: str, values: Sequence[tuple[object, ...]]) -> None:
            if values:
                self._connection.executemany(statement, values)

        many("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows.message)
        many("INSERT INTO payload VALUES (?, ?)", rows.payload)
        many(
            "INSERT INTO entry (id, message, owner, turn, destination, cop_msg_id, sender, part, facts, priority,"
            " state, due_at, blockers) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows.entry,
        )
        many("INSERT INTO wait (blocker, entry) VALUES (?, ?)", rows.wait)
        many("INSERT INTO declaration VALUES (?, ?, ?, ?)", rows.declaration)
        for newer in rows.facts:  # one after the other: there may be several of one declaration
            self._run(_KEEP_EARLIER, newer)
            self._run(_RENEW, newer)
        many("INSERT OR IGNORE INTO version VALUES (?, ?, ?)", rows.version)
        many("INSERT OR IGNORE INTO handle VALUES (?, ?)", rows.handle)
        write_journal(self._connection, self.now, rows.journal)
