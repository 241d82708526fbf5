"""Imports: sources of many messages, kept whole, and how far each has been turned into messages. Texts and bytes are opaque.

A source is stored in chunks while it comes; `SpoolImports.finish_import` makes a job of it. A process claims a job under
a lease and goes on step by step: what a step makes, and the position after it, are one commit with the messages
(`SpoolIntake.put`), so whatever is killed, each part of the source is in the spool once.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from spool.errors import LifecycleError, SpoolError

CHUNK_BYTES: Final = 1024 * 1024
"""Largest chunk of a source."""


class JobState(StrEnum):
    """The state of an import."""

    PARTIAL = "partial"
    """Its source is still coming, or is being deleted: nobody is told of it."""
    WAITING = "waiting"
    """Its source is durable; no step has been made."""
    WORKING = "working"
    """Some steps are made."""
    DONE = "done"
    """Every part of the source is in a message or refused."""
    REFUSED = "refused"
    """Nothing was made, because not all of it is sound."""
    DUPLICATE = "duplicate"
    """Nothing was made, because an earlier import has the same values."""
    FAILED = "failed"
    """It cannot go on; what was made stays."""
    CANCELLED = "cancelled"
    """Its owner wants no more of it; what was made stays."""


ACTIVE: Final = (JobState.WAITING, JobState.WORKING)
"""States in which there is something to do."""
ENDS: Final = (JobState.DONE, JobState.REFUSED, JobState.DUPLICATE, JobState.FAILED, JobState.CANCELLED)
STANDING: Final = (JobState.WAITING, JobState.WORKING, JobState.DONE, JobState.REFUSED, JobState.DUPLICATE)
"""States in which an import answers for the same request made again."""
MADE: Final = (JobState.WORKING, JobState.DONE, JobState.REFUSED)
"""States in which an import answers for the same values handed in again."""
_NEXT: Final[Mapping[JobState, tuple[JobState, ...]]] = MappingProxyType(
    {
        JobState.PARTIAL: (JobState.WAITING,),
        JobState.WAITING: (JobState.WORKING, *ENDS),
        JobState.WORKING: (JobState.WORKING, *ENDS),
        **dict.fromkeys(ENDS, (JobState.PARTIAL,)),
    }
)


def in_state(states: Collection[JobState]) -> str:
    """Return the SQL condition on the column `state`; written alike in queries and in the indexes that answer them."""
    return "(" + " OR ".join(f"state = '{state}'" for state in states) + ")"


def follows(state: JobState, then: JobState) -> JobState:
    """Return the state that follows. Raises LifecycleError when an import in this state cannot go there."""
    if then not in _NEXT[state]:
        raise LifecycleError(f"an import that is {state} cannot be {then}")
    return then


class ClaimLostError(SpoolError):
    """The job is no longer the caller's: another process has it, or it has ended. Nothing was written."""


class NewImport(Struct, frozen=True, kw_only=True):
    """What a source is, now that all of it is there."""

    request: str
    """Names source and parameters: the same again of the same owner is the same import."""
    sha256: bytes
    """Of the source."""
    size_bytes: int
    facts: bytes
    """Returned with the job."""
    at: str
    """Position at which the first step starts."""


class ImportPart(Struct, frozen=True, kw_only=True):
    """What of a source is in one message."""

    uid: str
    """The message."""
    bodies: int
    """Declarations in it."""
    facts: bytes


class ImportRefusal(Struct, frozen=True, kw_only=True):
    """A declaration of a source that is in no message."""

    facts: bytes


class ImportStep(Struct, frozen=True, kw_only=True):
    """How a job goes on: everything of it is written, or nothing."""

    job: int
    claim: int
    at: str
    """Position after this step."""
    parts: tuple[ImportPart, ...] = ()
    """One for each message of the commit, in order. The uid is that of the message as the spool knows it."""
    refusals: tuple[ImportRefusal, ...] = ()
    values: str = ""
    """Names values and parameters, once known: of two imports of one owner with the same, the later is a duplicate."""
    findings: bytes | None = None
    """What is known of the source by now; returned with the job. None: as before."""
    state: JobState = JobState.WORKING
    lease_s: float = 60.0
    """For how long the claim is renewed."""


class ClaimedImport(Struct, frozen=True, kw_only=True):
    """A job that one process holds until its lease ends."""

    job: int
    claim: int
    """Proves the claim."""
    uid: str
    owner: str
    facts: bytes
    findings: bytes
    at: str
    size_bytes: int
    sha256: bytes
    claims: int
    """Claims since the last step, with this one; more than one: an earlier holder may have died of it."""
    refused: int
    """Refusals so far."""


class ImportJob(Struct, frozen=True, kw_only=True):
    """An import as it stands."""

    number: int
    """Ascending with time."""
    uid: str
    owner: str
    state: JobState
    sha256: bytes
    size_bytes: int
    facts: bytes
    findings: bytes
    at: str
    created_at: datetime
    updated_at: datetime
    """Of its last step, or of its end."""
    messages: int
    bodies: int
    """Declarations in these messages."""
    refused: int
    """Declarations that are in none."""
    first: str
    """Of a duplicate: the earlier import."""


class OpenImports(Struct, frozen=True, kw_only=True):
    """What an owner has here of imports."""

    jobs: int
    """Not over, or still coming."""
    size_bytes: int
    """Of all sources that are kept."""


class MadePart(Struct, frozen=True, kw_only=True):
    """A stored part, by its number from 1."""

    number: int
    uid: str
    bodies: int
    facts: bytes


class MadeRefusal(Struct, frozen=True, kw_only=True):
    """A stored refusal, by its number from 1."""

    number: int
    facts: bytes
