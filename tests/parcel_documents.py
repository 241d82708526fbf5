"""The documents of one invented parcel that agree with each other; each may be told to say something else."""

from collections.abc import Mapping, Sequence

from tests.documents import COP_CODE, DXP_ID, element, guid, message

PLATFORM, SHOP, PAYER, CARRIER, BROKER = "4400000002", "4400000003", "4400000007", "4400000005", "4400000004"
NAME, IDENTITY, TELEPHONE, ADDRESS = "王小明", "110101199001011234", "13912345678", "示例省示例市样品路8号"
ITEMS: Sequence[Mapping[str, str]] = (
    {"gnum": "1", "itemNo": "SKU-1", "qty": "2", "price": "30"},
    {"gnum": "2", "itemNo": "SKU-2", "qty": "1", "price": "40"},
)
Said = Mapping[str, str | None]


def _heads(said: Said, **usual: str | None) -> dict[str, str | None]:
    """Put what a test says in the place of what is usual; unknown fields are an error of the test."""
    assert not set(said) - set(usual), set(said) - set(usual)
    return {**usual, **said}


def _total(item: Mapping[str, str]) -> str:
    return f"{float(item['qty']) * float(item['price']):g}"


def order(*, items: Sequence[Mapping[str, str]] = ITEMS, cop_code: str = COP_CODE, dxp_id: str = DXP_ID, **said: str | None) -> bytes:  # fmt: skip
    """Write an import order (311)."""
    head = _heads(
        said,
        guid=guid(1), appType="1", appTime="20261111080000", appStatus="2", orderType="I", orderNo="ORDER-1",
        ebpCode=PLATFORM, ebpName="示例平台", ebcCode=SHOP, ebcName="示例电商", goodsValue="100", freight="0",
        discount="0", taxTotal="9.1", acturalPaid="109.1", currency="142", buyerRegNo="buyer-1", buyerName=NAME,
        buyerTelephone=TELEPHONE, buyerIdType="1", buyerIdNumber=IDENTITY, payCode=PAYER, payName="示例支付",
        payTransactionId="PAY-1", consignee=NAME, consigneeTelephone=TELEPHONE, consigneeAddress=ADDRESS,
    )  # fmt: skip
    lists = [
        element(
            "OrderList",
            gnum=one["gnum"], itemNo=one["itemNo"], itemName="样品", gmodel="1kg", unit="011", qty=one["qty"],
            price=one["price"], totalPrice=_total(one), currency="142", country="502",
        )
        for one in items
    ]  # fmt: skip
    body = element("Order", element("OrderHead", **head), *lists)
    return message("CEB311Message", [body], cop_code=cop_code, dxp_id=dxp_id)


def payment(*, cop_code: str = COP_CODE, dxp_id: str = DXP_ID, **said: str | None) -> bytes:
    """Write a payment (411)."""
    head = _heads(
        said,
        guid=guid(2), appType="1", appTime="20261111080000", appStatus="2", payCode=PAYER, payName="示例支付",
        payTransactionId="PAY-1", orderNo="ORDER-1", ebpCode=PLATFORM, ebpName="示例平台", payerIdType="1",
        payerIdNumber=IDENTITY, payerName=NAME, telephone=TELEPHONE, amountPaid="109.1", currency="142",
        payTime="20261111075900",
    )  # fmt: skip
    body = element("Payment", element("PaymentHead", **head))
    return message("CEB411Message", [body], cop_code=cop_code, dxp_id=dxp_id)


def waybill(*, cop_code: str = COP_CODE, dxp_id: str = DXP_ID, **said: str | None) -> bytes:
    """Write an import waybill (511)."""
    head = _heads(
        said,
        guid=guid(3), appType="1", appTime="20261111080000", appStatus="2", logisticsCode=CARRIER,
        logisticsName="示例物流", logisticsNo="WB-1", orderNo="ORDER-1", freight="0", insuredFee="0", currency="142",
        weight="1", packNo="1", consignee=NAME, consigneeAddress=ADDRESS, consigneeTelephone=TELEPHONE,
    )  # fmt: skip
    body = element("Logistics", element("LogisticsHead", **head))
    return message("CEB511Message", [body], cop_code=cop_code, dxp_id=dxp_id)


def inventory(*, items: Sequence[Mapping[str, str]] = ITEMS, cop_code: str = COP_CODE, dxp_id: str = DXP_ID, **said: str | None) -> bytes:  # fmt: skip
    """Write an import inventory (621), unsigned."""
    head = _heads(
        said,
        guid=guid(4), appType="1", appTime="20261111080000", appStatus="2", orderNo="ORDER-1", ebpCode=PLATFORM,
        ebpName="示例平台", ebcCode=SHOP, ebcName="示例电商", logisticsNo="WB-1", logisticsCode=CARRIER,
        logisticsName="示例物流", copNo="COP-1", assureCode=PLATFORM, ieFlag="I", declTime="20261111",
        customsCode="5100", portCode="5100", buyerIdType="1", buyerIdNumber=IDENTITY, buyerName=NAME,
        buyerTelephone=TELEPHONE, consigneeAddress=ADDRESS, agentCode=BROKER, agentName="示例报关",
        tradeMode="9610", trafMode="5", country="502", freight="0", insuredFee="0", currency="142", packNo="1",
        grossWeight="1", netWeight="1",
    )  # fmt: skip
    lists = [
        element(
            "InventoryList",
            gnum=one["gnum"], itemNo=one["itemNo"], gcode="2201101000", gname="样品", gmodel="1kg", country="502",
            currency="142", qty=one["qty"], unit="011", qty1="1", unit1="035", price=one["price"],
            totalPrice=_total(one),
        )
        for one in items
    ]  # fmt: skip
    body = element("Inventory", element("InventoryHead", **head), *lists)
    return message("CEB621Message", [body], cop_code=cop_code, dxp_id=dxp_id)
