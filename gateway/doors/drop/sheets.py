"""Folders of sheets and JSON: each file becomes an import; its report is beside it when that is over (docs/imports.md).

A file stays where it is while it is made. Found again after a crash it is the same import, because its bytes and its time are
the same.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import PurePath
from typing import BinaryIO, Final

import msgspec

from gateway.config.doors import FolderDoor
from gateway.config.gateway_toml import ImportsConfig
from gateway.doors.drop.folder import FolderDropAdapter, write_reports
from gateway.doors.drop.foreign_folder import DoorDrop, FileIdentity, Unfit, identity_of
from gateway.doors.drop.loop import Answered
from gateway.doors.http.services import HttpResponse
from gateway.errors import DeliveryError
from gateway.imports.facts import ROWS_OF_A_FILE, ImportFacts, NamedMapping
from gateway.imports.taking import IncomingSource
from gateway.imports.views import detail_view
from gateway.mapping.language import SourceMapping
from gateway.mapping.sources.table import SUFFIXES
from gateway.model import BEIJING, SECOND, Enterprise
from gateway.ports import Arrival
from gateway.processes.heartbeat import beat
from gateway.transports.polled import Listed, PolledFeed
from spool.errors import SpoolError
from spool.imports import ACTIVE, CHUNK_BYTES, ImportJob, JobState
from spool.store import Spool

REFUSED: Final = ".refused.xlsx"
_SHOWN: Final = 1000
"""Most messages, and most refused declarations, that a report lists; `GET /v1/imports/{id}` has them all."""
_GOOD: Final = frozenset({JobState.DONE, JobState.DUPLICATE})
_encode = msgspec.json.Encoder().encode


class SheetDrop(DoorDrop):
    """Reads a file into the spool: what is read of it is the id of its import."""

    def __init__(
        self,
        door: FolderDoor,
        *,
        owner: str,
        spool: Spool,
        mappings: Mapping[str, SourceMapping],
        bounds: ImportsConfig,
    ) -> None:
        super().__init__(door.dir, bounds.size_bytes)
        self._door = door
        self._owner = owner
        self._spool = spool
        self._mappings = mappings
        self._bounds = bounds
        self._listed: dict[str, int] = {}
        """Name → size at the last listing."""

    def files(self) -> Sequence[Listed]:
        """List as `DoorDrop.files`."""
        found = super().files()
        self._listed = {one.name: one.size_bytes for one in found}
        return found

    def _content(self, name: str, file: BinaryIO, before: FileIdentity) -> tuple[bytes | None, FileIdentity]:
        """Take the file in as an import; None: it is being written, or there is no room for it now."""
        form = SUFFIXES.get(PurePath(name).suffix.lower())
        if form is None or before.size_bytes > self._bounds.size_bytes:
            self.unfit(name, Unfit.NO_SOURCE if form is None else Unfit.TOO_LARGE)
            return None, before
        if self._listed.get(name) != before.size_bytes:  # it has changed since it was listed
            return None, before
        try:
            held = self._spool.open_imports(self._owner)
            if (
                held.jobs >= self._bounds.jobs_per_enterprise
                or held.size_bytes + before.size_bytes > self._bounds.kept_bytes
            ):
                return None, before
            changed = datetime.fromtimestamp(before.modified / 1e9, BEIJING).strftime(SECOND)
            facts = ImportFacts(
                mappings=self._named(),
                form=form.value,
                charset=self._door.charset,
                app_time=changed,
                all_or_nothing=self._door.all_or_nothing,
            )
            return self._taken(file, before, facts)
        except SpoolError as error:
            raise DeliveryError(error.what, where=error.where, fix=error.fix) from error

    def _taken(
        self, file: BinaryIO, before: FileIdentity, facts: ImportFacts
    ) -> tuple[bytes | None, FileIdentity]:
        source, size = IncomingSource(self._owner), 0
        try:
            for chunk in iter(partial(file.read, CHUNK_BYTES), b""):
                beat()
                size += len(chunk)
                if size > before.size_bytes:
                    break
                source.add(self._spool, chunk)
            after = identity_of(os.fstat(file.fileno()))
            if after != before or size != before.size_bytes:
                return None, after
            return source.finish(self._spool, facts)[0].encode(), after
        finally:
            source.drop(self._spool)

    def _named(self) -> tuple[NamedMapping, ...]:
        missing = [name for name in self._door.mappings if name not in self._mappings]
        if missing:
            raise DeliveryError(
                f"there is no mapping {', '.join(missing)} at this gateway",
                where=str(self._door.dir),
                fix="mend mapping of this door, or add the mapping to accept.mappings_dir",
            )
        return tuple(
            [NamedMapping(name=name, sha256=self._mappings[name].sha256) for name in self._door.mappings]
        )


class SheetFeed(PolledFeed):
    """Polls a folder of sheets."""

    def _is_whole(self, _file: Listed, _body: bytes) -> bool:
        """Return True: `SheetDrop` has compared the file with its listing."""
        return True


class SheetDropAdapter(FolderDropAdapter):
    """A folder of sheets; writes the refused rows beside the report."""

    feeds = SheetFeed

    def __init__(self, door: FolderDoor, *, enterprise: str, drop: SheetDrop, spool: Spool) -> None:
        super().__init__(door, size_bytes=0, enterprise=enterprise, drop=drop)
        self._spool = spool
        self._folder = door.reports_dir

    def _enclose(self, answered: Sequence[Answered]) -> None:
        from gateway.imports.sheets import refused_sheet  # noqa: PLC0415 (what writes sheets is loaded by the first)

        for one in answered:
            job = self._spool.import_job(one.arrival.body.decode())
            if job is None or not job.refused:
                continue
            for part in range(-(-job.refused // ROWS_OF_A_FILE)):
                beat()
                body = refused_sheet(self._spool, job, part, folder=self._folder)
                ending = f".{part + 1}{REFUSED}" if part else REFUSED
                write_reports(self.reports, [(one.arrival.name, ending, body)])


class SheetSubmitter:
    """Answers for files whose import is over: what `GET /v1/imports/{id}` says (`gateway.doors.drop.loop.Submitter`)."""

    def __init__(self, spool: Spool, closed: Callable[[], str]) -> None:
        """`closed`: why nothing may be accepted now; empty: it may."""
        self._spool = spool
        self.closed = closed

    def judge(self, arrivals: Sequence[Arrival], caller: Enterprise, door: str) -> list[HttpResponse | None]:  # noqa: ARG002 (the Protocol has it)
        """Return the report of each file; None: it is being made."""
        return [self._answer(arrival, caller) for arrival in arrivals]

    def _answer(self, arrival: Arrival, caller: Enterprise) -> HttpResponse | None:
        job = self._spool.import_job(arrival.body.decode(), owner=caller.id)
        if job is None:
            raise DeliveryError("the import of a file has gone", where=arrival.name)
        return None if job.state in ACTIVE else self._report(job)

    def _report(self, job: ImportJob) -> HttpResponse:
        view = detail_view(
            job,
            self._spool.import_parts(job.number, limit=_SHOWN),
            self._spool.import_refusals(job.number, limit=_SHOWN),
            accepted_after=0,
            refused_after=0,
        )
        return HttpResponse(200 if job.state in _GOOD else 422, _encode(view), "application/json", {})
