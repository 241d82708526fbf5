"""Every form of input, every position in it that a stranger can make larger, and what the gateway does with it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import product
from typing import Final

from gateway.cli.document_check import check_document
from gateway.config.gateway_toml import LimitsConfig
from gateway.doors.http.query_parameters import in_query
from gateway.doors.http.request_signature import malformed, read_request_signature
from gateway.errors import EnvelopeError, Refused
from gateway.mapping.translate import translate
from gateway.model import Enterprise, EnterpriseId, Envelope, Fault, Message
from gateway.receipts.opened import cut_to, open_collected
from gateway.rules.loading import load_rules
from gateway.rules.schemas import View
from gateway.submission.pipeline import Refusal, examine
from gateway.submission.subscribe import subscribers_of
from gateway.xml.divide import copy_for, divisible
from gateway.xml.envelope import TransferHead, unwrap, wrap, wrap_response, wrap_transfer
from signing.errors import SigningError
from signing.keys.suite import RSA_SHA1
from signing.xml.difference import first_difference
from signing.xml.splice import strip
from signing.xml.verify import verify
from tests.documents import COP_CODE, DXP_ID, element, export_order, inventory, message, order, receipt, tax
from tests.security.growing import IN_CONTENT, IN_TAG, MOST_TELLING, Grow, numbered, repeated
from tests.unit.ceb_documents import SIGNATURE
from tests.unit.mapping_examples import mappings

Work = Callable[[bytes], tuple[Fault, ...]]
"""All that is done with such an input; gives what its sender is told."""

LIMITS: Final = LimitsConfig()
ME: Final = Enterprise(
    id=EnterpriseId("one"), name="示例企业", cop_codes=frozenset({COP_CODE}), dxp_ids=frozenset({DXP_ID})
)
ENVELOPE: Final = Envelope(
    cop_msg_id="0A1B2C3D-0000-4000-8000-000000000001",
    sender_id=DXP_ID,
    receiver_ids=("DXPEDCCEB0000002",),
    creat_time="2025-01-02T12:05:06",
)
HEAD: Final = TransferHead(
    msg_id="1" * 32, sub_msg_id="", send_time="2025-01-02T12:05:06", end_node="2", sta_node="3"
)
rules = cache(load_rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One way to make an input larger."""

    name: str
    make: Callable[[int], bytes]
    """An input of about so many bytes."""
    work: Work


def handed_in(body: bytes) -> tuple[Fault, ...]:
    """Do what the doors do with a body, and the forwarder with what they took."""
    outcome = examine(body, ME, rules(), LIMITS, suite=RSA_SHA1)
    if isinstance(outcome, Refusal):
        return outcome.faults
    subscribers_of(outcome.body)
    if outcome.wrapped:
        _divided(outcome)
    return ()


def _divided(message: Message) -> None:
    divisible(message.wrapped)
    copy_for(message.wrapped, unwrap(message.wrapped).envelope.receiver_ids[:1])
    wrap_transfer(message.wrapped, HEAD)


def offline(body: bytes) -> tuple[Fault, ...]:
    """Do what `gateway validate --sendable` and `gateway verify` do."""
    verify(body)
    with suppress(SigningError):
        first_difference(body, strip(body)[0])
    return check_document(body, rules(), View.SENDABLE).faults


def collected(raw: bytes) -> tuple[Fault, ...]:
    """Do what collect does with what lies on the way in, and the ways home with one of its bodies."""
    try:
        opened = open_collected(raw, rules().catalogue)
        for answer in opened.answers:
            rules().codes.in_text(answer.status, answer.info)
        if len(opened.answers) > 1:
            cut_to(opened.business, {0})
    except EnvelopeError as error:
        return (Fault(rule="envelope", message=str(error), message_zh="", fix="", fix_zh=""),)
    return ()


def _translated(name: str) -> Work:
    def work(source: bytes) -> tuple[Fault, ...]:
        try:
            made = translate(source, mappings()[name], LIMITS)
        except Refused as refused:
            return refused.faults
        outcome = examine(made.document, ME, rules(), LIMITS, suite=RSA_SHA1)
        return made.located(outcome.faults if isinstance(outcome, Refusal) else ())

    return work


def asked(query: bytes) -> tuple[Fault, ...]:
    """Read a query as the door does."""
    text = query.decode("latin-1")
    in_query(text, "dry_run")
    in_query(text, "mapping")
    return ()


def signed_request(headers: bytes) -> tuple[Fault, ...]:
    """Read the headers of a signed request."""
    pairs = dict(line.partition(b":")[::2] for line in headers.split(b"\n"))
    return malformed(read_request_signature(pairs, "POST", b"/v1/messages"))


def _grown(before: str, after: str, unit: Grow, codec: str = "utf-8") -> Callable[[int], bytes]:
    return lambda size: (before + unit(size) + after).encode(codec)


def _xml(
    form: str, text: str, work: Work, content: tuple[str, ...], tags: tuple[str, ...] = (),
    *, codec: str = "utf-8", units: Mapping[str, Grow] = MOST_TELLING,
) -> Iterator[Input]:  # fmt: skip
    """Grow a document behind each of the marks `content`, and inside the start tags that begin with `tags`."""
    for where, marks, kinds in (("behind", content, units), ("in", tags, IN_TAG)):
        for mark, (name, unit) in product(marks, kinds.items()):
            before, after = text.partition(mark)[::2] if mark else ("", text)
            make = _grown(before + mark, after, unit, codec)
            yield Input(name=f"{form}: {name} {where} {mark.strip() or 'nothing'}", make=make, work=work)


def _wrapped(business: Callable[[int], bytes]) -> Callable[[int], bytes]:
    return lambda size: wrap(business(size), ENVELOPE)


def _declarations() -> Iterator[Input]:
    text = order("A-1").decode()
    marks = ("?>\n", 'version="1.0">', "<ceb:OrderHead>", "<ceb:orderNo>", "</ceb:BaseTransfer>")
    tags = ("<ceb:CEB311Message", "<ceb:Order", "<ceb:orderNo", "<ceb:BaseTransfer")
    yield from _xml("order", text, handed_in, marks, tags, units=IN_CONTENT)
    yield from _xml("order", text, handed_in, ("", "<ceb:BaseTransfer>", "</ceb:CEB311Message>"))
    many = order("A-1", "A-2", "A-3").decode()
    subscribe = element("BaseSubscribe", status="ALL", dxpMode="DXP", dxpAddress="DXPENT0000000002", note="n")
    for form, codec in (("order", "utf-8"), ("GB", "gb18030")):
        named = many.replace("UTF-8", codec).replace("</ceb:BaseTransfer>", f"</ceb:BaseTransfer>{subscribe}")
        inside = ("<ceb:BaseSubscribe>", "<ceb:status>", "</ceb:BaseSubscribe>")
        yield from _xml(f"{form} subscribed", named, handed_in, inside, codec=codec)
    fields = "<ceb:name>n</ceb:name><ceb:version>1</ceb:version><ceb:Message><y>z</y></ceb:Message>"
    extend = f"<ceb:ExtendMessage>{fields}</ceb:ExtendMessage>"
    export = export_order(tail=extend).decode()
    yield from _xml("export", export, handed_in, ("<ceb:ExtendMessage>", "<ceb:Message>", "<y>"), ("<y",))
    yield Input(name="orders", make=lambda size: order(*map(str, range(size // 1300 + 1))), work=handed_in)
    yield Input(name="one order", make=lambda size: order(*["A"] * (size // 1300 + 1)), work=handed_in)
    yield Input(
        name="refunds that nothing could answer",
        make=lambda size: message("CEB625Message", ["<ceb:InvtRefund/>"] * (size // 18 + 1)),
        work=handed_in,
    )
    yield Input(name="inventories with faults", make=_wrong_inventories, work=handed_in)


def _wrong_inventories(size: int) -> bytes:
    return inventory(*[None] * (size // 1500 + 1), agent_code=None)


def _envelopes() -> Iterator[Input]:
    text = wrap(order("A-1"), ENVELOPE).decode()
    marks = ("<ReceiverIds>", "<CopMsgId>", "<Data>", "</Data>")
    for work, what in ((handed_in, "handed in"), (collected, "collected")):
        yield from _xml(f"DxpMsg {what}", text, work, marks, ("<DxpMsg", "<Data"))
    transfer = wrap_transfer(text.encode(), HEAD).decode()
    yield from _xml(
        "DxpMsgSv", transfer, collected, ("<SvNo ", "<DxpMsg ", "</SvNo>"), ("<DxpMsgSv", "<DxpMsg ")
    )
    for one in _xml(
        "DxpMsg of order", order("A-1").decode(), handed_in, ("<ceb:OrderHead>",), ("<ceb:Order",)
    ):
        yield Input(name=one.name, make=_wrapped(one.make), work=one.work)


def _signatures() -> Iterator[Input]:
    text = order("A-1").decode().replace("</ceb:CEB311", f"{SIGNATURE}</ceb:CEB311")
    marks = ("<ds:SignedInfo>", "<ds:DigestValue>", "<ds:SignatureValue>")
    for work, what in ((handed_in, "handed in"), (offline, "offline")):
        yield from _xml(f"signed {what}", text, work, marks, ("<ds:Signature", "<ds:SignatureMethod"))


def _receipts() -> Iterator[Input]:
    answer = receipt("CEB622Message", {"copNo": "C-1", "customsCode": "5100"}, {"copNo": "C-2"}).decode()
    marks = ("", 'version="1.0">', "<InventoryReturn>", "<returnInfo>", "</InventoryReturn>")
    yield from _xml("622", answer, collected, marks, ("<CEB622Message", "<InventoryReturn"))
    yield from _xml("816", tax().decode(), collected, ("<ceb:TaxHeadRd>", "<ceb:TaxListRd>"), ("<ceb:Tax",))
    check = receipt("CEB900Message", {"oriBizMessage": "x", "returnInfo": "y"}).decode()
    yield from _xml("900", check, collected, ("<oriBizMessage>",))
    said = wrap_response(
        receiver_id=DXP_ID, code="1001", info="i", original=ENVELOPE, notice_date=date(2025, 1, 2)
    ).decode()
    yield from _xml("DxpRep", said, collected, ("<Response>", "<OriHead>", "</Response>"), ("<Response",))


_VALUES: Final[Mapping[str, tuple[str, str, str]]] = {
    "arrays": ("[", "[]," , "[]]"),
    "objects": ("[", "{},", "{}]"),
    "open arrays": ("", "[", ""),
    "open objects": ("", '{"a":', ""),
    "a long text": ('"', "x", '"'),
    "open text": ('"', '\\"', ""),
    "escapes": ('"', "\\u0041", '"'),
    "digits": ("", "1", ""),
    "zeros": ("0.", "0", "1"),
    "exponent": ("1e", "9", ""),
    "blanks": ("", " ", "1"),
    "wrong": ("[", "tru,", "]"),
}  # fmt: skip


def _sources() -> Iterator[Input]:
    work = _translated("payments")
    one = '{"order_no":"A","amount":"1.00","payer":{"name":"n"}}'
    for name, (before, unit, after) in _VALUES.items():
        for start, end in (("", ""), ('{"payments":', "}"), ('{"payments":[{"amount":', "}]}")):
            grown = _grown(f"{start}{before}", f"{after}{end}", repeated(unit))
            yield Input(name=f"JSON: {name} behind {start or 'nothing'}", make=grown, work=work)
    yield Input(
        name="JSON: payments", make=_grown('{"payments":[', f"{one}]}}", repeated(f"{one},")), work=work
    )
    for start, end in (("{", "}"), ('{"payments":[{', "}]}")):
        make = _grown(start, f'"k":0{end}', numbered('"k{n}":0,'))
        yield Input(name=f"JSON: keys behind {start}", make=make, work=work)
    work = _translated("inventories")
    header = ",".join(one.name for one in mappings()["inventories"].columns)
    width = header.count(",")
    units = {
        "rows": "," * width + "x\n", "ragged": ",\n", "cells": ",", "quotes": '"', "doubled": '""', "lines": "\n",
        "text": "x", "full rows": "x" + ",x" * width + "\n", "quoted": '"x",', "carriage returns": "\r",
    }  # fmt: skip
    for name, unit in units.items():
        for start in ("", f"{header}\n", f'{header}\n"'):
            place = "nothing" if not start else f"the header{start.removeprefix(header).strip()}"
            yield Input(name=f"CSV: {name} behind {place}", make=_grown(start, "", repeated(unit)), work=work)


def _heads() -> Iterator[Input]:
    for name, unit in {
        "pairs": "a=b&",
        "equals": "=",
        "escapes": "%41",
        "ampersands": "&",
        "plus": "+",
    }.items():
        yield Input(name=f"query: {name}", make=_grown("", "", repeated(unit)), work=asked)
    for name in ("Key", "Timestamp", "Nonce", "Content-SHA256", "Signature"):
        make = _grown(f"x-gateway-{name.lower()}:", "", repeated("9"))
        yield Input(name=f"header: {name}", make=make, work=signed_request)


INPUTS: Final = {
    one.name: one
    for part in (_declarations, _envelopes, _signatures, _receipts, _sources, _heads)
    for one in part()
}
