"""Invented documents for tests: small, valid against edition 202205, nothing in them is real."""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

CEB = "http://www.chinaport.gov.cn/ceb"
DXP = "http://www.chinaport.gov.cn/dxp"
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
COP_CODE = "4400000001"
DXP_ID = "DXPENT0000000001"
RETURNS = {
    "CEB214Message": "RefundReturn",
    "CEB216Message": "InvtRefundDetailReturn",
    "CEB304Message": "OrderReturn",
    "CEB312Message": "OrderReturn",
    "CEB404Message": "ReceiptsReturn",
    "CEB412Message": "PaymentReturn",
    "CEB506Message": "LogisticsReturn",
    "CEB508Message": "ArrivalReturn",
    "CEB510Message": "DepartureReturn",
    "CEB512Message": "LogisticsReturn",
    "CEB514Message": "LogisticsStatusReturn",
    "CEB604Message": "InventoryReturn",
    "CEB606Message": "InvtCancelReturn",
    "CEB608Message": "WayBillReturn",
    "CEB622Message": "InventoryReturn",
    "CEB624Message": "InvtCancelReturn",
    "CEB626Message": "InvtRefundReturn",
    "CEB702Message": "SummaryReturn",
    "CEB712Message": "DeliveryReturn",
    "CEB900Message": "MessageReturn",
}
"""Receipt type → the element that is repeated in it."""


def guid(number: int = 1) -> str:
    """Make a GUID that is the same every time."""
    return f"{number:08X}-0000-4000-8000-{number:012X}"


def element(name: str, *parts: str, **fields: str | None) -> str:
    """Write one element with the prefix: leaf fields first, None left out, then parts as they are."""
    leaves = "".join(
        f"<ceb:{key}>{escape(value)}</ceb:{key}>" for key, value in fields.items() if value is not None
    )
    return f"<ceb:{name}>{leaves}{''.join(parts)}</ceb:{name}>"


def message(
    name: str, bodies: Sequence[str], *, cop_code: str = COP_CODE, dxp_id: str = DXP_ID, tail: str = ""
) -> bytes:
    """Write a declaration message around bodies; `tail` stands behind BaseTransfer."""
    transfer = element(
        "BaseTransfer", copCode=cop_code, copName="示例传输企业", dxpMode="DXP", dxpId=dxp_id, note="测试"
    )
    return document(name, "".join(bodies) + transfer + tail)


def document(name: str, content: str) -> bytes:
    """Write a document with root `name`."""
    return (
        f'{HEAD}<ceb:{name} xmlns:ceb="{CEB}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'guid="{guid(900)}" version="1.0">{content}</ceb:{name}>'
    ).encode()


def order(
    *order_nos: str,
    ebp_code: str = "4400000002",
    ebc_code: str = "4400000003",
    app_type: str = "1",
    app_time: str = "20250102030405",
    cop_code: str = COP_CODE,
    dxp_id: str = DXP_ID,
) -> bytes:
    """Write an import order message (311), a body for each order number."""
    bodies = [
        element(
            "Order",
            element(
                "OrderHead",
                guid=guid(number), appType=app_type, appTime=app_time, appStatus="2", orderType="I",
                orderNo=order_no, ebpCode=ebp_code, ebpName="示例平台", ebcCode=ebc_code, ebcName="示例电商",
                goodsValue="100", freight="0", discount="0", taxTotal="9.1", acturalPaid="109.1",
                currency="142", buyerRegNo="buyer-1", buyerName="张三", buyerTelephone="13000000000",
                buyerIdType="1", buyerIdNumber="110000000000000000", consignee="张三",
                consigneeTelephone="13000000000", consigneeAddress="示例市示例路1号",
            ),
            element(
                "OrderList",
                gnum="1", itemNo="SKU-1", itemName="样品", gmodel="1kg", unit="011", qty="1", price="100",
                totalPrice="100", currency="142", country="502",
            ),
        )
        for number, order_no in enumerate(order_nos or ("ORDER-1",), start=1)
    ]  # fmt: skip
    return message("CEB311Message", bodies, cop_code=cop_code, dxp_id=dxp_id)


def inventory(
    *cop_nos: str | None,
    agent_code: str | None = "4400000004",
    ebp_code: str = "4400000002",
    ebc_code: str = "4400000003",
    order_no: str = "ORDER-1",
    pre_no: str | None = None,
    invt_no: str | None = None,
    app_type: str = "1",
    app_time: str = "20250102030405",
    cop_code: str = COP_CODE,
    dxp_id: str = DXP_ID,
) -> bytes:
    """Write an import inventory message (621), unsigned, a body for each copNo; None leaves it out."""
    bodies = [
        element(
            "Inventory",
            element(
                "InventoryHead",
                guid=guid(number), appType=app_type, appTime=app_time, appStatus="2", orderNo=order_no,
                ebpCode=ebp_code, ebpName="示例平台", ebcCode=ebc_code, ebcName="示例电商",
                logisticsNo="WB-1", logisticsCode="4400000005", logisticsName="示例物流", copNo=cop_no,
                preNo=pre_no, assureCode="4400000006", invtNo=invt_no, ieFlag="I", declTime="20250102",
                customsCode="5100", portCode="5100", buyerIdType="1", buyerIdNumber="110000000000000000",
                buyerName="张三", buyerTelephone="13000000000", consigneeAddress="示例市示例路1号",
                agentCode=agent_code, agentName="示例报关", tradeMode="9610", trafMode="5", country="502",
                freight="0", insuredFee="0", currency="142", packNo="1", grossWeight="1", netWeight="1",
            ),
            element(
                "InventoryList",
                gnum="1", gcode="2201101000", gname="样品", gmodel="1kg", country="502", currency="142",
                qty="1", unit="011", qty1="1", unit1="035", price="100", totalPrice="100",
            ),
        )
        for number, cop_no in enumerate(cop_nos or ("COP-1",), start=1)
    ]  # fmt: skip
    return message("CEB621Message", bodies, cop_code=cop_code, dxp_id=dxp_id)


def waybill_status(*logistics_nos: str, cop_code: str = COP_CODE, dxp_id: str = DXP_ID) -> bytes:
    """Write an import waybill status message (513): flat bodies, no head."""
    bodies = [
        element(
            "LogisticsStatus",
            guid=guid(number), appType="1", appTime="20250102030405", appStatus="2",
            logisticsCode="4400000005", logisticsName="示例物流", logisticsNo=logistics_no,
            logisticsStatus="S", logisticsTime="20250102030405",
        )
        for number, logistics_no in enumerate(logistics_nos or ("WB-1",), start=1)
    ]  # fmt: skip
    return message("CEB513Message", bodies, cop_code=cop_code, dxp_id=dxp_id)


def export_order(
    *order_nos: str,
    ebp_code: str = "4400000002",
    ebc_code: str = "4400000003",
    cop_code: str = COP_CODE,
    dxp_id: str = DXP_ID,
    tail: str = "",
) -> bytes:
    """Write an export order message (303)."""
    bodies = [
        element(
            "Order",
            element(
                "OrderHead",
                guid=guid(number), appType="1", appTime="20250102030405", appStatus="2", orderType="E",
                orderNo=order_no, ebpCode=ebp_code, ebpName="示例平台", ebcCode=ebc_code, ebcName="示例电商",
                goodsValue="100", freight="0", currency="502",
            ),
            element(
                "OrderList",
                gnum="1", itemNo="SKU-1", itemName="样品", unit="011", currency="502", qty="1", price="100",
                totalPrice="100",
            ),
        )
        for number, order_no in enumerate(order_nos or ("ORDER-1",), start=1)
    ]  # fmt: skip
    return message("CEB303Message", bodies, cop_code=cop_code, dxp_id=dxp_id, tail=tail)


def receipt(name: str, *bodies: Mapping[str, str], prefix: bool = False) -> bytes:
    """Write a receipt: a body for each mapping, with guid, status, time and text filled in where missing."""
    start, root = ("ceb:", f'ceb:{name} xmlns:ceb="{CEB}"') if prefix else ("", f'{name} xmlns="{CEB}"')
    content = "".join(_body(RETURNS[name], fields, start, number) for number, fields in enumerate(bodies, 1))
    return f'{HEAD}<{root} guid="{guid(901)}" version="1.0">{content}</{start}{name}>'.encode()


def _body(body: str, fields: Mapping[str, str], start: str, number: int) -> str:
    filled = {
        "guid": guid(number),
        **fields,
        "returnStatus": fields.get("returnStatus", "2"),
        "returnTime": fields.get("returnTime", "20250102030405678"),
        "returnInfo": fields.get("returnInfo", "示例申报成功"),
    }
    leaves = "".join(f"<{start}{key}>{escape(value)}</{start}{key}>" for key, value in filled.items())
    return f"<{start}{body}>{leaves}</{start}{body}>"


def dxp_rep(*about: tuple[str, str, str], receiver: str = DXP_ID, between: str = "") -> bytes:
    """Write a DxpRep with a Response for each (CopMsgId, SenderId, code), as the exchange indents it."""
    written = [
        response(cop_msg_id, sender, code, info=f"about {cop_msg_id}") for cop_msg_id, sender, code in about
    ]
    return responses(between.join(f"  {one}\n" for one in written), receiver=receiver)


def response(cop_msg_id: str, sender: str, code: str, *, info: str, day: str = "2026-11-11") -> str:
    """Write a Response of a DxpRep about a message."""
    return (
        f"<Response><ResponseCode>{code}</ResponseCode><ResponseInfo>{info}</ResponseInfo>"
        f"<NoticeTime>{day}</NoticeTime>\n    <OriHead><CopMsgId>{cop_msg_id}</CopMsgId><SenderId>{sender}</SenderId>"
        "<ReceiverIds><ReceiverId>DXPEDCCEB0000002</ReceiverId></ReceiverIds><CreatTime>2026-11-11T08:00:00</CreatTime>"
        "<MsgType>CEB311Message</MsgType></OriHead></Response>"
    )


def responses(*written: str, receiver: str) -> bytes:
    """Write a DxpRep of these."""
    return (
        f'{HEAD}<DxpRep xmlns="{DXP}" ver="1.0">\n  <RecevierId>{receiver}</RecevierId>\n'
        f"{''.join(written)}</DxpRep>"
    ).encode()


def format_errors(*originals: tuple[str, str]) -> bytes:
    """Write a CEB900 with a body for each (CopMsgId, original text)."""
    bodies = [
        element(
            "MessageReturn",
            f"<ceb:oriBizMessage><![CDATA[{original}]]></ceb:oriBizMessage>",
            guid=guid(number), returnStatus="-999999", returnInfo="格式错误", returnTime="20250102030405678",
            oriCopMsgId=cop_msg_id, oriMessageType="CEB311Message",
        )
        for number, (cop_msg_id, original) in enumerate(originals, start=1)
    ]  # fmt: skip
    return document("CEB900Message", "".join(bodies))


def tax(name: str = "CEB816Message", **fields: str) -> bytes:
    """Write a tax bill (816) or its status (818), which find back by invtNo only."""
    head = {"CEB816Message": "TaxHeadRd", "CEB818Message": "TaxHeadStatus"}[name]
    filled = {
        "guid": guid(1),
        "returnTime": "20250102030405678",
        "invtNo": "51002025I000000001",
        "taxNo": "51002025I000000001_0",
        "status": "1",
        **fields,
    }
    lists = [] if name == "CEB818Message" else [
        element("TaxListRd", gnum=str(number), gcode="2201101000", taxPrice="100") for number in (1, 2)
    ]  # fmt: skip
    return document(name, element("Tax", element(head, **filled), *lists))
