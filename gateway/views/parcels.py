"""The parcels of one enterprise: its own documents, how they stand, and whether the others agree with them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from gateway.identity import lookup_text, parse_identity
from gateway.model import Enterprise, Family
from gateway.parcels.documents import ParcelDocument
from gateway.parcels.facts import FORMS, DocumentKind
from gateway.parcels.reading import ComparedDocument, ParcelReader
from gateway.rules.loading import Rules
from gateway.views.api import StandingView
from gateway.views.parcel_views import (
    ComparedView,
    FieldMatchView,
    MatchingView,
    OtherDocumentView,
    matching_view,
    seconds_since,
)
from gateway.views.standing import standings
from spool.store import Spool

OWN_AT_MOST: Final = 10
"""Most documents of an enterprise that are shown under one number, the newest."""
_LISTS: Final = ("CEB621Message", "CEB603Message")


class OwnDocumentView(Struct, frozen=True, kw_only=True):
    """A document of yours."""

    kind: str
    """`order`, `payment`, `waybill`, `inventory`."""
    type: str
    key: Mapping[str, str]
    id: str
    """Id of the newest message about it."""
    accepted_at: datetime
    standing: StandingView | None
    """How it stands; null: purged a moment ago."""
    compared: ComparedView


class ParcelView(Struct, frozen=True, kw_only=True):
    """Your documents under one number."""

    documents: tuple[OwnDocumentView, ...]
    """Newest first, 10 at most."""


def own_documents(
    reader: ParcelReader,
    spool: Spool,
    owner: Enterprise,
    *,
    order_no: str = "",
    waybill_no: str = "",
    invt_no: str = "",
) -> list[ParcelDocument]:
    """Return the documents of an enterprise under one number, newest first."""
    if invt_no:
        texts = [lookup_text(kind, [("invtNo", invt_no)]) for kind in _LISTS]
        found = reader.of_declarations({one.declaration for one in spool.find(texts, owner=owner.id)})
    else:
        found = reader.by_number(order_no=order_no, waybill_no=waybill_no)
    return [one for one in found if one.owner == owner.id][:OWN_AT_MOST]


def parcel_view(
    reader: ParcelReader,
    spool: Spool,
    rules: Rules,
    own: Sequence[ParcelDocument],
    *,
    lanes: Collection[str],
    now: datetime,
) -> ParcelView:
    """Show documents of one enterprise, each compared with what the enterprise may be told about."""
    documents = reader.around(own)
    return ParcelView(
        documents=tuple(
            [
                _own(one, reader.compared_for_owner(one, documents, now), spool, rules, lanes=lanes, now=now)
                for one in own
            ]
        )
    )


def matching_of(
    reader: ParcelReader, declarations: Collection[int], owner: Enterprise, now: datetime
) -> tuple[MatchingView, ...]:
    """Return what comparing says of these declarations of an enterprise; nothing of those that are not compared."""
    own = [one for one in reader.of_declarations(declarations) if one.owner == owner.id][:OWN_AT_MOST]
    documents = reader.around(own) if own else ()
    return tuple([said for one in own for said in _matching(reader.compared_for_owner(one, documents, now))])


def _own(
    one: ParcelDocument,
    compared: ComparedDocument,
    spool: Spool,
    rules: Rules,
    *,
    lanes: Collection[str],
    now: datetime,
) -> OwnDocumentView:
    kind, key = parse_identity(one.identity)
    stands = standings(spool, rules, one.owner, one.identity, now, lanes=lanes)
    return OwnDocumentView(
        kind=one.kind.value,
        type=kind,
        key=key,
        id=one.uid,
        accepted_at=one.accepted_at,
        standing=stands[0] if stands else None,
        compared=ComparedView(
            matching=_matching(compared),
            matches=tuple(
                [
                    FieldMatchView(
                        field=found.field, against=found.kind.value, match=found.match, rule=found.rule
                    )
                    for found in compared.matches
                ]
            ),
            others=_others(compared, now),
            limited=compared.limited,
        ),
    )


def _matching(compared: ComparedDocument) -> tuple[MatchingView, ...]:
    kind, key = parse_identity(compared.document.identity)
    return tuple([matching_view(said, kind, key) for said in compared.advice])


def _others(compared: ComparedDocument, now: datetime) -> tuple[OtherDocumentView, ...]:
    """Say of each other kind of document whether it is there; nothing when comparing is limited."""
    if compared.limited:
        return ()
    own = compared.document
    newest: dict[DocumentKind, datetime] = {}
    for other in compared.others:
        if not other.facts.deleted:
            newest[other.kind] = max(other.accepted_at, newest.get(other.kind, other.accepted_at))
    return tuple(
        [
            OtherDocumentView(
                kind=kind.value,
                present=kind in newest,
                age_s=seconds_since(newest.get(kind, own.accepted_at), now),
            )
            for kind in expected(own.family)
            if kind is not own.kind
        ]
    )


def expected(family: Family) -> tuple[DocumentKind, ...]:
    """Return the documents that a parcel usually has; a money-received note (403) is no longer demanded."""
    kinds = dict.fromkeys(form.kind for form in FORMS.values())
    return tuple([kind for kind in kinds if family is Family.IMPORT or kind is not DocumentKind.PAYMENT])
