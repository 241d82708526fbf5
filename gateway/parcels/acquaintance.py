"""Which documents of others an enterprise may be told about: none to whoever merely guesses numbers. Pure.

Two documents that share a number are acquainted when they are of one enterprise, when each names a code of the other's
enterprise, or when they name the same person: the buyer's identity number, or the consignee's telephone and address.
An order and a waybill share no number of one scope; they are acquainted through an inventory that is acquainted with both.
Nobody is acquainted through a deleted document: it belongs to the parcel no more.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.model import EnterpriseId
from gateway.parcels.documents import ParcelDocument, linked_by_number

CODES: Final = ("ebpCode", "ebcCode", "payCode", "logisticsCode", "agentCode")
_IDENTITIES: Final = ("buyerIdNumber", "payerIdNumber")
_TELEPHONES: Final = ("consigneeTelephone", "buyerTelephone")

Codes = Mapping[EnterpriseId, frozenset[str]]
"""Enterprise → the codes that are its own: `cop_codes` and `acts_for`."""


def acquainted_with(
    own: ParcelDocument, documents: Sequence[ParcelDocument], codes: Codes
) -> tuple[ParcelDocument, ...]:
    """Return the other documents that are acquainted with this one, directly or through others, in their order."""
    reached = {own.declaration}
    waiting = [own]
    while waiting:
        one = waiting.pop()
        for other in documents:
            if other.declaration not in reached and acquainted(one, other, codes):
                reached.add(other.declaration)
                if not other.facts.deleted:
                    waiting.append(other)
    return tuple(
        [one for one in documents if one.declaration in reached and one.declaration != own.declaration]
    )


def acquainted(one: ParcelDocument, other: ParcelDocument, codes: Codes) -> bool:
    """Say whether the enterprises of two documents may be told whether these agree."""
    if not linked_by_number(one, other):
        return False
    return (
        one.owner == other.owner
        or (_names(one, other.owner, codes) and _names(other, one.owner, codes))
        or _same_person(one, other)
    )


def _names(document: ParcelDocument, owner: EnterpriseId, codes: Codes) -> bool:
    own = codes.get(owner, frozenset())
    return any(document.field(name) in own for name in CODES)


def _same_person(one: ParcelDocument, other: ParcelDocument) -> bool:
    if _agree(one, other, _IDENTITIES):
        return True
    return _agree(one, other, _TELEPHONES) and _agree(one, other, ("consigneeAddress",))


def _agree(one: ParcelDocument, other: ParcelDocument, names: Sequence[str]) -> bool:
    """Say whether some mark under one of these names stands in both."""
    marks = {one.facts.people[name] for name in names if name in one.facts.people}
    return any(other.facts.people.get(name) in marks for name in names)
