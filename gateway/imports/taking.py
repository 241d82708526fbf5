"""Takes a source in: chunk by chunk into the spool, in a thread with a spool of its own, so that no request waits for it."""

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TypeVar

from gateway.imports.facts import ImportFacts, ImportPlace, encoded, journal_detail, request_name
from gateway.observe.log import log
from gateway.submission.new_messages import new_message_id
from spool.entry import Note
from spool.errors import SpoolError
from spool.imports import CHUNK_BYTES, NewImport
from spool.store import Spool, SpoolImports

T = TypeVar("T")


class SpoolThread:
    """A thread with a spool of its own, which does one thing after the other."""

    def __init__(self, name: str, open_spool: Callable[[], Spool]) -> None:
        """`open_spool` is called in the thread, with the first thing to do."""
        self._open_spool = open_spool
        self._spool: Spool | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, work: Callable[[Spool], T]) -> T:
        """Do something with the spool in the thread. Raises SpoolError."""
        return await asyncio.wrap_future(self.begin(work))

    def begin(self, work: Callable[[Spool], T]) -> "Future[T]":
        """Begin to do something with the spool in the thread, after what was begun before."""
        return self._thread.submit(lambda: work(self._opened()))

    def _opened(self) -> Spool:
        if self._spool is None:
            self._spool = self._open_spool()
        return self._spool

    def close(self) -> None:
        """Finish what was begun, and close the spool."""
        self._thread.shutdown(wait=True)
        if self._spool is not None:
            self._spool.close()


class IncomingSource:
    """A source that is coming into the spool, chunk by chunk."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._uid = str(new_message_id(datetime.now(UTC)))
        self._job: int | None = None
        self._chunks = 0
        self._digest = hashlib.sha256()
        self._size = 0

    @property
    def sha256(self) -> bytes:
        """SHA-256 of what has come."""
        return self._digest.digest()

    def add(self, spool: SpoolImports, chunk: bytes) -> None:
        """Store the next chunk, at most `CHUNK_BYTES`. Raises SpoolError."""
        if self._job is None:
            self._job = spool.begin_import(self._uid, self._owner)
        spool.add_import_chunk(self._job, self._chunks, chunk)
        self._chunks += 1
        self._size += len(chunk)
        self._digest.update(chunk)

    def finish(self, spool: SpoolImports, facts: ImportFacts) -> tuple[str, bool]:
        """Make a job of it; returns the id of the import, and whether it is new. Raises SpoolError."""
        if self._job is None:
            self.add(spool, b"")
        assert self._job is not None  # noqa: S101 (it was begun)
        new = NewImport(
            request=request_name(facts, self.sha256),
            sha256=self.sha256,
            size_bytes=self._size,
            facts=encoded(facts),
            at=encoded(ImportPlace()).decode(),
        )
        note = Note(event="import.taken", uid=self._uid, detail=self._detail(facts))
        uid = spool.finish_import(self._job, new, notes=[note])
        if uid != self._uid:
            return uid, False
        self._job = None
        log(
            "import.taken",
            enterprise=self._owner,
            import_id=uid,
            size_bytes=self._size,
            mappings=[one.name for one in facts.mappings],
        )
        return uid, True

    def drop(self, spool: SpoolImports) -> None:
        """Delete what has come, unless it is a job now; what cannot be deleted now, the role `keep` deletes."""
        if self._job is None:
            return
        job, self._job = self._job, None
        try:
            spool.drop_import(job)
        except SpoolError as error:
            log("spool.unavailable", error=str(error))

    def _detail(self, facts: ImportFacts) -> str:
        return journal_detail(
            enterprise=self._owner,
            sha256=self.sha256.hex(),
            size_bytes=self._size,
            mappings=[{"name": one.name, "sha256": one.sha256} for one in facts.mappings],
            form=facts.form,
            charset=facts.charset,
            app_time=facts.app_time,
            all_or_nothing=facts.all_or_nothing,
        )


class ComingSource:
    """A source that comes over a connection; its chunks are on disk as they come."""

    def __init__(self, thread: SpoolThread, owner: str) -> None:
        self._thread = thread
        self._source = IncomingSource(owner)
        self._held = bytearray()
        self.size = 0
        self.head = b""
        """Its first bytes."""

    @property
    def sha256(self) -> bytes:
        """SHA-256 of a source that has come whole; call it after `flush`."""
        return self._source.sha256

    async def add(self, part: bytes) -> None:
        """Take a part in. Raises SpoolError."""
        if not self.head:
            self.head = part[:8]
        self.size += len(part)
        self._held += part
        while len(self._held) >= CHUNK_BYTES:
            await self._store()

    async def flush(self) -> None:
        """Store the rest. Raises SpoolError."""
        if self._held:
            await self._store()

    async def finish(self, facts: ImportFacts) -> tuple[str, bool]:
        """Make a job of it; returns the id of the import, and whether it is new. Raises SpoolError."""
        return await self._thread.run(lambda spool: self._source.finish(spool, facts))

    def give_up(self) -> None:
        """Delete what has come, unless it is a job now; does not wait for it."""
        self._thread.begin(self._source.drop)

    async def _store(self) -> None:
        chunk, self._held = bytes(self._held[:CHUNK_BYTES]), self._held[CHUNK_BYTES:]
        await self._thread.run(lambda spool: self._source.add(spool, chunk))
