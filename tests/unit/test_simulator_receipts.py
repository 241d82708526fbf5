import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from lxml import etree

from gateway.rules.schemas import View
from gateway.samples.compose import catalogue, declaration_type
from gateway.simulator.receipts import (
    ReceiptCase,
    ReceiptForm,
    SimulatedReceipt,
    answer,
    cdata,
    format_answer,
    moment,
    open_case,
)
from tests.customs_side import COP, faults, leaves, sample

NOON = datetime(2024, 11, 11, 4, 0, 0, 123_456, tzinfo=UTC)
GUID = "0e24b0c5-8eea-429a-a08b-46a0bad0cabd"
FORMS = [
    ReceiptForm(observed=False),
    ReceiptForm(observed=False, prefix="ceb"),
    ReceiptForm(observed=False, bare=True),
]
RECEIPTS = [kind.name for kind in catalogue().receipts() if kind.name != "CEB900Message"]


def a_case(message_type: str, overrides: Mapping[str, str] = {}) -> ReceiptCase:
    kind = declaration_type(message_type)
    body = etree.fromstring(sample(message_type, overrides=overrides).body)[0]
    lines = [leaves(part) for part in body if len(part) and etree.QName(part).localname != kind.head]
    head = body if not kind.head else body.find(f"{{*}}{kind.head}")
    assert head is not None
    return open_case(kind, leaves(head), lines=lines, cop_code=COP, day="20241111", rng=random.Random(1))


def a_receipt(receipt_type: str, *, accepted: bool = True) -> SimulatedReceipt:
    answered = catalogue().for_answer(receipt_type)[0]
    return SimulatedReceipt(
        message_type=receipt_type,
        case=a_case(answered.name),
        status="1" if receipt_type in {"CEB816Message", "CEB818Message", "CEB792Message"} else "120",
        info="[Code:1800;Desc:逻辑校验通过]",
        time=NOON,
        accepted=accepted,
    )


@pytest.mark.parametrize("form", FORMS, ids=["default-namespace", "prefixed", "bare"])
@pytest.mark.parametrize("receipt_type", RECEIPTS)
def test_every_receipt_is_valid_before_and_after_acceptance(receipt_type: str, form: ReceiptForm) -> None:
    receipts = [a_receipt(receipt_type)]
    if receipt_type not in {"CEB816Message", "CEB818Message", "CEB792Message"}:
        receipts.append(a_receipt(receipt_type, accepted=False))

    assert faults(answer(receipts, guid=GUID, form=form), View.SENDABLE) == []


def test_a_receipt_repeats_the_key_and_not_the_declared_guid() -> None:
    receipt = a_receipt("CEB622Message")

    fields = leaves(etree.fromstring(answer([receipt], guid=GUID)))

    assert {name: fields[name] for name in receipt.case.key} == receipt.case.key
    assert fields["guid"] == receipt.case.guid != receipt.case.fields["guid"]
    assert fields["returnTime"] == "20241111120000123"
    assert fields["preNo"].startswith("B20241111")
    assert len(fields["preNo"]) == 18


def test_the_number_of_customs_comes_with_acceptance() -> None:
    before, after = (a_receipt("CEB622Message", accepted=accepted) for accepted in (False, True))

    first, second = (leaves(etree.fromstring(answer([one], guid=GUID))) for one in (before, after))

    assert "invtNo" not in first
    assert second["invtNo"] == after.case.invt_no
    assert first["guid"] == second["guid"]


def test_tax_bill_as_observed_has_order_and_waybill_after_customs_code() -> None:
    receipt = a_receipt("CEB816Message")

    message = answer([receipt], guid=GUID)

    head = etree.fromstring(message)[0][0]
    assert [etree.QName(node).localname for node in head][-3:] == ["customsCode", "orderNo", "logisticsNo"]
    assert {rule for _, rule in faults(message)} == {"unexpected"}


def test_the_same_tax_bill_sent_twice_is_the_same_body() -> None:
    receipt = a_receipt("CEB816Message")

    first, second = (etree.fromstring(answer([receipt], guid=guid)) for guid in (GUID, GUID[::-1]))

    assert etree.tostring(first[0]) == etree.tostring(second[0])
    assert first.get("guid") != second.get("guid")


def test_bare_receipt_leaves_only_cop_no_of_the_key() -> None:
    fields = leaves(
        etree.fromstring(answer([a_receipt("CEB622Message")], guid=GUID, form=ReceiptForm(bare=True)))
    )

    assert "copNo" in fields
    assert not {"agentCode", "ebcCode", "ebpCode", "customsCode"} & set(fields)


def test_a_hundred_bodies_share_a_message_in_order() -> None:
    receipt = a_receipt("CEB312Message")
    receipts = [replace(receipt, status=str(number)) for number in range(100)]

    root = etree.fromstring(answer(receipts, guid=GUID))

    assert root.get("guid") == GUID
    assert [leaves(body)["returnStatus"] for body in root] == [str(number) for number in range(100)]
    assert faults(etree.tostring(root)) == []


def test_receipts_of_two_types_do_not_share_a_message() -> None:
    with pytest.raises(ValueError, match="one type"):
        answer([a_receipt("CEB312Message"), a_receipt("CEB412Message")], guid=GUID)


@pytest.mark.parametrize("original", ["<a/>", "x]]>y", "]]>]]>", "]]", "", "<![CDATA[z]]>"])
def test_format_answer_carries_any_original_whole(original: str) -> None:
    message = format_answer(
        guid=GUID, cop_msg_id="COP & 1", message_type="CEB311Message", original=original,
        status="-999999", info="<不能通过>", time=NOON,
    )  # fmt: skip

    fields = leaves(etree.fromstring(message))
    assert (fields["oriBizMessage"], fields["oriCopMsgId"]) == (original, "COP & 1")
    assert b"<oriBizMessage><![CDATA[" in message
    assert faults(message) == []


def test_cdata_is_cut_where_it_would_end() -> None:
    assert etree.fromstring(f"<x>{cdata('a]]>b')}</x>").text == "a]]>b"


def test_moment_has_17_digits_of_beijing_time() -> None:
    assert moment(datetime(2024, 12, 31, 16, 0, 0, 7_000, tzinfo=UTC)) == "20250101000000007"
