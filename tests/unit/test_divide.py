"""A DxpMsg cut to some of its receivers: nothing else changes, whatever the encoding or the prefix."""

import pytest

from gateway.errors import EnvelopeError
from gateway.model import Envelope
from gateway.xml.divide import copy_for, divisible
from gateway.xml.envelope import unwrap, wrap
from tests.documents import order

RECEIVERS = ("DXPEDCCEB0000002", "DXPENT0000000002", "DXPENT0000000003")
WHOLE = wrap(
    order(),
    Envelope(
        cop_msg_id="COP-1",
        sender_id="DXPENT0000000001",
        receiver_ids=RECEIVERS,
        creat_time="2025-01-02T12:05:06",
    ),
    file_name="one.xml",
)


def named(*receivers: str) -> bytes:
    return b"".join(f"<ReceiverId>{one}</ReceiverId>".encode() for one in receivers)


@pytest.mark.parametrize("keep", [RECEIVERS[:1], RECEIVERS[1:2], RECEIVERS[2:], RECEIVERS[::2], RECEIVERS])
def test_only_receivers_go(keep: tuple[str, ...]) -> None:
    assert copy_for(WHOLE, keep) == WHOLE.replace(named(*RECEIVERS), named(*keep))


def test_prefix_comments_and_white_space_stay_as_they_are() -> None:
    text = (
        '<d:DxpMsg xmlns:d="http://www.chinaport.gov.cn/dxp" ver="1.0"><d:TransInfo><d:CopMsgId>C</d:CopMsgId>'
        "<d:SenderId>S</d:SenderId><d:ReceiverIds>\n <d:ReceiverId>A</d:ReceiverId>\n <!-- > -->"
        "<d:ReceiverId >B</d:ReceiverId></d:ReceiverIds></d:TransInfo><d:Data>QUJD</d:Data></d:DxpMsg>"
    )
    for encoding in ("utf-8", "gb18030"):
        body = f'<?xml version="1.0" encoding="{encoding}"?>{text}<!-- 中 -->'.encode(encoding)
        assert copy_for(body, ["B"]) == body.replace(b"<d:ReceiverId>A</d:ReceiverId>", b"")
        assert unwrap(copy_for(body, ["A"])).envelope.receiver_ids == ("A",)


def test_receiver_that_is_not_named_cannot_have_a_copy() -> None:
    with pytest.raises(EnvelopeError, match="does not name"):
        copy_for(WHOLE, ["DXPENT0000000099"])


def test_envelope_that_is_signed_itself_cannot_be_divided() -> None:
    assert divisible(WHOLE)
    signed = WHOLE.replace(
        b"</DxpMsg>", b'<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/></DxpMsg>'
    )
    assert not divisible(signed)
