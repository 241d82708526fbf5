"""Judge new messages: against what the spool has, and against each other. Pure, and the same for every backend.

The backend fetches (`Known`) and writes (`IntakeRows`); which message is a duplicate or a conflict, and which entry waits for
which, is decided here alone.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from spool.entry import Accepted, Conflict, NewMessage, PutResult, Way
from spool.fairness import fair_key_of
from spool.journal import accepted
from spool.lifecycle import State
from spool.requests import taken_before
from spool.travelling import clashes

TAKEN: Final = "(e.state NOT IN ('dead', 'discarded') OR e.first_sent_at IS NOT NULL)"
"""SQL condition on an entry `e`: its declarations are at customs or may still get there (docs/adr/0037)."""
RELINKED: Final = (
    "ON CONFLICT (declaration, order_no, waybill_no)"
    " DO UPDATE SET message = excluded.message, facts = excluded.facts, reported = ''"
)
"""SQL end of an insertion into `parcel`: a later version under the same numbers takes the place of the earlier one."""
_READY: Final = State.READY.value


@dataclass(slots=True)
class Known:
    """What the spool has, as far as a batch needs it; callables may fetch when they are called."""

    requests: MutableMapping[tuple[str, str | bytes], str]
    """`spool.requests.Requests`; what the batch accepts is added."""
    declared: MutableMapping[tuple[str, str], int]
    """Owner and identity → number of the declaration; what the batch declares is added."""
    carried: Callable[[Way], Iterable[tuple[str, str, str]]]
    """Uid, owner and sender of each message that has this CopMsgId, of this sender or of `travelling.UNTOLD`."""
    version: Callable[[int, str], str | None]
    """Declaration and version → uid of a message that has taken it (`TAKEN`)."""
    unsettled: Callable[[int, str], Iterable[int]]
    """Declaration and destination → entries that a new entry has to wait for."""
    messages: Iterator[int]
    entries: Iterator[int]
    declarations: Iterator[int]
    """Numbers for new rows, ascending."""


@dataclass(slots=True)
class IntakeRows:
    """The rows that a batch inserts, a list for each table, each row in the order of the columns named."""

    message: list[tuple[int, str, str, str, bytes, str, bytes, int]] = field(default_factory=list)
    """id, uid, owner, kind, sha256, request_key, facts, accepted_at."""
    payload: list[tuple[int, str, bytes]] = field(default_factory=list)
    """message, owner, body."""
    translated: list[tuple[int, str, bytes, bytes]] = field(default_factory=list)
    """The same of what was made from a source, with that: message, owner, body, source."""
    entry: list[tuple[int, int, str, str, str, str, str, str, str, bytes, int, str, int, int],] = field(
        default_factory=list
    )
    """id, message, uid, owner, turn, destination, cop_msg_id, sender, part, facts, priority, state, due_at, blockers."""
    wait: list[tuple[str, int, int]] = field(default_factory=list)
    """owner, blocker, entry."""
    declaration: list[tuple[int, str, str, bytes]] = field(default_factory=list)
    """id, identity, owner, facts."""
    facts: list[tuple[bytes, int]] = field(default_factory=list)
    """facts, declaration: of later versions of declarations that are there, in order (docs/adr/0029)."""
    version: list[tuple[str, int, str, int]] = field(default_factory=list)
    """owner, declaration, version, message; may repeat."""
    handle: list[tuple[str, str, int]] = field(default_factory=list)
    """owner, text, declaration; may repeat."""
    parcel: dict[int, tuple[int, int, str, str, str, bytes]] = field(default_factory=dict)
    """Declaration → declaration, message, owner, order_no, waybill_no, facts; of its last version in the batch."""
    journal: list[tuple[str, str, str]] = field(default_factory=list)
    """event, uid, detail."""


class IntakeBatch:
    """The new messages of one commit: `take` each in order, then write `rows`."""

    def __init__(self, known: Known, now: int) -> None:
        """`now`: microseconds since 1970, the time of everything the batch writes."""
        self.rows = IntakeRows()
        self._known = known
        self._now = now
        self._carried: dict[str, list[tuple[str, str, str]]] = {}
        """CopMsgId → uid, owner and sender of what this batch accepts."""
        self._versions: dict[tuple[int, str], str] = {}
        self._made: set[int] = set()
        """Declarations of this batch: the spool knows nothing about them."""
        self._unsettled: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
        """Entries to wait for, of the spool once fetched, and of this batch."""
        self._fetched: set[tuple[int, str]] = set()

    def take(self, new: NewMessage) -> PutResult:
        """Judge one new message; when it is accepted, its rows are added to `rows`."""
        known = self._known
        reply = taken_before(new, known.requests) or self._travels(new) or self._contradiction(new)
        if reply is not None:
            return reply
        self._add(new)
        return Accepted(uid=new.uid)

    def _travels(self, new: NewMessage) -> Conflict | None:
        """Find another message that has one of the CopMsgIds; a fresh uid as CopMsgId is not looked up in the spool."""
        for way in new.ways:
            others: Iterable[tuple[str, str, str]] = self._carried.get(way.cop_msg_id, ())
            if way.cop_msg_id != new.uid:
                others = (*others, *self._known.carried(way))
            for uid, owner, sender in others:
                if clashes(way.sender, new.owner, with_sender=sender, with_owner=owner):
                    return Conflict(uid=uid if owner == new.owner else "", reason="cop_msg_id")
        return None

    def _contradiction(self, new: NewMessage) -> Conflict | None:
        """Find the declaration versions that were taken with other bytes (docs/adr/0003, docs/adr/0037)."""
        found: dict[str, str] = {}
        for subject in new.subjects:
            declaration = self._known.declared.get((new.owner, subject.identity))
            if declaration is None or not subject.version:
                continue
            uid = self._versions.get((declaration, subject.version))
            if uid is None and declaration not in self._made:
                uid = self._known.version(declaration, subject.version)
            if uid is not None:
                found[subject.identity] = uid
        if not found:
            return None
        return Conflict(uid=next(iter(found.values())), reason="version", identities=tuple(found))

    def _add(self, new: NewMessage) -> None:
        rows, uid, owner, requests = self.rows, new.uid, new.owner, self._known.requests
        message = next(self._known.messages)
        requests[owner, new.sha256] = uid
        if new.request_key:
            requests[owner, new.request_key] = uid
        rows.message.append(
            (message, uid, owner, new.kind, new.sha256, new.request_key, new.facts, self._now)
        )
        if new.source:
            rows.translated.append((message, owner, new.body, new.source))
        else:
            rows.payload.append((message, owner, new.body))
        rows.journal.append((new.event, uid, accepted(new)))
        self._add_ways(new, message, self._subjects(new, message))

    def _subjects(self, new: NewMessage, message: int) -> Sequence[int]:
        """Add what is new of the declarations; return the number of each, once."""
        rows, declared, owner = self.rows, self._known.declared, new.owner
        numbers: dict[int, None] = {}
        for subject in new.subjects:
            identity = subject.identity
            declaration = declared.get((owner, identity))
            if declaration is None:
                declaration = declared[owner, identity] = next(self._known.declarations)
                self._made.add(declaration)
                rows.declaration.append((declaration, identity, owner, subject.facts))
            else:  # a later version may change what answers are compared with, and they may answer either
                rows.facts.append((subject.facts, declaration))
            if subject.version:
                self._versions[declaration, subject.version] = new.uid
            rows.version.append((owner, declaration, subject.version, message))
            for text in subject.handles:
                rows.handle.append((owner, text, declaration))
            if subject.link is not None:
                link = subject.link
                rows.parcel[declaration] = (
                    declaration, message, owner, link.order_no, link.waybill_no, link.facts,
                )  # fmt: skip
            numbers[declaration] = None
        return tuple(numbers)

    def _add_ways(self, new: NewMessage, message: int, about: Sequence[int]) -> None:
        """Add an entry for each way; ways of one message do not wait for each other."""
        rows, uid, owner = self.rows, new.uid, new.owner
        turn = fair_key_of(owner, new.resource)
        made: list[tuple[int, str]] = []
        for way in new.ways:
            entry = next(self._known.entries)
            blockers = self._blockers(about, way.destination)
            rows.wait += [(owner, blocker, entry) for blocker in blockers]
            rows.entry.append(
                (
                    entry, message, uid, owner, turn, way.destination, way.cop_msg_id, way.sender, way.part, way.facts,
                    new.priority, _READY, self._now, len(blockers),
                )
            )  # fmt: skip
            self._carried.setdefault(way.cop_msg_id, []).append((uid, owner, way.sender))
            made.append((entry, way.destination))
        for entry, destination in made:
            for number in about:
                self._unsettled[number, destination].append(entry)

    def _blockers(self, about: Sequence[int], destination: str) -> set[int]:
        """Return the unsettled entries about these declarations to this destination (docs/adr/0003)."""
        blockers: set[int] = set()
        for number in about:
            place = (number, destination)
            if number not in self._made and place not in self._fetched:
                self._fetched.add(place)
                self._unsettled[place] += self._known.unsettled(number, destination)
            blockers.update(self._unsettled.get(place, ()))
        return blockers


def declared_by(new_messages: Iterable[NewMessage]) -> set[tuple[str, str]]:
    """Return owner and identity of each declaration in these messages."""
    return {(new.owner, one.identity) for new in new_messages for one in new.subjects}


def latest_facts(rows: Iterable[tuple[bytes, int]]) -> Mapping[int, Sequence[bytes]]:
    """Return by declaration its different facts in `IntakeRows.facts`, the one that holds last."""
    found: defaultdict[int, dict[bytes, None]] = defaultdict(dict)
    for facts, declaration in rows:
        found[declaration].pop(facts, None)
        found[declaration][facts] = None
    return {declaration: tuple(facts) for declaration, facts in found.items()}
