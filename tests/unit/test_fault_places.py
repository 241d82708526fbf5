"""What a sender is told on submission: one mistake is one fault, with its place, whichever way the message was read."""

import pytest

from gateway.config.gateway_toml import LimitsConfig
from gateway.model import Enterprise, EnterpriseId, Envelope, Fault
from gateway.rules.loading import Rules
from gateway.submission.pipeline import Refusal, examine, examine_plain
from gateway.xml.envelope import wrap
from tests.documents import COP_CODE, DXP_ID, order, receipt
from tests.shipped_rules import shipped

LIMITS = LimitsConfig(size_bytes=300_000)
ME = Enterprise(
    id=EnterpriseId("one"), name="示例企业", cop_codes=frozenset({COP_CODE}), dxp_ids=frozenset({DXP_ID})
)
OTHER = Enterprise(
    id=EnterpriseId("two"), name="另一企业", cop_codes=frozenset({"9"}), dxp_ids=frozenset({DXP_ID})
)
ENVELOPE = Envelope(
    cop_msg_id="MY-OWN-ID-1",
    sender_id=DXP_ID,
    receiver_ids=("DXPEDCCEB0000002",),
    creat_time="2025-01-02T12:05:06",
    msg_type="CEB311Message",
)


@pytest.fixture(scope="module")
def rules() -> Rules:
    return shipped()


def lines_of(body: bytes) -> bytes:
    return body.replace(b"><", b">\n<")


def refused(rules: Rules, body: bytes, caller: Enterprise = ME) -> tuple[Fault, ...]:
    found = examine(body, caller, rules, LIMITS)
    assert isinstance(found, Refusal)
    return found.faults


def written_at(body: bytes, fault: Fault) -> str:
    line = body.decode().split("\n")[fault.line - 1]
    return line[fault.column - 1 :]


@pytest.mark.parametrize(
    ("old", "new", "rule", "element"),
    [
        (b"ceb:orderNo>", b"ceb:ordreNo>", "misspelt", "orderNo"),
        (b"<ceb:orderNo>ORDER-1</ceb:orderNo>\n", b"", "missing", "orderNo"),
        (b">ORDER-1<", b"><", "too_short", "orderNo"),
        (b"ceb:OrderHead>", b"ceb:OrderHaed>", "misspelt", "OrderHead"),
        (b"ceb:Order>", b"ceb:Oredr>", "misspelt", "Order"),
        (b"<ceb:orderNo>", b"<ceb:orderNo xmlns:ceb='urn:x'>", "wrong_namespace", "orderNo"),
    ],
)
def test_mistake_in_a_key_is_told_once(rules: Rules, old: bytes, new: bytes, rule: str, element: str) -> None:
    body = lines_of(order("ORDER-1"))
    assert old in body
    (fault,) = refused(rules, body.replace(old, new))
    assert (fault.rule, fault.element) == (rule, element)
    assert fault.line > 1


def test_blank_key_that_the_schema_allows_is_still_told(rules: Rules) -> None:
    body = lines_of(order("ORDER-1")).replace(b">ORDER-1<", b"> <")
    (fault,) = refused(rules, body)
    assert fault.rule == "no_business_key"
    assert written_at(body, fault).startswith("<ceb:orderNo>")


def test_second_mistake_elsewhere_is_told_beside_a_blank_key(rules: Rules) -> None:
    body = lines_of(order("ORDER-1", "ORDER-2")).replace(b">ORDER-1<", b"> <").replace(b">ORDER-2<", b"><")
    assert [fault.rule for fault in refused(rules, body)] == ["too_short", "no_business_key"]


@pytest.mark.parametrize("comment", [b"", b"<!-- c -->"], ids=["plain", "parsed"])
def test_code_of_another_has_its_place_on_both_ways(rules: Rules, comment: bytes) -> None:
    body = lines_of(order("ORDER-1")).replace(b"</ceb:BaseTransfer>", comment + b"</ceb:BaseTransfer>")
    assert (examine_plain(body, OTHER, rules, LIMITS) is None) is bool(comment)
    faults = refused(rules, body, OTHER)
    assert [fault.rule for fault in faults] == ["not_yours"]
    assert written_at(body, faults[0]).startswith("<ceb:copCode>")


def test_receipt_that_is_handed_in_is_told_at_its_root(rules: Rules) -> None:
    body = (
        b"<!-- c -->\n " + receipt("CEB312Message", {"ebpCode": "1"}, prefix=True).partition(b"?>")[2].strip()
    )
    (fault,) = refused(rules, body)
    assert (fault.rule, fault.line, fault.column) == ("not_a_declaration", 2, 2)


def test_place_inside_an_envelope_is_that_in_the_document_inside(rules: Rules) -> None:
    body = lines_of(order("ORDER-1")).replace(b"<ceb:freight>", b"<ceb:freight> x")
    (fault,) = refused(rules, wrap(body, ENVELOPE))
    assert written_at(body, fault).startswith("<ceb:freight> x")


def test_place_in_gb18030_counts_characters(rules: Rules) -> None:
    body = order("ORDER-1").partition(b"?>")[2].decode()
    text = '<?xml version="1.0" encoding="GB18030"?>' + body.replace(
        "<ceb:freight>", "<!-- 中文𠮷 --><ceb:freight>x"
    )
    (fault,) = refused(rules, text.encode("gb18030"))
    assert written_at(text.encode(), fault).startswith("<ceb:freight>x")
