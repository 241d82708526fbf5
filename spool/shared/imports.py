"""Imports: chunks of sources, jobs that are claimed in turns, and the steps that go on in the commits of messages."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from spool.entry import Accepted, Conflict, Duplicate, Note, PutResult
from spool.imports import (
    ACTIVE,
    CHUNK_BYTES,
    ENDS,
    MADE,
    STANDING,
    ClaimedImport,
    ClaimLostError,
    ImportJob,
    ImportStep,
    JobState,
    MadePart,
    MadeRefusal,
    NewImport,
    OpenImports,
    follows,
    in_state,
)
from spool.shared.backend import Store, Transaction
from spool.store import Topic
from spool.times import to_number, to_time

_DROPPED_AT_ONCE: Final = {"import_source": 16, "import_part": 5000, "import_refusal": 5000}
"""Table → most rows that one commit deletes, so that no other writer waits for long."""

_BEGIN: Final = (
    "INSERT INTO import_job (uid, owner, state, request, sha256, size_bytes, facts, findings, place, created_at,"
    f" updated_at, due_at, served_at) VALUES (?, ?, '{JobState.PARTIAL}', '', ?, 0, ?, ?, '', ?, ?, 0, 0) RETURNING id"
)
_CHUNK: Final = (
    "INSERT INTO import_source (job, number, owner, body) SELECT id, ?, owner, ? FROM import_job WHERE id = ?"
)
_COMING: Final = (
    f"UPDATE import_job SET updated_at = ? WHERE id = ? AND state = '{JobState.PARTIAL}' RETURNING id"
)
_SAME_REQUEST: Final = (
    f"SELECT uid FROM import_job WHERE owner = ? AND request = ? AND request <> '' AND {in_state(STANDING)}"
)
_FINISH: Final = (
    f"UPDATE import_job SET state = '{follows(JobState.PARTIAL, JobState.WAITING)}', request = ?, sha256 = ?,"
    " size_bytes = ?, facts = ?, place = ?, updated_at = ?, due_at = ?"
    f" WHERE id = ? AND state = '{JobState.PARTIAL}' RETURNING uid"
)
_OWNER: Final = "SELECT owner FROM import_job WHERE id = ?"
_CLAIM: Final = (
    "UPDATE import_job SET claim = claim + 1, claimant = ?, lease_until = ?, served_at = ?, claims = claims + 1"
    f" WHERE id = (SELECT j.id FROM import_job j WHERE {in_state(ACTIVE).replace('state', 'j.state')}"
    " AND j.due_at <= ? AND (j.lease_until <= ? OR j.claimant = ?) AND NOT (j.owner {among})"
    " ORDER BY (SELECT max(o.served_at) FROM import_job o WHERE o.owner = j.owner), j.id LIMIT 1)"
    f" AND {in_state(ACTIVE)} AND (lease_until <= ? OR claimant = ?)"
    " RETURNING id, claim, uid, owner, facts, findings, place, size_bytes, sha256, claims, refused"
)
"""Owners take turns: whose jobs were claimed longest ago comes first."""
_HELD: Final = f"id = ? AND claim = ? AND {in_state(ACTIVE)}"
_RENEW: Final = f"UPDATE import_job SET lease_until = ? WHERE {_HELD} RETURNING id"
_RELEASE: Final = (
    "UPDATE import_job SET lease_until = 0, due_at = ?, claims = CASE WHEN claims > 0 THEN claims - 1 ELSE 0 END"
    f" WHERE {_HELD}"
)
_STEP: Final = (
    "UPDATE import_job SET state = ?, place = ?, findings = coalesce(?, findings), first = ?, claims = 0, updated_at = ?,"
    " lease_until = ?, messages = messages + ?, bodies = bodies + ?, refused = refused + ?"
    f" WHERE {_HELD} RETURNING owner, messages, refused"
)
_STATE: Final = f"SELECT state, owner FROM import_job WHERE {_HELD}"
_SAME_VALUES: Final = (
    "SELECT uid FROM import_job WHERE owner = ? AND same_values = ? AND same_values <> '' AND id <> ?"
    f" AND {in_state(MADE)}"
)
_VALUES: Final = "UPDATE import_job SET same_values = ? WHERE id = ?"
_PART: Final = "INSERT INTO import_part (job, number, owner, uid, bodies, facts) VALUES (?, ?, ?, ?, ?, ?)"
_REFUSAL: Final = "INSERT INTO import_refusal (job, number, owner, facts) VALUES (?, ?, ?, ?)"
_CANCEL: Final = (
    f"UPDATE import_job SET state = '{JobState.CANCELLED}', claim = claim + 1, updated_at = ?"
    f" WHERE owner = ? AND uid = ? AND {in_state(ACTIVE)} RETURNING id"
)
_DROP: Final = f"UPDATE import_job SET state = '{JobState.PARTIAL}', request = '' WHERE id = ?"
_SOME: Final = "SELECT number FROM {table} WHERE job = ? ORDER BY number LIMIT {limit}"
_DELETE: Final = "DELETE FROM {table} WHERE job = ? AND number <= ?"
_FORGOTTEN: Final = "DELETE FROM import_job WHERE id = ?"
_STALE: Final = (
    f"SELECT id FROM import_job WHERE state = '{JobState.PARTIAL}' AND updated_at < ? OR {in_state(ENDS)}"
    " AND updated_at < ? ORDER BY updated_at, id LIMIT ?"
)
_JOB: Final = (
    "SELECT id, uid, owner, state, sha256, size_bytes, facts, findings, place, created_at, updated_at, messages, bodies,"
    f" refused, first FROM import_job WHERE state <> '{JobState.PARTIAL}'"
)
_OPEN: Final = (
    f"SELECT count(CASE WHEN {in_state((*ACTIVE, JobState.PARTIAL))} THEN 1 END), coalesce(sum(size_bytes), 0)"
    " FROM import_job WHERE owner = ?"
)
_ACTIVE: Final = f"SELECT count(*) FROM import_job WHERE {in_state(ACTIVE)}"


class SharedImports:
    """The part of a spool that keeps imports: `spool.store.SpoolImports`; both backends know the same SQL."""

    def __init__(self, db: Store, *, among: str) -> None:
        """`among`: condition that a column is one of a list, in the backend's own SQL."""
        self._db = db
        self._claim = _CLAIM.format(among=among)

    def begin_import(self, uid: str, owner: str) -> int:
        """Begin to receive a source; returns its number."""

        def work(transaction: Transaction) -> int:
            now = transaction.now
            ((number,),) = transaction.all(_BEGIN, uid, owner, b"", b"", b"", now, now)
            return int(number)

        return self._db.transact(work)

    def add_import_chunk(self, job: int, number: int, body: bytes) -> None:
        """Store the next chunk of a source that is coming."""
        if len(body) > CHUNK_BYTES:
            raise ValueError(f"a chunk has at most {CHUNK_BYTES} bytes")

        def work(transaction: Transaction) -> None:
            if not transaction.all(_COMING, transaction.now, job):
                raise ClaimLostError("the source is no longer received")
            transaction.run(_CHUNK, number, body, job)

        self._db.transact(work)

    def finish_import(self, job: int, new: NewImport, *, notes: Sequence[Note] = ()) -> str:
        """Make a job of a source; returns its uid, or that of the import that the same request made before."""

        def work(transaction: Transaction) -> str:
            ((owner,),) = transaction.all(_OWNER, job)
            known = transaction.all(_SAME_REQUEST, owner, new.request)
            if known:
                return str(known[0][0])
            now = transaction.now
            made = transaction.all(
                _FINISH, new.request, new.sha256, new.size_bytes, new.facts, new.at, now, now, job
            )
            if not made:
                raise ClaimLostError("the source is no longer received")
            transaction.journal((note.event, note.uid, note.detail) for note in notes)
            transaction.wake(Topic.IMPORTS)
            return str(made[0][0])

        return self._db.transact(work)

    def claim_import(
        self, claimant: str, *, lease_s: float, besides: Collection[str] = ()
    ) -> ClaimedImport | None:
        """Claim the next job in rotation of owners, but for some owners; None: there is none."""
        left_out = self._db.texts(besides)

        def work(transaction: Transaction) -> list[Any]:
            now = transaction.now
            until = now + _microseconds(lease_s)
            return transaction.all(
                self._claim, claimant, until, now, now, now, claimant, left_out, now, claimant
            )

        rows = self._db.transact(work)
        if not rows:
            return None
        job, claim, uid, owner, facts, findings, at, size_bytes, sha256, claims, refused = rows[0]
        return ClaimedImport(
            job=job, claim=claim, uid=uid, owner=owner, facts=bytes(facts), findings=bytes(findings), at=at,
            size_bytes=size_bytes, sha256=bytes(sha256), claims=claims, refused=refused,
        )  # fmt: skip

    def renew_import(self, job: int, claim: int, *, lease_s: float) -> bool:
        """Renew a claim; False: it is void."""

        def work(transaction: Transaction) -> bool:
            return bool(transaction.all(_RENEW, transaction.now + _microseconds(lease_s), job, claim))

        return self._db.transact(work)

    def release_import(self, job: int, claim: int, *, due: datetime | None = None) -> None:
        """Give a claim back; the job is not claimed again before `due`. A void claim changes nothing."""
        self._db.transact(
            lambda transaction: transaction.run(
                _RELEASE, transaction.now if due is None else to_number(due), job, claim
            )
        )

    def cancel_import(self, owner: str, uid: str, *, notes: Sequence[Note] = ()) -> bool:
        """End a job that is not over, and write notes to the journal, in one commit; False: it is over, nothing is written."""

        def work(transaction: Transaction) -> bool:
            ended = bool(transaction.all(_CANCEL, transaction.now, owner, uid))
            if ended:
                transaction.journal((note.event, note.uid, note.detail) for note in notes)
            return ended

        return self._db.transact(work)

    def drop_import(self, job: int) -> None:
        """Delete an import and its source, some at a time; what a crash leaves of it is `stale`."""
        self._db.transact(lambda transaction: transaction.run(_DROP, job))
        for table, most in _DROPPED_AT_ONCE.items():
            query = _SOME.format(table=table, limit=most)
            while rows := self._db.rows(query, job):
                last = rows[-1][0]
                self._db.transact(_deleting(_DELETE.format(table=table), job, last))
        self._db.transact(_deleting(_FORGOTTEN, job))

    def stale_imports(self, *, unfinished: datetime, ended: datetime | None, limit: int) -> list[int]:
        """Return numbers of sources that have not grown since `unfinished`, and of imports that ended before `ended`."""
        before = 0 if ended is None else to_number(ended)
        return [row[0] for row in self._db.rows(_STALE, to_number(unfinished), before, limit)]

    def open_imports(self, owner: str) -> OpenImports:
        """Return how many imports of an owner are not over, and what all that are kept take."""
        ((jobs, size_bytes),) = self._db.rows(_OPEN, owner)
        return OpenImports(jobs=jobs, size_bytes=int(size_bytes))

    def active_imports(self) -> int:
        """Return how many jobs are not over, of all owners."""
        return int(self._db.rows(_ACTIVE)[0][0])

    def import_job(self, uid: str, *, owner: str | None = None) -> ImportJob | None:
        """Return one import; with `owner` only if it is theirs."""
        rows = self._db.rows(f"{_JOB} AND uid = ?", uid)
        job = _job(rows[0]) if rows else None
        return None if job is None or owner not in (None, job.owner) else job

    def imports(self, owner: str | None = None, *, before: int = 0, limit: int) -> list[ImportJob]:
        """Return imports, newest first, of one owner or of all; with `before` those with lower numbers."""
        query, values = _JOB, list[object]()
        for condition, value in (("owner = ?", owner), ("id < ?", before or None)):
            if value is not None:
                query += f" AND {condition}"
                values.append(value)
        return [_job(row) for row in self._db.rows(f"{query} ORDER BY id DESC LIMIT ?", *values, limit)]

    def import_parts(self, job: int, *, after: int = 0, limit: int) -> list[MadePart]:
        """Return what is in messages, in the order in which it was made."""
        query = "SELECT number, uid, bodies, facts FROM import_part WHERE job = ? AND number > ? ORDER BY number LIMIT ?"
        return [
            MadePart(number=number, uid=uid, bodies=bodies, facts=bytes(facts))
            for number, uid, bodies, facts in self._db.rows(query, job, after, limit)
        ]

    def import_refusals(self, job: int, *, after: int = 0, limit: int) -> list[MadeRefusal]:
        """Return what is in no message, in the order in which it was refused."""
        query = (
            "SELECT number, facts FROM import_refusal WHERE job = ? AND number > ? ORDER BY number LIMIT ?"
        )
        return [
            MadeRefusal(number=number, facts=bytes(facts))
            for number, facts in self._db.rows(query, job, after, limit)
        ]

    def import_source(self, job: int, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the source chunk by chunk; each is read when it is asked for."""
        number = start
        while number != end and (
            rows := self._db.rows("SELECT body FROM import_source WHERE job = ? AND number = ?", job, number)
        ):
            yield bytes(rows[0][0])
            number += 1


def record_step(transaction: Transaction, step: ImportStep, replies: Sequence[PutResult]) -> bool:
    """Write a step in the commit of its messages; False, and nothing is written, when one of these is in conflict.

    Raises ClaimLostError.
    """
    held = transaction.all(_STATE, step.job, step.claim)
    if not held:
        raise ClaimLostError("the import has ended, or another process works on it")
    if any(isinstance(reply, Conflict) for reply in replies):
        return False
    ((state, owner),) = held
    first = _first_of(transaction, owner, step)
    then = follows(JobState(state), JobState.DUPLICATE if first else step.state)
    parts = [
        part
        for part, reply in zip(step.parts, replies, strict=True)
        if isinstance(reply, Accepted | Duplicate)
    ]
    changed = transaction.all(
        _STEP,
        then.value, step.at, step.findings, first, transaction.now, transaction.now + _microseconds(step.lease_s),
        len(parts), sum(part.bodies for part in parts), len(step.refusals),
        step.job, step.claim,
    )  # fmt: skip
    if not changed:  # another node was faster
        raise ClaimLostError("the import has ended, or another process works on it")
    ((_, messages, refused),) = changed
    if step.values and not first:
        transaction.run(_VALUES, step.values, step.job)
    for number, (part, reply) in enumerate(zip(parts, replies, strict=True), start=messages - len(parts) + 1):
        transaction.run(_PART, step.job, number, owner, reply.uid, part.bodies, part.facts)
    for number, refusal in enumerate(step.refusals, start=refused - len(step.refusals) + 1):
        transaction.run(_REFUSAL, step.job, number, owner, refusal.facts)
    return True


def _first_of(transaction: Transaction, owner: str, step: ImportStep) -> str:
    """Return the uid of the earlier import with the same values; empty: there is none, or they are not known."""
    rows = transaction.all(_SAME_VALUES, owner, step.values, step.job) if step.values else []
    return str(rows[0][0]) if rows else ""


def _deleting(query: str, *values: object) -> Any:
    return lambda transaction: transaction.run(query, *values)


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _job(row: Sequence[Any]) -> ImportJob:
    return ImportJob(
        number=row[0], uid=row[1], owner=row[2], state=JobState(row[3]), sha256=bytes(row[4]), size_bytes=row[5],
        facts=bytes(row[6]), findings=bytes(row[7]), at=row[8], created_at=to_time(row[9]), updated_at=to_time(row[10]),
        messages=row[11], bodies=row[12], refused=row[13], first=row[14],
    )  # fmt: skip
