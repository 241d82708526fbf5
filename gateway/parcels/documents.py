"""One document of a parcel, as it is compared: what was declared, who declared it, and when. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.model import EnterpriseId, Family
from gateway.parcels.facts import FORMS, DocumentKind, ParcelFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelDocument:
    """The newest version of a declaration."""

    declaration: int
    """The spool's number."""
    uid: str
    """Id of the message with that version."""
    owner: EnterpriseId
    message_type: str
    identity: str
    accepted_at: datetime
    order_no: str
    waybill_no: str
    facts: ParcelFacts

    @property
    def kind(self) -> DocumentKind:
        """What it is."""
        return FORMS[self.message_type].kind

    @property
    def family(self) -> Family:
        """Import or export: numbers of one family mean nothing in the other (docs/spec/messages.md, Correlating)."""
        return FORMS[self.message_type].family

    def field(self, name: str) -> str:
        """Return a code, amount or currency as declared; empty: not declared."""
        return self.facts.fields.get(name, "")


def linked_by_number(one: ParcelDocument, other: ParcelDocument) -> bool:
    """Whether two documents speak of one parcel: the same order of one platform, or waybill of one logistics firm.

    A waybill that names an order names no platform: it is linked to an inventory alone.
    """
    if one.family is not other.family:
        return False
    same_order = bool(one.order_no) and one.order_no == other.order_no
    same_waybill = bool(one.waybill_no) and one.waybill_no == other.waybill_no
    return (same_order and _same(one, other, "ebpCode")) or (
        same_waybill and _same(one, other, "logisticsCode")
    )


def in_one_parcel(one: ParcelDocument, other: ParcelDocument, documents: Sequence[ParcelDocument]) -> bool:
    """Whether two documents share a number, or an inventory among `documents` shares one with each of them."""
    if linked_by_number(one, other):
        return True
    if DocumentKind.INVENTORY in {one.kind, other.kind}:
        return False
    return any(
        linked_by_number(one, via) and linked_by_number(via, other)
        for via in documents
        if via.kind is DocumentKind.INVENTORY and not via.facts.deleted
    )


def _same(one: ParcelDocument, other: ParcelDocument, field: str) -> bool:
    return bool(one.field(field)) and one.field(field) == other.field(field)
