"""Decides the answers of customs from a seed: the same declaration gets the same answers in every run.

Each decision is a hash of the seed, its purpose and the business key, so it depends neither on the order
of arrival nor on the other switches.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from random import Random
from typing import Annotated, Final, assert_never

from msgspec import Meta

from gateway.config.sections import Count, Section
from gateway.model import MessageType
from gateway.simulator.markers import Magic, MarkerTiming, magic_of
from gateway.simulator.plan import Plan, PlannedFate, PlannedOutcome, PlannedStep
from gateway.simulator.refusals import PASSING, PLATFORM, REASONS, SimulatedRefusal, refusals

Rate = Annotated[float, Meta(ge=0, le=1)]
"""Share of the cases in which something happens: 0 never, 1 always."""
Delay = Annotated[float, Meta(ge=0)]


class Script(Section, kw_only=True):
    """`[script]`: the switches of the customs side."""

    seed: int = 0
    magic: bool = True
    """Numbers that end in a marker get the outcome of that marker, whatever the shares below say."""
    late_s: Delay = 5.0
    """Delay of the answers to a number that ends in `-TLATE`, seconds."""
    delay_s: tuple[Delay, Delay] = (0.0, 0.0)
    """Least and most seconds between two receipts of one declaration."""
    duplicates: Rate = 0.0
    """Share of receipts that are sent twice."""
    reorder: Rate = 0.0
    """Share of neighbouring receipts of a declaration that are sent in swapped order."""
    refuse: Rate = 0.0
    """Share of new declarations returned with 100; changed ones (appType 2) and deletions are not."""
    negative: Rate = 0.0
    """Share of new declarations answered with a negative code."""
    ceb900: Rate = 0.0
    """Share of messages answered with a format error."""
    dxprep: Rate = 0.0
    """Share of messages answered with an error of the exchange platform."""
    bounce: Rate = 0.0
    """Share of messages that the exchange platform accepts only when sent again (DxpRep 3001 to 3003)."""
    bounces: Count = 1
    """How often it asks for each of these."""
    silence: Rate = 0.0
    """Share of messages never answered."""
    unmatched: Rate = 0.0
    """Receipts about unknown declarations, one for this share of declarations."""
    garbage: Rate = 0.0
    """Answers that are no XML, one for this share of declarations."""
    bare: Rate = 0.0
    """Share of declarations whose receipts leave out the optional owner codes (docs/spec/messages.md, Correlating 2)."""
    inspect: Rate = 0.0
    """Share of inventories held for manual review (300) or inspection (500) before release."""
    close: Rate = 0.0
    """Share of released inventories that are closed (899) afterwards."""
    final_only: bool = False
    """Send only the last receipt of each declaration, not the earlier ones."""
    batch: Annotated[int, Meta(ge=1, le=100)] = 1
    """Bodies in one receipt message at most; enterprises with one receiver id share messages."""
    refuse_duplicates: bool = False
    """Refuse a new declaration (appType 1) under a business key that is on file."""
    check_signatures: bool = True
    """Verify signatures; without it only the schema asks for them."""
    large: Count = 4 * 1024 * 1024
    """Size in bytes above which a business message is refused as a format error."""

    def fate(self, message_type: str, keys: Iterable[Mapping[str, str]]) -> PlannedFate:
        """Decide how a message is answered, by its type and the keys of its declarations, in any order."""
        keys = list(keys)
        if (magic := self.magic_in(message_type, keys)) is not None:
            return magic.fate
        ident = _ident(message_type, *sorted(_ident("", *key.values()) for key in keys))
        if self._roll("silence", ident) < self.silence:
            return PlannedFate.SILENT
        if self._roll("dxprep", ident) < self.dxprep:
            return PlannedFate.PLATFORM
        return PlannedFate.FORMAT if self._roll("ceb900", ident) < self.ceb900 else PlannedFate.ANSWERED

    def magic_in(self, message_type: str, keys: Iterable[Mapping[str, str]]) -> Magic | None:
        """Return the marker of the first marked number in a message; None when there is none or `magic` is off."""
        if not self.magic:
            return None
        return next((found for key in keys if (found := magic_of(message_type, key))), None)

    def bounces_of(self, cop_msg_id: str) -> int:
        """Return how often the exchange platform asks to send an envelope again before it accepts it."""
        return self.bounces if self._roll("bounce", cop_msg_id) < self.bounce else 0

    def passing_error(self, cop_msg_id: str) -> SimulatedRefusal:
        """Choose the system error for an envelope that has to be sent again."""
        return PASSING[int(self._roll("passing", cop_msg_id) * len(PASSING))]

    def platform_error(self, cop_msg_id: str) -> SimulatedRefusal:
        """Choose the platform error for one envelope."""
        return PLATFORM[int(self._roll("platform", cop_msg_id) * len(PLATFORM))]

    def outcome(self, message_type: str, key: Mapping[str, str], app_type: str = "1") -> PlannedOutcome:
        """Decide how a declaration ends; corrected and deleted ones are accepted."""
        ident = _ident(message_type, *key.values())
        if app_type not in {"2", "3"}:
            if self._roll("negative", ident) < self.negative:
                return PlannedOutcome.NEGATIVE
            if self._roll("refuse", ident) < self.refuse:
                return PlannedOutcome.REFUSED
        return PlannedOutcome.ACCEPTED

    def plan(self, kind: MessageType, key: Mapping[str, str], app_type: str = "1") -> Plan:
        """Plan all answers to one declaration, and when they are sent."""
        ident = _ident(kind.name, *key.values())
        magic = self.magic_in(kind.name, [key])
        outcome = magic.outcome if magic else self.outcome(kind.name, key, app_type)
        steps = self._told(kind, ident, outcome, magic.until if magic else ())
        timed = self._timed(steps[-1 if self.final_only else 0 :], ident)
        return Plan(
            outcome=outcome,
            steps=self._magically(timed, magic.timing) if magic else timed,
            stray=self._roll("unmatched", ident) < self.unmatched,
            garbage=self._roll("garbage", ident) < self.garbage,
            bare=self._roll("bare", ident) < self.bare,
        )

    def randomness(self, purpose: str, ident: str) -> Random:
        """Return a generator for decisions that need more than one draw: numbers and guids of a case."""
        return Random(_hash(f"{self.seed}|{purpose}|{ident}"))  # noqa: S311 (a test double's dice)

    def _told(
        self, kind: MessageType, ident: str, outcome: PlannedOutcome, until: tuple[str, ...] = ()
    ) -> list[PlannedStep]:
        """List the receipts to send; `until`: the statuses after 2 and 3 that a marker asks for."""
        receipt = kind.answered_by[0]
        if outcome is PlannedOutcome.NEGATIVE:
            fault = refusals(kind.name).fault
            return [PlannedStep(receipt=receipt, status=fault.code, info=fault.info)]
        said = [PlannedStep(receipt=receipt, status=status) for status in ("2", "3")]
        if outcome is PlannedOutcome.REFUSED:
            reason = REASONS[int(self._roll("reason", ident) * len(REASONS))]
            return [*said, PlannedStep(receipt=receipt, status="100", info=reason)]
        statuses = _FINAL.get(kind.name, ("399",))
        if until:
            statuses = until
        elif statuses[-1] == "800":
            statuses = self._inventory(statuses, ident)
        said += [PlannedStep(receipt=receipt, status=status, accepted=True) for status in statuses]
        if not until or statuses[-1] in {"800", "899"}:
            said += [
                PlannedStep(receipt=name, status="1", accepted=True)
                for name in _AFTERWARDS.get(kind.name, ())
            ]
        if kind.name == "CEB621Message" and "899" in statuses:
            said.append(PlannedStep(receipt="CEB818Message", status="2", accepted=True))
        return said

    def _inventory(self, statuses: tuple[str, ...], ident: str) -> tuple[str, ...]:
        told = list(statuses)
        if self._roll("inspect", ident) < self.inspect:
            told.insert(-1, "300" if self._roll("which", ident) < 0.5 else "500")  # noqa: PLR2004 (even)
        if self._roll("close", ident) < self.close:
            told.append("899")
        return tuple(told)

    def _timed(self, steps: list[PlannedStep], ident: str) -> tuple[PlannedStep, ...]:
        """Set the times of every step, at least a millisecond apart, so that returnTime orders them."""
        low, high = self.delay_s
        at, instants = 0.0, list[float]()
        for place in range(len(steps)):
            at += max(low + self._roll(f"delay.{place}", ident) * (high - low), 0.001)
            instants.append(at)
        sent = list(instants)
        for first, second in pairwise(range(len(steps))):
            if self._roll(f"reorder.{first}", ident) < self.reorder:
                sent[first], sent[second] = sent[second], sent[first]
        return tuple(
            PlannedStep(
                receipt=step.receipt,
                status=step.status,
                info=step.info,
                accepted=step.accepted,
                at_s=instants[place],
                due_s=self._sent(sent[place], place, ident),
            )
            for place, step in enumerate(steps)
        )

    def _magically(self, steps: tuple[PlannedStep, ...], timing: MarkerTiming) -> tuple[PlannedStep, ...]:
        match timing:
            case MarkerTiming.USUAL:
                return steps
            case MarkerTiming.LATE:
                return tuple(replace(step, due_s=(step.at_s + self.late_s,)) for step in steps)
            case MarkerTiming.TWICE:
                return tuple(replace(step, due_s=(step.at_s, step.at_s)) for step in steps)
            case MarkerTiming.REVERSED:
                instants = [step.at_s for step in reversed(steps)]
                return tuple(replace(step, due_s=(due,)) for step, due in zip(steps, instants, strict=True))
            case _:
                assert_never(timing)

    def _sent(self, due: float, place: int, ident: str) -> tuple[float, ...]:
        if self._roll(f"duplicate.{place}", ident) >= self.duplicates:
            return (due,)
        low, high = self.delay_s
        return (due, due + low + self._roll(f"again.{place}", ident) * (high - low))

    def _roll(self, purpose: str, ident: str) -> float:
        """Return a number from 0 up to 1 that depends only on seed, purpose and identity."""
        return _hash(f"{self.seed}|{purpose}|{ident}") / 2**64


_FINAL: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("CEB311Message", "CEB411Message", "CEB511Message", "CEB513Message"), ("120",)),
    **dict.fromkeys(("CEB303Message", "CEB403Message", "CEB607Message"), ("120",)),
    **dict.fromkeys(("CEB621Message", "CEB603Message", "CEB213Message"), ("120", "800")),
    **dict.fromkeys(("CEB623Message", "CEB625Message", "CEB711Message"), ("120", "399")),
}
"""Statuses after 2 and 3 when customs accepts; only 399 for other types (docs/spec/codes.md, returnStatus)."""
_AFTERWARDS: Final[Mapping[str, tuple[str, ...]]] = {
    "CEB621Message": ("CEB816Message",),
    "CEB701Message": ("CEB792Message",),
}
"""Tax bill after the release, summary result after the summary receipt (docs/spec/messages.md, Correlating 6, Catalogue)."""

_USUAL: Final[Mapping[str, str]] = {
    "2": "新增申报成功[{guid}]", "3": "发送海关成功", "120": "[Code:1800;Desc:逻辑校验通过]",
    "300": "[Code:1200;Desc:待人工审核]", "399": "海关审结", "500": "查验",
    "800": "[Code:2600;Desc:放行]", "899": "结关",
}  # fmt: skip


def usual_info(message_type: str, status: str, fields: Mapping[str, str]) -> str:
    """Return the returnInfo that customs usually writes with a status (docs/spec/codes.md, returnInfo)."""
    if status == "2" and message_type == "CEB621Message":
        ebc_code, order_no = fields.get("ebcCode", ""), fields.get("orderNo", "")
        return f"清单新增申报成功[电商企业编码：{ebc_code}订单编号：{order_no}]"
    kind = "订单" if status == "2" and message_type in {"CEB311Message", "CEB303Message"} else ""
    return kind + _USUAL.get(status, status).format(guid=fields.get("guid", ""))


def _ident(message_type: str, *texts: str) -> str:
    return "\x1f".join((message_type, *texts))


def _hash(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:8])
