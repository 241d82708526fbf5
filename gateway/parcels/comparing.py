"""Whether the documents of one parcel agree, field by field, as customs compares them (docs/spec/business_rules.md). Pure.

The result speaks of fields of one document alone: which of them agree with another document and which do not, never
what the other says. The order of arrival does not matter.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from gateway.model import Family, Severity
from gateway.parcels.documents import ParcelDocument
from gateway.parcels.facts import DocumentKind, ItemFacts

ITEMS_SHOWN: Final = 10
"""Most items of one document that are reported as different."""
REUSE: Final = timedelta(days=183)
"""A waybill number is used once within six months by a logistics firm (docs/spec/business_rules.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """How far values may differ and still count as equal; customs itself publishes no tolerance."""

    amount: Decimal = Decimal(0)
    """Of the amount paid, in the currency of the documents."""
    price_percent: Decimal = Decimal(0)
    """Of the price of an item, in percent of the order's."""


EXACT: Final = Tolerances()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One rule that compares a field of one kind of document with a field of another kind."""

    rule: str
    left: DocumentKind
    right: DocumentKind
    fields: tuple[str, str]
    """Of the left and of the right document."""
    code: str = ""
    """Code that customs answers with if it is broken; empty: not known."""
    severity: Severity = Severity.ERROR
    grade: str = "V"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMatch:
    """Whether one field of a document agrees with another document."""

    rule: str
    kind: DocumentKind
    """Of the other document."""
    field: str
    """Of this document."""
    match: bool
    code: str
    severity: Severity
    grade: str
    item: int = 0
    """1-based place of the item whose field it is; 0: of the head."""


_ORDER, _PAYMENT, _WAYBILL, _INVENTORY = (
    DocumentKind.ORDER, DocumentKind.PAYMENT, DocumentKind.WAYBILL, DocumentKind.INVENTORY,
)  # fmt: skip
COMPARISONS: Final[tuple[Comparison, ...]] = (
    Comparison(
        rule="parcel-amount", left=_ORDER, right=_PAYMENT, fields=("acturalPaid", "amountPaid"), code="1332"
    ),
    Comparison(
        rule="parcel-payer-name", left=_ORDER, right=_PAYMENT, fields=("buyerName", "payerName"), code="1327"
    ),
    Comparison(
        rule="parcel-payer-identity",
        left=_ORDER,
        right=_PAYMENT,
        fields=("buyerIdNumber", "payerIdNumber"),
        code="1327",
    ),
    Comparison(
        rule="parcel-payment-firm", left=_ORDER, right=_PAYMENT, fields=("payCode", "payCode"), code="13035"
    ),
    Comparison(
        rule="parcel-payment-number",
        left=_ORDER,
        right=_PAYMENT,
        fields=("payTransactionId", "payTransactionId"),
        severity=Severity.WARNING,
        grade="U",
    ),
    Comparison(
        rule="parcel-payment-currency",
        left=_ORDER,
        right=_PAYMENT,
        fields=("currency", "currency"),
        severity=Severity.WARNING,
        grade="U",
    ),
    Comparison(
        rule="parcel-buyer-name",
        left=_ORDER,
        right=_INVENTORY,
        fields=("buyerName", "buyerName"),
        code="13127",
    ),
    Comparison(
        rule="parcel-buyer-telephone",
        left=_ORDER,
        right=_INVENTORY,
        fields=("buyerTelephone", "buyerTelephone"),
        code="130126",
    ),
    Comparison(
        rule="parcel-buyer-identity",
        left=_ORDER,
        right=_INVENTORY,
        fields=("buyerIdNumber", "buyerIdNumber"),
        severity=Severity.WARNING,
        grade="U",
    ),
    *(
        Comparison(
            rule=f"parcel-{name}",
            left=_ORDER,
            right=_WAYBILL,
            fields=(field, field),
            severity=Severity.HINT,
            grade="U",
        )
        for name, field in (
            ("consignee", "consignee"),
            ("consignee-telephone", "consigneeTelephone"),
            ("consignee-address", "consigneeAddress"),
        )
    ),
)
"""What is compared field by field; the items of order and inventory are compared by `_items`."""
ITEM_COUNT: Final = "parcel-item-count"
ITEM_CONTENT: Final = "parcel-item"
WAYBILL_REUSED: Final = "parcel-waybill-reused"
MISSING: Final = {
    _ORDER: "parcel-order-missing",
    _PAYMENT: "parcel-payment-missing",
    _WAYBILL: "parcel-waybill-missing",
}
"""What an inventory needs → the rule that is broken while it has not passed here."""
OVER_LIMIT: Final = "parcel-yearly-limit"
RULES: Final = (
    *(one.rule for one in COMPARISONS), ITEM_COUNT, ITEM_CONTENT, WAYBILL_REUSED, *MISSING.values(), OVER_LIMIT,
)  # fmt: skip


def matches(
    one: ParcelDocument, others: Sequence[ParcelDocument], tolerances: Tolerances = EXACT
) -> Iterator[FieldMatch]:
    """Compare a document with the others of its parcel (`documents.in_one_parcel`), of the newest version each.

    A rule is judged only where both documents have a value. Deleted documents (appType 3) are not compared.
    """
    if one.facts.deleted:
        return
    for other in others:
        if other.facts.deleted:
            continue
        for comparison in COMPARISONS:
            yield from _compared(comparison, one, other, tolerances)
        if {one.kind, other.kind} == {_ORDER, _INVENTORY}:
            yield from _items(one, other, tolerances)
    if any(_reused(one, other) for other in others):
        yield FieldMatch(
            rule=WAYBILL_REUSED,
            kind=_INVENTORY,
            field="logisticsNo",
            match=False,
            code="",
            severity=Severity.WARNING,
            grade="O",
        )


def needed(one: ParcelDocument, others: Sequence[ParcelDocument]) -> tuple[DocumentKind, ...]:
    """Return which documents an inventory needs and are not among these; of other documents nothing is asked.

    A money-received note is no longer demanded for exports since 2024-12-15 (docs/spec/business_rules.md).
    """
    if one.kind is not _INVENTORY or one.facts.deleted:
        return ()
    there = {other.kind for other in others if not other.facts.deleted}
    wanted = (_ORDER, _PAYMENT, _WAYBILL) if one.family is Family.IMPORT else (_ORDER, _WAYBILL)
    return tuple([kind for kind in wanted if kind not in there])


def _compared(
    comparison: Comparison, one: ParcelDocument, other: ParcelDocument, tolerances: Tolerances
) -> Iterator[FieldMatch]:
    """Judge one rule, from whichever side the document stands on."""
    sides = (comparison.left, comparison.right)
    if sides not in ((one.kind, other.kind), (other.kind, one.kind)):
        return
    side = sides.index(one.kind)
    field, theirs = comparison.fields[side], comparison.fields[1 - side]
    if comparison.rule == "parcel-amount":
        match = _near(one.field(field), other.field(theirs), tolerances.amount)
    elif field in one.facts.people:
        match = _equal(one.facts.people.get(field), other.facts.people.get(theirs))
    else:
        match = _equal(one.field(field), other.field(theirs))
    if match is not None:
        yield FieldMatch(
            rule=comparison.rule,
            kind=other.kind,
            field=field,
            match=match,
            code=comparison.code,
            severity=comparison.severity,
            grade=comparison.grade,
        )


def _items(one: ParcelDocument, other: ParcelDocument, tolerances: Tolerances) -> Iterator[FieldMatch]:
    """Compare the items of order and inventory: first how many, then by gnum what each says."""

    def found(rule: str, field: str, code: str, *, match: bool, item: int = 1) -> FieldMatch:
        return FieldMatch(
            rule=rule,
            kind=other.kind,
            field=field,
            match=match,
            code=code,
            severity=Severity.ERROR,
            grade="V",
            item=item,
        )

    mine, theirs = _by_gnum(one.facts.items), _by_gnum(other.facts.items)
    same = len(one.facts.items) == len(other.facts.items) and mine.keys() == theirs.keys()
    yield found(ITEM_COUNT, "gnum", "1320", match=same)
    if not same:
        return
    different = [
        (place, field)
        for place, item in enumerate(one.facts.items, start=1)
        for field in _different(item, theirs[_number(item.gnum)], one.kind, tolerances)
    ]
    for place, field in different[:ITEMS_SHOWN]:
        yield found(ITEM_CONTENT, field, "1322", match=False, item=place)
    if not different:
        yield found(ITEM_CONTENT, "itemNo", "1322", match=True)


def _different(
    mine: ItemFacts, theirs: ItemFacts, kind: DocumentKind, tolerances: Tolerances
) -> Iterator[str]:
    """Yield the fields of one item that differ; what one of the two leaves out is not compared."""
    if _equal(mine.item_no, theirs.item_no) is False:
        yield "itemNo"
    if _near(mine.qty, theirs.qty, Decimal(0)) is False:
        yield "qty"
    price = _decimal((mine if kind is _ORDER else theirs).price)
    allowed = abs(price) * tolerances.price_percent / 100 if price is not None else Decimal(0)
    if _near(mine.price, theirs.price, allowed) is False:
        yield "price"


def _reused(one: ParcelDocument, other: ParcelDocument) -> bool:
    """Say whether another inventory used the same waybill for another order within six months."""
    return (
        one.kind is _INVENTORY
        and other.kind is _INVENTORY
        and not other.facts.deleted
        and bool(one.waybill_no)
        and one.waybill_no == other.waybill_no
        and one.field("logisticsCode") == other.field("logisticsCode")
        and (one.order_no, one.field("ebpCode")) != (other.order_no, other.field("ebpCode"))
        and abs(one.accepted_at - other.accepted_at) < REUSE
    )


def _by_gnum(items: Sequence[ItemFacts]) -> Mapping[int, ItemFacts]:
    return {_number(item.gnum): item for item in items}


def _number(text: str) -> int:
    """Read a gnum, which the schema has checked; it is compared by value."""
    return int(text) if text else 0


def _equal(mine: str | bytes | None, theirs: str | bytes | None) -> bool | None:
    return mine == theirs if mine and theirs else None


def _near(mine: str, theirs: str, allowed: Decimal) -> bool | None:
    left, right = _decimal(mine), _decimal(theirs)
    return None if left is None or right is None else abs(left - right) <= allowed


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text) if text else None
    except InvalidOperation:
        return None
