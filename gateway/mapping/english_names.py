"""What platforms call the fields of a declaration in English, beside the names of the elements: for drafts only.

Written as `gateway.mapping.sample_tree.spelt_key` compares keys: lower case, without signs between words. A key of JSON may be
matched together with the key around it: `buyer/phone` is `buyerphone`.
"""

from collections.abc import Mapping
from typing import Final

ENGLISH_NAMES: Final[Mapping[str, str]] = {
    "appType": "action",
    "appTime": "declaredat declaretime submittedat",
    "orderNo": "orderno ordernumber ordersn orderid orderid ordercode",
    "ebpCode": "platformcode", "ebpName": "platformname",
    "ebcCode": "shopcode merchantcode sellercode", "ebcName": "shopname merchantname sellername",
    "goodsValue": "goodsamount goodsvalue amountsgoods goodstotal",
    "freight": "postage shippingfee shipping postfee",
    "insuredFee": "insurance insurancefee",
    "discount": "coupon discountamount amountsdiscount disamount",
    "taxTotal": "tax taxes taxamount amountstax",
    "acturalPaid": "actualpaid paid amountpaid paidamount payamount amountspaid totalpaid",
    "amountPaid": "amount paid payamount paidamount amountyuan",
    "charge": "amount received receivedamount",
    "buyerRegNo": "buyeraccount buyerid account userid",
    "buyerName": "buyername realname", "buyerTelephone": "buyerphone buyermobile buyertel",
    "buyerIdNumber": "idcard idnumber buyeridcard idcardno",
    "payerName": "payername", "payerIdNumber": "payeridcard payeridnumber", "telephone": "payerphone payermobile",
    "payCode": "paymentcode paycode", "payName": "paymentname payname",
    "payTransactionId": "transaction transactionid paymenttransaction paymentno payno tradeno",
    "payNo": "transaction transactionid paymentno tradeno",
    "payTime": "paidat paytime paymenttime", "accountingDate": "receivedat accountedat",
    "batchNumbers": "batch batchno",
    "consignee": "consigneename receivername receiver deliveryname recipient",
    "consigneeTelephone": "consigneephone receiverphone receivermobile deliveryphone",
    "consigneeAddress": "address deliveryaddress receiveraddress deliverystreet",
    "consigneeDistrict": "district deliverydistrict districtcode",
    "logisticsNo": "waybillno trackingno trackingnumber waybill expressno",
    "logisticsCode": "carriercode", "logisticsName": "carriername carrier",
    "logisticsStatus": "status", "logisticsTime": "statustime",
    "copNo": "copno internalno", "agentCode": "brokercode", "agentName": "brokername",
    "itemNo": "sku skuno skucode itemcode productcode", "itemName": "name title productname goodsname skuname",
    "gcode": "hscode hs", "gname": "customsname hsname goodsname", "gmodel": "model spec specification",
    "itemDescribe": "description desc", "barCode": "barcode ean upc",
    "unit": "unit uom", "qty": "quantity count num number", "price": "unitprice",
    "totalPrice": "total amount subtotal lineamount totalamount",
    "country": "fromcountry departurecountry destinationcountry",
    "List/country": "origin origincountry countryoforigin destination",
    "currency": "currencycode", "List/currency": "itemcurrency linecurrency",
    "note": "remark remarks comment memo", "List/note": "itemnote linenote itemremark",
    "qty1": "quantity1 legalquantity", "qty2": "quantity2",
    "trafMode": "trafficmode transportmode", "trafNo": "vehicle", "trafName": "vehicle",
    "wrapType": "wrapping packaging", "ieDate": "arrivaldate departuredate",
    "grossWeight": "grosskg gross", "netWeight": "netkg net", "weight": "weightkg grossweight",
    "packNo": "packages parcels", "billNo": "masterbill mawb billno", "voyageNo": "voyage flight flightno",
    "copCode": "sendercode", "copName": "sendername", "dxpId": "senderdxpid dxp",
}  # fmt: skip
"""Element → its names, divided by blanks; `List/…`: of the element of a line, which one of the head has the name of, too."""
