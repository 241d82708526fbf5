"""What is kept of a document so that it can be compared with the others of its parcel: nothing personal in the clear.

Names, identity numbers, telephones and addresses are kept as marks: an HMAC-SHA256 under a secret of the node, cut to
16 bytes. Equal values of one kind have equal marks; without the secret a mark cannot be tried against guesses.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec import Struct

from gateway.advice.declared import DeclaredFields
from gateway.model import DocumentLink, Family, MessageType

MARK_BYTES: Final = 16


class DocumentKind(StrEnum):
    """The documents of one parcel."""

    ORDER = "order"
    PAYMENT = "payment"
    WAYBILL = "waybill"
    INVENTORY = "inventory"


class Personal(StrEnum):
    """Kinds of personal values; values of different kinds never have equal marks."""

    NAME = "name"
    IDENTITY = "identity"
    TELEPHONE = "telephone"
    ADDRESS = "address"


class ItemFacts(Struct, frozen=True, array_like=True, kw_only=True):
    """One item of an order or inventory, texts as declared; empty: not declared."""

    gnum: str = ""
    item_no: str = ""
    qty: str = ""
    price: str = ""
    total: str = ""


class ParcelFacts(Struct, frozen=True, array_like=True, kw_only=True):
    """What is kept of one document."""

    number: int
    """1-based position of the declaration in its message."""
    fields: Mapping[str, str]
    """Codes, amounts and currency, texts as declared; fields without a value are absent."""
    people: Mapping[str, bytes]
    """Field → mark."""
    items: tuple[ItemFacts, ...] = ()

    @property
    def deleted(self) -> bool:
        """Whether this version takes the declaration back (appType 3)."""
        return self.fields.get("appType") == "3"


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentForm:
    """Which fields of a message type are kept."""

    kind: DocumentKind
    family: Family
    fields: tuple[str, ...]
    people: Mapping[str, Personal] = field(default_factory=dict)
    order_no: str = "orderNo"
    waybill_no: str = ""
    """Field with the number; empty: the type has none."""


_BUYER: Final = {
    "buyerName": Personal.NAME, "buyerIdNumber": Personal.IDENTITY, "buyerTelephone": Personal.TELEPHONE,
}  # fmt: skip
_CONSIGNEE: Final = {
    "consignee": Personal.NAME, "consigneeTelephone": Personal.TELEPHONE, "consigneeAddress": Personal.ADDRESS,
}  # fmt: skip
_EVERY: Final = ("appType", "currency")
FORMS: Final[Mapping[str, DocumentForm]] = MappingProxyType(
    {
        "CEB311Message": DocumentForm(
            kind=DocumentKind.ORDER, family=Family.IMPORT,
            fields=(*_EVERY, "ebpCode", "ebcCode", "payCode", "payTransactionId", "acturalPaid"),
            people=MappingProxyType({**_BUYER, **_CONSIGNEE}),
        ),
        "CEB411Message": DocumentForm(
            kind=DocumentKind.PAYMENT, family=Family.IMPORT,
            fields=(*_EVERY, "ebpCode", "payCode", "payTransactionId", "amountPaid"),
            people=MappingProxyType({"payerName": Personal.NAME, "payerIdNumber": Personal.IDENTITY}),
        ),
        "CEB511Message": DocumentForm(
            kind=DocumentKind.WAYBILL, family=Family.IMPORT, waybill_no="logisticsNo",
            fields=(*_EVERY, "logisticsCode"), people=MappingProxyType(_CONSIGNEE),
        ),
        "CEB621Message": DocumentForm(
            kind=DocumentKind.INVENTORY, family=Family.IMPORT, waybill_no="logisticsNo",
            fields=(*_EVERY, "ebpCode", "ebcCode", "agentCode", "logisticsCode"),
            people=MappingProxyType({**_BUYER, "consigneeAddress": Personal.ADDRESS}),
        ),
        "CEB303Message": DocumentForm(
            kind=DocumentKind.ORDER, family=Family.EXPORT, fields=(*_EVERY, "ebpCode", "ebcCode"),
        ),
        "CEB403Message": DocumentForm(
            kind=DocumentKind.PAYMENT, family=Family.EXPORT, fields=(*_EVERY, "ebpCode", "ebcCode", "payCode"),
        ),
        "CEB505Message": DocumentForm(
            kind=DocumentKind.WAYBILL, family=Family.EXPORT, order_no="", waybill_no="logisticsNo",
            fields=(*_EVERY, "logisticsCode", "ebcCode"),
        ),
        "CEB603Message": DocumentForm(
            kind=DocumentKind.INVENTORY, family=Family.EXPORT, waybill_no="logisticsNo",
            fields=(*_EVERY, "ebpCode", "ebcCode", "agentCode", "logisticsCode"),
        ),
    }
)  # fmt: skip
"""Message type → what is kept of it (docs/spec/messages.md, Catalogue)."""
REQUESTS: Final[Mapping[str, DocumentForm]] = MappingProxyType(
    {
        name: DocumentForm(
            kind=DocumentKind.INVENTORY, family=Family.IMPORT, waybill_no="logisticsNo",
            fields=("appType", "appTime", "invtNo", "logisticsCode"),
        )
        for name in ("CEB623Message", "CEB625Message")
    }
)  # fmt: skip
"""Requests to cancel an import inventory and to return its goods: not compared, but counted (`allowance`)."""
_KEPT: Final = {**FORMS, **REQUESTS}
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(ParcelFacts)


class Linker:
    """Makes what links the declarations of a message to the other documents of their parcels. Pure."""

    def __init__(self, secret: bytes) -> None:
        """`secret`: what the marks of personal values are made with; the same for all nodes of one spool."""
        self._secret = secret

    def __call__(self, kind: MessageType, declared: Sequence[DeclaredFields]) -> tuple[DocumentLink, ...]:
        """Return a link for each declaration, in order; none at all for a type that is not compared."""
        form = _KEPT.get(kind.name)
        if form is None:
            return ()
        return tuple([self._link(form, one, number) for number, one in enumerate(declared, start=1)])

    def mark(self, kind: Personal, value: str) -> bytes:
        """Return the mark of a personal value; blanks around it, and small letters of an identity number, do not count."""
        text = value.strip()
        if kind is Personal.IDENTITY:
            text = text.upper()
        return hmac.digest(self._secret, f"{kind}\0{text}".encode(), "sha256")[:MARK_BYTES]

    def _link(self, form: DocumentForm, one: DeclaredFields, number: int) -> DocumentLink:
        head = one.head
        facts = ParcelFacts(
            number=number,
            fields={name: head[name] for name in form.fields if name in head},
            people={name: self.mark(kind, head[name]) for name, kind in form.people.items() if name in head},
            items=tuple([_item(item) for item in one.items]),
        )
        return DocumentLink(
            order_no=head.get(form.order_no, "") if form.order_no else "",
            waybill_no=head.get(form.waybill_no, "") if form.waybill_no else "",
            facts=encoded(facts),
        )


def encoded(facts: ParcelFacts) -> bytes:
    """Encode the facts of a link."""
    return _encode(facts)


def parcel_facts(facts: bytes) -> ParcelFacts:
    """Decode the facts of a link."""
    return _decoder.decode(facts)


def _item(item: Mapping[str, str]) -> ItemFacts:
    texts = item.get
    return ItemFacts(
        gnum=texts("gnum", ""),
        item_no=texts("itemNo", ""),
        qty=texts("qty", ""),
        price=texts("price", ""),
        total=texts("totalPrice", ""),
    )
