"""Shows all documents of a parcel and whether they agree, to the operator, who may see them all."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from gateway.cli.output import emit, instant
from gateway.cli.terminal import echo
from gateway.identity import lookup_text
from gateway.parcels.comparing import needed
from gateway.parcels.documents import ParcelDocument
from gateway.parcels.facts import FORMS, DocumentKind
from gateway.parcels.reading import ComparedDocument, ParcelReader
from gateway.views.parcel_views import seconds_since
from spool.store import Spool

_NUMBERS: Final = ("copNo", "preNo", "invtNo")
"""Fields by which an inventory may be named."""


def seeds_of(reader: ParcelReader, spool: Spool, key: str) -> list[ParcelDocument]:
    """Return the documents that a text names by the number of an order, a waybill or an inventory."""
    lists = [name for name, form in FORMS.items() if form.kind is DocumentKind.INVENTORY]
    texts = [lookup_text(name, [(field, key)]) for name in lists for field in _NUMBERS]
    named = reader.of_declarations({one.declaration for one in spool.find(texts)})
    found = {
        one.declaration: one
        for one in (*named, *reader.by_number(order_no=key), *reader.by_number(waybill_no=key))
    }
    return list(found.values())


def parcel_history(reader: ParcelReader, seeds: Sequence[ParcelDocument]) -> list[ComparedDocument]:
    """Return all documents of the parcels of these, newest first, each compared with all others.

    Empty where there is nothing to tell: one document alone that misses no other.
    """
    documents = reader.around(seeds)
    now = datetime.now(UTC)
    compared = [reader.compared(one, documents, now) for one in documents]
    return compared if len(compared) > 1 or any(one.advice for one in compared) else []


def emit_parcel(parcel: Sequence[ComparedDocument]) -> None:
    """Write the documents as one JSON object."""
    now = datetime.now(UTC)
    emit(
        {
            "parcel": [
                {
                    "kind": one.document.kind,
                    "declaration": one.document.identity,
                    "enterprise": one.document.owner,
                    "id": one.document.uid,
                    "order_no": one.document.order_no,
                    "waybill_no": one.document.waybill_no,
                    "accepted_at": one.document.accepted_at,
                    "age_s": seconds_since(one.document.accepted_at, now),
                    "deleted": one.document.facts.deleted,
                    "missing": needed(one.document, one.others),
                    "matching": one.advice,
                }
                for one in parcel
            ]
        }
    )


def tell_parcel(parcel: Sequence[ComparedDocument]) -> None:
    """Print the documents for people."""
    echo("parcel")
    for one in parcel:
        document = one.document
        gone = ", deleted" if document.facts.deleted else ""
        echo(f"  {document.kind:<9}  {document.owner}, {instant(document.accepted_at)}{gone}")
        echo(f"    {document.identity}")
        echo(f"    {document.uid}")
        for said in one.advice:
            code = f" [{said.code}]" if said.code else ""
            echo(f"    {said.severity}{code}: {said.message}")
            echo(f"      {said.who}: {said.fix}")
