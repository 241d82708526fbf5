"""The folder door: takes in files that untrusted programs put into a folder.

Reports are written before the file is moved, and the file is moved last: a file found again after a crash is
recognised by its bytes and gets the same report.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from gateway.config.doors import FolderDoor
from gateway.config.links import Folder
from gateway.doors.drop.batch import is_taken
from gateway.doors.drop.foreign_folder import DoorDrop, Unfit
from gateway.doors.drop.loop import Answered, Reported
from gateway.doors.http.services import problem_response
from gateway.errors import DeliveryError
from gateway.model import Fault
from gateway.observe.log import log
from gateway.ports import Arrival, Parcel
from gateway.transports.folder import POLL_S, FolderTransport
from gateway.transports.names import LONGEST_BYTES
from gateway.transports.polled import PolledFeed

ACCEPTED: Final = ".accepted.json"
PROBLEM: Final = ".problem.json"
_UNFIT: Final = {
    Unfit.NOT_A_FILE: Fault(
        rule="not_a_file",
        message="this is no regular file; it was neither opened nor followed",
        message_zh="不是普通文件，未打开也未读取",
        fix="lay the file itself there, not a link to it",
        fix_zh="请放入文件本身，不要放入链接",
    ),
    Unfit.UNREADABLE: Fault(
        rule="unreadable",
        message="the gateway is not permitted to read this file",
        message_zh="网关没有读取该文件的权限",
        fix="let the group read it before it is sent: chmod 640 FILE",
        fix_zh="请在传送前允许所属组读取：chmod 640 FILE",
    ),
    Unfit.TOO_LARGE: Fault(
        rule="too_large",
        message="this file has more bytes than a sheet may have here",
        message_zh="文件大小超过上限",
        fix="split it into several files",
        fix_zh="请拆分为多个文件",
    ),
    Unfit.NO_SOURCE: Fault(
        rule="no_source",
        message="this folder takes sheets and JSON, and the name of this file says that it is something else",
        message_zh="该文件夹只接收表格和JSON文件，此文件名的后缀不符",
        fix="name it by what it is: .xlsx, .csv, .json or .ndjson",
        fix_zh="请按文件类型命名：.xlsx、.csv、.json或.ndjson",
    ),
}


class FolderDropAdapter:
    """`gateway.doors.drop.loop.DropAdapter` over a folder."""

    feeds: type[PolledFeed] = PolledFeed

    def __init__(
        self, door: FolderDoor, *, size_bytes: int, enterprise: str, drop: DoorDrop | None = None
    ) -> None:
        """`size_bytes`: largest message; of a larger file one byte more is read. `drop`: how files are read instead."""
        self._door = door
        self._enterprise = enterprise
        self._drop = drop or DoorDrop(door.dir, size_bytes)
        self._feed = self.feeds(self._drop, poll_s=POLL_S, stable_s=door.stable_s)
        self.reports = FolderTransport(Folder(send_dir=door.reports_dir, receive_dir=door.dir))
        self._problems = FolderTransport(Folder(send_dir=door.rejected_dir, receive_dir=door.dir))

    def receive(self, *, limit: int, timeout_s: float) -> Sequence[Arrival]:
        """Receive as `DropAdapter.receive`; entries that cannot be messages are rejected."""
        arrivals = self._feed.receive(limit=limit, timeout_s=timeout_s)
        self._turn_away(self._drop.take_unfit())
        return arrivals

    def tell(self, answered: Sequence[Answered]) -> Reported:
        """Write the reports; see `DropAdapter.tell`."""
        taken = [one for one in answered if is_taken(one.answer)]
        refused = [one for one in answered if not is_taken(one.answer)]
        try:
            self._enclose(answered)
            write_reports(self.reports, [(one.arrival.name, ACCEPTED, one.answer.body) for one in taken])
            write_reports(self._problems, [(one.arrival.name, PROBLEM, one.answer.body) for one in refused])
        except DeliveryError as error:
            return Reported((), error)
        return Reported(answered)

    def _enclose(self, answered: Sequence[Answered]) -> None:
        """Write what belongs to the reports; nothing here. Raises DeliveryError."""

    def done(self, answered: Sequence[Answered]) -> None:
        """Move the files; see `DropAdapter.done`."""
        for one in answered:
            if not is_taken(one.answer):
                self._drop.decide(one.arrival.name, self._door.rejected_dir, replace=True)
            elif self._door.done_dir is not None:
                self._drop.decide(one.arrival.name, self._door.done_dir, replace=False)
        self._feed.done([one.arrival for one in answered])

    def idle(self) -> None:
        """Do nothing: nothing is held open."""

    def close(self) -> None:
        """Close as `DropAdapter.close`."""
        self._feed.close()

    def _turn_away(self, unfit: Mapping[str, Unfit]) -> None:
        if not unfit:
            return
        answers = {
            name: problem_response("bad-request", quote(name, errors="replace"), (_UNFIT[why],))
            for name, why in unfit.items()
        }
        write_reports(self._problems, [(name, PROBLEM, answer.body) for name, answer in answers.items()])
        self._drop.move(list(unfit), self._door.rejected_dir)
        for why in unfit.values():
            log(
                "message.refused",
                enterprise=self._enterprise,
                problem="bad-request",
                rules=[_UNFIT[why].rule],
            )


def write_reports(folder: FolderTransport, reports: Sequence[tuple[str, str, bytes]]) -> None:
    """Write reports, each as name of the file, ending and bytes. Raises DeliveryError."""
    parcels = [
        Parcel(entry=number, cop_msg_id="", message_type="", body=body, file_name=report_name(name, ending))
        for number, (name, ending, body) in enumerate(reports)
    ]
    for delivery in folder.send(parcels) if parcels else ():
        if delivery.error is not None:
            raise delivery.error


def report_name(name: str, ending: str) -> str:
    """Return the name of a file's report: its name and the ending; if that is too long, SHA-256 of the name instead."""
    raw = name.encode("utf-8", "surrogateescape")
    if len(raw) + len(ending) <= LONGEST_BYTES:
        return name + ending
    return hashlib.sha256(raw).hexdigest() + ending
