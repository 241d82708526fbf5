"""What is said of a field that does not agree, in both languages, and who has to act. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.advice.layout import Layout, layout_of
from gateway.model import Actor, Advice, MessageType, Severity
from gateway.parcels.comparing import (
    ITEM_CONTENT,
    ITEM_COUNT,
    MISSING,
    OVER_LIMIT,
    WAYBILL_REUSED,
    FieldMatch,
)
from gateway.parcels.documents import ParcelDocument
from gateway.parcels.facts import DocumentKind
from gateway.rules.catalogue import Catalogue
from gateway.rules.schemas import Schemas
from gateway.rules.texts import Bilingual

SOURCE: Final = "docs/spec/business_rules.md, What is compared"
ACTS: Final[Mapping[DocumentKind, Actor]] = MappingProxyType(
    {
        DocumentKind.ORDER: Actor.PLATFORM,
        DocumentKind.PAYMENT: Actor.PAYMENT_FIRM,
        DocumentKind.WAYBILL: Actor.LOGISTICS_FIRM,
        DocumentKind.INVENTORY: Actor.BROKER,
    }
)
"""Who declares a document, and so can correct it."""
KINDS_ZH: Final[Mapping[DocumentKind, str]] = MappingProxyType(
    {
        DocumentKind.ORDER: "订单",
        DocumentKind.PAYMENT: "支付单",
        DocumentKind.WAYBILL: "运单",
        DocumentKind.INVENTORY: "清单",
    }
)


_PUSH_AGAIN: Final = Bilingual(
    en="let the payment firm push the payment again with the data of the order, or correct the order and declare it as a"
    " change (appType 2)",
    zh="请支付企业按订单信息重新推送支付单，或由电商平台更正订单后以变更（appType填2）重新申报",
)
_ALIGN: Final = Bilingual(
    en="agree with whoever declares the other document; whoever is wrong corrects his and declares it as a change (appType 2)",
    zh="与另一单证的申报方核对，由有误的一方更正后以变更（appType填2）重新申报",
)
_CURES: Final[Mapping[frozenset[DocumentKind], Bilingual]] = MappingProxyType(
    {frozenset((DocumentKind.ORDER, DocumentKind.PAYMENT)): _PUSH_AGAIN}
)
_MISSING_CURES: Final[Mapping[DocumentKind, Bilingual]] = MappingProxyType(
    {
        DocumentKind.ORDER: Bilingual(
            en="let the platform declare the order, if it did not go another way",
            zh="如订单未经其他途径申报，请电商平台申报订单",
        ),
        DocumentKind.PAYMENT: Bilingual(
            en="let the payment firm push the payment, if it did not go another way",
            zh="如支付单未经其他途径申报，请支付企业推送支付单",
        ),
        DocumentKind.WAYBILL: Bilingual(
            en="let the logistics firm declare the waybill, if it did not go another way",
            zh="如运单未经其他途径申报，请物流企业申报运单",
        ),
    }
)

_NO_CURE: Final = Bilingual(
    en="nobody can mend it this year: do not declare it as retail import, or ask the buyer to wait for the next year",
    zh="本年度内无法补救：请勿按零售进口申报，或请订购人待下一年度再购买",
)


class ParcelTexts:
    """Makes advice of what comparing finds; reads the names of fields from the schemas once for each type."""

    def __init__(self, catalogue: Catalogue, schemas: Schemas) -> None:
        self._catalogue = catalogue
        self._schemas = schemas
        self._layouts: dict[str, Layout] = {}

    def mismatch(self, one: ParcelDocument, found: FieldMatch) -> Advice:
        """Say of a field that it does not agree with the other document."""
        said = _said(one.kind, found)
        cure = _CURES.get(frozenset((one.kind, found.kind)), _ALIGN)
        return self._advice(
            one,
            found.field,
            said,
            cure,
            item=found.item,
            rule=found.rule,
            severity=found.severity,
            code=found.code,
            who=ACTS[one.kind],
            grade=found.grade,
        )

    def missing(self, one: ParcelDocument, kind: DocumentKind) -> Advice:
        """Say that a document that an inventory needs has not passed here."""
        number = "logisticsNo" if kind is DocumentKind.WAYBILL else "orderNo"
        value = one.waybill_no if kind is DocumentKind.WAYBILL else one.order_no
        since = f"{one.accepted_at:%Y-%m-%dT%H:%M:%SZ}"
        said = Bilingual(
            en=f"the {kind} for {number} {value} has not passed here; this inventory was accepted at {since}",
            zh=f"{number}为{value}的{KINDS_ZH[kind]}未经本网关申报，本清单接收于{since}",
        )
        return self._advice(
            one,
            number,
            said,
            _MISSING_CURES[kind],
            rule=MISSING[kind],
            severity=Severity.HINT,
            who=ACTS[kind],
            grade="V",
        )

    def over_limit(self, one: ParcelDocument, yuan: int) -> Advice:
        """Say that a list would go beyond the yearly limit of its buyer; never by how much."""
        said = Bilingual(
            en=f"with this list the buyer would exceed the yearly limit of {yuan} yuan; lists released through other nodes"
            " are not counted here",
            zh=f"本清单放行后，订购人将超过{yuan}元的个人年度交易限值；经其他节点放行的清单未计入",
        )
        return self._advice(
            one,
            "buyerIdNumber",
            said,
            _NO_CURE,
            rule=OVER_LIMIT,
            severity=Severity.WARNING,
            code="1313",
            who=Actor.NOBODY,
            grade="V",
        )

    def _advice(
        self,
        one: ParcelDocument,
        field: str,
        said: Bilingual,
        cure: Bilingual,
        *,
        rule: str,
        severity: Severity,
        who: Actor,
        grade: str,
        item: int = 0,
        code: str = "",
    ) -> Advice:
        path, name_zh = self._layout(one.message_type).place(field, one.facts.number, item)
        return Advice(
            rule=rule,
            severity=severity,
            path=path,
            element=field,
            name_zh=name_zh,
            code=code,
            who=who,
            message=said.en,
            message_zh=said.zh,
            fix=cure.en,
            fix_zh=cure.zh,
            grade=grade,
            source=SOURCE,
        )

    def _layout(self, message_type: str) -> Layout:
        if message_type not in self._layouts:
            kind: MessageType = self._catalogue.types[message_type]
            self._layouts[message_type] = layout_of(kind, self._schemas)
        return self._layouts[message_type]


def _said(kind: DocumentKind, found: FieldMatch) -> Bilingual:
    """Say what is wrong without a value of either document."""
    mine, theirs = KINDS_ZH[kind], KINDS_ZH[found.kind]
    if found.rule == WAYBILL_REUSED:
        return Bilingual(
            en="another inventory used this waybill number of the logistics firm for another order within six months",
            zh="六个月内同一物流企业的该运单编号已被用于另一订单的清单",
        )
    if found.rule == ITEM_COUNT:
        return Bilingual(
            en=f"the items of this {kind} are not as many as those of the {found.kind}, or their gnum differ",
            zh=f"本{mine}的商品项数或序号与{theirs}不一致",
        )
    if found.rule == ITEM_CONTENT:
        return Bilingual(
            en=f"{found.field} of item {found.item} is not the same in the {found.kind}",
            zh=f"第{found.item}项商品的{found.field}与{theirs}不一致",
        )
    return Bilingual(
        en=f"{found.field} of this {kind} does not agree with the {found.kind}",
        zh=f"本{mine}的{found.field}与{theirs}不一致",
    )
