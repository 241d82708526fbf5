import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from gateway.config.gateway_toml import LimitsConfig
from gateway.model import Enterprise, EnterpriseId, Envelope, Message
from gateway.problems import PROBLEMS, problem_document
from gateway.rules.loading import Rules
from gateway.submission.pipeline import Refusal, examine
from gateway.submission.signature import Trust
from gateway.xml.envelope import TransferHead, wrap, wrap_transfer
from signing.keys.certificate import make_self_signed
from signing.keys.files import FileSigner, load_pem
from signing.keys.issuers import Issuers
from signing.keys.suite import SUITES
from signing.xml.splice import cut, finish, sign
from signing.xml.verify import verify
from tests.documents import (
    COP_CODE,
    DXP_ID,
    document,
    element,
    export_order,
    inventory,
    order,
    receipt,
    waybill_status,
)
from tests.shipped_rules import shipped
from tests.signing_documents import write_key, write_keys

LIMITS = LimitsConfig(size_bytes=300_000)
ME = Enterprise(
    id=EnterpriseId("one"),
    name="示例企业",
    cop_codes=frozenset({COP_CODE}),
    dxp_ids=frozenset({DXP_ID}),
    token_sha256=("0" * 64,),
)
ENVELOPE = Envelope(
    cop_msg_id="MY-OWN-ID-1",
    sender_id=DXP_ID,
    receiver_ids=("DXPEDCCEB0000002",),
    creat_time="2025-01-02T12:05:06",
    msg_type="CEB311Message",
)
TRANSFER = TransferHead(
    msg_id="1" * 32, sub_msg_id="", send_time="2025-01-02T12:05:06", end_node="2", sta_node="3"
)


@pytest.fixture(scope="module")
def rules() -> Rules:
    return shipped()


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FileSigner]:
    return write_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> FileSigner:
    return write_key(tmp_path_factory.mktemp("key"))


def refused(body: bytes, rules: Rules, caller: Enterprise = ME) -> Refusal:
    result = examine(body, caller, rules, LIMITS)
    assert isinstance(result, Refusal)
    assert result.problem in PROBLEMS
    assert result.faults
    json.dumps(problem_document(result.problem, result.faults))
    return result


def accepted(body: bytes, rules: Rules) -> Message:
    result = examine(body, ME, rules, LIMITS)
    assert isinstance(result, Message), result
    return result


@pytest.mark.parametrize("body", [order(), order("A", "B"), inventory(), waybill_status(), export_order()])
def test_a_sound_document_becomes_a_message_with_its_bytes_untouched(body: bytes, rules: Rules) -> None:
    message = accepted(body, rules)
    assert message.body is body
    assert (message.envelope, message.wrapped) == (None, b"")
    assert (message.header.cop_code, message.header.edition) == (COP_CODE, "202205")


def test_byte_order_mark_crlf_and_gb18030_are_taken_as_they_are(rules: Rules) -> None:
    for body in (
        b"\xef\xbb\xbf" + order().replace(b"><", b">\r\n<"),
        order().decode().replace("UTF-8", "GB18030").encode("gb18030"),
    ):
        assert accepted(body, rules).body is body


def test_a_signature_may_be_missing_because_the_gateway_signs(rules: Rules) -> None:
    assert not accepted(inventory(), rules).header.signed


def test_a_sound_signature_passes(rules: Rules, signer: FileSigner) -> None:
    signed = sign(inventory(), signer).body
    message = accepted(signed, rules)
    assert message.header.signed
    assert message.body is signed


def test_a_signature_that_does_not_hold_is_refused_with_the_reason(rules: Rules, signer: FileSigner) -> None:
    signed = sign(order("ORDER-1"), signer).body
    refusal = refused(signed.replace(b"ORDER-1", b"ORDER-2"), rules)
    assert refusal.problem == "invalid-signature"
    assert refusal.faults[0].element == "ds:Signature"
    assert "changed" in refusal.faults[0].message


@pytest.mark.parametrize("suite", [suite.name for suite in SUITES])
def test_draft_of_each_suite_is_finished_to_what_signing_anew_would_give(
    suite: str, rules: Rules, signers: dict[str, FileSigner]
) -> None:
    signer = signers[suite]
    for body in (inventory(), export_order(), b"\xef\xbb\xbf" + order().replace(b"\n", b"\r\n")):
        message = examine(body, ME, rules, LIMITS, suite=signer.suite)
        assert isinstance(message, Message)
        assert message.draft is not None
        finished = finish(body, message.draft, signer)
        anew = sign(body, signer, before=message.header.message_type.signature_before)
        assert (finished.span, finished.digest) == (anew.span, anew.digest)
        assert cut(finished.body, finished.span) == body
        assert verify(finished.body).valid


@pytest.mark.parametrize("suite", [suite.name for suite in SUITES])
def test_signature_of_each_suite_passes_if_its_issuer_is_trusted(
    suite: str, rules: Rules, signers: dict[str, FileSigner]
) -> None:
    body = sign(inventory(), signers[suite]).body
    for trusted, passes in ((suite, True), ("rsa-sha1" if suite != "rsa-sha1" else "sm2-sm3", False)):
        issuers = Issuers([x509.load_der_x509_certificate(signers[trusted].certificate_der)])
        found = examine(body, ME, rules, LIMITS, trust=Trust(issuers=issuers))
        assert isinstance(found, Message) is passes
        if isinstance(found, Refusal):
            assert found.problem == "invalid-signature"
            assert "none of the trusted issuers" in found.faults[0].message
            assert "copCode" in found.faults[0].fix


@pytest.mark.parametrize(
    ("value", "passes"), [(COP_CODE, True), ("示例传输企业", True), ("4400000009", False)]
)
def test_certificate_must_name_the_company_that_transmits_if_that_is_asked_for(
    value: str, passes: bool, rules: Rules, tmp_path: Path
) -> None:
    key, certificate = make_self_signed(value)
    (tmp_path / "k").write_bytes(key)
    (tmp_path / "c").write_bytes(certificate)
    body = sign(inventory(), load_pem(tmp_path / "k", tmp_path / "c")).body
    common_name = "2.5.4.3"
    assert (
        isinstance(examine(body, ME, rules, LIMITS, trust=Trust(company_oid=common_name)), Message) is passes
    )
    assert isinstance(examine(body, ME, rules, LIMITS, trust=Trust(company_oid="2.5.4.10")), Refusal)
    assert isinstance(examine(body, ME, rules, LIMITS), Message)


def test_a_short_rsa_key_is_refused_unless_the_configuration_allows_it(rules: Rules, tmp_path: Path) -> None:
    key, certificate = make_self_signed("old", 1024)
    (tmp_path / "k").write_bytes(key)
    (tmp_path / "c").write_bytes(certificate)
    body = sign(inventory(), load_pem(tmp_path / "k", tmp_path / "c")).body
    found = examine(body, ME, rules, LIMITS)
    assert isinstance(found, Refusal)
    assert found.problem == "invalid-signature"
    assert "1024 bits, at least 2048" in found.faults[0].message
    assert isinstance(examine(body, ME, rules, LIMITS, trust=Trust(rsa_bits=1024)), Message)


def test_all_faults_are_told_at_once(rules: Rules) -> None:
    body = inventory(None, "COP-2").replace(b">5100</ceb:customsCode>", b">51</ceb:customsCode>")
    refusal = refused(body, rules)
    assert refusal.problem == "invalid-message"
    assert [fault.element for fault in refusal.faults] == ["customsCode", "customsCode", "copNo"]
    assert all(fault.name_zh and fault.message_zh for fault in refusal.faults)


def test_a_hundred_and_one_bodies_are_one_clear_fault(rules: Rules) -> None:
    refusal = refused(waybill_status(*map(str, range(101))), rules)
    assert refusal.problem == "invalid-message"
    (fault,) = refusal.faults
    assert fault.rule == "too_many"
    assert "100" in fault.message


def test_an_element_of_another_edition_is_told_by_name(rules: Rules) -> None:
    refusal = refused(
        export_order().replace(b"<ceb:goodsValue>", b"<ceb:oldValue>1</ceb:oldValue><ceb:goodsValue>"), rules
    )
    assert "oldValue" in refusal.faults[0].message


def test_missing_base_transfer_is_a_fault_of_the_document(rules: Rules) -> None:
    body = order()
    cut = body[: body.index(b"<ceb:BaseTransfer>")] + b"</ceb:CEB311Message>"
    refusal = refused(cut, rules)
    assert refusal.problem == "invalid-message"
    assert any("BaseTransfer" in fault.message for fault in refusal.faults)


@pytest.mark.parametrize(("cop_code", "dxp_id"), [("  ", DXP_ID), (COP_CODE, " ")])
def test_a_blank_identity_never_passes(cop_code: str, dxp_id: str, rules: Rules) -> None:
    refusal = refused(order(cop_code=cop_code, dxp_id=dxp_id), rules)
    assert refusal.problem == "invalid-message"


def test_two_base_transfers_cannot_smuggle_an_identity(rules: Rules) -> None:
    other = element(
        "BaseTransfer", copCode="3300000001", copName="X", dxpMode="DXP", dxpId="DXPENT0000000002"
    )
    assert refused(export_order(tail=other), rules).problem == "invalid-message"


def test_somebody_elses_identity_comes_before_all_other_faults(rules: Rules) -> None:
    body = order(cop_code="3300000001").replace(b"<ceb:orderType>I</ceb:orderType>", b"")
    refusal = refused(body, rules)
    assert refusal.problem == "not-your-identity"
    assert [fault.element for fault in refusal.faults] == ["copCode"]


def test_a_disabled_enterprise_is_refused(rules: Rules) -> None:
    assert refused(order(), rules, replace(ME, disabled=True)).problem == "not-your-identity"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not-xml"),
        (b"hello", "not-xml"),
        (order()[:-30], "not-xml"),
        (b"\xff" * 50, "not-xml"),
        (b"<!DOCTYPE a><a/>", "unsafe-xml"),
        (b"<a>" * 100 + b"</a>" * 100, "unsafe-xml"),
        (b" " * 300_001, "too-large"),
        (order().decode().encode("utf-16"), "wrong-encoding"),
        (order().decode().encode("gbk"), "wrong-encoding"),
        (b"<html/>", "unknown-message"),
        (
            order().replace(b"http://www.chinaport.gov.cn/ceb", b"http://www.chinaport.gov.cn/dec"),
            "unknown-message",
        ),
        (
            order().replace(b"http://www.chinaport.gov.cn/ceb", b"http://www.chinaport.gov.cn/dxp"),
            "invalid-envelope",
        ),
        (receipt("CEB622Message", {"copNo": "1"}), "unknown-message"),
        (b'<DxpMsg ver="1.0"/>', "unknown-message"),
        (document("CEB311Message", ""), "invalid-message"),
    ],
)
def test_bad_input_is_a_documented_problem(body: bytes, problem: str, rules: Rules) -> None:
    assert refused(body, rules).problem == problem


def test_a_dxp_msg_is_opened_and_kept_byte_for_byte(rules: Rules) -> None:
    business = order("ORDER-1")
    wrapped = wrap(business, ENVELOPE)
    message = accepted(wrapped, rules)
    assert message.body == business
    assert message.wrapped is wrapped
    assert message.envelope == ENVELOPE


@pytest.mark.parametrize("msg_type", ["", "CEB311Message"])
def test_msg_type_may_be_empty_or_right(msg_type: str, rules: Rules) -> None:
    accepted(wrap(order(), replace(ENVELOPE, msg_type=msg_type)), rules)


def test_msg_type_that_says_otherwise_is_refused(rules: Rules) -> None:
    refusal = refused(wrap(order(), replace(ENVELOPE, msg_type="CEB621Message")), rules)
    assert refusal.problem == "invalid-envelope"
    assert refusal.faults[0].path == "/DxpMsg/TransInfo/MsgType"


def test_a_foreign_sender_id_is_refused(rules: Rules) -> None:
    refusal = refused(wrap(order(), replace(ENVELOPE, sender_id="DXPENT0000000002")), rules)
    assert refusal.problem == "not-your-identity"


def test_a_foreign_identity_inside_is_refused(rules: Rules) -> None:
    assert refused(wrap(order(cop_code="3300000001"), ENVELOPE), rules).problem == "not-your-identity"


def test_what_is_inside_a_dxp_msg_must_be_signed_where_customs_demands_it(
    rules: Rules, signer: FileSigner
) -> None:
    envelope = replace(ENVELOPE, msg_type="CEB621Message")
    refusal = refused(wrap(inventory(), envelope), rules)
    assert refusal.problem == "invalid-message"
    assert "Signature" in refusal.faults[0].message
    assert accepted(wrap(sign(inventory(), signer).body, envelope), rules).header.signed


@pytest.mark.parametrize("data", [b"!", b"", b"PGEv"])
def test_broken_data_names_the_place(data: bytes, rules: Rules) -> None:
    sealed = wrap(order(), ENVELOPE)
    start, end = sealed.index(b"<Data>") + 6, sealed.index(b"</Data>")
    refusal = refused(sealed[:start] + data + sealed[end:], rules)
    assert refusal.problem == ("not-xml" if data == b"PGEv" else "invalid-envelope")
    if data != b"PGEv":
        assert refusal.faults[0].path == "/DxpMsg/Data"


def test_an_envelope_that_breaks_its_schema_is_refused_with_the_faults_inside_it(rules: Rules) -> None:
    sealed = wrap(order().replace(b"<ceb:orderType>I</ceb:orderType>", b""), ENVELOPE)
    refusal = refused(sealed.replace(b"<CopMsgId>MY-OWN-ID-1</CopMsgId>", b""), rules)
    assert refusal.problem == "invalid-message"
    assert any("CopMsgId" in fault.message for fault in refusal.faults)
    assert any("orderType" in fault.message for fault in refusal.faults)


def test_a_transfer_envelope_is_not_for_enterprises(rules: Rules) -> None:
    assert refused(wrap_transfer(wrap(order(), ENVELOPE), TRANSFER), rules).problem == "invalid-envelope"


def test_a_doctype_inside_the_envelope_is_refused(rules: Rules) -> None:
    inner = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
    assert refused(wrap(inner, ENVELOPE), rules).problem == "unsafe-xml"


def test_problem_documents_say_type_status_and_every_fault(rules: Rules) -> None:
    refusal = refused(inventory(None, None), rules)
    document_ = problem_document(refusal.problem, refusal.faults, "/v1/messages")
    assert document_["status"] == 422
    assert document_["type"].endswith(":invalid-message")
    assert document_["instance"] == "/v1/messages"
    assert [fault["element"] for fault in document_["faults"]] == ["copNo", "copNo"]
    assert "1 more" in document_["detail"]
    assert document_["detail_zh"]


def test_every_problem_has_a_status_and_both_titles() -> None:
    for problem in PROBLEMS.values():
        assert 400 <= problem.status <= 599
        assert problem.title
        assert not problem.title_zh.isascii()
    assert problem_document("unavailable", ()).keys() == {
        "type",
        "code",
        "title",
        "title_zh",
        "status",
        "faults",
    }


def test_broken_signature_names_the_code_of_customs_and_its_place(rules: Rules, signer: FileSigner) -> None:
    changed = sign(inventory(), signer).body.replace(b"<ceb:gname>", b"<ceb:gname>X")
    (fault,) = refused(changed, rules).faults
    assert (fault.rule, fault.code) == ("invalid_signature", "-621028")
    assert fault.message_zh == "签名验证失败：摘要不一致，报文在加签后被改动"
    line = changed.decode().split("\n")[fault.line - 1]
    assert line[fault.column - 1 :].startswith("<ds:Signature")
