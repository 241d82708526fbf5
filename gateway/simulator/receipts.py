"""Builds receipts of every type from what the customs side has on file about a declaration.

The order of the fields comes from our schema; the forms of numbers and texts are those observed in the
field (docs/spec/messages.md, Correlating; docs/spec/codes.md, returnInfo).
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from xml.sax.saxutils import escape

from gateway.model import BEIJING, MessageType
from gateway.rules.loading import RULES
from gateway.samples import values
from gateway.samples.structure import Element, structure
from gateway.samples.template import CEB, EDITION

BODIES: Final = 100
"""Bodies that one receipt message holds at most (docs/spec/messages.md, Batch limits)."""
OBSERVED: Final = ("orderNo", "logisticsNo")
"""Real tax bills carry these after customsCode, which the schema does not allow (docs/spec/messages.md, Correlating 6)."""
OWNERS: Final = frozenset({"customsCode", "ebpCode", "ebcCode", "agentCode", "operatorCode"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptCase:
    """One declaration on file at the customs side, with the numbers assigned to it."""

    kind: MessageType
    fields: Mapping[str, str]
    """Leaves of the body and its head as declared, by element name."""
    lines: tuple[Mapping[str, str], ...] = ()
    """Leaves of each item of the body's list."""
    guid: str
    """Made by E-Port, lower case; the same in all receipts of this declaration."""
    pre_no: str
    """`B`, 8-digit date, 9-digit serial: from the first receipt on."""
    invt_no: str = ""
    """Inventory, summary (sumNo) or inbound (rkdNo) number: assigned when customs has accepted."""
    cop_code: str = ""
    """copCode of its BaseTransfer; for the ledger, never in a receipt."""

    @property
    def key(self) -> dict[str, str]:
        """The business key, in catalogue order."""
        return {name: self.fields[name] for name in self.kind.key if name in self.fields}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedReceipt:
    """One body of a receipt message, before it is written."""

    message_type: str
    case: ReceiptCase
    status: str
    info: str
    time: datetime
    accepted: bool = False
    """Whether customs has assigned its number by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptForm:
    """How a receipt is written; the default is the form of E-Port."""

    prefix: str = ""
    """Namespace prefix; empty for the default namespace."""
    observed: bool = True
    """Tax bills with orderNo and logisticsNo, as observed; False: as the schema requires."""
    bare: bool = False
    """Leave out every owner code that the schema makes optional (docs/spec/messages.md, Correlating 2)."""


EPORT: Final = ReceiptForm()


def open_case(
    kind: MessageType,
    fields: Mapping[str, str],
    *,
    lines: Iterable[Mapping[str, str]] = (),
    cop_code: str = "",
    day: str,
    rng: random.Random,
) -> ReceiptCase:
    """Open a case for a declaration, with numbers from `rng`; `day` is YYYYMMDD."""
    mark = "I" if kind.family == "import" else "E"
    own_number = f"{fields.get('customsCode', values.CUSTOMS_CODE)}{day[:4]}{mark}{rng.randrange(10**9):09d}"
    return ReceiptCase(
        kind=kind,
        fields=fields,
        lines=tuple(lines),
        guid=values.guid(rng).lower(),
        pre_no=f"B{day}{rng.randrange(10**9):09d}",
        invt_no=fields.get("invtNo") or own_number,
        cop_code=cop_code,
    )


def answer(receipts: Sequence[SimulatedReceipt], *, guid: str, form: ReceiptForm = EPORT) -> bytes:
    """Write one receipt message with a body for each of `receipts`, all of one type.

    `guid` is the root's, which is also the CopMsgId of the envelope that carries the message
    (docs/spec/messages.md, Receipt guid). Raises ValueError when the receipts differ in type or there is none.
    """
    types = {receipt.message_type for receipt in receipts}
    if len(types) != 1:
        raise ValueError(f"one receipt message holds receipts of one type, not {sorted(types)}")
    root = structure(RULES / "xsd" / EDITION, types.pop())
    pen = _Pen(form)
    bodies = "".join(_body(root.children[0], receipt, pen) for receipt in receipts)
    return pen.message(root.name, guid, bodies)


def format_answer(
    *,
    guid: str,
    cop_msg_id: str,
    message_type: str,
    original: str,
    status: str,
    info: str,
    time: datetime,
    form: ReceiptForm = EPORT,
) -> bytes:
    """Write a CEB900: the format check refused the message that came in the envelope `cop_msg_id`.

    `message_type` may be `Unknown`; `original` is carried whole, in CDATA (docs/spec/messages.md, Correlating 8).
    """
    texts = {
        "guid": guid, "returnStatus": status, "returnInfo": info[:5000], "returnTime": moment(time),
        "oriCopMsgId": cop_msg_id, "oriMessageType": message_type[:15],
    }  # fmt: skip
    pen = _Pen(form)
    leaves = "".join(pen.leaf(name, escape(text), 2) for name, text in texts.items())
    leaves += pen.leaf("oriBizMessage", cdata(original), 2)
    return pen.message("CEB900Message", guid, pen.branch("MessageReturn", leaves, 1))


def cdata(text: str) -> str:
    """Put text into CDATA sections; `]]>`, not allowed in one, is split over two."""
    return "<![CDATA[" + text.replace("]]>", "]]]]><![CDATA[>") + "]]>"


def moment(time: datetime) -> str:
    """Write an instant as returnTime: 17 digits of Beijing time (docs/spec/codes.md, returnTime)."""
    local = time.astimezone(BEIJING)
    return f"{local:%Y%m%d%H%M%S}{local.microsecond // 1000:03d}"


# ---- bodies ----


def _body(body: Element, receipt: SimulatedReceipt, pen: "_Pen") -> str:
    texts = _texts(receipt)
    leaves = pen.leaves(body, texts, 2)
    heads = [child for child in body.children if child.children and not child.many]
    parts = [
        pen.branch(head.name, pen.leaves(head, texts, 3) + _extra(head, texts, pen), 2) for head in heads
    ]
    for child in body.children:
        if child.children and child.many:
            lines = _lines(receipt, child)
            parts += [pen.branch(child.name, pen.leaves(child, line, 3), 2) for line in lines]
    return pen.branch(body.name, leaves + "".join(parts), 1)


def _extra(head: Element, texts: Mapping[str, str], pen: "_Pen") -> str:
    if head.name != "TaxHeadRd" or not pen.form.observed:
        return ""
    return "".join(pen.leaf(name, escape(texts[name]), 3) for name in OBSERVED if name in texts)


def _texts(receipt: SimulatedReceipt) -> dict[str, str]:
    """Return every text a receipt may need, by element name; values of customs replace declared ones."""
    case, now = receipt.case, moment(receipt.time)
    own = case.invt_no if receipt.accepted else ""
    said = {
        "guid": case.guid, "returnStatus": receipt.status, "returnTime": now, "returnInfo": receipt.info,
        "preNo": case.pre_no, "invtNo": case.fields.get("invtNo", "") or own, "sumNo": own, "rkdNo": own,
    }  # fmt: skip
    texts = dict(case.fields) | said
    if receipt.message_type in {"CEB816Message", "CEB818Message"}:
        duty = _money(sum(_tax(line) for line in case.lines))
        texts |= {
            "guid": _bill_guid(receipt),
            "taxNo": f"{case.invt_no}_0",
            "status": receipt.status,
            "note": "",
        }
        texts |= {"customsTax": "0.0", "valueAddedTax": duty, "consumptionTax": "0.0", "entDutyNo": ""}
    if receipt.message_type == "CEB792Message":
        serial = case.invt_no[-9:]
        texts |= {"opDate": now, "decState": receipt.status, "declSeqNo": f"E{case.pre_no[1:9]}{serial}"}
        texts |= {"grossWeight": "1.20", "netWeight": "1.00", "msgCount": "1", "note": "汇总完成"}
        for name in ("decTmpNo", "decPreNo", "entryId"):
            texts.pop(name, None)
    return {name: text for name, text in texts.items() if text or name in _EMPTY_AS_SEEN}


_EMPTY_AS_SEEN: Final = frozenset({"entDutyNo", "note"})
"""Optional fields that real tax bills carry empty."""


def _bill_guid(receipt: SimulatedReceipt) -> str:
    """Return the guid of a tax bill: not the case's, but the same one for the same bill."""
    return values.guid(random.Random(f"{receipt.case.guid}|{receipt.message_type}")).lower()  # noqa: S311


def _lines(receipt: SimulatedReceipt, line: Element) -> list[dict[str, str]]:
    if line.name == "TaxListRd":
        return [
            {
                "gnum": part.get("gnum", "1"), "gcode": part.get("gcode", ""),
                "taxPrice": part.get("totalPrice", "0.0"), "customsTax": "0.0",
                "valueAddedTax": _money(_tax(part)), "consumptionTax": "0.0",
            }
            for part in receipt.case.lines
        ]  # fmt: skip
    return [
        {
            "invtNo": part.get("invtNo", ""), "logisticsNo": f"YT{part.get('invtNo', '')[-9:]}",
            "gseqno": str(place), "gnum": "1", "gcode": "8509809000",
        }
        for place, part in enumerate(receipt.case.lines, 1)
    ]  # fmt: skip


def _tax(line: Mapping[str, str]) -> int:
    """Return the value added tax at 9.1 %, in fen; 0 for a price that is not a number."""
    whole, _, part = line.get("totalPrice", "").partition(".")
    digits = whole + (part + "00")[:2]
    return int(digits) * 91 // 1000 if digits.isascii() and digits.isdigit() else 0


def _money(fen: int) -> str:
    return values.money(fen) if fen else "0.0"


@dataclass(frozen=True, slots=True)
class _Pen:
    """Writes receipt elements, indented by four spaces a level."""

    form: ReceiptForm

    @property
    def tag(self) -> str:
        return f"{self.form.prefix}:" if self.form.prefix else ""

    def message(self, name: str, guid: str, inner: str) -> bytes:
        own = f"xmlns:{self.form.prefix}" if self.form.prefix else "xmlns"
        head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        root = f'<{self.tag}{name} {own}="{CEB}" guid="{guid}" version="1.0">\n'
        return f"{head}{root}{inner}</{self.tag}{name}>\n".encode()

    def leaves(self, element: Element, texts: Mapping[str, str], depth: int) -> str:
        return "".join(self._known(leaf, texts, depth) for leaf in element.leaves())

    def _known(self, leaf: Element, texts: Mapping[str, str], depth: int) -> str:
        if not leaf.required and (leaf.name not in texts or (self.form.bare and leaf.name in OWNERS)):
            return ""
        text = texts.get(leaf.name)
        if text is None:
            text = values.fallback(leaf) if leaf.kind != "text" or leaf.min_length else ""
        return self.leaf(leaf.name, escape(text), depth)

    def branch(self, name: str, inner: str, depth: int) -> str:
        margin = "    " * depth
        return f"{margin}<{self.tag}{name}>\n{inner}{margin}</{self.tag}{name}>\n"

    def leaf(self, name: str, text: str, depth: int) -> str:
        return f"{'    ' * depth}<{self.tag}{name}>{text}</{self.tag}{name}>\n"
