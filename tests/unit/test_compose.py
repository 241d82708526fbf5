import random
import re
from datetime import UTC, datetime

import pytest
from lxml import etree

from gateway.rules.schemas import View
from gateway.samples import values
from gateway.samples.compose import TRADE, Style, compose_trade
from gateway.submission.identify import identify
from tests.customs_side import COP, DECLARATIONS, DXP, faults, leaves, rules, sample, signed

STYLES = [
    Style(),
    Style(prefix="", indent="\t", newline="\r\n", bom=True, extend=True, subscribe=2),
    Style(encoding="GB18030", xsi=False, indent="  "),
    Style(prefix="c", declaration=False, extend=True, subscribe=5),
]


@pytest.mark.parametrize("message_type", DECLARATIONS)
@pytest.mark.parametrize("style", STYLES, ids=["plain", "default-namespace", "gb18030", "bare"])
def test_every_type_in_every_style_is_valid_as_handed_in(message_type: str, style: Style) -> None:
    composed = sample(message_type, style=style, items=3)

    assert faults(composed.body, View.DECLARED) == []


@pytest.mark.parametrize("message_type", DECLARATIONS)
def test_every_type_is_sendable_once_signed(message_type: str) -> None:
    composed = sample(message_type, style=Style(extend=True))

    assert faults(signed(composed), View.SENDABLE) == []


@pytest.mark.parametrize("message_type", DECLARATIONS)
def test_keys_are_those_that_identify_finds(message_type: str) -> None:
    composed = sample(message_type, bodies=3)

    header = identify(etree.fromstring(composed.body), rules().catalogue, "202205")

    assert [dict(found.key) for found in header.declarations] == [dict(key) for key in composed.keys]
    assert (header.cop_code, header.dxp_id) == (COP, DXP)
    assert len({tuple(key.values()) for key in composed.keys}) == 3
    assert len({found.guid for found in header.declarations} | {header.guid}) == 4


def test_same_seed_gives_same_bytes_and_another_seed_gives_others() -> None:
    assert sample(seed=7).body == sample(seed=7).body
    assert sample(seed=7).body != sample(seed=8).body


def test_overrides_win_everywhere_and_are_escaped() -> None:
    composed = sample("CEB621Message", overrides={"orderNo": "A<&>%s", "preNo": "B20241111000000001"})

    fields = leaves(etree.fromstring(composed.body))
    assert (fields["orderNo"], fields["preNo"]) == ("A<&>%s", "B20241111000000001")


def test_a_field_left_out_is_not_in_the_key_either() -> None:
    composed = sample("CEB621Message", style=Style(leave_out=frozenset({"copNo"})))

    assert b"copNo" not in composed.body
    assert composed.keys == ({"agentCode": COP},)


def test_app_time_is_written_in_beijing_time() -> None:
    composed = sample(app_time=datetime(2024, 11, 10, 16, 30, tzinfo=UTC))

    assert leaves(etree.fromstring(composed.body))["appTime"] == "20241111003000"


def test_one_more_than_the_schema_allows_can_be_composed() -> None:
    assert faults(sample(bodies=101).body, View.DECLARED) != []


def test_the_four_documents_of_a_purchase_belong_together() -> None:
    trade = compose_trade(cop_code=COP, dxp_id=DXP, rng=random.Random(5))

    order, payment, waybill, inventory = (leaves(etree.fromstring(part.body)) for part in trade)
    assert [part.message_type for part in trade] == list(TRADE)
    assert {part["orderNo"] for part in (order, payment, waybill, inventory)} == {order["orderNo"]}
    assert waybill["logisticsNo"] == inventory["logisticsNo"]
    assert order["acturalPaid"] == payment["amountPaid"]
    assert order["buyerIdNumber"] == payment["payerIdNumber"] == inventory["buyerIdNumber"]
    for part in trade:
        assert faults(part.body, View.DECLARED) == []


def test_gb18030_without_a_declaration_is_refused() -> None:
    with pytest.raises(ValueError, match="GB18030"):
        Style(encoding="GB18030", declaration=False)


@pytest.mark.parametrize("message_type", ["CEB312Message", "CEB000Message"])
def test_what_is_no_declaration_cannot_be_composed(message_type: str) -> None:
    with pytest.raises(KeyError):
        sample(message_type)


def test_no_identity_number_has_a_right_check_digit_and_no_telephone_is_in_use() -> None:
    weights = [2 ** (17 - place) % 11 for place in range(17)]
    for seed in range(300):
        person = values.person(random.Random(seed))
        identity = person["buyerIdNumber"]
        total = sum(int(digit) * weight for digit, weight in zip(identity, weights, strict=False))
        assert identity[17] != "10X98765432"[total % 11]
        assert re.fullmatch(r"99\d{15}[\dX]", identity)
        assert re.fullmatch(r"130000000\d\d", person["buyerTelephone"])
