"""Files collected messages: opens them, finds the owners, and writes timelines, mail and orphans in one commit."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from msgspec import Struct, structs

from gateway import facts
from gateway.config.gateway_toml import Config
from gateway.errors import EnvelopeError, TooExpensive
from gateway.identity import SHORTEST_KEY
from gateway.model import BEIJING, DXP_REP, Answer, Direction, EnterpriseId, Layer, Opened
from gateway.observe.log import gathered, log
from gateway.observe.role_metrics import OutcomeCounter, answer_counter
from gateway.processes.heartbeat import beat
from gateway.receipts.authorities import NOT_CARRIED, Authorities, Carried, not_carried
from gateway.receipts.correlate import learned, lookups, match_all
from gateway.receipts.opened import open_collected
from gateway.receipts.ownership import Candidate, Match, Question, Unmatched
from gateway.receipts.transfer import COPIES, Passage, Transfer
from gateway.rules.catalogue import Catalogue
from gateway.rules.loading import Rules
from gateway.sending.resend import ResendPolicy, log_ended
from gateway.xml.envelope import root_name
from gateway.xml.readable import as_utf8
from spool.entry import (
    Bounce,
    Collected,
    Filed,
    Filing,
    Found,
    Orphan,
    OrphanBody,
    RawArrival,
    TimelineRow,
    Travelled,
)
from spool.store import Spool

_BATCH = 64
TOO_EXPENSIVE: Final = "too expensive to open"
"""Reason of an orphan whose opening took too much time or memory; it is never retried automatically."""
Opener = Callable[[bytes], Opened]
"""Opens a collected message. Raises EnvelopeError and TooExpensive."""
UNREADABLE: Final = "unreadable"
"""Kind of an arrival that could not be opened."""
_CEB: Final = re.compile(r"CEB\d{3}")


class ReceiptFiler:
    """Files raw arrivals: opens them, finds the owners, writes timelines, delivers mail, keeps orphans.

    An entry that an answer asks to send again is put back in the same commit.
    """

    def __init__(
        self, *, spool: Spool, rules: Rules, config: Config, transfer: Transfer, opener: Opener | None = None
    ) -> None:
        """`opener`: opens arrivals; None: they are opened in this process, without a time limit."""
        self._open_raw: Opener = opener or partial(open_collected, catalogue=rules.catalogue)
        self._spool = spool
        self._rules = rules
        self._resend_policy = ResendPolicy(config, rules.codes)
        self._authorities = Authorities(config)
        self._transfer = transfer
        self._counter = answer_counter()

    def file_waiting(self) -> int:
        """File everything that is kept and not yet filed; returns the number of arrivals."""
        total = 0
        while raws := self._spool.unfiled(_BATCH):
            beat()
            self._write(self._plans([self._open(raw) for raw in raws]))
            total += len(raws)
            if len(raws) < _BATCH:
                break
        return total

    def rematch(self, orphans: Sequence[Orphan], *, only: str = "") -> int:
        """Try orphans again with what is known now; returns how many found their owner.

        Orphans that wait for what one of these teaches are tried too. `only`: an operator has decided that the
        answers belong to this owner, where several fit; an answer that contradicts this stays an orphan.
        """
        matched: set[int] = set()
        waiting = list(orphans)
        while waiting:
            beat()
            batch, waiting = waiting[:_BATCH], waiting[_BATCH:]
            found, taught = self._try_again([one for one in batch if one.id not in matched], only)
            matched |= found
            if taught:
                waiting += [one for one in self._spool.orphans(texts=taught) if one.id not in matched]
        return len(matched)

    def _try_again(self, orphans: Sequence[Orphan], only: str) -> tuple[set[int], list[str]]:
        """Return which orphans found their owner, and the look-up texts that they teach."""
        by_arrival: dict[int, dict[int, Orphan]] = {}
        for orphan in orphans:
            by_arrival.setdefault(orphan.arrival, {})[orphan.index] = orphan
        cases = []
        for number, bodies in by_arrival.items():
            raw = self._spool.arrival(number)
            if raw is not None:
                opened = self._open(raw)
                whole = bodies.get(-1)  # it could not be read then
                answers = tuple(one for one in opened.answers if whole or one.index in bodies)
                late = frozenset(
                    one.index
                    for one in answers
                    if not (whole or bodies[one.index]).reason.startswith(NOT_CARRIED)
                )
                cases.append(structs.replace(opened, answers=answers, again=True, late=late))
        plans, found = [], set()
        for plan in self._plans(cases, only):
            filing = plan.filing
            told = {row.index for row in filing.rows}
            if _is_mail(filing) or (filing.rows and not filing.orphans):
                told.add(-1)
            if told:
                found |= {one.id for index, one in by_arrival[filing.arrival].items() if index in told}
                remark = filing.remark or (f"matched by hand: {only}" if only else "")
                done = structs.replace(filing, orphans=(), remark=remark)
                plans.append(structs.replace(plan, filing=done))
        return found, self._file(plans, resolves=sorted(found)) if plans else []

    def _open(self, raw: RawArrival) -> "_Case":
        try:
            opened = self._open_raw(raw.body)
        except TooExpensive:
            return _Case(raw=raw, opened=None, answers=(), error=TOO_EXPENSIVE, given_up=True)
        except EnvelopeError as error:
            return _Case(raw=raw, opened=None, answers=(), error=str(error))
        mail = COPIES in raw.origins  # the envelope names the receiver, whatever the content answers
        return _Case(raw=raw, opened=opened, answers=() if mail else opened.answers, error="", mail=mail)

    def _write(self, plans: Sequence["_Plan"]) -> None:
        """File, then rematch the orphans that waited for what was learned."""
        taught = self._file(plans)
        if taught and (waiting := self._spool.orphans(texts=taught)):
            self.rematch(waiting)

    def _file(self, plans: Sequence["_Plan"], *, resolves: Sequence[int] = ()) -> list[str]:
        """File in one commit; returns the look-up texts that were learned."""
        copies = [copy for plan in plans for copy in plan.copies]
        filings = [plan.filing for plan in plans]
        if copies:  # before their originals are filed: after a crash they are made again, and then known
            self._spool.keep(copies)
        done = self._spool.file(filings, resolves=resolves)
        with gathered():
            for filing, filed in zip(filings, done, strict=True):
                _log_filed(filing, filed)
                _count_filed(filing, filed, self._counter)
                log_ended(filed.ended)
        if copies:
            self.file_waiting()
        return [text for filing in filings for texts in filing.learned.values() for text in texts]

    def _plans(self, cases: Sequence["_Case"], only: str = "") -> list["_Plan"]:
        """Find the owners of all answers in these arrivals together, and plan what to write of each arrival."""
        origins = dict.fromkeys(case.raw.origins for case in cases if case.answers)
        outcomes = {
            one: self._outcomes([case for case in cases if case.raw.origins == one], only) for one in origins
        }
        return [
            self._plan(case, outcomes[case.raw.origins]) if case.answers else _Plan(filing=self._mail(case))
            for case in cases
        ]

    def _outcomes(self, cases: Sequence["_Case"], only: str) -> Iterator["_About"]:
        """Yield the owners of the business answers of one origin, leaving out declarations that were sent elsewhere."""
        carried = Carried(self._spool, self._authorities, cases[0].raw.origins)

        def find(texts: Sequence[str]) -> Iterator[Candidate]:
            return map(_candidate, carried.among(self._spool.find(texts, owner=only or None)))

        questions = [
            Question(answer, case.receivers, late=answer.index in case.late and not only)
            for case in cases
            for answer in case.answers
            if answer.layer is Layer.BUSINESS
        ]
        outcomes = match_all(questions, self._rules.catalogue, find, self._transfer.local_receivers)
        for question, outcome in zip(questions, outcomes, strict=True):
            about = _matched(outcome)
            if about.nobody == "unknown" and carried.elsewhere:
                why = carried.why_not(lookups(question.answer, self._rules.catalogue))
                about = _About(nobody=why or about.nobody)
            yield about

    def _plan(self, case: "_Case", outcomes: Iterator["_About"]) -> "_Plan":
        """Plan what to write of an arrival with answers; `outcomes` yields next those of its business answers."""
        assert case.opened is not None  # noqa: S101 (it has answers)
        rows: list[TimelineRow] = []
        orphans: list[OrphanBody] = []
        bounces: list[Bounce] = []
        taught: dict[int, dict[str, None]] = {}
        wanted: dict[str, set[int]] = {}
        for answer in case.answers:
            business = answer.layer is Layer.BUSINESS
            about = next(outcomes) if business else self._referred(answer, case)
            if not about.declarations:
                orphans.append(_orphan(answer, about.nobody, self._rules.catalogue))
                continue
            for subscriber in self._transfer.subscribers(about.subscribers, about.owner):
                wanted.setdefault(subscriber, set()).add(answer.index)
            told = facts.of_answer(answer)
            for declaration, message_type in about.declarations:
                rows.append(_row(answer, declaration, told, case.raw.received_at))
                if business and answer.numbers:
                    taught.setdefault(declaration, {}).update(dict.fromkeys(learned(answer, message_type)))
            bounces += about.bounces
        copies = [
            copy
            for subscriber, indexes in wanted.items()
            for copy in self._transfer.copy(case.raw, case.opened, subscriber, indexes)
        ]
        filing = Filing(
            arrival=case.raw.id,
            kind=case.opened.message_type,
            cop_msg_id=case.opened.envelope.cop_msg_id if case.opened.envelope else "",
            rows=tuple(rows),
            orphans=tuple(orphans),
            learned={number: tuple(texts) for number, texts in taught.items()},
            bounces=tuple(bounces),
        )
        return _Plan(filing=filing, copies=tuple(copies))

    def _mail(self, case: "_Case") -> Filing:
        """File an arrival without answers: mail for the receivers that the envelope names, or an orphan."""
        kind = case.opened.message_type if case.opened else UNREADABLE
        why = case.error or f"{kind} holds no answer"
        envelope = case.opened.envelope if case.opened else None
        if not self._may_be_mail(case):
            return _orphaned(case.raw, kind, envelope.cop_msg_id if envelope else "", why)
        passage = self._transfer.passage(case.raw, why)
        if case.opened is None and passage.envelope is not None and self._says_answer(passage):
            orphan = _orphaned(case.raw, UNREADABLE, passage.envelope.cop_msg_id, why)
            return structs.replace(orphan, addressees=passage.addressees)
        reason, remark = passage.reason, ""
        if passage.refused and not case.again:
            failure = self._transfer.answer(case.raw, passage, self._spool)
            reason = failure or reason
            remark = "" if failure else f"answered: no receiver {', '.join(passage.refused)}"
        if case.opened is None and passage.envelope is not None:
            kind = passage.envelope.msg_type or UNREADABLE
        return Filing(
            arrival=case.raw.id,
            kind=kind,
            cop_msg_id=passage.envelope.cop_msg_id if passage.envelope else "",
            orphans=(OrphanBody(index=-1, reason=reason),) if reason else (),
            addressees=passage.addressees,
            remark=remark,
        )

    def _may_be_mail(self, case: "_Case") -> bool:
        """Say whether an arrival may be mail.

        A receipt or DxpRep without bodies is not: answers are not routed by envelope.
        """
        if case.given_up:
            return False
        if case.opened is None or case.mail:
            return True
        known = self._rules.catalogue.by_name(case.opened.message_type)
        return known is not None and known.direction is Direction.DECLARATION

    def _says_answer(self, passage: Passage) -> bool:
        """Say whether what cannot be read calls itself an answer: its root element if it can be seen, else its envelope."""
        named = (root_name(as_utf8(passage.business)), passage.envelope.msg_type if passage.envelope else "")
        name = next((one for one in named if one == DXP_REP or _CEB.match(one)), "")
        known = self._rules.catalogue.by_name(name) or self._rules.catalogue.by_name(f"{name}Message")
        return bool(name) and (known is None or known.direction is not Direction.DECLARATION)

    def _referred(self, answer: Answer, case: "_Case") -> "_About":
        """Find the declarations sent in the envelope that an answer names, and what it asks to send again.

        A CopMsgId is unique per sender only. A CEB900 does not name the sender; it is addressed to the sender of the
        original.
        """
        raw = case.raw
        senders = (answer.sender_id,) if answer.sender_id else self._transfer.ours(case.receivers)
        travelled = self._spool.travelled(answer.cop_msg_id, senders) if answer.cop_msg_id else None
        if travelled is None:
            of = f"of {', '.join(senders)}" if senders else "of ours, or more than one,"
            return _About(nobody=f"no message {of} has the CopMsgId {answer.cop_msg_id or '(none)'}")
        carriers = {one.destination for one in travelled.entries}
        if not self._authorities.may_answer(raw.origins, carriers):
            return _About(nobody=not_carried(raw.origins, carriers))
        judged = [
            self._resend_policy.judge(answer, travelled, origin=one, receipt=raw.id) for one in raw.origins
        ]
        bounce = next((one for one in judged if one is not None), None)
        return _About(
            declarations=tuple((found.declaration, travelled.kind) for found in travelled.declarations),
            owner=travelled.owner,
            subscribers=_subscribers(travelled),
            bounces=() if bounce is None else (bounce,),
        )


class _Plan(Struct, frozen=True, kw_only=True):
    """What is to be written of one arrival."""

    filing: Filing
    copies: tuple[Collected, ...] = ()
    """Copies of its answers for subscribers of this node, to be stored before the filing."""


class _About(Struct, frozen=True, kw_only=True):
    """What an answer refers to."""

    declarations: tuple[tuple[int, str], ...] = ()
    """Each with its message type."""
    nobody: str = ""
    """Why there is none."""
    bounces: tuple[Bounce, ...] = ()
    owner: str = ""
    subscribers: tuple[str, ...] = ()
    """DXP ids to which the owner wants a copy of the answer sent."""


class _Case(Struct, frozen=True, kw_only=True):
    raw: RawArrival
    opened: Opened | None
    answers: tuple[Answer, ...]
    error: str
    mail: bool = False
    """It is a copy for a subscriber."""
    given_up: bool = False
    """Opening it took too much time or memory."""
    late: frozenset[int] = frozenset()
    """Bodies that had no owner before; a body without authority at that time counts as new."""
    again: bool = False
    """It was filed before: its sender is not answered a second time."""

    @property
    def receivers(self) -> Sequence[str]:
        """Receivers of its envelope."""
        return self.opened.envelope.receiver_ids if self.opened and self.opened.envelope else ()


def _matched(outcome: Match | Unmatched) -> _About:
    match outcome:
        case Match(candidates=chosen):
            return _About(
                owner=chosen[0].owner,
                declarations=tuple(dict.fromkeys([(one.ref, one.message_type) for one in chosen])),
                subscribers=tuple(dict.fromkeys([one for found in chosen for one in found.subscribers])),
            )
        case unmatched:
            return _About(nobody=unmatched.reason)


def _candidate(found: Found) -> Candidate:
    known = facts.declaration_facts(found.facts)
    return Candidate(
        ref=found.declaration,
        owner=EnterpriseId(found.owner),
        message_type=known.message_type,
        found_by=found.found_by,
        key=known.key,
        codes=known.codes,
        dxp_id=known.dxp_id,
        sender=known.sender,
        claimed=len(known.key) < SHORTEST_KEY
        and found.found_by.partition(" ")[2] in found.identity.split(" "),
        subscribers=known.subscribers,
    )


def _subscribers(travelled: Travelled) -> tuple[str, ...]:
    known = [facts.declaration_facts(found.facts).subscribers for found in travelled.declarations]
    return tuple(dict.fromkeys([one for some in known for one in some]))


def _row(answer: Answer, declaration: int, told: bytes, received_at: datetime) -> TimelineRow:
    at = answer.time or received_at.astimezone(BEIJING).strftime("%Y%m%d%H%M%S%f")[:17]
    return TimelineRow(
        declaration=declaration,
        at=at,
        kind=answer.message_type,
        status=answer.status,
        facts=told,
        digest=answer.digest,
        index=answer.index,
    )


def _orphan(answer: Answer, reason: str, catalogue: Catalogue) -> OrphanBody:
    """Keep an answer with the look-up texts that would lead to its owner: keys, numbers, or the CopMsgId it names."""
    texts = (answer.cop_msg_id,) if answer.cop_msg_id else lookups(answer, catalogue)
    named = {**answer.key, **answer.numbers, **({"copMsgId": answer.cop_msg_id} if answer.cop_msg_id else {})}
    return OrphanBody(
        index=answer.index,
        reason=reason,
        lookups=texts,
        facts=json.dumps({"message_type": answer.message_type, "status": answer.status, **named}).encode(),
    )


def _orphaned(raw: RawArrival, kind: str, cop_msg_id: str, reason: str) -> Filing:
    orphan = OrphanBody(index=-1, reason=reason)
    return Filing(arrival=raw.id, kind=kind, cop_msg_id=cop_msg_id, orphans=(orphan,))


def _is_mail(filing: Filing) -> bool:
    """Say whether a filing is mail; an unreadable answer is shown to its addressee, but stays an orphan."""
    return bool(filing.addressees) and not (filing.orphans and filing.kind == UNREADABLE)


def _log_filed(filing: Filing, filed: Filed) -> None:
    about = {"arrival": filing.arrival, "message_type": filing.kind, "cop_msg_id": filing.cop_msg_id}
    for owner, bodies in filed.matched.items():
        log("receipt.matched", **about, enterprise=owner, bodies=bodies)
    for owner in filed.delivered if _is_mail(filing) else ():
        log("message.delivered", **about, enterprise=owner)
    if filed.duplicates:
        log("receipt.duplicate", **about, bodies=filed.duplicates)
    for orphan in filing.orphans:
        log("receipt.orphaned", **about, body_index=orphan.index, reason=orphan.reason)


def _count_filed(filing: Filing, filed: Filed, counter: OutcomeCounter) -> None:
    """Count what `_log_filed` logs."""
    counter.count("matched", sum(filed.matched.values()))
    counter.count("delivered", len(filed.delivered) if _is_mail(filing) else 0)
    counter.count("duplicate", filed.duplicates)
    counter.count("orphaned", len(filing.orphans))
