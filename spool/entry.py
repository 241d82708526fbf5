"""The input and output values of the spool, frozen; texts and bytes are opaque here.

All times are aware UTC datetimes. `owner` is the enterprise that submitted something and may see its answers.
An *identity* names one declaration of one owner (the spool compares it but does not interpret it); a
*handle* is any other text by which an answer may refer to it.

Values made for each message or answer are a msgspec.Struct: a frozen dataclass takes five to ten times as long to make.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from spool.lease import ENDLESS, Lease
from spool.lifecycle import State


class ParcelLink(Struct, frozen=True, kw_only=True):
    """By what the documents of one parcel find each other; opaque to the spool."""

    order_no: str = ""
    waybill_no: str = ""
    facts: bytes = b""
    """Returned with the declaration."""


class Subject(Struct, frozen=True, kw_only=True):
    """One declaration in a new message."""

    identity: str
    version: str = ""
    """Version of the declaration; empty: unknown, never compared."""
    handles: tuple[str, ...] = ()
    facts: bytes = b""
    """Opaque to the spool; returned with the declaration."""
    link: ParcelLink | None = None
    """None: it is not a document that is compared with others."""


class Way(Struct, frozen=True, kw_only=True):
    """One destination of a message: it becomes one entry, with its own state."""

    destination: str
    cop_msg_id: str
    """The CopMsgId of the entry; it never changes."""
    sender: str = ""
    """SenderId of the envelope: a CopMsgId is unique only for its sender. Empty: unknown."""
    part: str = ""
    """Distinguishes ways with the same CopMsgId and destination (one receiver each)."""
    facts: bytes = b""
    """Opaque to the spool; returned with the entry."""


class NewMessage(Struct, frozen=True, kw_only=True):
    """A message to store, with its ways."""

    uid: str
    """Public id of the message, unique."""
    owner: str
    kind: str
    sha256: bytes
    """32 bytes; the same bytes of the same owner are the same message."""
    body: bytes
    facts: bytes
    """Opaque to the spool; returned with the message and its entry."""
    ways: tuple[Way, ...]
    """A CopMsgId of a sender belongs to one message; with destination and part it names one of its entries."""
    priority: int = 1
    """0 goes before 1 before 2, within one owner."""
    request_key: str = ""
    """The owner's own name for the request (Idempotency-Key): it belongs to one message, and other bytes
    under it are a conflict. Empty: none."""
    subjects: tuple[Subject, ...] = ()
    resource: str = ""
    """Opaque name of what its entries need to be sent; a claim takes at most as many as it has room for."""
    origin: Mapping[str, str] | None = None
    """What the bytes were made from, only for the journal; None: they are as they were submitted."""
    source: bytes = b""
    """What the bytes were made from, kept beside them; empty: they are as submitted, or an import has it."""
    event: str = "message.accepted"
    """Event of the journal line for its acceptance."""


class Submission(Struct, frozen=True, kw_only=True):
    """Submitted bytes that have not been examined yet; the fields are those of a `NewMessage`."""

    owner: str
    sha256: bytes
    request_key: str = ""


class Note(Struct, frozen=True, kw_only=True):
    """A line for the journal about something that is not stored."""

    event: str
    uid: str = ""
    """The message that it concerns, if any."""
    detail: str = ""


class Accepted(Struct, frozen=True, kw_only=True):
    """The new message is in the spool and durable."""

    uid: str


class Duplicate(Struct, frozen=True, kw_only=True):
    """The message was accepted before; nothing was written."""

    uid: str


class Conflict(Struct, frozen=True, kw_only=True):
    """The new message contradicts one that was accepted before; nothing was written.

    `reason` is `version` (a declaration version with other bytes), `cop_msg_id` (used by another message
    of the same sender, to any destination) or `request_key` (the key of a message with other bytes).
    """

    uid: str
    """The earlier message, of several the first; empty when it belongs to another owner."""
    reason: str
    identities: tuple[str, ...] = ()


PutResult = Accepted | Duplicate | Conflict


class Claimed(Struct, frozen=True, kw_only=True, gc=False):
    """An entry that one process holds until its lease ends."""

    entry: int
    claim: int
    """Number that proves the claim; a settlement with another number is void."""
    uid: str
    owner: str
    kind: str
    destination: str
    cop_msg_id: str
    attempts: int
    """Failed attempts so far."""
    accepted_at: datetime
    facts: bytes
    """Facts of the message."""
    way: bytes
    """Facts of this way."""
    body: bytes
    lease: Lease = ENDLESS
    """How long the claim is valid."""


class Fate(StrEnum):
    """How an attempt ended."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    POSTPONED = "postponed"
    """Not attempted, because what it needs was missing: tried again later, and not counted as an attempt."""
    UNDELIVERABLE = "undeliverable"


UNCOUNTED: Final = frozenset({Fate.DELIVERED, Fate.POSTPONED})
"""Fates that do not count as a failed attempt."""


class Settlement(Struct, frozen=True, kw_only=True, gc=False):
    """The end of one attempt."""

    entry: int
    claim: int
    fate: Fate
    error: str = ""
    next_at: datetime | None = None
    """For DEFERRED and POSTPONED: earliest time of the next attempt."""
    sent_sha256: bytes = b""
    """For DELIVERED: SHA-256 of the business bytes that the destination confirmed."""
    record: str = ""
    """For DELIVERED: what was sent and who confirmed it, for the journal."""
    noun: str = "entry"
    """Prefix of the journal event: `<noun>.sent`, `<noun>.deferred` and so on."""


class Collected(Struct, frozen=True, kw_only=True):
    """A raw answer, unchanged."""

    feed: str
    name: str
    body: bytes
    sha256: bytes


class RawArrival(Struct, frozen=True, kw_only=True):
    """A stored raw answer that is not filed yet."""

    id: int
    feed: str
    name: str
    body: bytes
    received_at: datetime
    also: tuple[str, ...] = ()
    """Other feeds that brought the same bytes."""

    @property
    def origins(self) -> tuple[str, ...]:
        """All feeds that brought it, in order of arrival."""
        return (self.feed, *self.also)


class Unread(Struct, frozen=True, kw_only=True):
    """The unacknowledged messages in an owner's stream that are addressed to it as a whole, not to a declaration."""

    messages: int
    size_bytes: int


class Found(Struct, frozen=True, kw_only=True):
    """A declaration that a text refers to."""

    declaration: int
    owner: str
    identity: str
    found_by: str
    facts: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """An entry of a message that was sent, and its latest attempt."""

    entry: int
    claim: int
    """Number of the attempt."""
    destination: str
    attempts: int
    """Failed attempts so far."""
    facts: bytes
    """Facts of its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Travelled:
    """The message of one sender that was sent under a CopMsgId, with its declarations and its entries."""

    uid: str
    owner: str
    kind: str
    accepted_at: datetime
    declarations: tuple[Found, ...]
    entries: tuple[Latest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounce:
    """An answer that turns a sent attempt into a failure: its entry must be resent, or is dead.

    It applies only to that attempt, only while it is the entry's latest, and only if the answer came after the
    attempt had begun. An entry that was overtaken by a later one of the same declaration is not resent.
    """

    entry: int
    claim: int
    """Number of the attempt that the answer is about."""
    next_at: datetime | None
    """Earliest time of the next attempt; None: all attempts are used up."""
    reason: str
    """Never empty."""


class TimelineRow(Struct, frozen=True, kw_only=True):
    """One answer about one declaration."""

    declaration: int
    at: str
    """Customs' own time of the answer, 17 digits; orders the timeline."""
    kind: str
    status: str
    facts: bytes
    digest: str
    """Two answers about one declaration with the same digest are the same answer."""
    index: int
    """Position of the body in its arrival."""


class Filing(Struct, frozen=True, kw_only=True):
    """The evaluated content of one arrival, filed in one commit."""

    arrival: int
    kind: str
    cop_msg_id: str
    """CopMsgId of the arrival's own envelope."""
    rows: tuple[TimelineRow, ...] = ()
    orphans: tuple["OrphanBody", ...] = ()
    learned: Mapping[int, tuple[str, ...]] = {}
    """Declaration → new handles from this arrival."""
    addressees: tuple[str, ...] = ()
    """Owners to whom the arrival as a whole is addressed, whatever its content; each is notified once."""
    remark: str = ""
    """Further text for the journal."""
    bounces: tuple[Bounce, ...] = ()
    """The attempts that it turns into failures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphanBody:
    """A stored body that matches no declaration; `lookups` are the texts that would match one."""

    index: int
    reason: str
    lookups: tuple[str, ...] = ()
    facts: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An entry whose attempt was not ended by the holder of its claim."""

    uid: str
    owner: str
    kind: str
    destination: str
    cop_msg_id: str
    attempts: int
    """Failed attempts so far."""
    state: State
    """READY or DEAD."""
    due_at: datetime
    why: str


class Filed(Struct, frozen=True, kw_only=True):
    """The result of a filing: new rows by owner, duplicate rows, entries whose attempt it ended."""

    arrival: int
    matched: Mapping[str, int]
    duplicates: int
    orphaned: int
    delivered: tuple[str, ...] = ()
    """Addressees that are notified now; those notified before are not included."""
    ended: tuple[Ended, ...] = ()


class Tally(Struct, frozen=True, kw_only=True):
    """How often something was counted, and when first and last."""

    name: str
    """What is counted."""
    subject: str
    """Of what."""
    n: int
    first_at: datetime
    last_at: datetime
    key: str = ""
    """Which part of the subject; empty: the whole."""
    origin: str = ""
    """Where it was counted; empty: here."""


class Notice(Struct, frozen=True, kw_only=True):
    """The part of one arrival that concerns one owner, waiting to be delivered."""

    cursor: int
    arrival: int
    kind: str
    received_at: datetime
    rows: tuple["TimelineEntry", ...]


class TimelineEntry(Struct, frozen=True, kw_only=True):
    """A row of a timeline, as read from the spool."""

    identity: str
    at: str
    kind: str
    status: str
    facts: bytes
    digest: str
    index: int
    arrival: int
    received_at: datetime
    notice: int = 0
    """Cursor of the notice to its owner; 0 if from an archive of an older version that lacks it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageView:
    """The current state of a message and one of its entries."""

    uid: str
    owner: str
    kind: str
    sha256: bytes
    facts: bytes
    accepted_at: datetime
    entry: int
    destination: str
    cop_msg_id: str
    part: str
    state: State
    attempts: int
    due_at: datetime
    waits_for: tuple[str, ...]
    """Uids of the messages that must be sent first."""
    error: str
    sent_at: datetime | None
    sent_sha256: bytes
    identities: tuple[str, ...]
    way: bytes = b""
    """Facts of this entry's way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A filter for entries; an empty field matches all."""

    states: tuple[State, ...] = ()
    destination: str = ""
    owner: str = ""
    kind: str = ""
    error: str = ""
    """A substring of their error."""


ANY: Final = Wanted()


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """An answer that matched no declaration."""

    id: int
    arrival: int
    index: int
    feed: str
    name: str
    kind: str
    reason: str
    facts: bytes
    received_at: datetime
    pointers: int = 0
    """Number of declarations and entries that its texts refer to now; set only by `Spool.orphans_after`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """The criteria of one overdue scan."""

    layer: str
    """The name of the layer; opaque here."""
    kinds: tuple[str, ...]
    """Kinds of the messages to scan."""
    passing: tuple[str, ...] = ()
    """Answers, each as kind, blank, status, that do not count as the expected answer."""
    except_to: tuple[str, ...] = ()
    """Destinations from which no answer is expected."""


class Silent(Struct, frozen=True, kw_only=True):
    """A declaration without an answer since its message was accepted."""

    declaration: int
    message: int
    """The spool's number of the message."""
    layer: str
    uid: str
    owner: str
    kind: str
    destination: str
    identity: str
    sent_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanStep:
    """The result of one step of a scan over sent entries."""

    silent: tuple[Silent, ...]
    at: str | None
    """Opaque position that the scan has reached; None: there was nothing to scan."""
    more: bool
    """Whether more is left to scan."""


class LinkedDeclaration(Struct, frozen=True, kw_only=True):
    """A declaration as its newest version links it to others."""

    declaration: int
    message: int
    """The spool's number of the message with that version."""
    uid: str
    owner: str
    kind: str
    identity: str
    accepted_at: datetime
    link: ParcelLink
    reported: str = ""
    """What was reported of this version, see `Spool.set_reported`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStep:
    """The result of one step of a scan over new messages."""

    linked: tuple[LinkedDeclaration, ...]
    """The declarations that are linked as one of these messages says."""
    at: int
    """Number of the last message that was looked at."""
    more: bool
    """Whether more is left to scan."""


class ReportedLink(Struct, frozen=True, kw_only=True):
    """What is now reported of a version of a declaration."""

    linked: LinkedDeclaration
    reported: str
    """Replaces `linked.reported`."""


class Allowance(Struct, frozen=True, kw_only=True):
    """How much one declaration counts for a subject in a period; subject and period are opaque here."""

    declaration: int
    owner: str
    subject: str
    period: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerStep:
    """The result of one step of a walk along the answers, in the order in which they were filed."""

    declarations: tuple[int, ...]
    """Declarations that were answered, each once."""
    before: tuple[int, int] | None
    """Where the walk stood; None: it had not begun."""
    at: tuple[int, int]
    """Where it stands after this step."""
    more: bool
    """Whether more is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLine:
    """A line of the journal."""

    at: datetime
    event: str
    uid: str
    detail: str
    number: int = 0
    """Number of the line, ascending; 0 if from an archive of an older version that lacks it."""


AGE_CLASSES: Final[Mapping[int, str]] = MappingProxyType(
    {10: "10s", 60: "1m", 600: "10m", 3600: "1h", 86400: "1d", -1: "older"}
)
"""Upper bound of each age class in seconds, as in `Depth.age_s` → its name."""
AGE_BOUNDS_S: Final = tuple(bound for bound in AGE_CLASSES if bound > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """Number of entries of one destination, state and age class."""

    destination: str
    state: State
    age_s: int
    """Upper bound of the age class in seconds; -1 for the last class, which has none."""
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Old:
    """Messages that may be archived and purged, and where the search continues."""

    uids: tuple[str, ...]
    cursor: str
    """Opaque; empty when no younger message is left to check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """The entries that wait to be sent to one destination."""

    destination: str
    entries: int
    """Number of unsettled entries, counted only up to the given limit."""
    oldest: datetime | None
    """Acceptance time of the oldest message that is not held; None when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outstanding:
    """Counts of what waits for an action from outside."""

    orphans: int
    unacknowledged: Mapping[str, int]
    """Owner → number of notices after its acknowledged cursor."""
    overdue: Mapping[str, int] = field(default_factory=dict)
    """Layer → number of declarations whose answer is overdue, see `Spool.set_overdue`."""
