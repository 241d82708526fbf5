from dataclasses import replace

import pytest

from gateway.config.gateway_toml import LimitsConfig
from gateway.config.local_receivers import NOBODY, LocalReceivers, local_receivers_of
from gateway.errors import Refused
from gateway.model import Enterprise, EnterpriseId, Envelope, Header
from gateway.submission.authorise import authorise, authorise_envelope
from gateway.submission.identify import identify
from gateway.xml.decode import decode
from tests.documents import COP_CODE, DXP_ID, document, order
from tests.shipped_rules import shipped

ME = Enterprise(
    id=EnterpriseId("one"),
    name="示例企业",
    cop_codes=frozenset({COP_CODE, "4400000099"}),
    dxp_ids=frozenset({DXP_ID}),
    token_sha256=("0" * 64,),
)
ENVELOPE = Envelope(cop_msg_id="M1", sender_id=DXP_ID, receiver_ids=("DXPEDCCEB0000002",), creat_time="")


def header_of(body: bytes) -> Header:
    return identify(decode(body, LimitsConfig()), shipped().catalogue, "202205")


def refused(
    header: Header, caller: Enterprise = ME, local_receivers: LocalReceivers = NOBODY, *, sender_id: str = ""
) -> Refused:
    with pytest.raises(Refused) as caught:
        authorise(header, caller, local_receivers, sender_id=sender_id)
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


PLATFORM, MERCHANT, ANOTHER = "4400000022", "4400000023", "4400000024"
SHARED = "DXPENT0000000009"
YOU = replace(ME, id=EnterpriseId("two"), cop_codes=frozenset({"4400000088"}), dxp_ids=frozenset({SHARED}))
I_SHARE = replace(ME, dxp_ids=frozenset({DXP_ID, SHARED}), acts_for=frozenset({MERCHANT}))


def at(dxp_id: str, *codes: str) -> Header:
    ebp_code, ebc_code = codes
    return header_of(order("O-1", "O-2", ebp_code=ebp_code, ebc_code=ebc_code, dxp_id=dxp_id))


@pytest.mark.parametrize("dxp_id", [DXP_ID, SHARED])
def test_a_code_that_is_bound_to_another_is_refused_wherever_it_stands(dxp_id: str) -> None:
    local_receivers = local_receivers_of([I_SHARE, replace(YOU, acts_for=frozenset({ANOTHER}))])
    faults = refused(at(dxp_id, ANOTHER, MERCHANT), I_SHARE, local_receivers).faults
    assert [(fault.rule, fault.path) for fault in faults] == [
        ("code_of_another", "/CEB311Message/Order[1]/OrderHead/ebpCode"),
        ("code_of_another", "/CEB311Message/Order[2]/OrderHead/ebpCode"),
    ]
    assert (faults[0].name_zh, faults[0].value) == ("电商平台代码", ANOTHER)
    assert not any("two" in str(part).split() for part in (faults[0].message, faults[0].fix))


def test_the_copcode_of_another_is_bound_by_itself_and_a_code_of_both_is_either_s() -> None:
    local_receivers = local_receivers_of([I_SHARE, YOU])
    assert (
        refused(at(DXP_ID, PLATFORM, "4400000088"), I_SHARE, local_receivers).faults[0].rule
        == "code_of_another"
    )
    both = replace(I_SHARE, acts_for=frozenset({"4400000088"}))
    authorise(at(DXP_ID, PLATFORM, "4400000088"), both, local_receivers_of([both, YOU]))


def test_at_a_shared_dxp_id_one_code_of_the_key_must_be_bound_to_the_caller() -> None:
    local_receivers = local_receivers_of([I_SHARE, YOU])
    authorise(at(SHARED, PLATFORM, MERCHANT), I_SHARE, local_receivers)
    authorise(at(DXP_ID, PLATFORM, ANOTHER), I_SHARE, local_receivers)
    (fault, _) = refused(at(SHARED, PLATFORM, ANOTHER), I_SHARE, local_receivers).faults
    assert (fault.rule, fault.element, fault.value) == ("code_not_bound", "ebpCode", PLATFORM)
    assert "acts_for" in fault.fix
    wrapped = refused(at(DXP_ID, PLATFORM, ANOTHER), I_SHARE, local_receivers, sender_id=SHARED)
    assert wrapped.faults[0].rule == "code_not_bound"


def test_a_dxp_id_is_shared_by_those_who_are_not_disabled_and_all_too_long_ones_are_one() -> None:
    authorise(
        at(SHARED, PLATFORM, ANOTHER), I_SHARE, local_receivers_of([I_SHARE, replace(YOU, disabled=True)])
    )
    mine, yours = "D" * 17, "E" * 17
    long = [replace(ME, dxp_ids=frozenset({mine})), replace(YOU, dxp_ids=frozenset({yours}))]
    assert local_receivers_of(long).crowded == {mine, yours}
    assert local_receivers_of(long[:1]).crowded == frozenset()


def test_the_faults_of_one_message_are_bounded() -> None:
    local_receivers = local_receivers_of([I_SHARE, YOU])
    many = header_of(order(*map(str, range(300)), dxp_id=SHARED))
    assert len(refused(many, I_SHARE, local_receivers).faults) == 200
