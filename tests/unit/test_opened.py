import re
from datetime import date
from hashlib import sha256

import pytest
from lxml import etree

from gateway.errors import EnvelopeError
from gateway.model import Envelope, Layer, Opened
from gateway.receipts.opened import cut_to, open_collected
from gateway.rules.catalogue import Catalogue
from gateway.xml.envelope import TransferHead, wrap, wrap_response, wrap_transfer
from tests.documents import CEB, document, element, inventory, order, receipt, tax
from tests.shipped_rules import shipped
from tests.spec import SPEC, needs_spec

ENVELOPE = Envelope(
    cop_msg_id="0A1B2C3D-0000-4000-8000-000000000001",
    sender_id="DXPEDCCEB0000002",
    receiver_ids=("DXPENT0000000001",),
    creat_time="2025-01-02T12:05:06",
)
HEAD = TransferHead(
    msg_id="1" * 32, sub_msg_id="", send_time="2025-01-02T12:05:06", end_node="2", sta_node="3"
)
FULL = {
    "customsCode": "5100",
    "ebpCode": "4400000002",
    "ebcCode": "4400000003",
    "agentCode": "4400000004",
    "copNo": "COP-1",
    "preNo": "B20250102000000001",
    "invtNo": "51002025I000000001",
}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return shipped().catalogue


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("wrapping", ["bare", "header", "DxpMsg", "DxpMsgSv"])
def test_a_receipt_is_opened_however_it_is_wrapped(catalogue: Catalogue, wrapping: str, prefix: bool) -> None:
    business = receipt("CEB622Message", FULL, prefix=prefix)
    sealed = wrap(business, ENVELOPE)
    raw = {
        "bare": business,
        "header": b"\x00" + sealed,
        "DxpMsg": sealed,
        "DxpMsgSv": wrap_transfer(sealed, HEAD),
    }[wrapping]
    opened = open_collected(raw, catalogue)
    assert opened.business == business
    assert opened.message_type == "CEB622Message"
    assert opened.envelope == (None if wrapping == "bare" else ENVELOPE)
    (answer,) = opened.answers
    assert (answer.layer, answer.index, answer.status) == (Layer.BUSINESS, 0, "2")
    assert (answer.time, answer.info) == ("20250102030405678", "示例申报成功")
    assert answer.key == {"agentCode": "4400000004", "copNo": "COP-1"}
    assert answer.numbers == {"preNo": "B20250102000000001", "invtNo": "51002025I000000001"}
    assert answer.codes == {"customsCode": "5100", "ebpCode": "4400000002", "ebcCode": "4400000003"}
    assert answer.fields["returnInfo"] == "示例申报成功"


def test_up_to_a_hundred_bodies_and_more_are_split(catalogue: Catalogue) -> None:
    opened = open_collected(receipt("CEB622Message", *({"copNo": f"C{n}"} for n in range(120))), catalogue)
    assert [answer.index for answer in opened.answers] == list(range(120))
    assert opened.answers[119].key == {"copNo": "C119"}


def test_identical_bodies_have_one_digest_and_others_another(catalogue: Catalogue) -> None:
    body = {**FULL, "guid": "x"}
    first, second, third = open_collected(
        receipt("CEB622Message", body, body, {**body, "returnStatus": "120"}), catalogue
    ).answers
    (alone,) = open_collected(receipt("CEB622Message", body), catalogue).answers
    assert first.digest == second.digest == alone.digest != third.digest
    assert re.fullmatch("[0-9a-f]{64}", first.digest)


def test_misplaced_and_unknown_elements_are_tolerated(catalogue: Catalogue) -> None:
    (answer,) = open_collected(receipt("CEB622Message", {"newField": "7", **FULL, "returnStatus": "-621028"}),
                               catalogue).answers  # fmt: skip
    assert answer.status == "-621028"
    assert answer.fields["newField"] == "7"


def test_status_and_time_of_any_form_are_kept_as_sent(catalogue: Catalogue) -> None:
    (answer,) = open_collected(
        receipt("CEB312Message", {"returnStatus": "ABC", "returnTime": "20250102030405"}), catalogue
    ).answers
    assert (answer.status, answer.time, answer.key) == ("ABC", "20250102030405", {})


@pytest.mark.parametrize("name", ["orderNo", "logisticsNo", "logisticNo"])
def test_tax_bill_is_read_with_fields_the_schema_does_not_have(catalogue: Catalogue, name: str) -> None:
    opened = open_collected(tax(ebcCode="4400000003", **{name: "N-1"}), catalogue)
    (answer,) = opened.answers
    assert (answer.status, answer.key) == ("1", {})
    assert answer.numbers == {"invtNo": "51002025I000000001", "taxNo": "51002025I000000001_0"}
    assert answer.codes == {"ebcCode": "4400000003", name.replace("logisticNo", "logisticsNo"): "N-1"}
    assert answer.fields["TaxListRd[2]/gnum"] == "2"


def test_tax_status_and_summary_result_are_read(catalogue: Catalogue) -> None:
    (status,) = open_collected(tax("CEB818Message", status="3"), catalogue).answers
    assert (status.status, status.time) == ("3", "20250102030405678")
    head = element("SummaryResultHead", sumNo="S1", opDate="20250102030405678", decState="A", agentCode="A1")
    body = element("SummaryResult", head, element("SummaryResultList", invtNo="I1"))
    (result,) = open_collected(document("CEB792Message", body), catalogue).answers
    assert (result.status, result.time, result.numbers) == ("A", "20250102030405678", {"sumNo": "S1"})
    assert result.fields["SummaryResultList[1]/invtNo"] == "I1"


def format_answer(original: str) -> bytes:
    body = element(
        "MessageReturn",
        f"<ceb:oriBizMessage><![CDATA[{original}]]></ceb:oriBizMessage>",
        returnStatus="-999999",
        returnInfo="格式错误",
        returnTime="20250102030405678",
        oriCopMsgId="MSG-1",
        oriMessageType="Unknown",
    )
    return document("CEB900Message", body)


def test_format_answer_refers_to_the_envelope_and_does_not_carry_the_original_along(
    catalogue: Catalogue,
) -> None:
    original = order("ORDER-1").decode()
    opened = open_collected(wrap(format_answer(original), ENVELOPE), catalogue)
    (answer,) = opened.answers
    assert (answer.layer, answer.cop_msg_id, answer.status) == (Layer.FORMAT, "MSG-1", "-999999")
    assert "ORDER-1" not in str(answer)
    assert answer.fields["oriBizMessage.sha256"] == sha256(original.encode()).hexdigest()
    assert answer.fields["oriBizMessage.size_bytes"] == str(len(original.encode()))


def test_format_answer_with_a_large_original_is_opened(catalogue: Catalogue) -> None:
    raw = wrap(format_answer("文" * 1_300_000), ENVELOPE)
    assert open_collected(raw, catalogue).answers[0].cop_msg_id == "MSG-1"


@pytest.mark.parametrize("wrapped", [False, True])
def test_platform_answer_is_its_own_layer(catalogue: Catalogue, wrapped: bool) -> None:
    body = wrap_response(
        receiver_id="DXPENT0000000001",
        code="2001",
        info="接收方不存在",
        original=ENVELOPE,
        notice_date=date(2025, 1, 2),
    )
    opened = open_collected(wrap(body, ENVELOPE) if wrapped else body, catalogue)
    assert (opened.message_type, opened.business) == ("DxpRep", body)
    (answer,) = opened.answers
    assert (answer.layer, answer.status, answer.info) == (Layer.TRANSPORT, "2001", "接收方不存在")
    assert (answer.cop_msg_id, answer.time) == (ENVELOPE.cop_msg_id, "20250102")


def test_unknown_receipt_type_is_opened_as_far_as_it_goes(catalogue: Catalogue) -> None:
    opened = open_collected(
        document("CEB998Message", element("NewReturn", copNo="C1", returnStatus="7")), catalogue
    )
    (answer,) = opened.answers
    assert (answer.message_type, answer.status, answer.fields["copNo"]) == ("CEB998Message", "7", "C1")


def test_root_without_its_ending_is_understood(catalogue: Catalogue) -> None:
    opened = open_collected(document("CEB214", element("RefundReturn", agentCode="A", coElNo="E")), catalogue)
    assert opened.message_type == "CEB214Message"
    assert opened.answers[0].key == {"agentCode": "A", "coElNo": "E"}


def test_copy_of_a_declaration_has_no_answers(catalogue: Catalogue) -> None:
    opened = open_collected(wrap(inventory("COP-1"), ENVELOPE), catalogue)
    assert (opened.message_type, opened.answers) == ("CEB621Message", ())


def test_a_comment_inside_a_value_hides_nothing(catalogue: Catalogue) -> None:
    body = receipt("CEB622Message", FULL).replace(b"<returnStatus>2<", b"<returnStatus>1<!-- x -->20<")
    assert open_collected(body, catalogue).answers[0].status == "120"


def test_namespace_that_cannot_be_canonicalised_does_no_harm(catalogue: Catalogue) -> None:
    body = receipt("CEB622Message", FULL).replace(b"<guid>", b'<guid xmlns:r="relative/uri" r:a="1">')
    assert len(open_collected(body, catalogue).answers[0].digest) == 64


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00",
        b"\x00\x00<a/>",
        b"\xff" * 100,
        b"<html/>",
        b"{}",
        wrap(b"not xml", ENVELOPE),
        wrap(b"<html/>", ENVELOPE),
        wrap(b"", ENVELOPE),
        wrap(receipt("CEB622Message", FULL), ENVELOPE)[:-20],
        wrap(receipt("CEB622Message", FULL)[:-20], ENVELOPE),
        wrap(b'<!DOCTYPE a [<!ENTITY e "x">]><CEB622Message>&e;</CEB622Message>', ENVELOPE),
        b"<a>" * 200 + b"</a>" * 200,
        receipt("CEB622Message", FULL) + b" " * (17 * 1024 * 1024),
    ],
    ids=range(14),
)
def test_garbage_is_refused(catalogue: Catalogue, raw: bytes) -> None:
    with pytest.raises(EnvelopeError):
        open_collected(raw, catalogue)


def keys_of(opened: Opened) -> list[str]:
    return [answer.key["copNo"] for answer in opened.answers]


def test_an_owner_sees_only_its_own_bodies(catalogue: Catalogue) -> None:
    business = receipt("CEB622Message", *({"copNo": f"C{n}"} for n in range(4)))
    cut = cut_to(business, frozenset({1, 3}))
    assert keys_of(open_collected(cut, catalogue)) == ["C1", "C3"]
    assert b"C0" not in cut
    assert b"C2" not in cut


def test_nothing_to_cut_gives_the_same_bytes() -> None:
    business = receipt("CEB622Message", FULL, FULL)
    assert cut_to(business, frozenset({0, 1})) is business


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "gbk"])
def test_every_byte_of_the_bodies_stays_and_of_what_surrounds_them_what_concerns_everybody(
    encoding: str,
) -> None:
    mark = "\ufeff" if encoding == "utf-8" else ""
    declaration = f'{mark}<?xml version="1.0" encoding="{encoding}"?>\r\n'
    start = f'{declaration}<!-- <B>镕</B> -->\n<CEB622Message xmlns="{CEB}" a=">" 乙=\'"\' guid="1">\r\n\t'
    first = "<B a='/>' b='&lt;/B>'>甲<!-- </B> --><![CDATA[</B>]]><B>镕]]&gt;</B><?pi </B>?></B >"
    second = "<p:B xmlns:p='urn:p' c='>'/>"
    third = "<B>丙</B>"
    end = "\r\n<Signature/><!-- 尾 --></CEB622Message >\n<!-- <B/> -->\n"
    body = f"{start}{first} 一 {second}<!-- x -->{third}{end}".encode(encoding)

    def framed(*bodies: str) -> bytes:
        opening = f'{declaration.rstrip()}\n<CEB622Message xmlns="{CEB}" guid="1">\r\n\t'
        return "".join([opening, *bodies, "\r\n\n</CEB622Message >\n"]).encode(encoding)

    assert cut_to(body, {1}) == framed("\n", second, "\n")
    assert cut_to(body, {0, 2}) == framed(first, "\n\n", third)
    assert cut_to(body, ()) == framed("\n\n")


@pytest.mark.parametrize("body", [b"", b"<a>", b"<!DOCTYPE a><a><b/></a>", b"\xff\xfe", b"<a>\xff</a>"])
def test_what_cannot_be_cut_is_refused(body: bytes) -> None:
    with pytest.raises(EnvelopeError):
        cut_to(body, frozenset({0}))


@needs_spec
@pytest.mark.parametrize(
    "file",
    [str(f.relative_to(SPEC)) for f in sorted(SPEC.rglob("samples/**/*.xml"))] if SPEC.is_dir() else [],
)
def test_every_published_sample_is_opened_and_cut_to_the_bodies_it_has(
    catalogue: Catalogue, file: str
) -> None:
    opened = open_collected((SPEC / file).read_bytes(), catalogue)
    assert bool(opened.answers) == (catalogue.types[opened.message_type] in catalogue.receipts())
    if opened.answers:
        assert cut_to(opened.business, frozenset(range(len(opened.answers)))) == opened.business
    for answer in opened.answers:
        assert answer.status
        assert len(answer.time) == 17
        alone = etree.fromstring(cut_to(opened.business, {answer.index}))
        assert len(list(alone.iterchildren(etree.Element))) == 1


def test_escaped_text_is_read_as_it_was_meant(catalogue: Catalogue) -> None:
    info = "[Code:1313;Desc:a < b & c > d]"
    (answer,) = open_collected(receipt("CEB622Message", {"returnInfo": info}), catalogue).answers
    assert answer.info == info
