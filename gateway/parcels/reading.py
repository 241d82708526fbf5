"""Reads the documents of a parcel from the spool, and says who may be told what of them.

Nothing of it is stored for a pair of documents: it is computed when somebody asks, so it cannot become outdated.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from gateway.config.gateway_toml import Matching
from gateway.model import Advice, EnterpriseId
from gateway.parcels.acquaintance import Codes, acquainted_with
from gateway.parcels.comparing import FieldMatch, Tolerances, matches, needed
from gateway.parcels.documents import ParcelDocument, in_one_parcel, linked_by_number
from gateway.parcels.facts import FORMS, DocumentKind, parcel_facts
from gateway.parcels.person_allowance import PersonAllowance, today, year_of
from gateway.parcels.texts import ParcelTexts
from gateway.rules.loading import Rules
from spool.entry import LinkedDeclaration
from spool.store import Spool, SpoolParcels

PROBED_WITHIN: Final = timedelta(hours=24)
_LIST: Final = "CEB621Message"
_INVENTORIES: Final = 20
"""Most inventories of one enterprise whose other number is followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedDocument:
    """One document, and what comparing says of its own fields."""

    document: ParcelDocument
    others: tuple[ParcelDocument, ...]
    """Those of its parcel that it was compared with."""
    matches: tuple[FieldMatch, ...]
    advice: tuple[Advice, ...]
    limited: bool = False
    """Its enterprise has compared too often: documents of others were left out."""


class ParcelReader:
    """Finds and compares; for one thread."""

    def __init__(
        self,
        spool: SpoolParcels,
        texts: ParcelTexts,
        settings: Matching,
        codes: Codes,
        allowances: PersonAllowance | None = None,
    ) -> None:
        """`codes`: the codes of each enterprise of this node; `allowances`: None says nothing of yearly limits."""
        self._spool = spool
        self._allowances = allowances
        self._texts = texts
        self._settings = settings
        self._codes = codes
        self._tolerances = Tolerances(
            amount=Decimal(str(settings.amount_tolerance)),
            price_percent=Decimal(str(settings.price_tolerance_percent)),
        )

    def by_number(self, *, order_no: str = "", waybill_no: str = "") -> list[ParcelDocument]:
        """Return the documents that bear one of these numbers, newest first."""
        return documents_of(self._spool.linked(order_no=order_no, waybill_no=waybill_no))

    def of_declarations(self, declarations: Iterable[int]) -> list[ParcelDocument]:
        """Return the documents among these declarations, newest first."""
        return documents_of(self._spool.links_of(list(declarations)))

    def around(self, seeds: Sequence[ParcelDocument]) -> list[ParcelDocument]:
        """Return these documents and all others of their parcels, whoever they are of, newest first."""
        found = {one.declaration: one for one in seeds}
        self._follow(seeds, found)
        inventories = [one for one in _bridges(found.values()) if one not in seeds]
        self._follow(_of_each_owner(inventories), found)
        every = list(found.values())
        kept = [one for one in every if any(one is seed or in_one_parcel(one, seed, every) for seed in seeds)]
        return sorted(kept, key=lambda one: (one.accepted_at, one.declaration), reverse=True)

    def compared(
        self, one: ParcelDocument, documents: Sequence[ParcelDocument], now: datetime
    ) -> ComparedDocument:
        """Compare a document with all others of its parcel, whoever they are of: for the operator alone."""
        others = tuple(
            other
            for other in documents
            if other.declaration != one.declaration and in_one_parcel(one, other, documents)
        )
        return self._limited(self._compare(one, others), now)

    def compared_for_owner(
        self, one: ParcelDocument, documents: Sequence[ParcelDocument], now: datetime
    ) -> ComparedDocument:
        """Compare a document with those that its owner may be told about (`acquaintance`).

        An inventory of which its owner tries too many versions connects no document with one of another enterprise: else each new
        number on its one side would be a new try at the value on its other side.
        """
        known = acquainted_with(one, documents, self._codes)
        limited = self._too_often(one, now)
        bridges = [via for via in _bridges(known) if not self._too_often(via, now)]
        others = tuple(
            other
            for other in known
            if (other.owner == one.owner and in_one_parcel(one, other, known))
            or (not limited and in_one_parcel(one, other, bridges))
        )
        return self._limited(self._compare(one, others, limited=limited), now)

    def compared_with_acquainted(
        self, one: ParcelDocument, documents: Sequence[ParcelDocument]
    ) -> ComparedDocument:
        """Compare as `compared_for_owner`, however often: for what the operator alone is told."""
        known = acquainted_with(one, documents, self._codes)
        return self._compare(one, tuple([other for other in known if in_one_parcel(one, other, known)]))

    def _compare(
        self, one: ParcelDocument, others: tuple[ParcelDocument, ...], *, limited: bool = False
    ) -> ComparedDocument:
        found = tuple(matches(one, others, self._tolerances))
        advice = [self._texts.mismatch(one, match) for match in found if not match.match]
        if not limited:
            advice += [self._texts.missing(one, kind) for kind in needed(one, others)]
        return ComparedDocument(
            document=one,
            others=others,
            matches=found,
            advice=tuple({(said.rule, said.path): said for said in advice}.values()),
            limited=limited,
        )

    def _limited(self, found: ComparedDocument, now: datetime) -> ComparedDocument:
        """Add whether a list would exceed the yearly limit of its buyer."""
        one, year = found.document, year_of(now)
        limits = {each.from_: each.yuan for each in self._settings.yearly_limit if each.from_ <= today(now)}
        if self._allowances is None or not limits or one.message_type != _LIST:
            return found
        yuan = limits[max(limits)]
        if not self._allowances.exceeds(one, yuan * 100, year, of_others=not found.limited):
            return found
        return replace(found, advice=(*found.advice, self._texts.over_limit(one, yuan)))

    def _too_often(self, one: ParcelDocument, now: datetime) -> bool:
        most = self._settings.compared_at_most
        found = self._spool.versions_since(
            one.owner,
            now - PROBED_WITHIN,
            order_no=one.order_no,
            waybill_no=one.waybill_no,
            at_most=most + 1,
        )
        return found > most

    def _follow(self, seeds: Sequence[ParcelDocument], found: dict[int, ParcelDocument]) -> None:
        """Add what shares a number with these, asking for each number once."""
        order_nos = dict.fromkeys(one.order_no for one in seeds if one.kind is not DocumentKind.WAYBILL)
        waybill_nos = dict.fromkeys(one.waybill_no for one in seeds)
        there = [
            *(one for number in order_nos for one in self.by_number(order_no=number)),
            *(one for number in waybill_nos for one in self.by_number(waybill_no=number)),
        ]
        for other in there:
            if other.declaration not in found and any(linked_by_number(seed, other) for seed in seeds):
                found[other.declaration] = other


def reader_of(
    spool: Spool, rules: Rules, settings: Matching, codes: Codes = MappingProxyType({})
) -> ParcelReader:
    """Return a reader on a spool; `codes`: as for `ParcelReader`, of no matter to an operator, who is told everything."""
    texts = ParcelTexts(rules.catalogue, rules.schemas)
    return ParcelReader(spool, texts, settings, codes, PersonAllowance(spool, rules.codes))


def _bridges(documents: Iterable[ParcelDocument]) -> list[ParcelDocument]:
    """Return what connects an order with a waybill."""
    return [one for one in documents if one.kind is DocumentKind.INVENTORY]


def _of_each_owner(documents: Iterable[ParcelDocument]) -> list[ParcelDocument]:
    """Return the first of each enterprise, so that one that floods a number hides nothing of another."""
    by_owner: dict[EnterpriseId, list[ParcelDocument]] = {}
    for one in documents:
        by_owner.setdefault(one.owner, []).append(one)
    return [one for own in by_owner.values() for one in own[:_INVENTORIES]]


def documents_of(linked: Iterable[LinkedDeclaration]) -> list[ParcelDocument]:
    """Turn what the spool returns into documents, in its order."""
    return [
        ParcelDocument(
            declaration=one.declaration,
            uid=one.uid,
            owner=EnterpriseId(one.owner),
            message_type=one.kind,
            identity=one.identity,
            accepted_at=one.accepted_at,
            order_no=one.link.order_no,
            waybill_no=one.link.waybill_no,
            facts=parcel_facts(one.link.facts),
        )
        for one in linked
        if one.kind in FORMS
    ]
