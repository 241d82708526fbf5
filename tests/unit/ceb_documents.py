"""Small documents of invented data for the tests of schemas and validation."""

from gateway.rules.schemas import CEB_NAMESPACE, DS_NAMESPACE, DXP_NAMESPACE

GUID = "11111111-2222-3333-4444-555555555555"
TRANSFER = """<BaseTransfer><copCode>1100000000</copCode><copName>示例企业</copName><dxpMode>DXP</dxpMode>
<dxpId>DXPENT0000000001</dxpId></BaseTransfer>"""
ORDER = f"""<Order>
<OrderHead>
<guid>{GUID}</guid>
<appType>1</appType>
<appTime>20241111080000</appTime>
<appStatus>2</appStatus>
<orderType>I</orderType>
<orderNo>A-1</orderNo>
<ebpCode>1100000001</ebpCode>
<ebpName>示例平台</ebpName>
<ebcCode>1100000002</ebcCode>
<ebcName>示例电商</ebcName>
<goodsValue>10.5</goodsValue>
<freight>0</freight>
<discount>0</discount>
<taxTotal>1.2</taxTotal>
<acturalPaid>11.7</acturalPaid>
<currency>142</currency>
<buyerRegNo>buyer1</buyerRegNo>
<buyerName>张三</buyerName>
<buyerTelephone>13000000000</buyerTelephone>
<buyerIdType>1</buyerIdType>
<buyerIdNumber>000000000000000000</buyerIdNumber>
<consignee>李四</consignee>
<consigneeTelephone>13000000001</consigneeTelephone>
<consigneeAddress>示例路1号</consigneeAddress>
</OrderHead>
<OrderList>
<gnum>1</gnum>
<itemName>示例商品</itemName>
<gmodel>1</gmodel>
<unit>007</unit>
<qty>1</qty>
<price>10.5</price>
<totalPrice>10.5</totalPrice>
<currency>142</currency>
<country>142</country>
</OrderList>
</Order>
{TRANSFER}"""
CANCEL = f"""<InvtCancel><guid>{GUID}</guid><appType>1</appType><appTime>20241111080000</appTime>
<appStatus>2</appStatus><customsCode>0100</customsCode><orderNo>A-1</orderNo><ebpCode>1</ebpCode>
<ebpName>示例平台</ebpName><ebcCode>1</ebcCode><ebcName>示例电商</ebcName><logisticsNo>L1</logisticsNo>
<logisticsCode>1</logisticsCode><logisticsName>示例物流</logisticsName><copNo>C1</copNo>
<invtNo>010020241000000001</invtNo><buyerIdType>1</buyerIdType><buyerIdNumber>1</buyerIdNumber>
<buyerName>张三</buyerName><buyerTelephone>13000000000</buyerTelephone><agentCode>1</agentCode>
<agentName>示例代理</agentName><reason>示例</reason></InvtCancel>{TRANSFER}"""
ARRIVAL = f"""<Arrival><ArrivalHead><guid>{GUID}</guid><appType>1</appType><appTime>20241111080000</appTime>
<appStatus/><customsCode>0100</customsCode><copNo>C1</copNo><operatorCode>1</operatorCode>
<operatorName>示例场站</operatorName><ieFlag>E</ieFlag><trafMode>5</trafMode><domesticTrafNo>T1</domesticTrafNo>
<logisticsCode>1</logisticsCode><logisticsName>示例物流</logisticsName><msgCount>1</msgCount>
<msgSeqNo>1</msgSeqNo></ArrivalHead></Arrival>{TRANSFER}"""
ARRIVAL_ROW = "<ArrivalList><gnum>{}</gnum><logisticsNo>L1</logisticsNo></ArrivalList>\n"
RECEIPT = f"""<InventoryReturn><guid>{GUID}</guid><copNo>C1</copNo><preNo>B20241111000000001</preNo>
<returnStatus>2</returnStatus><returnTime>20241111080000000</returnTime><returnInfo>示例</returnInfo>
</InventoryReturn>"""
ENVELOPE = """<TransInfo><CopMsgId>m1</CopMsgId><SenderId>DXPENT0000000001</SenderId><ReceiverIds>
<ReceiverId>DXPEDCCEB0000002</ReceiverId></ReceiverIds><CreatTime>2024-11-11T08:00:00</CreatTime>
<MsgType>CEB311Message</MsgType></TransInfo><Data>QUJD</Data>"""
SIGNATURE = f"""<ds:Signature xmlns:ds="{DS_NAMESPACE}"><ds:SignedInfo>
<ds:CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>
<ds:SignatureMethod Algorithm="http://www.w3.org/2000/09/xmldsig#rsa-sha1"/>
<ds:Reference URI=""><ds:DigestMethod Algorithm="http://www.w3.org/2000/09/xmldsig#sha1"/>
<ds:DigestValue>AAAA</ds:DigestValue></ds:Reference></ds:SignedInfo>
<ds:SignatureValue>AAAA</ds:SignatureValue></ds:Signature>"""


def document(root: str, body: str) -> str:
    """Put a body into its root; line 1 is the root's start tag, line 2 the first of the body."""
    if root.startswith("Dxp"):
        return f'<{root} xmlns="{DXP_NAMESPACE}" ver="1.0">\n{body}\n</{root}>'
    return f'<{root} xmlns="{CEB_NAMESPACE}" guid="{GUID}" version="1.0">\n{body}\n</{root}>'
