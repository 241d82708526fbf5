"""Documents of one parcel, compared as customs compares them, from both sides and in any order of arrival."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import pytest

from gateway.model import Actor, EnterpriseId, Message
from gateway.parcels.comparing import EXACT, FieldMatch, Tolerances, matches, needed
from gateway.parcels.documents import ParcelDocument, in_one_parcel
from gateway.parcels.facts import DocumentKind, Linker, parcel_facts
from gateway.parcels.texts import ParcelTexts
from gateway.rules.loading import Rules
from gateway.submission.pipeline import examine
from tests.parcel_documents import (
    ADDRESS,
    IDENTITY,
    ITEMS,
    NAME,
    TELEPHONE,
    inventory,
    order,
    payment,
    waybill,
)
from tests.spool_samples import START
from tests.unit.test_pipeline import LIMITS, ME, rules

__all__ = ["rules"]

LINKER = Linker(b"s" * 32)
Made = Callable[[bytes], ParcelDocument]


@pytest.fixture(scope="module")
def made(rules: Rules) -> Made:
    numbers = iter(range(1, 100_000))

    def make(body: bytes) -> ParcelDocument:
        message = examine(body, ME, rules, LIMITS, link=LINKER)
        assert isinstance(message, Message), message
        (link,) = message.links
        return ParcelDocument(
            declaration=next(numbers),
            uid="A",
            owner=EnterpriseId("ann"),
            message_type=message.header.message_type.name,
            identity="x",
            accepted_at=START,
            order_no=link.order_no,
            waybill_no=link.waybill_no,
            facts=parcel_facts(link.facts),
        )

    return make


def broken(
    one: ParcelDocument, documents: Sequence[ParcelDocument], tolerances: Tolerances = EXACT
) -> set[tuple[str, str, str, int]]:
    others = [other for other in documents if other is not one and in_one_parcel(one, other, documents)]
    return {
        (found.rule, found.field, found.code, found.item)
        for found in matches(one, others, tolerances)
        if not found.match
    }


BROKEN: Mapping[str, tuple[Mapping[str, Mapping[str, str]], Mapping[str, set[tuple[str, str, str, int]]]]] = {
    "amount": (
        {"payment": {"amountPaid": "109.2"}},
        {
            "order": {("parcel-amount", "acturalPaid", "1332", 0)},
            "payment": {("parcel-amount", "amountPaid", "1332", 0)},
        },
    ),
    "payer": (
        {"payment": {"payerName": "李四", "payerIdNumber": "110101198502021234"}},
        {
            "order": {
                ("parcel-payer-name", "buyerName", "1327", 0),
                ("parcel-payer-identity", "buyerIdNumber", "1327", 0),
            },
            "payment": {
                ("parcel-payer-name", "payerName", "1327", 0),
                ("parcel-payer-identity", "payerIdNumber", "1327", 0),
            },
        },
    ),
    "payment firm": (
        {"payment": {"payCode": "4400000099"}},
        {
            "order": {("parcel-payment-firm", "payCode", "13035", 0)},
            "payment": {("parcel-payment-firm", "payCode", "13035", 0)},
        },
    ),
    "payment number": (
        {"order": {"payTransactionId": "PAY-2"}},
        {
            "order": {("parcel-payment-number", "payTransactionId", "", 0)},
            "payment": {("parcel-payment-number", "payTransactionId", "", 0)},
        },
    ),
    "buyer name of the list": (
        {"inventory": {"buyerName": "王大明"}},
        {
            "order": {("parcel-buyer-name", "buyerName", "13127", 0)},
            "inventory": {("parcel-buyer-name", "buyerName", "13127", 0)},
        },
    ),
    "buyer telephone of the list": (
        {"inventory": {"buyerTelephone": "13900000001"}},
        {
            "order": {("parcel-buyer-telephone", "buyerTelephone", "130126", 0)},
            "inventory": {("parcel-buyer-telephone", "buyerTelephone", "130126", 0)},
        },
    ),
    "consignee": (
        {"waybill": {"consignee": "李四", "consigneeTelephone": "13900000001"}},
        {
            "order": {
                ("parcel-consignee", "consignee", "", 0),
                ("parcel-consignee-telephone", "consigneeTelephone", "", 0),
            },
            "waybill": {
                ("parcel-consignee", "consignee", "", 0),
                ("parcel-consignee-telephone", "consigneeTelephone", "", 0),
            },
        },
    ),
}
WRITERS: Mapping[str, Callable[..., bytes]] = {
    "order": order,
    "payment": payment,
    "waybill": waybill,
    "inventory": inventory,
}


def test_documents_that_agree_match_in_every_field_that_two_of_them_have(made: Made) -> None:
    parcel = [made(write()) for write in WRITERS.values()]
    assert [broken(one, parcel) for one in parcel] == [set()] * 4
    found = {(found.rule, found.kind) for found in matches(parcel[0], parcel[1:]) if found.match}
    assert len(found) == 6 + 3 + 2 + 3
    assert [needed(one, [other for other in parcel if other is not one]) for one in parcel] == [()] * 4


@pytest.mark.parametrize("case", BROKEN)
def test_each_rule_is_broken_on_both_sides_whatever_came_first(case: str, made: Made) -> None:
    said, wanted = BROKEN[case]
    parcel = {name: made(write(**said.get(name, {}))) for name, write in WRITERS.items()}
    for documents in permutations(parcel.values()):
        assert {name: found for name, one in parcel.items() if (found := broken(one, documents))} == wanted


def test_items_are_compared_by_count_then_by_gnum(made: Made) -> None:
    one = made(order())
    assert broken(one, [one, made(inventory(items=ITEMS[:1]))]) == {("parcel-item-count", "gnum", "1320", 1)}
    other_numbers = [ITEMS[0], {**ITEMS[1], "gnum": "3"}]
    assert broken(one, [one, made(inventory(items=other_numbers))]) == {
        ("parcel-item-count", "gnum", "1320", 1)
    }
    assert broken(one, [one, made(inventory(items=ITEMS[::-1]))]) == set()
    different = [{**ITEMS[0], "qty": "3", "itemNo": "SKU-9"}, {**ITEMS[1], "price": "40.00"}]
    listed = made(inventory(items=different))
    wanted = {("parcel-item", "itemNo", "1322", 1), ("parcel-item", "qty", "1322", 1)}
    assert broken(one, [one, listed]) == wanted
    assert broken(listed, [one, listed]) == wanted


def test_tolerances_are_those_of_the_configuration(made: Made) -> None:
    paid = [made(order()), made(payment(amountPaid="110.1"))]
    assert broken(paid[0], paid, Tolerances(amount=Decimal(1))) == set()
    assert broken(paid[0], paid, Tolerances(amount=Decimal("0.99")))
    listed = [made(order()), made(inventory(items=[{**ITEMS[0], "price": "31.5"}, ITEMS[1]]))]
    for one in listed:
        assert broken(one, listed, Tolerances(price_percent=Decimal(5))) == set()
        assert broken(one, listed, Tolerances(price_percent=Decimal("4.9")))


def test_an_inventory_needs_the_other_three(made: Made) -> None:
    listed = made(inventory())
    assert needed(listed, []) == (DocumentKind.ORDER, DocumentKind.PAYMENT, DocumentKind.WAYBILL)
    assert needed(listed, [made(order()), made(payment(appType="3"))]) == (
        DocumentKind.PAYMENT,
        DocumentKind.WAYBILL,
    )
    assert needed(made(order()), []) == ()


def test_a_deleted_document_is_not_compared(made: Made) -> None:
    gone = made(payment(appType="3", amountPaid="1"))
    one = made(order())
    assert broken(one, [one, gone]) == set()
    assert broken(gone, [one, gone]) == set()


def test_a_waybill_number_is_used_once_in_six_months(made: Made) -> None:
    first = made(inventory())
    wanted = {("parcel-waybill-reused", "logisticsNo", "", 0)}
    again = made(inventory(copNo="COP-2", orderNo="ORDER-2"))
    assert broken(again, [first, again]) == wanted
    assert broken(first, [first, again]) == wanted
    corrected = made(inventory(copNo="COP-3"))
    assert broken(corrected, [first, corrected]) == set()
    other_firm = made(inventory(copNo="COP-4", orderNo="ORDER-2", logisticsCode="4400000098"))
    assert broken(other_firm, [first, other_firm]) == set()
    later = ParcelDocument(
        **{name: getattr(again, name) for name in ParcelDocument.__slots__ if name != "accepted_at"},
        accepted_at=START + timedelta(days=184),
    )
    assert broken(later, [first, later]) == set()


def test_an_order_is_not_compared_with_what_shares_only_a_number(made: Made) -> None:
    one = made(order())
    for other in (
        payment(ebpCode="4400000097", amountPaid="1"),
        payment(orderNo="ORDER-2", amountPaid="1"),
        waybill(consignee="李四"),
    ):
        assert broken(one, [one, made(other)]) == set()


def test_advice_names_who_acts_and_shows_no_value_of_either_side(made: Made, rules: Rules) -> None:
    texts = ParcelTexts(rules.catalogue, rules.schemas)
    paid = [made(order()), made(payment(amountPaid="777.77", payerName="李四"))]
    given = [
        (one, texts.mismatch(one, found))
        for one, other in (paid, paid[::-1])
        for found in matches(one, [other])
        if not found.match
    ]
    assert {(advice.who, advice.path) for _, advice in given} == {
        (Actor.PLATFORM, "/CEB311Message/Order[1]/OrderHead/acturalPaid"),
        (Actor.PLATFORM, "/CEB311Message/Order[1]/OrderHead/buyerName"),
        (Actor.PAYMENT_FIRM, "/CEB411Message/Payment[1]/PaymentHead/amountPaid"),
        (Actor.PAYMENT_FIRM, "/CEB411Message/Payment[1]/PaymentHead/payerName"),
    }
    for _, advice in given:
        said = repr(advice)
        assert not [
            value
            for value in ("777.77", "109.1", NAME, "李四", IDENTITY, TELEPHONE, ADDRESS)
            if value in said
        ]
        assert advice.message_zh
        assert advice.fix_zh
        assert advice.name_zh


def test_missing_documents_are_a_hint_to_whoever_declares_them(made: Made, rules: Rules) -> None:
    texts = ParcelTexts(rules.catalogue, rules.schemas)
    listed = made(inventory())
    given = [texts.missing(listed, kind) for kind in needed(listed, [])]
    assert [(one.who, one.element) for one in given] == [
        (Actor.PLATFORM, "orderNo"),
        (Actor.PAYMENT_FIRM, "orderNo"),
        (Actor.LOGISTICS_FIRM, "logisticsNo"),
    ]
    assert given[1].message == (
        "the payment for orderNo ORDER-1 has not passed here; this inventory was accepted at 2026-11-11T00:00:00Z"
    )


def test_a_field_match_says_nothing_of_the_other_side() -> None:
    assert set(FieldMatch.__slots__) == {
        "rule", "kind", "field", "match", "code", "severity", "grade", "item",
    }  # fmt: skip
