"""Works out from the spool what inventories count towards the yearly limits of their buyers, and asks for the sums.

Everything is worked out anew from the timelines each time something about a list was filed, so that doing it twice, or in another order,
changes nothing. A person is known by the mark of the identity number alone.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from gateway import facts
from gateway.model import BEIJING
from gateway.parcels.allowance import Decision, ReturnRequest, fen_of, usage
from gateway.parcels.documents import ParcelDocument
from gateway.parcels.facts import ParcelFacts, parcel_facts
from gateway.rules.codes import Codes
from spool.entry import Allowance, LinkedDeclaration, TimelineEntry
from spool.store import Spool

ANSWERS: Final = ("CEB622Message", "CEB624Message", "CEB626Message")
"""Receipts that change what a list counts."""
_LIST, _CANCEL, _RETURN = "CEB621Message", "CEB623Message", "CEB625Message"
_REQUESTS: Final = frozenset({_CANCEL, _RETURN})
OTHERS_STEP_FEN: Final = 100_000
"""What other enterprises have sold to a person counts in whole steps of so many fen: whoever declares list after list for a
person learns that sum to a step at best, and a list that stays below the limit is never said to exceed it."""
_Waybill = tuple[str, str]
"""Owner, and the number of a waybill."""
_Timelines = Mapping[int, Sequence[TimelineEntry]]
"""Answers by the number of the declaration."""


class PersonAllowance:
    """Works out allowances; for one thread."""

    def __init__(self, spool: Spool, codes: Codes) -> None:
        self._spool = spool
        self._codes = codes

    def worked_out(self, declarations: Sequence[int]) -> list[Allowance]:
        """Return the allowances of all lists that answers about these declarations may have changed."""
        answered = self._spool.links_of(declarations)
        beside: defaultdict[_Waybill, list[LinkedDeclaration]] = defaultdict(list)
        for one in self._spool.beside(declarations):
            beside[_waybill(one)].append(one)
        lists = {one.declaration: one for one in answered if one.kind == _LIST}
        for one in answered:
            if one.kind != _LIST:
                others = beside[_waybill(one)]
                lists |= {other.declaration: other for other in others if other.kind == _LIST}
        requests = {
            one.declaration: [other for other in beside[_waybill(one)] if other.kind in _REQUESTS]
            for one in lists.values()
        }
        asked = {other.declaration for some in requests.values() for other in some}
        timelines = self._spool.timelines(lists.keys() | asked)
        found = (self._of_list(one, requests[one.declaration], timelines) for one in lists.values())
        return [one for one in found if one is not None]

    def exceeds(self, one: ParcelDocument, limit_fen: int, year: str, *, of_others: bool = True) -> bool:
        """Say whether a list that counts nothing yet would go beyond the limit, on top of all others of its buyer.

        What other enterprises sold is rounded down to a multiple of `OTHERS_STEP_FEN`; without `of_others` it is not counted.
        """
        subject = subject_of(one.facts)
        if not subject or one.facts.deleted:
            return False
        own = self._spool.allowance(subject, year, owner=one.owner)
        besides = self._spool.allowance(subject, year, owner=one.owner, besides=(one.declaration,))
        if own > besides:
            return False
        others = self._spool.allowance(subject, year) - own if of_others else 0
        return own + others - others % OTHERS_STEP_FEN + fen_of(one.facts.items) > limit_fen

    def _of_list(
        self, one: LinkedDeclaration, beside: Sequence[LinkedDeclaration], timelines: _Timelines
    ) -> Allowance | None:
        """Return what a list counts; `beside`: requests of its enterprise about its waybill. None: no buyer is named."""
        known = parcel_facts(one.link.facts)
        subject = subject_of(known)
        if not subject:
            return None
        rows = timelines.get(one.declaration, ())
        numbers = {facts.answer_facts(row.facts).fields.get("invtNo", "") for row in rows} if beside else ()
        requests = [
            (other, asked)
            for other in beside
            for asked in (parcel_facts(other.link.facts),)
            if not asked.deleted and (number := asked.fields.get("invtNo")) and number in numbers
        ]
        found = usage(
            known.items,
            self._decisions(rows),
            [
                self._decisions(timelines.get(other.declaration, ()))
                for other, _ in requests
                if other.kind == _CANCEL
            ],
            [
                ReturnRequest(
                    app_time=asked.fields.get("appTime", ""),
                    items=asked.items,
                    decisions=self._decisions(timelines.get(other.declaration, ())),
                )
                for other, asked in requests
                if other.kind == _RETURN
            ],
        )
        return Allowance(
            declaration=one.declaration, owner=one.owner, subject=subject, period=found.year, amount=found.fen
        )

    def _decisions(self, rows: Iterable[TimelineEntry]) -> list[Decision]:
        return [
            Decision(
                at=row.at,
                status=row.status,
                kind=self._codes.said(row.kind, row.status, facts.answer_facts(row.facts).info).kind,
            )
            for row in rows
            if row.kind in ANSWERS
        ]


def _waybill(one: LinkedDeclaration) -> _Waybill:
    return one.owner, one.link.waybill_no


def subject_of(known: ParcelFacts) -> str:
    """Return the text under which a buyer's allowances are kept; empty: none is named."""
    return known.people.get("buyerIdNumber", b"").hex()


def year_of(now: datetime) -> str:
    """Return the calendar year in Beijing."""
    return str(now.astimezone(BEIJING).year)


def today(now: datetime) -> str:
    """Return the day in Beijing, `YYYY-MM-DD`."""
    return now.astimezone(BEIJING).date().isoformat()
