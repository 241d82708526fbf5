"""Turns the script's decisions about an arrival into answers with a due time; sends nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from lxml import etree

from gateway.model import BEIJING, Declaration, Envelope, Header
from gateway.samples import values
from gateway.simulator.examine import text_of
from gateway.simulator.markers import own_numbers
from gateway.simulator.outgoing import NODE
from gateway.simulator.plan import Plan, PlannedStep
from gateway.simulator.postbox import AnswerRoute, Posted, ReadyMessage
from gateway.simulator.receipts import ReceiptCase, ReceiptForm, SimulatedReceipt, format_answer, open_case
from gateway.simulator.refusals import FORMAT_ERROR, SimulatedRefusal
from gateway.simulator.script import Script, usual_info
from gateway.xml.envelope import Unwrapped, creat_time, wrap_response


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Plans the answers to an arrival at `now`, seconds since 1970."""

    script: Script
    form: ReceiptForm
    now: float

    def case(self, header: Header, declaration: Declaration, body: etree._Element) -> ReceiptCase:
        """Open a case for a declaration; the same one gets the same numbers in every run of a day."""
        kind = header.message_type
        lines = [
            part for part in body.iterchildren("*") if len(part) and not part.tag.endswith(f"}}{kind.head}")
        ]
        return open_case(
            kind,
            _texts(body, kind.head),
            lines=[_leaves(line) for line in lines],
            cop_code=header.cop_code,
            day=self._day(),
            rng=self.script.randomness("case", "\x1f".join((kind.name, *declaration.key.values()))),
        )

    def processed(self, plan: Plan, case: ReceiptCase, route: AnswerRoute) -> Iterator[Posted]:
        """Answer a declaration as planned."""
        route = replace(route, bare=plan.bare)
        for step in plan.steps:
            receipt = self._receipt(step, case)
            for due_s in step.due_s:
                yield Posted(due=self.now + due_s, route=route, answer=receipt)
        if plan.stray:
            yield Posted(due=self.now + plan.steps[0].at_s, route=route, answer=self._stray(case))
        if plan.garbage:
            body = f"<CEB622Message xmlns=\N{LEFT DOUBLE QUOTATION MARK}{case.guid}".encode("gb18030")
            yield Posted(due=self.now, route=route, answer=ReadyMessage(message_type="garbage", body=body))

    def refused(self, refusal: SimulatedRefusal, case: ReceiptCase, route: AnswerRoute) -> Posted:
        """Answer a declaration with one negative receipt."""
        receipt = SimulatedReceipt(
            message_type=case.kind.answered_by[0],
            case=case,
            status=refusal.code,
            info=refusal.info,
            time=self._instant(),
        )
        return Posted(due=self.now, route=route, answer=receipt)

    def platform(self, refusal: SimulatedRefusal, envelope: Envelope, origin: str) -> Posted:
        """Answer an envelope with a DxpRep."""
        known = envelope.creat_time
        original = envelope if known else replace(envelope, creat_time=creat_time(self._instant()))
        body = wrap_response(
            receiver_id=original.sender_id,
            code=refusal.code,
            info=refusal.info,
            original=original,
            notice_date=self._instant().astimezone(BEIJING).date(),
            node_id=NODE,
        )
        ready = ReadyMessage(message_type="DxpRep", body=body, status=refusal.code, about=original.cop_msg_id)
        return Posted(
            due=self.now, route=AnswerRoute(origin=origin, receiver_id=original.sender_id), answer=ready
        )

    def format(
        self, unwrapped: Unwrapped, message_type: str, info: str, route: AnswerRoute, owner: str
    ) -> Posted:
        """Answer a message with a CEB900."""
        cop_msg_id = unwrapped.envelope.cop_msg_id
        guid = values.guid(self.script.randomness("format", f"{cop_msg_id}|{self.now}")).lower()
        body = format_answer(
            guid=guid,
            cop_msg_id=cop_msg_id,
            message_type=message_type,
            original=text_of(unwrapped.business),
            status=FORMAT_ERROR,
            info=info,
            time=self._instant(),
            form=self.form,
        )
        ready = ReadyMessage(
            message_type="CEB900Message",
            body=body,
            status=FORMAT_ERROR,
            about=cop_msg_id,
            owner=owner,
            guid=guid,
        )
        return Posted(due=self.now, route=route, answer=ready)

    def _receipt(self, step: PlannedStep, case: ReceiptCase) -> SimulatedReceipt:
        return SimulatedReceipt(
            message_type=step.receipt,
            case=case,
            status=step.status,
            info=step.info or usual_info(case.kind.name, step.status, case.fields),
            time=self._instant(step.at_s),
            accepted=step.accepted,
        )

    def _stray(self, case: ReceiptCase) -> SimulatedReceipt:
        """Build a receipt about a declaration never submitted, under the codes of a real declarant."""
        rng = self.script.randomness("stray", "\x1f".join(case.key.values()))
        own = set(own_numbers(case.key))
        other = {name: f"X{rng.randrange(10**15):015d}" for name in own}
        fields = {name: text for name, text in case.fields.items() if name != "invtNo"} | other
        return SimulatedReceipt(
            message_type=case.kind.answered_by[0],
            case=open_case(case.kind, fields, day=self._day(), rng=rng),
            status="3",
            info=usual_info(case.kind.name, "3", fields),
            time=self._instant(),
        )

    def _instant(self, later_s: float = 0.0) -> datetime:
        return datetime.fromtimestamp(self.now, UTC) + timedelta(seconds=later_s)

    def _day(self) -> str:
        return f"{self._instant().astimezone(BEIJING):%Y%m%d}"


def _texts(body: etree._Element, head: str) -> dict[str, str]:
    """Return the leaves of a body, and of its head if it has one."""
    inner = next(body.iterchildren(f"{{*}}{head}"), None) if head else None
    return _leaves(body) | ({} if inner is None else _leaves(inner))


def _leaves(element: etree._Element) -> dict[str, str]:
    leaves = (child for child in element.iterchildren("*") if not len(child))
    return {leaf.tag.rpartition("}")[2]: (leaf.text or "").strip() for leaf in leaves}
