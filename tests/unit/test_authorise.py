from dataclasses import replace

import pytest

from gateway.config import Limits
from gateway.errors import Refused
from gateway.model import Enterprise, EnterpriseId, Envelope, Header
from gateway.rules import load_rules
from gateway.stages.authorise import authorise, authorise_envelope
from gateway.stages.decode import decode
from gateway.stages.identify import identify
from tests.documents import COP_CODE, DXP_ID, document, order

ME = Enterprise(
    id=EnterpriseId("one"),
    name="示例企业",
    cop_codes=frozenset({COP_CODE, "4400000099"}),
    dxp_ids=frozenset({DXP_ID}),
    token_sha256=("0" * 64,),
)
ENVELOPE = Envelope(cop_msg_id="M1", sender_id=DXP_ID, receiver_ids=("DXPEDCCEB0000002",), creat_time="")


def header_of(body: bytes) -> Header:
    return identify(decode(body, Limits()), load_rules().catalogue, "202205")


def refused(header: Header, caller: Enterprise = ME) -> Refused:
    with pytest.raises(Refused) as caught:
        authorise(header, caller)
    assert caught.value.problem == "not-your-identity"
    return caught.value


def test_a_caller_may_speak_as_itself() -> None:
    authorise(header_of(order()), ME)
    authorise(header_of(order(cop_code="4400000099")), ME)


def test_another_enterprise_code_is_refused_by_field_and_chinese_name() -> None:
    (fault,) = refused(header_of(order(cop_code="3300000001"))).faults
    assert (fault.path, fault.element) == ("/CEB311Message/BaseTransfer/copCode", "copCode")
    assert (fault.value, fault.name_zh) == ("3300000001", "报文传输的企业代码")


def test_another_dxp_id_is_refused() -> None:
    (fault,) = refused(header_of(order(dxp_id="DXPENT0000000002"))).faults
    assert fault.element == "dxpId"


def test_both_are_told_at_once() -> None:
    faults = refused(header_of(order(cop_code="3300000001", dxp_id="DXPENT0000000002"))).faults
    assert [fault.element for fault in faults] == ["copCode", "dxpId"]


def test_message_type_that_is_not_registered_is_refused_by_its_chinese_name() -> None:
    bound = replace(ME, message_types=frozenset({"CEB621Message", "CEB411Message"}))
    (fault,) = refused(header_of(order()), bound).faults
    assert (fault.rule, fault.path, fault.name_zh) == ("type_not_yours", "/CEB311Message", "电子订单")
    assert "CEB411" not in fault.message
    authorise(header_of(order()), replace(ME, message_types=frozenset({"CEB311Message"})))


def test_nothing_about_the_codes_registered_is_told() -> None:
    (fault,) = refused(header_of(order(cop_code="3300000001"))).faults
    assert not any(COP_CODE in str(part) or "4400000099" in str(part) for part in (fault.message, fault.fix))


def test_a_disabled_caller_is_refused_whatever_it_sends() -> None:
    (fault,) = refused(header_of(order()), replace(ME, disabled=True)).faults
    assert fault.rule == "disabled"


def test_missing_identity_is_left_to_validation() -> None:
    authorise(header_of(document("CEB311Message", "")), ME)


def test_a_foreign_sender_id_on_the_envelope_is_refused() -> None:
    authorise_envelope(ENVELOPE, ME)
    with pytest.raises(Refused) as caught:
        authorise_envelope(replace(ENVELOPE, sender_id="DXPENT0000000002"), ME)
    assert caught.value.faults[0].path == "/DxpMsg/TransInfo/SenderId"
