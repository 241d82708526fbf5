"""The spool's Protocols: everything the roles may ask of the only memory, cut by who uses what. One suite of tests.

A method that writes is one commit: when it returns, the changes are on disk. A method that raises
SpoolError has written nothing.
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
    Allowance,
    AnswerStep,
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
    LinkedDeclaration,
    LinkStep,
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
    ReportedLink,
    ScanStep,
    Settlement,
    Silent,
    Submission,
    Tally,
    TimelineEntry,
    Travelled,
    Unread,
    Wanted,
)
from spool.errors import SpoolError
from spool.grouping import EntryGroup
from spool.imports import (
    ClaimedImport,
    ImportJob,
    ImportStep,
    MadePart,
    MadeRefusal,
    NewImport,
    OpenImports,
)
from spool.lifecycle import Event
from spool.registers import NewRegister, StoredRegister
from spool.sealing import Leaves, Sealed, Sign

NO_BOUNDS: Final[Mapping[str, int]] = MappingProxyType({})
NO_MARKS: Final[Mapping[str, int]] = MappingProxyType({})


class Topic(StrEnum):
    """What a process can listen for."""

    ENTRIES = "entries"
    """Entries may be claimable."""
    NOTICES = "notices"
    """Something was filed for an owner."""
    IMPORTS = "imports"
    """Imports may be claimable."""


class Waiter(Protocol):
    """A listener on one topic."""

    def fileno(self) -> int:
        """Return a descriptor that is readable after a signal, for an event loop."""
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
        step: ImportStep | None = None,
    ) -> list[PutResult]:
        """Store new messages, in order, and write notes to the journal, in one commit; one result per message.

        `marks`: name → position reached in the stream from which the messages were made, stored in the same commit;
        no mark goes backwards. `step`: how the import goes on from which they are made; a conflict of one of them voids
        the commit as a whole. Raises ClaimLostError when the import is no longer the caller's.
        """
        ...

    def judge(self, new_messages: Sequence[NewMessage]) -> list[PutResult]:
        """Return what `put` would return now; nothing is written."""
        ...

    def taken(self, submissions: Sequence[Submission]) -> list[Duplicate | Conflict | None]:
        """Return for each what `put` would return if these bytes were accepted before; None: they were not.

        Checks only submissions of the same owner, and writes nothing. For unknown bytes with the request key of other
        bytes, the result is None too.
        """
        ...

    def mark(self, name: str) -> int | None:
        """Return the position of that mark; None when it was never set."""
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
        """Claim up to `limit` entries that are due, in rotation from each owner that has any.

        Within an owner by priority, then oldest due first. The rotation continues from one call to the next, so
        a thousand entries of one owner do not delay the single one of another. `room`: resource → most entries
        that need it (`NewMessage.resource`); they do not delay entries that need something else.
        """
        ...

    def settle(self, settlements: Sequence[Settlement]) -> int:
        """End attempts; settlements of void claims are skipped. Returns how many took effect."""
        ...

    def recover(self, *, claimant: str | None = None) -> list[Ended]:
        """Make ready the entries that `claimant` had claimed (it died), or, without a name, those with an ended lease.

        If `claimant` is the first generation (`spool.claimants`), all later generations count as dead too. An entry
        recovered `ending.ABANDONED_AT_MOST` times in a row without a settlement becomes dead, because it may be
        what kills its forwarders. From the second time on, entries become due one by one.
        """
        ...

    def leave(self, claimant: str) -> int:
        """Leave the claims of earlier generations of `claimant` to their holders; returns how many are newly left.

        They may still be settled. The end of their lease is not counted: `recover` makes them ready as they were.
        """
        ...

    def repair_clock(self, destination: str, *, wait_s: float, lease_s: float) -> int:
        """Repair times that lie further ahead than they can have been set, because the clock was set back since.

        An entry that was neither deferred nor postponed becomes due at once; so does one whose due time is more than
        `wait_s` (the longest back-off) away, whether or not it waits for others; no lease lasts longer than `lease_s`
        from now. Returns how many were repaired, some thousand in one commit: call it until it returns 0. Costs one
        query when the clock is right.
        """
        ...

    def act(self, event: Event, uids: Sequence[str], *, reason: str = "", destination: str = "") -> int:
        """Let an operator's event happen to these messages' entries, all or those to one destination.

        Raises LifecycleError when none of a message's entries allows it.
        """
        ...

    def next_due(self, destination: str, *, full: Collection[str] = ()) -> datetime | None:
        """Return when the next waiting entry may be claimed; None when no entry waits for its due time.

        Entries that need one of the resources in `full` are left out.
        """
        ...


class SpoolReceipts(Protocol):
    """Keeps raw answers, finds what they are about, and files them."""

    def keep(self, collected: Sequence[Collected]) -> int:
        """Store raw answers; known bytes are not stored again, but a new feed is recorded. Returns how many were new.

        Bytes that asked for another attempt and come again under another name may concern a later attempt: they
        must be filed again, as received now.
        """
        ...

    def unfiled(self, limit: int) -> list[RawArrival]:
        """Return raw answers not filed yet, oldest first."""
        ...

    def arrival(self, number: int) -> RawArrival | None:
        """Return one raw answer, filed or not."""
        ...

    def find(self, texts: Sequence[str], *, owner: str | None = None) -> Iterator[Found]:
        """Yield every declaration that one of the texts (identities or handles) refers to; with `owner` only theirs.

        A declaration is yielded once for each different facts of its versions, the newest last. All are read page by
        page, so declarations written meanwhile may be included.
        """
        ...

    def carriers(self, declarations: Collection[int]) -> dict[int, set[str]]:
        """Return, for each of these declarations, the destinations of the messages about it."""
        ...

    def travelled(self, cop_msg_id: str, senders: Collection[str] = ()) -> Travelled | None:
        """Return the one message sent under this CopMsgId by one of these senders, see `travelling.meant`."""
        ...

    def file(self, filings: Sequence[Filing], *, resolves: Sequence[int] = ()) -> list[Filed]:
        """File evaluated arrivals, and mark orphans as resolved, in one commit.

        Entries that bounce change in the same commit; an entry whose attempt is not settled yet, as soon as it is
        settled as delivered.
        """
        ...

    def orphans(self, *, texts: Sequence[str] | None = None, limit: int = 1000) -> list[Orphan]:
        """Return unresolved orphans, newest last; with `texts` those that one of them would resolve."""
        ...

    def orphans_after(self, after: int, *, limit: int) -> list[Orphan]:
        """Return up to `limit` unresolved orphans with numbers above `after`, ascending, each with its `pointers`.

        Cheap for those whose texts match nothing, which are nearly all.
        """
        ...


class SpoolInbox(Protocol):
    """What was filed for an owner, and how far the owner has read it."""

    def notices(self, owner: str, *, after: int, limit: int) -> list[Notice]:
        """Return the notices filed for this owner after the cursor, in cursor order."""
        ...

    def answered_besides(
        self, owner: str, *, after: int, up_to: int, passing: Collection[str]
    ) -> frozenset[str]:
        """Return the identities of declarations that notices behind one cursor and up to another are about.

        Only of those that have any answer, in whatever notice, whose kind and status (`Overdue.passing`) are not among
        these. One query for all of them.
        """
        ...

    def newest_notices(self, owners: Sequence[str]) -> Mapping[str, int]:
        """Return the newest cursor of each of these owners who has any."""
        ...

    def filed_for(self, owner: str, arrival: int) -> list[TimelineEntry]:
        """Return the rows of one arrival that belong to this owner."""
        ...

    def addressed(self, owner: str, arrival: int) -> bool:
        """Whether an arrival was filed as a whole for this owner."""
        ...

    def unread(self, owner: str, *, at_most: int) -> Unread:
        """Return the unacknowledged messages addressed to an owner as a whole; at most `at_most` are counted.

        The cost depends only on `at_most`, whatever else waits for the owner.
        """
        ...

    def acknowledge(self, owner: str, cursor: int) -> int:
        """Record how far the owner has read (never backwards); returns the cursor now in effect."""
        ...

    def acknowledged(self, owner: str) -> int:
        """Return how far the owner has read; 0 initially."""
        ...


class SpoolReading(Protocol):
    """Reads messages, entries, timelines and the journal."""

    def message(self, uid: str, *, owner: str | None = None) -> MessageView | None:
        """Return one message with its first entry; with `owner` only if it belongs to them."""
        ...

    def ways(self, uid: str) -> list[MessageView]:
        """Return one message with each of its entries, in the order of its ways."""
        ...

    def body(self, uid: str) -> bytes | None:
        """Return the accepted bytes of a message."""
        ...

    def timeline(self, owner: str | None, text: str) -> list[TimelineEntry]:
        """Return the answers about declarations with this identity or handle, ordered by `at`."""
        ...

    def timelines(self, declarations: Collection[int]) -> Mapping[int, Sequence[TimelineEntry]]:
        """Return the answers about each of these declarations that has any, ordered by `at`. One query for all."""
        ...

    def about(self, owner: str | None, text: str, *, limit: int) -> list[MessageView]:
        """Return entries of messages about declarations with this identity or handle, newest first."""
        ...

    def search(self, text: str, *, limit: int = 20) -> list[str]:
        """Return uids of messages that the text may mean: a uid, CopMsgId, identity, handle, or value."""
        ...

    def beginning(self, text: str, *, limit: int) -> list[str]:
        """Return up to `limit` ids of messages with this prefix, sorted; see `grouping.bounds`."""
        ...

    def entries(self, wanted: Wanted = ANY, *, after: int = 0, limit: int = 100) -> list[MessageView]:
        """Return up to `limit` entries that match `wanted`, oldest first.

        For the next page, call again with `after` = `MessageView.entry` of the last one.
        """
        ...

    def depths(self) -> list[Depth]:
        """Return the number of unsettled or dead entries by destination, state and age."""
        ...

    def groups(self, wanted: Wanted = ANY, *, each: int) -> list[EntryGroup]:
        """Return the unsettled and dead entries that match `wanted`, grouped by destination, state and error.

        For each destination and state the `each` largest groups, and one group of all others, so that many different
        errors do not make the result long.
        """
        ...

    def history(self, uid: str) -> Iterator[JournalLine]:
        """Return the journal lines of one message, oldest first."""
        ...


class SpoolMeasures(Protocol):
    """Counts what waits; cheap, whatever waits."""

    def backlog(self, *, at_most: int) -> list[Backlog]:
        """Return the backlog of each destination; at most `at_most` entries of each are counted.

        The cost depends only on `at_most`, whatever waits.
        """
        ...

    def needed(self, *, at_most: int) -> Mapping[str, int]:
        """Return, by resource, how many entries lack only that; at most `at_most` of each turn are counted.

        Cheap when no entry needs a resource; the cost grows with `at_most`.
        """
        ...

    def waiting(self, owner: str, *, at_most: int) -> int:
        """Return how many entries of an owner could go now, whatever they need; at most `at_most` are counted.

        Entries that wait for an earlier one, are held or are being sent are not included. The cost depends only on
        `at_most`, whatever waits.
        """
        ...

    def outstanding(self) -> Outstanding:
        """Return counts of what waits for an action from outside: orphans, and notices by owner."""
        ...


class SpoolOverdues(Protocol):
    """Scans what was sent for answers that do not come."""

    def silent(
        self, walk: str, silence: Overdue, *, until: datetime, start: datetime, limit: int
    ) -> ScanStep:
        """Scan up to `limit` sent entries from the stored position of this walk on, but none sent after `until`.

        Finds declarations without an answer, other than passing ones, since their message was accepted; for the first
        message about a declaration earlier answers count too, as they came before it. A walk without a stored position
        starts at `start`. Writes nothing.
        """
        ...

    def set_overdue(self, walk: str, at: str, silent: Sequence[Silent]) -> list[Silent]:
        """Store the walk's position `ScanStep.at`, and record what is overdue; returns what was not recorded before."""
        ...

    def overdue(self, *, after: int = 0, limit: int) -> list[Silent]:
        """Return up to `limit` recorded overdue answers of messages with numbers above `after`, ordered by number.

        Some may have been answered since, until `end_overdue`. Those of the last message are complete, even if that
        exceeds `limit`.
        """
        ...

    def end_overdue(self, silences: Sequence[Overdue], *, after: int, limit: int) -> int:
        """Delete recorded overdue answers that have come by now, page by page as `overdue`.

        Returns the number of the last message; 0: there was none.
        """
        ...


class SpoolCounts(Protocol):
    """Counts that scans add up, exactly once whatever is killed meanwhile; it does not know of what."""

    def add_tallies(self, scan: str, tallies: Sequence[Tally], *, after: int | None, reached: int) -> bool:
        """Add to counts, and move the mark `scan` from `after` (None: it was never set) to `reached`, in one commit.

        Returns False, and writes nothing, when the mark is not at `after`: somebody else has counted that stretch.
        """
        ...

    def replace_tallies(self, origin: str, tallies: Sequence[Tally], *, scan: str, reached: int) -> bool:
        """Replace all counts of an origin, if the mark `scan` is below `reached` or not set, and move it there.

        Returns False, and writes nothing, otherwise.
        """
        ...

    def tallies(self, name: str, *, subject: str | None = None) -> list[Tally]:
        """Return the counts of this name, of all subjects or of one, from every origin."""
        ...


class SpoolParcels(Protocol):
    """Finds the documents of one parcel, each as its newest version says (docs/adr/0047)."""

    def linked(self, *, order_no: str = "", waybill_no: str = "") -> list[LinkedDeclaration]:
        """Return declarations that have one of these numbers, newest first; an empty number matches none.

        Of each owner at most 20 under a number, the newest, so that many of one owner hide none of another.
        """
        ...

    def beside(self, declarations: Collection[int]) -> list[LinkedDeclaration]:
        """Return what the owners of these declarations declared under the same waybill numbers, newest first.

        Of each owner and number at most 20, the newest, of which these declarations may be some. One query for all.
        """
        ...

    def links_of(self, declarations: Collection[int]) -> list[LinkedDeclaration]:
        """Return those of these declarations that are linked, newest first."""
        ...

    def versions_since(
        self, owner: str, since: datetime, *, order_no: str = "", waybill_no: str = "", at_most: int
    ) -> int:
        """Return how many versions an owner has handed in since then of declarations that have, or had, one of these numbers.

        At most `at_most` are counted. A declaration that has got another number since counts under both.
        """
        ...

    def unreported(self, walk: str, *, until: datetime, limit: int) -> LinkStep:
        """Look at up to `limit` messages on from the stored position of this walk, but none accepted after `until`.

        A walk without a position starts with the oldest. Writes nothing.
        """
        ...

    def set_reported(self, walk: str, at: int, reported: Sequence[ReportedLink]) -> list[ReportedLink]:
        """Store the walk's position, and what is reported now, in one commit.

        Returns those that took effect: not those whose version another process has reported on, or that have a newer one.
        """
        ...


class SpoolAllowances(Protocol):
    """Keeps how much each declaration counts for a subject in a period; outlives the declarations."""

    def newest_answer(self) -> int:
        """Return the number of the newest answer on a timeline; 0: there is none."""
        ...

    def answered(self, walk: str, *, up_to: int, kinds: Collection[str], limit: int) -> AnswerStep:
        """Look at up to `limit` answers on from where this walk stands, none with a higher number than `up_to`.

        Returns the declarations that have answers of these kinds among them. When the answer at which the walk stands was purged,
        the walk begins again: numbers may have been given a second time since. Writes nothing.
        """
        ...

    def set_allowances(self, walk: str, step: AnswerStep, allowances: Sequence[Allowance]) -> bool:
        """Move the walk to the end of a step, and replace the allowances of these declarations, in one commit.

        Returns False, and writes nothing, when the walk does not stand where the step began.
        """
        ...

    def allowance(self, subject: str, period: str, *, owner: str = "", besides: Collection[int] = ()) -> int:
        """Return the sum of the amounts of a subject in a period, of one owner or of all, but for some declarations."""
        ...

    def forget_allowances(self, before: str) -> int:
        """Delete the allowances of all periods before this one, in the order of texts. Returns how many."""
        ...


class SpoolRetention(Protocol):
    """Gives up old messages."""

    def old(self, before: datetime, *, limit: int, cursor: str = "") -> Old:
        """Return up to `limit` messages that were finished before this time, oldest first.

        Finished means: accepted before it, every entry sent or discarded before it, no answer about one of
        its declarations since, and every notice of such an answer acknowledged. One call checks a limited
        number of messages; the next one continues at the cursor, until that is empty.
        """
        ...

    def export(self, uid: str) -> Archived | None:
        """Return all data of one message; None when no message has that id."""
        ...

    def purge(self, archived: Sequence[Archived], *, before: datetime) -> list[str]:
        """Delete messages that were finished before this time from the spool, in one commit.

        A message that is not finished, or has other answers than at its export, is kept. Declarations that
        are in no other message are deleted too, and raw answers about no other declaration. Returns the
        deleted uids.
        """
        ...


class SpoolLog(Protocol):
    """The Merkle log over the journal (docs/adr/0018)."""

    def seal(self, sign: Sign, *, limit: int) -> int:
        """Add up to `limit` lines of the journal to the log, with a checkpoint by `sign`, in one commit.

        Lines are added in the order of their numbers, and none is ever skipped; lines before which others may still
        be written wait for the next call. Returns how many were added; 0 also when another process was faster.
        """
        ...

    def unsealed(self) -> int:
        """Return how many lines are not in the log yet; may be slightly too high, because numbers may be missing."""
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
        """Return the leaves of the sealings whose highest line is above `after`, oldest first."""
        ...

    def lines(self, *, after: int, up_to: int) -> list[JournalLine]:
        """Return the lines of the journal with numbers above `after` up to `up_to`, ascending."""
        ...


class SpoolRegisters(Protocol):
    """Keeps, for each owner, documents that its messages are compared with."""

    def replace_register(self, new: NewRegister, *, notes: Sequence[Note] = ()) -> int:
        """Store a document in place of the owner's earlier one of that name, and write notes to the journal.

        One commit. Returns the version, which is above every earlier one of this owner and name.
        """
        ...

    def drop_register(self, owner: str, name: str, *, notes: Sequence[Note] = ()) -> bool:
        """Take a document back, and write notes to the journal, in one commit; False: there was none, nothing is written."""
        ...

    def register_versions(self) -> Mapping[tuple[str, str], int]:
        """Return owner and name of each document in force → its version; one cheap query."""
        ...

    def register(self, owner: str, name: str) -> StoredRegister | None:
        """Return the document in force, without its body; None: there is none."""
        ...

    def register_body(self, owner: str, name: str) -> bytes | None:
        """Return the bytes of the document in force, as handed in; None: there is none."""
        ...


class SpoolImports(Protocol):
    """Keeps sources of many messages, and hands them out in turns; they go on with the commits of `SpoolIntake.put`."""

    def begin_import(self, uid: str, owner: str) -> int:
        """Begin to receive a source; returns its number."""
        ...

    def add_import_chunk(self, job: int, number: int, body: bytes) -> None:
        """Store chunk `number`, from 0, of a source; at most `imports.CHUNK_BYTES`. Raises ClaimLostError."""
        ...

    def finish_import(self, job: int, new: NewImport, *, notes: Sequence[Note] = ()) -> str:
        """Make a job of a source that is complete, and write notes to the journal, in one commit; returns its uid.

        If the same request made an import before that neither failed nor was cancelled, nothing is written, and the uid is
        that one's. Raises ClaimLostError.
        """
        ...

    def claim_import(
        self, claimant: str, *, lease_s: float, besides: Collection[str] = ()
    ) -> ClaimedImport | None:
        """Claim the next job that is due, in rotation of the owners, but for those in `besides`; None: there is none.

        Jobs that `claimant` holds may be claimed again: it has died since.
        """
        ...

    def renew_import(self, job: int, claim: int, *, lease_s: float) -> bool:
        """Renew a claim; False: it is void."""
        ...

    def release_import(self, job: int, claim: int, *, due: datetime | None = None) -> None:
        """Give a claim back, as if it had not been made; `due`: when the job may be claimed again, default now."""
        ...

    def cancel_import(self, owner: str, uid: str, *, notes: Sequence[Note] = ()) -> bool:
        """End a job and write notes, in one commit; claims on it become void. False: it is over, or not there."""
        ...

    def drop_import(self, job: int) -> None:
        """Delete an import with its source, in several commits; what a crash leaves is in `stale_imports`."""
        ...

    def stale_imports(self, *, unfinished: datetime, ended: datetime | None, limit: int) -> list[int]:
        """Return imports to drop: incomplete since before `unfinished`, or over since before `ended` (None: never)."""
        ...

    def open_imports(self, owner: str) -> OpenImports:
        """Return how much of imports an owner has here."""
        ...

    def active_imports(self) -> int:
        """Return how many jobs of all owners are not over; cheap."""
        ...

    def import_job(self, uid: str, *, owner: str | None = None) -> ImportJob | None:
        """Return one import; with `owner` only if it is theirs. None: there is none, or its source is incomplete."""
        ...

    def imports(self, owner: str | None = None, *, before: int = 0, limit: int) -> list[ImportJob]:
        """Return up to `limit` imports, newest first; for the next page, `before` = number of the last one."""
        ...

    def import_parts(self, job: int, *, after: int = 0, limit: int) -> list[MadePart]:
        """Return up to `limit` parts with higher numbers than `after`, ascending."""
        ...

    def import_refusals(self, job: int, *, after: int = 0, limit: int) -> list[MadeRefusal]:
        """Return up to `limit` refusals with higher numbers than `after`, ascending."""
        ...

    def import_source(self, job: int, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the source, chunk by chunk, as handed in; from chunk `start`, before chunk `end`."""
        ...


class SpoolUpkeep(Protocol):
    """Keeps the store in order, and wakes whoever waits for it."""

    def tidy(self) -> None:
        """Do the store's own maintenance, so that no commit has to; call it every second.

        Does not block other readers and writers. Cheap when there is nothing to do.
        """
        ...

    def reserve(self, told: Callable[[], None]) -> bool:
        """Reserve the next write, if the store has one queue of writers; True: it can begin now without waiting.

        Does not block. If False, `told` is called once by another thread when it can begin; another write of this
        process may use that turn, so call again then. After True, the caller must write or call `pass_on`.
        """
        ...

    def pass_on(self) -> None:
        """Release a reservation that was not used."""
        ...

    def held_up(self) -> SpoolError | None:
        """Return an error that names a process blocking writers for too long; None if none is known. Does not block."""
        ...

    def listen(self, topic: Topic) -> AbstractContextManager[Waiter]:
        """Start to listen; from now on, signals from any process wake the waiter."""
        ...

    def close(self) -> None:
        """Close files."""
        ...


class Spool(
    SpoolIntake,
    SpoolOutbox,
    SpoolReceipts,
    SpoolInbox,
    SpoolReading,
    SpoolMeasures,
    SpoolOverdues,
    SpoolCounts,
    SpoolParcels,
    SpoolAllowances,
    SpoolRetention,
    SpoolLog,
    SpoolRegisters,
    SpoolImports,
    SpoolUpkeep,
    Protocol,
):
    """Durable entries, answers and their timelines: all of it. A caller names the part that it needs."""
