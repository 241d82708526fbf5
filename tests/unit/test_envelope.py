import base64
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from lxml import etree

from gateway.errors import EnvelopeError
from gateway.model import Envelope
from gateway.rules.schemas import View
from gateway.submission.validate import validate
from gateway.xml.envelope import (
    DXP,
    TransferHead,
    creat_time,
    file_name,
    root_name,
    transfer_msg_id,
    unwrap,
    wrap,
    wrap_response,
    wrap_transfer,
)
from tests.documents import order
from tests.shipped_rules import shipped
from tests.spec import SPEC, needs_spec

NOON = datetime(2025, 1, 2, 4, 5, 6, tzinfo=UTC)
BUSINESS = b"\xef\xbb\xbf" + order("ORDER-1").replace(b"\n", b"\r\n")
ENVELOPE = Envelope(
    cop_msg_id="0A1B2C3D-0000-4000-8000-000000000001",
    sender_id="DXPENT0000000001",
    receiver_ids=("DXPEDCCEB0000002",),
    creat_time="2025-01-02T12:05:06",
    msg_type="CEB311Message",
)
HEAD = TransferHead(
    msg_id=transfer_msg_id("46000001", NOON, 7),
    sub_msg_id="",
    send_time="2025-01-02T12:05:06",
    end_node="00000002",
    sta_node="46000001",
)
PREFIXED = (
    f'<dxp:DxpMsg xmlns:dxp="{DXP}" ver="1.0"><dxp:TransInfo><dxp:CopMsgId>M1</dxp:CopMsgId>'
    "<dxp:SenderId>S</dxp:SenderId><dxp:ReceiverIds><dxp:ReceiverId>R1</dxp:ReceiverId>"
    "<dxp:ReceiverId>R2</dxp:ReceiverId></dxp:ReceiverIds><dxp:CreatTime>2025-01-02 12:05:06</dxp:CreatTime>"
    "<dxp:MsgType/></dxp:TransInfo><dxp:Data>PGE\r\n v</dxp:Data></dxp:DxpMsg>"
)


def valid(body: bytes) -> bool:
    return validate(etree.fromstring(body), shipped().schemas, View.SENDABLE) == ()


def test_the_exact_bytes_come_back() -> None:
    opened = unwrap(wrap(BUSINESS, ENVELOPE))
    assert opened.business == BUSINESS
    assert opened.envelope == ENVELOPE
    assert opened.transfer is None


def test_a_sealed_message_is_valid_against_the_schema() -> None:
    assert valid(wrap(BUSINESS, ENVELOPE))
    assert valid(wrap(BUSINESS, replace(ENVELOPE, msg_type=""), file_name="CEB311Message_1.xml"))
    assert valid(wrap(BUSINESS, replace(ENVELOPE, receiver_ids=("A", "B", "C", "D", "E"))))


def test_data_is_one_line_of_base64() -> None:
    assert b"<Data>" + base64.b64encode(BUSINESS) + b"</Data>" in wrap(BUSINESS, ENVELOPE)


def test_values_are_escaped() -> None:
    odd = replace(ENVELOPE, cop_msg_id="a<b>&'\"c", sender_id="A&B")
    sealed = wrap(b"x", odd, file_name="<&>.xml")
    assert unwrap(sealed).envelope == odd
    assert valid(sealed)


@pytest.mark.parametrize(
    "wrong",
    [
        {"cop_msg_id": ""},
        {"cop_msg_id": "x" * 256},
        {"sender_id": "x" * 17},
        {"sender_id": ""},
        {"receiver_ids": ()},
        {"receiver_ids": ("A",) * 6},
        {"receiver_ids": ("x" * 17,)},
        {"msg_type": "x" * 31},
        {"cop_msg_id": "a\x00b"},
    ],
)
def test_values_that_do_not_fit_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(EnvelopeError):
        wrap(b"x", replace(ENVELOPE, **wrong))  # type: ignore[arg-type]  # the table mixes fields


def test_transfer_envelope_is_valid_and_carries_the_dxp_msg_byte_for_byte() -> None:
    inner = wrap(BUSINESS, ENVELOPE)
    outer = wrap_transfer(inner, HEAD)
    assert valid(outer)
    assert inner[inner.index(b"<DxpMsg") :] in outer
    opened = unwrap(outer)
    assert (opened.transfer, opened.envelope, opened.business) == (HEAD, ENVELOPE, BUSINESS)
    assert inner.endswith(opened.dxp_msg)


def test_transfer_envelope_may_have_a_part_number() -> None:
    outer = wrap_transfer(wrap(BUSINESS, ENVELOPE), replace(HEAD, sub_msg_id="2"))
    assert valid(outer)
    assert b"<SubMsgId>2</SubMsgId>" in outer


@pytest.mark.parametrize("before", ["\ufeff", '<?xml version="1.0"?>\r\n<!-- </dxp:DxpMsg> -->', "\n "])
@pytest.mark.parametrize("after", ["", "\n", "<!-- <dxp:DxpMsg> </dxp:DxpMsg> -->\n"])
def test_a_foreign_dxp_msg_is_copied_without_what_surrounds_its_root(before: str, after: str) -> None:
    outer = wrap_transfer((before + PREFIXED + after).encode(), HEAD)
    assert PREFIXED.encode() + b"</DxpMsgSv>" in outer
    assert unwrap(outer).dxp_msg == PREFIXED.encode()


def test_a_dxp_msg_in_gbk_keeps_its_bytes_and_its_encoding() -> None:
    text = PREFIXED.replace("<dxp:MsgType/>", "<dxp:MsgType>订单</dxp:MsgType>")
    inner = f'<?xml version="1.0" encoding="GBK"?>{text}'.encode("gbk")
    outer = wrap_transfer(inner, HEAD)
    assert text.encode("gbk") in outer
    opened = unwrap(outer)
    assert opened.envelope.msg_type == "订单"
    assert unwrap(opened.dxp_msg).envelope.msg_type == "订单"


def test_only_a_dxp_msg_can_be_transferred() -> None:
    for body in (order(), b"", b"<a>", wrap_transfer(wrap(b"x", ENVELOPE), HEAD)):
        with pytest.raises(EnvelopeError):
            wrap_transfer(body, HEAD)


def test_prefixed_form_with_line_breaks_and_odd_time_is_read() -> None:
    opened = unwrap(PREFIXED.encode())
    assert opened.business == base64.b64decode("PGEv")
    assert opened.envelope.receiver_ids == ("R1", "R2")
    assert opened.envelope.creat_time == "2025-01-02 12:05:06"
    assert opened.envelope.msg_type == ""


@pytest.mark.parametrize("comment", ["", "<!-- <dxp:DxpMsg> -->"])
def test_namespaces_declared_on_the_transfer_envelope_only_are_kept_where_used(comment: str) -> None:
    plain = PREFIXED.replace(f' xmlns:dxp="{DXP}"', "").replace("<dxp:Data>", '<dxp:Data x:y="1">')
    outer = f'<dxp:DxpMsgSv xmlns:dxp="{DXP}" xmlns:x="urn:a&amp;b" xmlns:z="urn:z" ver="1.0">{comment}{plain}</dxp:DxpMsgSv>'
    opened = unwrap(outer.encode())
    assert unwrap(opened.dxp_msg).envelope == opened.envelope
    assert opened.transfer is None
    assert etree.fromstring(opened.dxp_msg).nsmap == {"dxp": DXP, "x": "urn:a&b"}
    assert opened.dxp_msg.endswith(plain[len("<dxp:DxpMsg") :].encode())


@pytest.mark.parametrize(
    "data",
    ["!!!!", "PGEvPg=", "PGEvPg==PGEv", "PGEv\u00e9", "", " \n", "<x/>PGEv", "PGE", "=PGE", "PGEv===="],
)
def test_broken_base64_is_refused(data: str) -> None:
    with pytest.raises(EnvelopeError, match="Data"):
        unwrap(PREFIXED.replace("PGE\r\n v", data).encode())


def test_a_comment_inside_data_is_no_data() -> None:
    assert unwrap(PREFIXED.replace("PGE\r\n v", "PG<!-- x -->Ev").encode()).business == base64.b64decode(
        "PGEv"
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        b"garbage",
        b"<DxpMsg/>",
        order(),
        f'<DxpMsg xmlns="{DXP}"/>'.encode(),
        f'<DxpMsgSv xmlns="{DXP}"/>'.encode(),
        b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>',
        PREFIXED.encode()[:-5],
        PREFIXED.encode("utf-16"),
    ],
)
def test_what_is_no_envelope_is_refused(body: bytes) -> None:
    with pytest.raises(EnvelopeError):
        unwrap(body)


def test_data_larger_than_the_parsers_own_limit_is_opened() -> None:
    business = b"x" * 8_000_000
    assert unwrap(wrap(business, ENVELOPE)).business == business


def test_response_is_valid_and_repeats_the_original_head() -> None:
    body = wrap_response(
        receiver_id="DXPENT0000000001",
        code="2001",
        info="接收方不存在 <" + "x" * 400,
        original=ENVELOPE,
        notice_date=date(2025, 1, 2),
        node_id="46000001",
    )
    assert valid(body)
    assert b"<NoticeTime>2025-01-02</NoticeTime>" in body
    assert ENVELOPE.cop_msg_id.encode() in body


def test_root_name_is_seen_at_a_glance() -> None:
    inner = wrap(BUSINESS, ENVELOPE)
    assert root_name(inner) == "DxpMsg"
    assert root_name(wrap_transfer(inner, HEAD)) == "DxpMsgSv"
    assert root_name(BUSINESS) == "CEB311Message"
    assert root_name(b"<!-- <x> -->\n<p:DxpRep xmlns:p='u'/>") == "DxpRep"
    assert root_name(b"garbage") == ""
    assert root_name(b"") == ""


def test_transfer_msg_id_has_32_characters_and_beijing_time() -> None:
    assert transfer_msg_id("46000001", NOON, 42) == "46000001" + "20250102120506" + "0000000042"
    assert len(transfer_msg_id("1", NOON, 10**10 + 3)) == 32


def test_times_are_written_in_beijing_time_without_zone() -> None:
    assert creat_time(NOON) == "2025-01-02T12:05:06"


def test_file_name_is_safe() -> None:
    assert file_name("CEB311Message", "0A-1") == "CEB311Message_0A-1.xml"
    assert file_name("CEB311Message", "../../x\0") == "CEB311Message_.._.._x_.xml"
    assert len(file_name("CEB311Message", "x" * 255)) == 255


def test_copies_for_several_receivers_never_share_a_file_name() -> None:
    assert file_name("CEB311Message", "0A-1", "2") == "CEB311Message_0A-1+2.xml"
    assert file_name("CEB311Message", "0A-1+2") == "CEB311Message_0A-1_2.xml"
    long = [file_name("CEB311Message", "x" * 255, part) for part in ("", "1", "2")]
    assert {len(name) for name in long} == {255}
    assert len(set(long)) == 3


@needs_spec
def test_published_transfer_envelope_is_opened() -> None:
    opened = unwrap((SPEC / "samples/dxp/DxpMsgSv_CEB312.xml").read_bytes())
    assert opened.business.strip() == (SPEC / "samples/dxp/DxpMsgSv_CEB312_payload.xml").read_bytes().strip()
    assert opened.envelope.msg_type == "CEB312Message"
    assert opened.transfer is not None
    assert opened.transfer.end_node == "46000002"
    assert unwrap(opened.dxp_msg).business == opened.business
