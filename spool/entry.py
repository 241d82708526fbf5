"""What goes into the spool and what comes out, as frozen values; texts and bytes are opaque here.

What there are many of in one call is a Struct: made in a fifth of the time a frozen dataclass takes. All times
are aware UTC datetimes. `owner` is whoever handed something in and may see its answers.
An *identity* names one declaration of one owner's world (the spool compares it, never reads it); a
*handle* is any other text by which an answer may point at it.

What is made for each message or answer is a msgspec.Struct: a frozen dataclass takes five to ten times as long to make.
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


class Subject(Struct, frozen=True, kw_only=True):
    """One declaration inside an offer."""

    identity: str
    version: str = ""
    """Which version of the declaration this is; empty: not told, never compared."""
    handles: tuple[str, ...] = ()
    facts: bytes = b""
    """Opaque to the spool; given back with the declaration."""


class Way(Struct, frozen=True, kw_only=True):
    """One way out of a message: it becomes one entry, with a fate of its own."""

    destination: str
    cop_msg_id: str
    """The id under which the entry travels, fixed now and for ever."""
    sender: str = ""
    """Under whose id it travels: a CopMsgId is its sender's own. Empty: not told."""
    part: str = ""
    """Tells ways with one CopMsgId to one destination apart (one receiver each)."""
    facts: bytes = b""
    """Opaque to the spool; given back with the entry."""


class NewMessage(Struct, frozen=True, kw_only=True):
    """A message to take in, with the ways it goes out."""

    uid: str
    """Public id of the message, unique."""
    owner: str
    kind: str
    sha256: bytes
    """32 bytes; the same bytes of the same owner are the same message."""
    body: bytes
    facts: bytes
    """Opaque to the spool; given back with the message and its entry."""
    ways: tuple[Way, ...]
    """A CopMsgId of a sender's belongs to one message; with destination and part it names one entry of it."""
    priority: int = 1
    """0 goes before 1 before 2, within one owner."""
    request_key: str = ""
    """The owner's own name for the request (Idempotency-Key): it belongs to one message, and other bytes
    under it are a clash. Empty: none."""
    subjects: tuple[Subject, ...] = ()
    resource: str = ""
    """What its entries need to go, by an opaque name; a claim takes no more of those than it has room for."""
    origin: Mapping[str, str] | None = None
    """What the bytes were made of, for the journal alone; None: they are as they were handed in."""
    event: str = "message.accepted"
    """How the journal calls its coming into the spool."""


class Submission(Struct, frozen=True, kw_only=True):
    """Bytes that somebody hands in, before anybody has looked what they are; the fields are those of a `NewMessage`."""

    owner: str
    sha256: bytes
    request_key: str = ""


class Note(Struct, frozen=True, kw_only=True):
    """A line for the journal about something that is not kept."""

    event: str
    uid: str = ""
    """The message it is about, if there is one."""
    detail: str = ""


class Accepted(Struct, frozen=True, kw_only=True):
    """The offer is in the spool and durable."""

    uid: str


class Duplicate(Struct, frozen=True, kw_only=True):
    """The offer was taken before; nothing was written."""

    uid: str


class Conflict(Struct, frozen=True, kw_only=True):
    """The offer contradicts what was taken before; nothing was written.

    `reason` is `version` (a declaration version with other bytes), `cop_msg_id` (taken by another
    message of the same sender, wherever that goes) or `request_key` (the key of a message with other bytes).
    """

    uid: str
    """The message that stands in the way; empty when it is another owner's."""
    reason: str
    identities: tuple[str, ...] = ()


PutResult = Accepted | Duplicate | Conflict


class Claimed(Struct, frozen=True, kw_only=True, gc=False):
    """An entry in the hands of one process until its lease ends."""

    entry: int
    claim: int
    """Proof of the claim; a settlement with another number is void."""
    uid: str
    owner: str
    kind: str
    destination: str
    cop_msg_id: str
    attempts: int
    """Failed attempts so far."""
    accepted_at: datetime
    facts: bytes
    """Of the message."""
    way: bytes
    """Facts of this way."""
    body: bytes
    lease: Lease = ENDLESS
    """Until when it is in these hands."""


class Fate(StrEnum):
    """How an attempt ended."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    POSTPONED = "postponed"
    """Nothing was attempted, for want of what it needs: tried again later, and no attempt is counted."""
    UNDELIVERABLE = "undeliverable"


UNCOUNTED: Final = frozenset({Fate.DELIVERED, Fate.POSTPONED})
"""Fates that are no failed attempt."""


class Settlement(Struct, frozen=True, kw_only=True, gc=False):
    """The end of one attempt."""

    entry: int
    claim: int
    fate: Fate
    error: str = ""
    next_at: datetime | None = None
    """For DEFERRED and POSTPONED: not before then."""
    sent_sha256: bytes = b""
    """For DELIVERED: SHA-256 of the business bytes that the destination confirmed."""
    record: str = ""
    """For DELIVERED: what was sent and who confirmed it, for the journal."""
    noun: str = "entry"
    """What the journal calls it: the event is `<noun>.sent`, `<noun>.deferred` and so on."""


class Collected(Struct, frozen=True, kw_only=True):
    """A raw answer as it came."""

    feed: str
    name: str
    body: bytes
    sha256: bytes


class RawArrival(Struct, frozen=True, kw_only=True):
    """A raw answer kept and not yet filed."""

    id: int
    feed: str
    name: str
    body: bytes
    received_at: datetime
    also: tuple[str, ...] = ()
    """Other feeds that brought the same bytes."""

    @property
    def origins(self) -> tuple[str, ...]:
        """All feeds that brought it, the first one first."""
        return (self.feed, *self.also)


class Unread(Struct, frozen=True, kw_only=True):
    """What is in an owner's stream as a whole, about none of its declarations, and not acknowledged."""

    messages: int
    size_bytes: int


class Found(Struct, frozen=True, kw_only=True):
    """A declaration that some text points at."""

    declaration: int
    owner: str
    identity: str
    found_by: str
    facts: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """An entry of a message that travelled, and its latest attempt."""

    entry: int
    claim: int
    """Names the attempt."""
    destination: str
    attempts: int
    """Failed attempts so far."""
    facts: bytes
    """Of its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Travelled:
    """The message of one sender that travelled under a CopMsgId, with its declarations and its entries."""

    uid: str
    owner: str
    kind: str
    accepted_at: datetime
    declarations: tuple[Found, ...]
    entries: tuple[Latest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounce:
    """An answer that ends an attempt after all: its entry is to be sent again, or not any more.

    It holds for that one attempt, while that is the entry's latest, and only if the answer came after the
    attempt had begun. An entry that a later one of the same declaration has overtaken is not sent again.
    """

    entry: int
    claim: int
    """Of the attempt that the answer is about."""
    next_at: datetime | None
    """Not before then; None: it has had all its attempts."""
    reason: str
    """Not empty."""


class TimelineRow(Struct, frozen=True, kw_only=True):
    """One answer about one declaration."""

    declaration: int
    at: str
    """When customs says it happened, 17 digits; orders the timeline."""
    kind: str
    status: str
    facts: bytes
    digest: str
    """Two answers with one digest about one declaration are one answer."""
    index: int
    """Position of the body in its arrival."""


class Filing(Struct, frozen=True, kw_only=True):
    """What one arrival turned out to be; filed in one commit."""

    arrival: int
    kind: str
    cop_msg_id: str
    """Of the arrival's own envelope."""
    rows: tuple[TimelineRow, ...] = ()
    orphans: tuple["OrphanBody", ...] = ()
    learned: Mapping[int, tuple[str, ...]] = {}
    """Declaration → handles that this arrival taught us."""
    addressees: tuple[str, ...] = ()
    """Owners that the arrival as a whole is for, whatever is in it; each hears of it once."""
    remark: str = ""
    """More about it for the journal."""
    bounces: tuple[Bounce, ...] = ()
    """What it asks to have sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphanBody:
    """A body that nobody can be found for, kept; `lookups` are the texts that would find somebody."""

    index: int
    reason: str
    lookups: tuple[str, ...] = ()
    facts: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An entry whose attempt was ended by somebody else than the holder of its claim."""

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
    """What filing did: rows that were new, by owner, rows known before, entries that were sent back."""

    arrival: int
    matched: Mapping[str, int]
    duplicates: int
    orphaned: int
    delivered: tuple[str, ...] = ()
    """Addressees that hear of it now; those that had heard before are not among them."""
    ended: tuple[Ended, ...] = ()


class Notice(Struct, frozen=True, kw_only=True):
    """One arrival as far as it concerns one owner, waiting to be brought home."""

    cursor: int
    arrival: int
    kind: str
    received_at: datetime
    rows: tuple["TimelineEntry", ...]


class TimelineEntry(Struct, frozen=True, kw_only=True):
    """A row of a timeline as it is read."""

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
    """Cursor of the notice by which its owner hears of it; 0 where an archive of an older version does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageView:
    """A message and one of its entries as they stand now."""

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
    """Uids of the messages that have to go first."""
    error: str
    sent_at: datetime | None
    sent_sha256: bytes
    identities: tuple[str, ...]
    way: bytes = b""
    """Facts of this entry's way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which entries to look at; what is empty lets everything pass."""

    states: tuple[State, ...] = ()
    destination: str = ""
    owner: str = ""
    kind: str = ""
    error: str = ""
    """A part of their error."""


ANY: Final = Wanted()


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """An answer nobody was found for."""

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
    """How many declarations and entries its texts point at now; told by `Spool.orphans_after` alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """What counts as no answer."""

    layer: str
    """A name for it; opaque here."""
    kinds: tuple[str, ...]
    """Of messages that are looked at."""
    passing: tuple[str, ...] = ()
    """Answers, each as kind, blank, status, that leave it a silence."""
    except_to: tuple[str, ...] = ()
    """Destinations that owe no answer."""


class Silent(Struct, frozen=True, kw_only=True):
    """A declaration that has no answer since its message was accepted."""

    declaration: int
    message: int
    """The spool's number of it."""
    layer: str
    uid: str
    owner: str
    kind: str
    destination: str
    identity: str
    sent_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanStep:
    """What a walk over sent entries found on one stretch of its way."""

    silent: tuple[Silent, ...]
    at: str | None
    """How far it has come; opaque. None: there was nothing to look at."""
    more: bool
    """There was more to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLine:
    """A line of the journal."""

    at: datetime
    event: str
    uid: str
    detail: str
    number: int = 0
    """Of the line, ascending; 0 where an archive of an older version does not say."""


AGE_CLASSES: Final[Mapping[int, str]] = MappingProxyType(
    {10: "10s", 60: "1m", 600: "10m", 3600: "1h", 86400: "1d", -1: "older"}
)
"""Upper bound of each class of age in seconds, as `Depth.age_s` says it → its name."""
AGE_BOUNDS_S: Final = tuple(bound for bound in AGE_CLASSES if bound > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How many entries of one state one destination has, in one class of age."""

    destination: str
    state: State
    age_s: int
    """Upper bound of the age class in seconds; the last class has none and says -1."""
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Old:
    """Messages that may be archived and purged, and where to go on looking."""

    uids: tuple[str, ...]
    cursor: str
    """Opaque; empty when nothing younger is left to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits to go to one destination."""

    destination: str
    entries: int
    """Unsettled ones; counted no further than asked for."""
    oldest: datetime | None
    """When the oldest message was accepted that is not held back; None when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outstanding:
    """What waits for somebody outside."""

    orphans: int
    unacknowledged: Mapping[str, int]
    """Owner → notices after the cursor that it has acknowledged."""
    overdue: Mapping[str, int] = field(default_factory=dict)
    """Layer → declarations whose answer is overdue, see `Spool.set_overdue`."""
