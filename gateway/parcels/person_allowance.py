"""Works out from the spool what inventories count towards the yearly limits of their buyers, and asks for the sums.

Everything is worked out anew from the timelines each time something about a list was filed, so that doing it twice, or in another order,
changes nothing. A person is known by the mark of the identity number alone.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from gateway import facts
from gateway.model import BEIJING
from gateway.parcels.allowance import Decision, ReturnRequest, fen_of, usage
from gateway.parcels.facts import ParcelFacts, parcel_facts
from gateway.rules.codes import Codes
from spool.entry import Allowance, LinkedDeclaration
from spool.store import Spool

ANSWERS: Final = ("CEB622Message", "CEB624Message", "CEB626Message")
"""Receipts that change what a list counts."""
_LIST, _CANCEL, _RETURN = "CEB621Message", "CEB623Message", "CEB625Message"


class PersonAllowance:
    """Works out allowances; for one thread."""

    def __init__(self, spool: Spool, codes: Codes) -> None:
        self._spool = spool
        self._codes = codes

    def worked_out(self, declarations: Sequence[int]) -> list[Allowance]:
        """Return the allowances of all lists that answers about these declarations may have changed."""
        lists: dict[int, LinkedDeclaration] = {}
        for one in self._spool.links_of(declarations):
            if one.kind == _LIST:
                lists[one.declaration] = one
            else:
                lists |= {other.declaration: other for other in self._beside(one) if other.kind == _LIST}
        return [made for one in lists.values() if (made := self._of_list(one)) is not None]

    def exceeds(
        self, known: ParcelFacts, declaration: int, limit_fen: int, year: str, *, owner: str = ""
    ) -> bool:
        """Say whether a list that counts nothing yet would go beyond the limit, on top of all others of its buyer.

        `owner`: only lists of this enterprise are counted; empty: those of all.
        """
        subject = subject_of(known)
        if not subject or known.deleted:
            return False
        others = self._spool.allowance(subject, year, owner=owner, besides=(declaration,))
        counted = self._spool.allowance(subject, year, owner=owner) > others
        return not counted and others + fen_of(known.items) > limit_fen

    def _of_list(self, one: LinkedDeclaration) -> Allowance | None:
        known = parcel_facts(one.link.facts)
        subject = subject_of(known)
        numbers = self._numbers(one)
        requests = [
            (other, asked)
            for other in self._beside(one)
            if (asked := parcel_facts(other.link.facts)).fields.get("invtNo", "") in numbers
            and not asked.deleted
        ]
        found = usage(
            known.items,
            self._decisions(one),
            (self._decisions(other) for other, _ in requests if other.kind == _CANCEL),
            (
                ReturnRequest(
                    app_time=asked.fields.get("appTime", ""),
                    items=asked.items,
                    decisions=self._decisions(other),
                )
                for other, asked in requests
                if other.kind == _RETURN
            ),
        )
        if not subject:
            return None
        return Allowance(
            declaration=one.declaration, owner=one.owner, subject=subject, period=found.year, amount=found.fen
        )

    def _beside(self, one: LinkedDeclaration) -> Iterator[LinkedDeclaration]:
        """Yield what the same enterprise declared about the same waybill."""
        if one.link.waybill_no:
            for other in self._spool.linked(waybill_no=one.link.waybill_no):
                if other.owner == one.owner and other.declaration != one.declaration:
                    yield other

    def _numbers(self, one: LinkedDeclaration) -> set[str]:
        """Return the numbers that customs has given a list."""
        rows = self._spool.timeline(one.owner, one.identity)
        return {number for row in rows if (number := facts.answer_facts(row.facts).fields.get("invtNo", ""))}

    def _decisions(self, one: LinkedDeclaration) -> list[Decision]:
        return [
            Decision(
                at=row.at,
                status=row.status,
                kind=self._codes.said(row.kind, row.status, facts.answer_facts(row.facts).info).kind,
            )
            for row in self._spool.timeline(one.owner, one.identity)
            if row.kind in ANSWERS
        ]


def subject_of(known: ParcelFacts) -> str:
    """Return the text under which a buyer's allowances are kept; empty: none is named."""
    return known.people.get("buyerIdNumber", b"").hex()


def year_of(now: datetime) -> str:
    """Return the calendar year in Beijing."""
    return str(now.astimezone(BEIJING).year)


def today(now: datetime) -> str:
    """Return the day in Beijing, `YYYY-MM-DD`."""
    return now.astimezone(BEIJING).date().isoformat()
