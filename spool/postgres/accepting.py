"""Taking messages in: judged against the database and each other, then written with a statement a table.

What keeps two nodes from contradicting each other, at READ COMMITTED: declarations that are there are locked,
in one order for all, before anything is read about them, and stay locked until the commit; of two nodes that
make the same declaration or message at once, the unique index stops the slower until the faster has committed, then
the slower judges its offers anew (`Database.write`). CopMsgIds of the senders' own are locked while they are looked up.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from psycopg import Cursor

from spool.entry import Accepted, Conflict, Duplicate, NewMessage, Note, PutResult, Subject, Submission, Way
from spool.fairness import fair_key_of
from spool.journal import accepted
from spool.lifecycle import State
from spool.postgres.arrays import blobs, int8s, texts
from spool.postgres.database import Database, Row, Transaction, numbers
from spool.postgres.ordering import unsettled
from spool.postgres.signals import wake
from spool.postgres.texts import short
from spool.requests import recognised, taken_before
from spool.store import NO_MARKS
from spool.travelling import UNTOLD, clashes

_TAKEN = "(e.state NOT IN ('dead', 'discarded') OR e.first_sent_at IS NOT NULL)"
"""Of an entry: its declarations may be at customs, or may still get there. What was ever sent may be (docs/adr/0037)."""
_MARK = (
    "INSERT INTO mark SELECT * FROM unnest(%s::text[], %s::bigint[])"
    " ON CONFLICT (name) DO UPDATE SET reached = greatest(mark.reached, excluded.reached)"
)


class Accepting:
    """The accepting part of the spool."""

    db: Database

    def put(
        self,
        new_messages: Sequence[NewMessage],
        *,
        notes: Sequence[Note] = (),
        marks: Mapping[str, int] = NO_MARKS,
    ) -> list[PutResult]:
        """Take in offers, in order, write notes in the journal and set marks, in one commit; one reply an offer."""

        def work(transaction: Transaction) -> list[PutResult]:
            replies: list[PutResult] = []
            if new_messages:
                batch = _Batch(transaction, new_messages)
                replies = [batch.take(new) for new in new_messages]
                batch.write()
            lines = [
                (new.event, new.uid, accepted(new))
                for new, reply in zip(new_messages, replies, strict=True)
                if isinstance(reply, Accepted)
            ]
            write_journal(transaction, [*lines, *((note.event, note.uid, note.detail) for note in notes)])
            if marks:
                transaction.run(_MARK, texts(sorted(marks)), int8s(marks[name] for name in sorted(marks)))
            if lines:
                wake(transaction, "entries")
            return replies

        return self.db.write(work)

    def taken(self, submissions: Sequence[Submission]) -> list[Duplicate | Conflict | None]:
        """Say of each what `put` would say of these bytes if they were taken before; None: they were not."""
        requests = _requests(*_ask_requests(self.db.rows, submissions)) if submissions else {}
        return [recognised(one, requests) for one in submissions]

    def mark(self, name: str) -> int | None:
        """Return how far that mark has got; None when it was never set."""
        rows = self.db.rows("SELECT reached FROM mark WHERE name = %s", name)
        return int(rows[0][0]) if rows else None


def write_journal(transaction: Transaction, lines: Iterable[tuple[str, str, str]]) -> None:
    """Append (event, uid, detail) lines to the journal."""
    rows = list(lines)
    if rows:
        transaction.run(
            "INSERT INTO journal (day, at, event, uid, detail)"
            " SELECT %s, %s, * FROM unnest(%s::text[], %s::text[], %s::text[])",
            transaction.day,
            transaction.now,
            texts(row[0] for row in rows),
            texts(short(row[1]) for row in rows),
            texts(row[2] for row in rows),
        )


def _ask_requests(
    run: Callable[..., Iterable[Row]], asked: Sequence[NewMessage | Submission]
) -> tuple[Iterable[Row], Iterable[Row]]:
    """Ask what has these request keys, and what has these bytes."""
    keyed = [one for one in asked if one.request_key]
    named = keyed and run(
        "SELECT m.owner, m.request_key, m.uid FROM unnest(%s::text[], %s::text[]) AS o (owner, key)"
        " JOIN message m ON m.owner = o.owner AND m.request_key = o.key AND m.request_key <> ''",
        texts(one.owner for one in keyed),
        texts(one.request_key for one in keyed),
    )
    # last, so that what another node took meanwhile is known, not a clash with itself
    same = run(
        "SELECT m.owner, m.sha256, m.uid FROM unnest(%s::text[], %s::bytea[]) AS o (owner, sha256)"
        " JOIN message m ON m.owner = o.owner AND m.sha256 = o.sha256",
        texts(one.owner for one in asked),
        blobs(one.sha256 for one in asked),
    )
    return named or (), same


def _requests(named: Iterable[Row], same: Iterable[Row]) -> dict[tuple[str, str | bytes], str]:
    """Put together what was found: `spool.requests.Requests`."""
    return {(row[0], row[1]): row[2] for rows in (same, named) for row in rows}


@dataclass(slots=True)
class _Rows:
    """What one commit inserts."""

    message: list[tuple[int, NewMessage]] = field(default_factory=list)
    entry: list[tuple[int, int, NewMessage, Way, int]] = field(default_factory=list)
    wait: list[tuple[int, int, str]] = field(default_factory=list)
    declaration: list[tuple[str, str, int, bytes]] = field(default_factory=list)
    facts: defaultdict[int, dict[bytes, None]] = field(default_factory=lambda: defaultdict(dict))
    """Declaration → what its new versions say, in order."""
    version: dict[tuple[int, str, int], str] = field(default_factory=dict)
    handle: dict[tuple[str, int], str] = field(default_factory=dict)


class _Batch:
    """The offers of one commit."""

    def __init__(self, transaction: Transaction, new_messages: Sequence[NewMessage]) -> None:
        self._transaction = transaction
        self._rows = _Rows()
        self._versions: dict[tuple[int, str], str] = {}
        self._waiting: defaultdict[tuple[int, str], set[int]] = defaultdict(set)
        self._look(new_messages)
        if self._declared:
            self._look_at_declarations(new_messages)

    def _look(self, new_messages: Sequence[NewMessage]) -> None:
        """Ask everything that the offers alone name; lock the declarations that are there."""
        run = self._transaction.run
        own = [way for new in new_messages for way in new.ways if way.cop_msg_id != new.uid]
        about = sorted({(new.owner, one.identity) for new in new_messages for one in new.subjects})
        # the locks first: what is read before them another node may change before we hold them
        declared = about and run(
            "SELECT d.owner, d.identity, d.id FROM unnest(%s::text[], %s::text[]) AS o (owner, identity)"
            " JOIN declaration d ON d.identity = o.identity AND d.owner = o.owner"
            " ORDER BY d.owner, d.identity FOR NO KEY UPDATE OF d",
            texts(owner for owner, _ in about),
            texts(identity for _, identity in about),
        )
        travelling = own and self._travelling_under(own)
        asked = _ask_requests(run, new_messages)
        # after the locks: who comes later has the higher numbers
        self._messages = iter(numbers(self._transaction, "message_number", len(new_messages)))
        self._entries = iter(
            numbers(self._transaction, "entry_number", sum(len(new.ways) for new in new_messages))
        )
        self._requests = _requests(*asked)
        self._travelling: dict[tuple[str, str], list[tuple[str, str]]] = {}
        """CopMsgId and sender → uid and owner of each message, before or now."""
        for cop_msg_id, sender, uid, owner in travelling or ():
            self._travelling.setdefault((cop_msg_id, sender), []).append((uid, owner))
        self._declared: dict[tuple[str, str], int] = {(row[0], row[1]): row[2] for row in declared or ()}
        new = len(about) - len(self._declared)
        self._declarations = iter(numbers(self._transaction, "declaration_number", new) if new else ())

    def _travelling_under(self, own: Iterable[Way]) -> Cursor:
        """Ask who travels under these CopMsgIds, which senders made up themselves.

        No index can say that a CopMsgId belongs to one message with several entries, so a lock on the id
        keeps another node from taking it at this moment; those that we make ourselves need none.
        """
        ways = list(own)
        asked = texts(sorted({way.cop_msg_id for way in ways}))
        self._transaction.run(
            "SELECT pg_advisory_xact_lock(hashtextextended(w.id, 0)) FROM unnest(%s::text[]) AS w (id)", asked
        )
        return self._transaction.run(
            "SELECT DISTINCT e.cop_msg_id, e.sender, e.uid, e.owner FROM unnest(%s::text[], %s::text[]) AS w (id, sender)"
            f" JOIN entry e ON e.cop_msg_id = w.id AND e.sender IN (w.sender, '{UNTOLD}')",
            texts(way.cop_msg_id for way in ways),
            texts(way.sender for way in ways),
        )

    def _look_at_declarations(self, new_messages: Sequence[NewMessage]) -> None:
        """Ask what was handed in about the declarations that are there."""
        declared = self._declared
        told = {
            (declared[new.owner, one.identity], one.version)
            for new in new_messages
            for one in new.subjects
            if one.version and (new.owner, one.identity) in declared
        }
        versions = told and self._transaction.run(
            "SELECT v.declaration, v.version, e.uid FROM unnest(%s::bigint[], %s::text[]) AS o (declaration, version)"
            " JOIN version v USING (declaration, version) JOIN entry e ON e.message = v.message"
            f" WHERE {_TAKEN}",
            int8s(declaration for declaration, _ in told),
            texts(version for _, version in told),
        )
        destinations = {way.destination for new in new_messages for way in new.ways}
        for declaration, destination, entry in unsettled(
            self._transaction, list(declared.values()), destinations
        ):
            self._waiting[declaration, destination].add(entry)
        self._versions.update({(row[0], row[1]): row[2] for row in versions or ()})

    def take(self, new: NewMessage) -> PutResult:
        """Judge one offer; if it is new, its rows are to be written."""
        reply = taken_before(new, self._requests) or self._travels(new) or self._contradiction(new)
        if reply is not None:
            return reply
        self._add(new)
        return Accepted(uid=new.uid)

    def _travels(self, new: NewMessage) -> Conflict | None:
        for way in new.ways:
            for sender in dict.fromkeys((way.sender, UNTOLD)):
                for uid, owner in self._travelling.get((way.cop_msg_id, sender), ()):
                    if clashes(way.sender, new.owner, with_sender=sender, with_owner=owner):
                        return Conflict(uid=uid if owner == new.owner else "", reason="cop_msg_id")
        return None

    def _contradiction(self, new: NewMessage) -> Conflict | None:
        for subject in new.subjects:
            declaration = self._declared.get((new.owner, subject.identity))
            if declaration is not None and subject.version:
                uid = self._versions.get((declaration, subject.version))
                if uid is not None:
                    return Conflict(uid=uid, reason="version", identities=(subject.identity,))
        return None

    def _add(self, new: NewMessage) -> None:
        message = next(self._messages)
        self._requests[new.owner, new.sha256] = new.uid
        if new.request_key:
            self._requests[new.owner, new.request_key] = new.uid
        self._rows.message.append((message, new))
        about = dict.fromkeys(self._subject(new, one, message) for one in new.subjects)
        blockers = {
            way.destination: {
                entry for number in about for entry in self._waiting.get((number, way.destination), ())
            }
            for way in new.ways
        }
        for way in new.ways:
            entry = next(self._entries)
            self._rows.entry.append((entry, message, new, way, len(blockers[way.destination])))
            self._rows.wait += [(blocker, entry, new.owner) for blocker in blockers[way.destination]]
            self._travelling[way.cop_msg_id, way.sender] = [(new.uid, new.owner)]
            for number in about:
                self._waiting[number, way.destination].add(entry)

    def _subject(self, new: NewMessage, subject: Subject, message: int) -> int:
        declaration = self._declared.get((new.owner, subject.identity))
        if declaration is None:
            declaration = self._declared[new.owner, subject.identity] = next(self._declarations)
            self._rows.declaration.append((new.owner, subject.identity, declaration, subject.facts))
        else:  # a later version may change what answers are compared with, and they may answer either
            told = self._rows.facts[declaration]
            told.pop(subject.facts, None)
            told[subject.facts] = None
        if subject.version:
            self._versions[declaration, subject.version] = new.uid
        self._rows.version[declaration, subject.version, message] = new.owner
        for text in subject.handles:
            self._rows.handle[short(text), declaration] = new.owner
        return declaration

    def write(self) -> None:
        """Insert the rows of everything taken; in the same order on every node where rows can be contested."""
        if not self._rows.message:
            return
        self._write_declarations()
        self._write_messages()
        self._write_entries()

    def _write_declarations(self) -> None:
        rows, run = self._rows, self._transaction.run
        if rows.declaration:
            made = sorted(rows.declaration)
            run(
                "INSERT INTO declaration (owner, identity, id, facts)"
                " SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bytea[])",
                texts(row[0] for row in made),
                texts(row[1] for row in made),
                int8s(row[2] for row in made),
                blobs(row[3] for row in made),
            )
        if rows.facts:
            given = [(number, facts) for number, told in rows.facts.items() for facts in told]
            run(
                "WITH given AS (SELECT * FROM unnest(%s::bigint[], %s::bytea[]) AS o (id, facts))"
                " INSERT INTO earlier_facts (declaration, owner, facts)"
                " SELECT d.id, d.owner, d.facts FROM given g JOIN declaration d ON d.id = g.id AND d.facts <> g.facts"
                " UNION SELECT d.id, d.owner, g.facts FROM given g JOIN declaration d ON d.id = g.id AND d.facts <> g.facts"
                " ON CONFLICT DO NOTHING",
                int8s(number for number, _ in given),
                blobs(facts for _, facts in given),
            )
            run(
                "UPDATE declaration d SET facts = o.facts FROM unnest(%s::bigint[], %s::bytea[]) AS o (id, facts)"
                " WHERE d.id = o.id AND d.facts <> o.facts",
                int8s(rows.facts),
                blobs(next(reversed(told)) for told in rows.facts.values()),
            )
        if rows.version:
            run(
                "INSERT INTO version (declaration, version, message, owner)"
                " SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::text[])",
                int8s(declaration for declaration, _, _ in rows.version),
                texts(version for _, version, _ in rows.version),
                int8s(message for _, _, message in rows.version),
                texts(rows.version.values()),
            )
        if rows.handle:
            run(
                "INSERT INTO handle (text, declaration, owner)"
                " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[]) ON CONFLICT DO NOTHING",
                texts(text for text, _ in rows.handle),
                int8s(declaration for _, declaration in rows.handle),
                texts(rows.handle.values()),
            )

    def _write_messages(self) -> None:
        run, day = self._transaction.run, self._transaction.day
        rows = sorted(self._rows.message, key=lambda row: (row[1].owner, row[1].sha256))
        ids = int8s(number for number, _ in rows)
        owners = texts(new.owner for _, new in rows)
        run(
            "INSERT INTO message (day, accepted_at, id, owner, uid, kind, sha256, request_key, facts)"
            " SELECT %s, %s, * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::bytea[],"
            " %s::text[], %s::bytea[])",
            day,
            self._transaction.now,
            ids,
            owners,
            texts(new.uid for _, new in rows),
            texts(new.kind for _, new in rows),
            blobs(new.sha256 for _, new in rows),
            texts(new.request_key for _, new in rows),
            blobs(new.facts for _, new in rows),
        )
        run(
            "INSERT INTO payload (day, message, owner, body)"
            " SELECT %s, * FROM unnest(%s::bigint[], %s::text[], %s::bytea[])",
            day,
            ids,
            owners,
            blobs(new.body for _, new in rows),
        )

    def _write_entries(self) -> None:
        run = self._transaction.run
        rows = self._rows.entry
        if not rows:
            return
        run(
            "INSERT INTO entry (state, due_at, id, message, uid, owner, turn, destination, cop_msg_id, sender, part,"
            " facts, priority, blockers) SELECT %s, %s, * FROM unnest(%s::bigint[], %s::bigint[], %s::text[],"
            " %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[], %s::bigint[], %s::bigint[])",
            State.READY.value,
            self._transaction.now,
            int8s(row[0] for row in rows),
            int8s(row[1] for row in rows),
            texts(new.uid for _, _, new, _, _ in rows),
            texts(new.owner for _, _, new, _, _ in rows),
            texts(fair_key_of(new.owner, new.resource) for _, _, new, _, _ in rows),
            texts(way.destination for _, _, _, way, _ in rows),
            texts(way.cop_msg_id for _, _, _, way, _ in rows),
            texts(way.sender for _, _, _, way, _ in rows),
            texts(way.part for _, _, _, way, _ in rows),
            blobs(way.facts for _, _, _, way, _ in rows),
            int8s(new.priority for _, _, new, _, _ in rows),
            int8s(row[4] for row in rows),
        )
        if self._rows.wait:
            run(
                "INSERT INTO wait (blocker, entry, owner)"
                " SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[])",
                int8s(row[0] for row in self._rows.wait),
                int8s(row[1] for row in self._rows.wait),
                texts(row[2] for row in self._rows.wait),
            )
