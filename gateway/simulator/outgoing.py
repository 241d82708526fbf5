"""Turns due answers into messages ready for pick-up: batched, wrapped in envelopes, recorded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Final

from gateway.model import Envelope
from gateway.samples import values
from gateway.simulator.ledger import Ledger, Said
from gateway.simulator.postbox import AnswerRoute, Posted, ReadyMessage
from gateway.simulator.receipts import ReceiptForm, SimulatedReceipt, answer, moment
from gateway.xml.envelope import TransferHead, creat_time, file_name, transfer_msg_id, wrap, wrap_transfer

NODE: Final = "00000002"
"""The node of the customs side: the national centre (docs/spec/dxp.md, DxpMsgSv, Real ids)."""
FORMAT_CHECK: Final = "DXPEDCCEB0000002"
"""Sender of a CEB900; it is declared in the import schema only (docs/spec/messages.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message ready for pick-up."""

    receiver_id: str
    name: str
    body: bytes
    origin: str
    """Transport by which the declaration came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchBatch:
    """Receipts that share a message, or one finished answer."""

    route: AnswerRoute
    answers: tuple[SimulatedReceipt | ReadyMessage, ...]


class Dispatch:
    """Builds messages; each gets its own guid from `guids`, which is also its CopMsgId."""

    def __init__(self, *, ledger: Ledger, form: ReceiptForm, batch: int, guids: Random) -> None:
        """`batch`: bodies in one receipt message at most."""
        self._ledger, self._form, self._batch, self._guids = ledger, form, batch, guids
        self._serial = 0

    def messages(self, posted: Iterable[Posted], now: datetime) -> list[Outgoing]:
        """Build messages of everything `posted`, in the order of the first answer of each.

        Records every body in the ledger; raises OSError when that cannot be written.
        """
        return [self._message(batch, now) for batch in batches(posted, self._batch)]

    def _message(self, batch: DispatchBatch, now: datetime) -> Outgoing:
        first = batch.answers[0]
        if isinstance(first, ReadyMessage):
            return self._finished(batch.route, first, now)
        receipts = [part for part in batch.answers if isinstance(part, SimulatedReceipt)]
        guid = values.guid(self._guids).lower()
        body = answer(receipts, guid=guid, form=replace(self._form, bare=batch.route.bare))
        for receipt in receipts:
            self._ledger.said(_said(receipt, batch.route, guid))
        sender_id = first.case.kind.receiver
        return self._sealed(batch.route, body, now, kind=first.message_type, guid=guid, sender_id=sender_id)

    def _finished(self, route: AnswerRoute, ready: ReadyMessage, now: datetime) -> Outgoing:
        guid = ready.guid or values.guid(self._guids).lower()
        self._ledger.said(
            Said(
                receipt=ready.message_type,
                status=ready.status,
                key={},
                message_type="",
                owner=ready.owner,
                receiver_id=route.receiver_id,
                cop_msg_id=ready.guid,
                about=ready.about,
            )
        )
        if ready.guid:
            kind = ready.message_type
            return self._sealed(route, ready.body, now, kind=kind, guid=guid, sender_id=FORMAT_CHECK)
        name = file_name(ready.message_type, guid)
        return Outgoing(receiver_id=route.receiver_id, name=name, body=ready.body, origin=route.origin)

    def _sealed(
        self, route: AnswerRoute, body: bytes, now: datetime, *, kind: str, guid: str, sender_id: str
    ) -> Outgoing:
        name = file_name(kind, guid)
        envelope = Envelope(
            cop_msg_id=guid,
            sender_id=sender_id,
            receiver_ids=(route.receiver_id,),
            creat_time=creat_time(now),
            msg_type=kind,
        )
        message = wrap(body, envelope, file_name=name)
        if route.node:
            self._serial += 1
            message = wrap_transfer(message, _transfer(route.node, now, self._serial))
        return Outgoing(receiver_id=route.receiver_id, name=name, body=message, origin=route.origin)


def batches(posted: Iterable[Posted], size: int) -> Sequence[DispatchBatch]:
    """Group receipts of one type and route, up to `size`; each finished answer is a batch of its own."""
    groups: list[tuple[AnswerRoute, list[SimulatedReceipt | ReadyMessage]]] = []
    unfilled: dict[tuple[AnswerRoute, str], list[SimulatedReceipt | ReadyMessage]] = {}
    for one in posted:
        kind = (one.route, one.answer.message_type)
        group = unfilled.get(kind)
        if group is None or len(group) >= size or isinstance(one.answer, ReadyMessage):
            group = unfilled[kind] = []
            groups.append((one.route, group))
        group.append(one.answer)
    return [DispatchBatch(route=route, answers=tuple(group)) for route, group in groups]


def _said(receipt: SimulatedReceipt, route: AnswerRoute, guid: str) -> Said:
    case = receipt.case
    return Said(
        receipt=receipt.message_type,
        status=receipt.status,
        key=case.key,
        message_type=case.kind.name,
        owner=case.cop_code,
        receiver_id=route.receiver_id,
        cop_msg_id=guid,
        time=moment(receipt.time),
    )


def _transfer(node: str, now: datetime, serial: int) -> TransferHead:
    return TransferHead(
        msg_id=transfer_msg_id(NODE, now, serial),
        sub_msg_id="1",
        send_time=creat_time(now),
        end_node=node,
        sta_node=NODE,
    )
