"""Write and read envelopes: DxpMsg and DxpMsgSv from templates, with the business bytes unchanged.

Base64 carries the exact bytes; a DxpMsg inside a DxpMsgSv is copied byte for byte (docs/spec/dxp.md).
"""

import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from itertools import islice
from typing import Final
from xml.sax.saxutils import escape, quoteattr

import msgspec
from lxml import etree

from gateway.errors import EnvelopeError, Refused
from gateway.model import BEIJING, Envelope
from gateway.rules.explain import own_text
from gateway.xml.decode import encoding_of, parse, prolog_end
from gateway.xml.spans import child_spans, root_span

DXP: Final = "http://www.chinaport.gov.cn/dxp"

_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ROOT: Final = re.compile(rb"<(?:[^\s:<>/]+:)?([^\s:<>/]+)")
_START_TAG: Final = re.compile(rb"(<[^\s<>/]++)((?>(?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*))>")
_DECLARED: Final = re.compile(rb"\s(xmlns(?::[^\s=]++)?)\s*+=")
_INNER: Final = re.compile(rb"<((?:[^\s:<>/]+:)?DxpMsg)[\s>]")
_START: Final = f'{_HEAD}<DxpMsg xmlns="{DXP}" ver="1.0"><TransInfo><CopMsgId>'
_OWN: Final = f'{_HEAD}<DxpMsg xmlns="{DXP}"'.encode()
_PLAIN: Final = re.compile(r"[A-Za-z0-9._:+-]*")
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9._-]")
_in_base64: Final[Callable[[bytes], bytes]] = msgspec.json.Encoder().encode
"""Bytes → Base64 in quotation marks (a JSON text), in a third of the time that `binascii` takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferHead:
    """`SvNo` of a DxpMsgSv (docs/spec/dxp.md, DxpMsgSv)."""

    msg_id: str
    """32 characters, see `transfer_msg_id`; together with `sub_msg_id` unique on the platform."""
    sub_msg_id: str
    """One character when the message was split for several receivers, else empty."""
    send_time: str
    end_node: str
    sta_node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwrapped:
    """An opened envelope; missing parts of TransInfo are empty."""

    envelope: Envelope
    business: bytes
    """The exact content of Data."""
    transfer: TransferHead | None
    """None when there was no DxpMsgSv."""
    dxp_msg: bytes
    """The DxpMsg: the body itself, or cut out of the DxpMsgSv as a document of its own."""


def wrap(business: bytes, envelope: Envelope, *, file_name: str = "") -> bytes:
    """Put the business bytes in a DxpMsg, version 1.0, default namespace (docs/spec/dxp.md, DxpMsg).

    Raises EnvelopeError for a value of the wrong length: CopMsgId 1 to 255 characters, SenderId and 1 to 5
    ReceiverIds 1 to 16 each, MsgType at most 30, FileName at most 255.
    """
    before, between = _around(envelope.sender_id, envelope.receiver_ids, envelope.msg_type)
    add_info = (
        f"<AddInfo><FileName>{_fit('FileName', file_name, 1, 255)}</FileName></AddInfo>" if file_name else ""
    )
    start = (
        f"{_START}{_fit('CopMsgId', envelope.cop_msg_id, 1, 255)}{before}"
        f"{_fit('CreatTime', envelope.creat_time, 1, 40)}{between}"
    )
    data = memoryview(_in_base64(business))[1:-1]
    return b"".join((start.encode(), data, f"</Data>{add_info}</DxpMsg>".encode()))


@lru_cache(maxsize=512)
def _around(sender_id: str, receiver_ids: tuple[str, ...], msg_type: str) -> tuple[str, str]:
    """Return the parts before and after CreatTime, the same for all envelopes of one sender, receivers and type."""
    if not 1 <= len(receiver_ids) <= 5:  # noqa: PLR2004 (ReceiverId occurs 1 to 5 times)
        raise _unfit("ReceiverIds", f"{len(receiver_ids)} of them", "name 1 to 5 receivers")
    receivers = "".join(f"<ReceiverId>{_fit('ReceiverId', id_, 1, 16)}</ReceiverId>" for id_ in receiver_ids)
    before = (
        f"</CopMsgId><SenderId>{_fit('SenderId', sender_id, 1, 16)}</SenderId>"
        f"<ReceiverIds>{receivers}</ReceiverIds><CreatTime>"
    )
    between = f"</CreatTime><MsgType>{_fit('MsgType', msg_type, 0, 30)}</MsgType></TransInfo><Data>"
    return before, between


def wrap_transfer(dxp_msg: bytes, head: TransferHead) -> bytes:
    """Put a DxpMsgSv around a DxpMsg, whose root element is copied byte for byte (docs/spec/dxp.md, DxpMsgSv).

    The DxpMsg's XML declaration and byte order mark are left out; the new declaration names its encoding.
    Raises EnvelopeError when it is not XML or a value of the head has the wrong length.
    """
    element = _dxp_msg_element(dxp_msg)
    sub = f"<SubMsgId>{_fit('SubMsgId', head.sub_msg_id, 1, 1)}</SubMsgId>" if head.sub_msg_id else ""
    before = (
        f'<?xml version="1.0" encoding="{encoding_of(dxp_msg).upper()}"?>\n'
        f'<DxpMsgSv xmlns="{DXP}" ver="1.0"><SvNo Ver="1.0">'
        f"<MsgId>{_fit('MsgId', head.msg_id, 1, 32)}</MsgId>{sub}"
        f"<SendTime>{_fit('SendTime', head.send_time, 1, 40)}</SendTime>"
        f"<EndNode>{_fit('EndNode', head.end_node, 1, 8)}</EndNode>"
        f"<StaNode>{_fit('StaNode', head.sta_node, 1, 8)}</StaNode></SvNo>"
    )
    return b"".join((before.encode("ascii"), element, b"</DxpMsgSv>"))


def wrap_response(
    *,
    receiver_id: str,
    code: str,
    info: str,
    original: Envelope,
    notice_date: date,
    node_id: str = "",
    concerns: Sequence[str] = (),
) -> bytes:
    """Write a DxpRep: the exchange platform's answer to one envelope (docs/spec/dxp.md, DxpRep).

    `concerns`: the receivers that the code applies to, one Result each; empty: no Results for single receivers.
    `info` is cut to 300 characters. Raises EnvelopeError for any other value of the wrong length.
    """
    node = f"<NodeId>{_fit('NodeId', node_id, 1, 8)}</NodeId>" if node_id else ""
    receivers = "".join(f"<ReceiverId>{_fit('ReceiverId', id_, 1, 16)}</ReceiverId>"
                        for id_ in original.receiver_ids)  # fmt: skip
    each = "".join(
        f"<Result><RecId>{_fit('RecId', id_, 1, 16)}</RecId><Code>{_fit('Code', code, 1, 9)}</Code></Result>"
        for id_ in concerns
    )
    results = f"<Results>{each}</Results>" if each else ""
    return (
        f'{_HEAD}<DxpRep xmlns="{DXP}" ver="1.0">'
        f"<RecevierId>{_fit('RecevierId', receiver_id, 1, 16)}</RecevierId><Response>{node}"
        f"<ResponseCode>{_fit('ResponseCode', code, 1, 9)}</ResponseCode>"
        f"<ResponseInfo>{_fit('ResponseInfo', info[:300], 0, 300)}</ResponseInfo>{results}"
        f"<NoticeTime>{notice_date.isoformat()}</NoticeTime><OriHead>"
        f"<CopMsgId>{_fit('CopMsgId', original.cop_msg_id, 1, 255)}</CopMsgId>"
        f"<SenderId>{_fit('SenderId', original.sender_id, 1, 16)}</SenderId>"
        f"<ReceiverIds>{receivers}</ReceiverIds>"
        f"<CreatTime>{_fit('CreatTime', original.creat_time, 1, 40)}</CreatTime>"
        f"<MsgType>{_fit('MsgType', original.msg_type, 0, 30)}</MsgType>"
        "</OriHead></Response></DxpRep>"
    ).encode()


def unwrap(body: bytes) -> Unwrapped:
    """Open a DxpMsg or DxpMsgSv, default namespace or prefix (docs/spec/dxp.md, Seen in practice).

    TransInfo is read tolerantly, Data strictly: white space inside the Base64 is allowed, anything else
    outside its alphabet is not. Raises EnvelopeError.
    """
    return unwrap_tree(_parse(body), body)


def unwrap_tree(root: etree._Element, body: bytes) -> Unwrapped:
    """Open a parsed envelope; `body` is the bytes that `root` was parsed from. Raises EnvelopeError."""
    if root.tag == f"{{{DXP}}}DxpMsg":
        return Unwrapped(envelope=_envelope(root), business=_data(root), transfer=None, dxp_msg=body)
    if root.tag != f"{{{DXP}}}DxpMsgSv":
        name = str(root.tag)[:100]
        raise EnvelopeError(f"the root element {name} is no envelope", fix="expected DxpMsg or DxpMsgSv")
    inner = _child(root, "DxpMsg")
    if inner is None:
        raise EnvelopeError("the DxpMsgSv holds no DxpMsg", fix="ask the sending node")
    return Unwrapped(
        envelope=_envelope(inner),
        business=_data(inner),
        transfer=_transfer_head(root),
        dxp_msg=_standing_alone(inner, body),
    )


def envelope_in(trans_info: etree._Element) -> Envelope:
    """Read a TransInfo or OriHead element; missing values are empty."""
    receivers = _child(trans_info, "ReceiverIds")
    ids = () if receivers is None else receivers.iterchildren(f"{{{DXP}}}ReceiverId")
    return Envelope(
        cop_msg_id=_text(trans_info, "CopMsgId"),
        sender_id=_text(trans_info, "SenderId"),
        receiver_ids=tuple(own_text(id_).strip() for id_ in ids),
        creat_time=_text(trans_info, "CreatTime"),
        msg_type=_text(trans_info, "MsgType"),
    )


def root_name(body: bytes) -> str:
    """Return the local name of the root element from the first bytes, without parsing; empty if there is none."""
    found = _ROOT.match(body, prolog_end(body))
    return found[1].decode("utf-8", "replace") if found else ""


def file_name(message_type: str, cop_msg_id: str, part: str = "") -> str:
    """Name the file of an envelope, `<MsgType>_<CopMsgId>.xml` (docs/spec/dxp.md, AddInfo.FileName).

    `cop_msg_id` may be another id of the message, if other messages may have the same CopMsgId.

    Copies for several receivers end in `+1.xml`, `+2.xml` …, which no CopMsgId can produce. Characters that
    are unsafe in a file name become `_`; at most 255 characters.
    """
    stem = _NO_NAME.sub("_", f"{message_type}_{cop_msg_id}")
    end = f"+{part}.xml" if part else ".xml"
    return f"{stem[: 255 - len(end)]}{end}"


def creat_time(instant: datetime) -> str:
    """Format an aware instant as CreatTime and SendTime: `yyyy-mm-ddThh:mm:ss`, Beijing time, no zone."""
    return _creat_time(int(instant.timestamp()))


@lru_cache(maxsize=512)
def _creat_time(second: int) -> str:
    return datetime.fromtimestamp(second, BEIJING).isoformat()[:19]


def transfer_msg_id(node_id: str, instant: datetime, serial: int) -> str:
    """Make a MsgId of DxpMsgSv: 8-digit node id, yyyymmddhhmmss in Beijing time, 10-digit serial.

    32 characters; the serial wraps round at 10^10 (docs/spec/dxp.md, DxpMsgSv).
    """
    return f"{node_id:0>8}{instant.astimezone(BEIJING):%Y%m%d%H%M%S}{serial % 10**10:010d}"


def _parse(body: bytes) -> etree._Element:
    try:
        return parse(body)
    except Refused as refused:
        raise EnvelopeError(f"cannot be read: {refused}", fix="look at the raw bytes") from refused


def _envelope(dxp_msg: etree._Element) -> Envelope:
    trans_info = _child(dxp_msg, "TransInfo")
    return envelope_in(dxp_msg if trans_info is None else trans_info)


def _transfer_head(root: etree._Element) -> TransferHead | None:
    number = _child(root, "SvNo")
    if number is None:
        return None
    return TransferHead(
        msg_id=_text(number, "MsgId"),
        sub_msg_id=_text(number, "SubMsgId"),
        send_time=_text(number, "SendTime"),
        end_node=_text(number, "EndNode"),
        sta_node=_text(number, "StaNode"),
    )


def _data(dxp_msg: etree._Element) -> bytes:
    data = _child(dxp_msg, "Data")
    if data is None:
        raise EnvelopeError("the DxpMsg holds no Data", fix="put the message in Data, as Base64")
    if next(data.iterchildren(etree.Element), None) is not None:
        raise EnvelopeError("Data holds elements", fix="put the message in Data, as Base64")
    packed = own_text(data)
    for blank in "\n\r\t ":
        packed = packed.replace(blank, "")
    try:
        business = binascii.a2b_base64(packed, strict_mode=True)
    except ValueError as error:
        raise EnvelopeError(f"Data is not Base64: {error}", fix="encode the message again") from error
    if packed.endswith("==="):
        raise EnvelopeError("Data is not Base64: excess padding", fix="encode the message again")
    if not business:
        raise EnvelopeError("Data is empty", fix="put the message in Data, as Base64")
    return business


def _standing_alone(inner: etree._Element, body: bytes) -> bytes:
    """Cut the DxpMsg out; declare on it what only the DxpMsgSv declared (docs/spec/dxp.md, DxpMsgSv, Gateways).

    Only those that it uses: any other would be new in the scope of a signature that the terminal node made.
    """
    cut = _inner_element(body)
    start = _START_TAG.match(cut)
    if start is None:
        raise EnvelopeError("the DxpMsg has no start tag", fix="look at the raw bytes")
    codec = encoding_of(body)
    name, attributes = start.groups()
    declared = {attribute.decode(codec) for attribute in _DECLARED.findall(attributes)}
    prefixes, uris = _used(inner)
    missing = "".join(
        f" {attribute}={quoteattr(uri)}"
        for prefix, uri in inner.nsmap.items()
        if (attribute := f"xmlns:{prefix}" if prefix else "xmlns") not in declared
        and (prefix in prefixes or uri in uris)
    )
    head = "" if codec == "utf-8" else f'<?xml version="1.0" encoding="{codec.upper()}"?>\n'
    return b"".join((head.encode(), name, missing.encode(codec), cut[start.end(1) :]))


def _used(inner: etree._Element) -> tuple[set[str | None], set[str]]:
    """Collect the prefixes of elements and the namespace names of attributes."""
    prefixes, uris = set[str | None](), set[str]()
    for element in inner.iter(etree.Element):
        prefixes.add(element.prefix)
        uris.update(str(name)[1:].partition("}")[0] for name in element.attrib if str(name).startswith("{"))
    return prefixes, uris


def _dxp_msg_element(dxp_msg: bytes) -> bytes:
    """Return the bytes of the root element; a document that `wrap` wrote is not parsed again."""
    if dxp_msg.startswith(_OWN) and dxp_msg.endswith(b"</DxpMsg>"):
        return dxp_msg[len(_HEAD) :]
    span = root_span(dxp_msg)
    if span.name != "DxpMsg":
        raise EnvelopeError(f"cannot transfer a {span.name}", fix="hand in a DxpMsg")
    return dxp_msg[span.start : span.end]


def _inner_element(body: bytes) -> bytes:
    """Return the bytes of the DxpMsg in a DxpMsgSv.

    Without comments, CDATA and a second start tag of that name, every `<` starts a real tag: a search suffices.
    """
    starts = list(islice(_INNER.finditer(body), 2))
    if len(starts) == 1 and b"<!" not in body and body.count(b"<?") <= 1:
        end = body.index(b">", body.index(b"</" + starts[0][1], starts[0].end()))
        return body[starts[0].start() : end + 1]
    span = next(span for span in child_spans(body) if span.name == "DxpMsg")
    return body[span.start : span.end]


def _child(parent: etree._Element, name: str) -> etree._Element | None:
    return next(parent.iterchildren(f"{{{DXP}}}{name}"), None)


def _text(parent: etree._Element, name: str) -> str:
    child = _child(parent, name)
    return "" if child is None else own_text(child).strip()


def _fit(name: str, value: str, least: int, most: int) -> str:
    if not least <= len(value) <= most:
        raise _unfit(name, f"{len(value)} characters", f"use {least} to {most}")
    if _PLAIN.fullmatch(value):
        return value
    if _NOT_XML.search(value):
        raise _unfit(name, "a character that XML does not allow", "remove it")
    return escape(value)


def _unfit(name: str, has: str, fix: str) -> EnvelopeError:
    return EnvelopeError(f"{name} has {has}", where="envelope", fix=fix)
