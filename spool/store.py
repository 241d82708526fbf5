"""The spool's Protocols: everything the roles may ask of the only memory, cut by who uses what. One suite of tests.

A method that writes is one commit: when it returns, what it says is on disk. Methods that raise
SpoolError have written nothing.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol

from spool.archived import Archived
from spool.entry import (
    ANY,
    Backlog,
    Claimed,
    Collected,
    Conflict,
    Depth,
    Duplicate,
    Ended,
    Filed,
    Filing,
    Found,
    JournalLine,
    MessageView,
    NewMessage,
    Note,
    Notice,
    Old,
    Orphan,
    Outstanding,
    Overdue,
    PutResult,
    RawArrival,
    ScanStep,
    Settlement,
    Silent,
    Submission,
    TimelineEntry,
    Travelled,
    Unread,
    Wanted,
)
from spool.errors import SpoolError
from spool.grouping import EntryGroup
from spool.lifecycle import Event
from spool.sealing import Leaves, Sealed, Sign

NO_BOUNDS: Final[Mapping[str, int]] = MappingProxyType({})
NO_MARKS: Final[Mapping[str, int]] = MappingProxyType({})


class Topic(StrEnum):
    """What a process can listen for."""

    ENTRIES = "entries"
    """Something may be claimable."""
    NOTICES = "notices"
    """Something was filed for an owner."""


class Waiter(Protocol):
    """A listener on one topic."""

    def fileno(self) -> int:
        """Return a descriptor that is readable when something happened, for an event loop."""
        ...

    def wait(self, timeout_s: float) -> bool:
        """Block until something happened or the time is over; return which; forget the signals so far."""
        ...


class SpoolIntake(Protocol):
    """Takes messages in."""

    def put(
        self,
        new_messages: Sequence[NewMessage],
        *,
        notes: Sequence[Note] = (),
        marks: Mapping[str, int] = NO_MARKS,
    ) -> list[PutResult]:
        """Take in offers, in order, and write notes in the journal, in one commit; one reply an offer.

        `marks`: name → how far somebody has got with the stream that the offers were made from, kept in the same
        commit; no mark goes backwards.
        """
        ...

    def taken(self, submissions: Sequence[Submission]) -> list[Duplicate | Conflict | None]:
        """Say of each what `put` would say of an offer with these bytes that were taken before; None: they were not.

        Looks only among what the same owner handed in, and writes nothing. A request key of other bytes says nothing
        before these are known: None.
        """
        ...

    def mark(self, name: str) -> int | None:
        """Return how far that mark has got; None when it was never set."""
        ...


class SpoolOutbox(Protocol):
    """Hands entries out under a lease, and takes back how it went."""

    def claim(
        self,
        claimant: str,
        destination: str,
        *,
        limit: int,
        lease_s: float,
        room: Mapping[str, int] = NO_BOUNDS,
    ) -> list[Claimed]:
        """Take up to `limit` entries whose turn has come, in turn from each owner that has any.

        Within an owner by priority, then oldest due first. Owners take turns from one call to the next, so
        a thousand entries of one do not hold up the single one of another. `room`: of entries that need
        this (`NewMessage.needs`), only so many; they hold up none that need something else.
        """
        ...

    def settle(self, settlements: Sequence[Settlement]) -> int:
        """End attempts; void claims are passed over. Returns how many took effect."""
        ...

    def recover(self, *, claimant: str | None = None) -> list[Ended]:
        """Make ready what `claimant` had claimed (it died), or, without a name, whose lease is over.

        With the first generation of a claimant (`spool.claimants`) all later ones have died that there were.
        What has been found like this `ending.ABANDONED_AT_MOST` times in a row, and never settled in between,
        is dead: it may be what kills its forwarders. From the second time on entries come back one by one.
        """
        ...

    def leave(self, claimant: str) -> int:
        """Leave claims of earlier generations of `claimant` to those who hold them; returns how many were not left before.

        They may still be settled. The end of their lease counts for nothing: `recover` makes them ready as they were.
        """
        ...

    def repair_clock(self, destination: str, *, wait_s: float, lease_s: float) -> int:
        """Bring near what lies further ahead than it can have been put: the clock was set back since.

        An entry that was neither deferred nor postponed is due at once, one whose turn is more than `wait_s` (the longest
        back-off) away is due at once too, whether or not it waits for others, and no lease holds longer than `lease_s`
        from now. Returns how many it brought near, some thousand in one commit: call it until there are none. Costs one
        look when the clock is right.
        """
        ...

    def act(self, event: Event, uids: Sequence[str], *, reason: str = "", destination: str = "") -> int:
        """Let an operator's event happen to these messages' entries, all or those to one destination.

        Raises LifecycleError when none of a message's entries allows it.
        """
        ...

    def next_due(self, destination: str, *, full: Collection[str] = ()) -> datetime | None:
        """Return when the next waiting entry may be claimed; None when nothing waits for its time.

        Entries that need one of `full` are left out.
        """
        ...


class SpoolReceipts(Protocol):
    """Keeps raw answers, finds what they are about, and files them."""

    def keep(self, collected: Sequence[Collected]) -> int:
        """Keep raw answers; bytes kept before are not kept twice, but who else brings them is. Returns how many were new.

        Bytes that asked for another attempt and come again under another name are said again, about a later
        attempt perhaps: they are to be filed again, as received now.
        """
        ...

    def unfiled(self, limit: int) -> list[RawArrival]:
        """Return raw answers not filed yet, oldest first."""
        ...

    def arrival(self, number: int) -> RawArrival | None:
        """Return one raw answer, filed or not."""
        ...

    def find(self, texts: Sequence[str], *, owner: str | None = None) -> Iterator[Found]:
        """Yield every declaration that one of the texts, identities or handles, points at; with `owner` only theirs.

        A declaration comes once for each different facts of its versions, the newest last. All of them come, a page
        at a time; what is written meanwhile may be among them.
        """
        ...

    def carriers(self, declarations: Collection[int]) -> dict[int, set[str]]:
        """Return to which destinations messages about each of these declarations go or went."""
        ...

    def travelled(self, cop_msg_id: str, senders: Collection[str] = ()) -> Travelled | None:
        """Return the one message that goes out under this CopMsgId of one of these senders, see `travelling.meant`."""
        ...

    def file(self, filings: Sequence[Filing], *, resolves: Sequence[int] = ()) -> list[Filed]:
        """File what arrivals turned out to be, and mark orphans as resolved, in one commit.

        Entries that bounce are moved in the same commit; one whose attempt is still to be settled, as soon as
        it is settled as delivered.
        """
        ...

    def orphans(self, *, texts: Sequence[str] | None = None, limit: int = 1000) -> list[Orphan]:
        """Return unresolved orphans, newest last; with `texts` those that one of them would resolve."""
        ...

    def orphans_after(self, after: int, *, limit: int) -> list[Orphan]:
        """Return up to `limit` unresolved orphans of a higher number, ascending, each with its `pointers`.

        Cheap for those that nothing points at, which are nearly all.
        """
        ...


class SpoolInbox(Protocol):
    """What was filed for an owner, and how far the owner has read it."""

    def notices(self, owner: str, *, after: int, limit: int) -> list[Notice]:
        """Return what was filed for this owner after the cursor, in cursor order."""
        ...

    def newest_notices(self, owners: Sequence[str]) -> Mapping[str, int]:
        """Return the newest cursor of each of these owners who has any."""
        ...

    def filed_for(self, owner: str, arrival: int) -> list[TimelineEntry]:
        """Return the rows of one arrival that are this owner's."""
        ...

    def addressed(self, owner: str, arrival: int) -> bool:
        """Say whether an arrival was filed as a whole for this owner."""
        ...

    def unread(self, owner: str, *, at_most: int) -> Unread:
        """Return how much an owner was addressed as a whole and has not acknowledged; no more messages are counted.

        Cheap, whatever else waits for the owner: the price grows with `at_most` alone.
        """
        ...

    def acknowledge(self, owner: str, cursor: int) -> int:
        """Remember how far the owner has read (never backwards); returns the cursor that holds."""
        ...

    def acknowledged(self, owner: str) -> int:
        """Return how far the owner has read; 0 at first."""
        ...


class SpoolReading(Protocol):
    """Reads messages, entries, timelines and the journal."""

    def message(self, uid: str, *, owner: str | None = None) -> MessageView | None:
        """Return one message with its first entry; with `owner` only if it is theirs."""
        ...

    def ways(self, uid: str) -> list[MessageView]:
        """Return one message with each of its entries, in the order of the offer's ways."""
        ...

    def body(self, uid: str) -> bytes | None:
        """Return the accepted bytes of a message."""
        ...

    def timeline(self, owner: str | None, text: str) -> list[TimelineEntry]:
        """Return the answers about declarations that the identity or handle names, by `at`."""
        ...

    def about(self, owner: str | None, text: str, *, limit: int) -> list[MessageView]:
        """Return entries of messages about declarations that the identity or handle names, newest first."""
        ...

    def search(self, text: str, *, limit: int = 20) -> list[str]:
        """Return uids of messages that the text may mean: a uid, CopMsgId, identity, handle, or value."""
        ...

    def beginning(self, text: str, *, limit: int) -> list[str]:
        """Return up to `limit` ids of messages that begin like this, in their order; see `grouping.bounds`."""
        ...

    def entries(self, wanted: Wanted = ANY, *, after: int = 0, limit: int = 100) -> list[MessageView]:
        """Return up to `limit` entries that are wanted, oldest first.

        To go on, ask again with `after` the number of the last one, `MessageView.entry`.
        """
        ...

    def depths(self) -> list[Depth]:
        """Return how many unsettled or dead entries each destination has, by state and age."""
        ...

    def groups(self, wanted: Wanted = ANY, *, each: int) -> list[EntryGroup]:
        """Return what is wanted of the unsettled and dead entries, those of one destination, state and error together.

        Of each destination and state the `each` largest, and one of all others: what fails in many ways is no more
        than what fails in one.
        """
        ...

    def history(self, uid: str) -> Iterator[JournalLine]:
        """Return the journal lines of one message, oldest first."""
        ...


class SpoolMeasures(Protocol):
    """Counts what waits; cheap, whatever waits."""

    def backlog(self, *, at_most: int) -> list[Backlog]:
        """Return what waits for each destination; no more than `at_most` entries of each are counted.

        Cheap, whatever waits: the price grows with `at_most` alone.
        """
        ...

    def needed(self, *, at_most: int) -> Mapping[str, int]:
        """Return how many entries could go but for what they need, by that; of each turn no more are counted.

        Cheap when nobody needs anything; the price grows with `at_most`.
        """
        ...

    def waiting(self, owner: str, *, at_most: int) -> int:
        """Return how many entries of an owner could go now, whatever they need; no more than `at_most` are counted.

        Those that wait for an earlier entry, are held or are on their way are not among them. Cheap, whatever
        waits: the price grows with `at_most` alone.
        """
        ...

    def outstanding(self) -> Outstanding:
        """Return what waits for somebody outside: orphans, and notices by owner."""
        ...


class SpoolOverdues(Protocol):
    """Scans what was sent for answers that do not come."""

    def silent(
        self, walk: str, silence: Overdue, *, until: datetime, start: datetime, limit: int
    ) -> ScanStep:
        """Look at up to `limit` sent entries on from where this walk was last left, but none sent after `until`.

        Finds their declarations with no answer, but passing ones, since the message was accepted; of the first message
        about a declaration earlier answers count too, for they came before it. A walk that was never left anywhere
        begins at `start`. Writes nothing.
        """
        ...

    def set_overdue(self, walk: str, at: str, silent: Sequence[Silent]) -> list[Silent]:
        """Leave the walk at `ScanStep.at`, and set down what is overdue; returns what was not set down before."""
        ...

    def overdue(self, *, after: int = 0, limit: int) -> list[Silent]:
        """Return up to `limit` of what was set down, of messages with a higher number than `after`, those in order.

        Some may have been answered since, until `end_overdue`. All of the last message are among them, be it more
        than `limit`.
        """
        ...

    def end_overdue(self, silences: Sequence[Overdue], *, after: int, limit: int) -> int:
        """Take back what was set down and is answered by now, as `overdue` returns it; returns the last message's number.

        0: there was none.
        """
        ...


class SpoolRetention(Protocol):
    """Gives up old messages."""

    def old(self, before: datetime, *, limit: int, cursor: str = "") -> Old:
        """Return up to `limit` messages that were over before this time, oldest first.

        Over means: accepted before it, every entry sent or discarded before it, no answer about one of
        its declarations since, and every notice of such an answer acknowledged. One call looks at a
        bounded number of messages; the next one goes on at the cursor, until that is empty.
        """
        ...

    def export(self, uid: str) -> Archived | None:
        """Return everything that is known of one message; None when there is none of that id."""
        ...

    def purge(self, archived: Sequence[Archived], *, before: datetime) -> list[str]:
        """Take messages out of the spool that were over before this time, in one commit.

        One that is not over, or has other answers than at its export, stays as it is. Declarations that
        no other message speaks of go with them, and raw answers that speak of nobody else. Returns the
        uids that went.
        """
        ...


class SpoolLog(Protocol):
    """The Merkle log over the journal (docs/adr/0018)."""

    def seal(self, sign: Sign, *, limit: int) -> int:
        """Take up to `limit` lines of the journal into the log, and a checkpoint by `sign`, in one commit.

        Lines go in the order of their numbers, none is ever passed over; those that others may still come before
        wait for the next call. Returns how many it took; 0 also when another process was faster.
        """
        ...

    def unsealed(self) -> int:
        """Return how many lines are not in the log yet, or a little more: numbers may be missing."""
        ...

    def tile(self, level: int, number: int) -> bytes:
        """Return the hashes of a tile of the log (`spool.merkle`); empty when there is none."""
        ...

    def checkpoint(self) -> Sealed | None:
        """Return the newest checkpoint; None before the first."""
        ...

    def checkpoints(self, *, after: int, limit: int) -> list[Sealed]:
        """Return checkpoints of more than `after` events, oldest first."""
        ...

    def places(self, numbers: Sequence[int]) -> dict[int, int]:
        """Return the index in the log of each of these lines that is in it, also of lines that were purged."""
        ...

    def leaves(self, *, after: int, limit: int) -> list[Leaves]:
        """Return what sealings took whose highest line is above `after`, oldest first."""
        ...

    def lines(self, *, after: int, up_to: int) -> list[JournalLine]:
        """Return the lines of the journal with these numbers, `after` not among them, ascending."""
        ...


class SpoolUpkeep(Protocol):
    """Keeps the store in order, and wakes whoever waits for it."""

    def tidy(self) -> None:
        """Do what the store has to do for itself now and then, so that no commit has to; call it every second.

        Others read and write meanwhile. Cheap when there is nothing to do.
        """
        ...

    def reserve(self, told: Callable[[], None]) -> bool:
        """Have the next write begin without a wait, where writers stand in one line: True when it can begin now.

        Does not block. Else `told` is called once by another thread when it can; what writes meanwhile may take that
        turn, so ask again then. Whoever has reserved writes, or passes it on.
        """
        ...

    def pass_on(self) -> None:
        """Give back what was reserved and not used."""
        ...

    def held_up(self) -> SpoolError | None:
        """Say who keeps writers waiting for longer than anybody may; None: nobody, as far as is known. Does not block."""
        ...

    def listen(self, topic: Topic) -> AbstractContextManager[Waiter]:
        """Start to listen; what happens from now on wakes the waiter, from any process."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...


class Spool(
    SpoolIntake,
    SpoolOutbox,
    SpoolReceipts,
    SpoolInbox,
    SpoolReading,
    SpoolMeasures,
    SpoolOverdues,
    SpoolRetention,
    SpoolLog,
    SpoolUpkeep,
    Protocol,
):
    """Durable entries, answers and their timelines: all of it. A caller names the part that it needs."""
