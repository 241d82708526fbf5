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
}


class FolderDropAdapter:
    """`gateway.doors.drop.loop.DropAdapter` over a folder."""

    def __init__(self, door: FolderDoor, *, size_bytes: int, enterprise: str) -> None:
        """`size_bytes`: largest message; of a larger file one byte more is read."""
        self._door = door
        self._enterprise = enterprise
        self._drop = DoorDrop(door.dir, size_bytes)
        self._feed = PolledFeed(self._drop, poll_s=POLL_S, stable_s=door.stable_s)
        self._reports = FolderTransport(Folder(send_dir=door.reports_dir, receive_dir=door.dir))
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
            _write(self._reports, [(one.arrival.name, ACCEPTED, one.answer.body) for one in taken])
            _write(self._problems, [(one.arrival.name, PROBLEM, one.answer.body) for one in refused])
        except DeliveryError as error:
            return Reported((), error)
        return Reported(answered)

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
        _write(self._problems, [(name, PROBLEM, answer.body) for name, answer in answers.items()])
        self._drop.move(list(unfit), self._door.rejected_dir)
        for why in unfit.values():
            log(
                "message.refused",
                enterprise=self._enterprise,
                problem="bad-request",
                rules=[_UNFIT[why].rule],
            )


def _write(folder: FolderTransport, reports: Sequence[tuple[str, str, bytes]]) -> None:
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
