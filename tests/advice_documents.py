"""Sound declarations of all types, invented: what no rule of advice objects to (`mappings/rules.toml`).

Unlike `gateway.samples`, whose persons, firms and districts are wrong on purpose, these have right check digits, codes of the
tables, and sums that agree. No name, number or code is anybody's on purpose.
"""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from gateway.advice.declared import DeclaredFields
from gateway.model import Family, MessageType
from gateway.rules.loading import RULES
from gateway.samples.structure import Element, structure
from tests.documents import COP_CODE, DXP_ID
from tests.shipped_rules import shipped

MOMENT: Final = datetime(2026, 6, 1, 8, 0, 0)  # noqa: DTZ001 (Beijing time, as in the messages)
_CHECKS: Final = "10X98765432"
_CREDIT: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_SURNAMES: Final = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦许何吕张孔曹严华金魏陶姜"
_GIVEN: Final = ("晓样", "子虚", "乌有", "明例", "小试", "文演", "若假", "梦拟")
_GOODS: Final = (
    ("婴儿配方奶粉", "800克/罐|三段", "1901101000", "122"), ("蜂蜜", "500克/瓶|原味", "0409000000", "142"),
    ("保湿面霜", "50毫升/瓶|保湿", "3304990029", "142"), ("保温杯", "500毫升|不锈钢", "9617001900", "007"),
    ("电动牙刷", "成人款|充电式", "8509809000", "001"), ("巧克力", "200克/盒|黑巧克力", "1806900000", "140"),
)  # fmt: skip
_NO_PLACES: Final = frozenset({"0000", "5000", "9800", "A100"})
_AWAY: Final = ("502", "116", "133", "304", "601", "303")
_ITEMS: Final = 5


def second(moment: datetime) -> str:
    """Write a second as messages do."""
    return moment.strftime("%Y%m%d%H%M%S")


def identity_number(rng: random.Random) -> str:
    """Invent an identity number with a region and the right check character."""
    region = rng.choice(sorted(shipped().tables["region_prefix"].rows))
    birthday = f"{rng.randrange(1950, 2006)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}"
    digits = f"{region}0101{birthday}{rng.randrange(1000):03d}"
    return digits + _CHECKS[sum(int(digit) * 2 ** (17 - at) for at, digit in enumerate(digits)) % 11]


def customs_code(rng: random.Random) -> str:
    """Invent a registration code with customs, of 10 characters."""
    region = rng.choice(sorted(shipped().tables["region_prefix"].rows))
    return f"{region}019{rng.choice('0123456789')}{rng.choice('ABCDEFGH')}{rng.randrange(1000):03d}"


def credit_code(rng: random.Random) -> str:
    """Invent a unified social credit code with the right check character."""
    body = "91" + f"{rng.randrange(110000, 659000)}" + "".join(rng.choice(_CREDIT) for _ in range(9))
    total = sum(_CREDIT.index(character) * pow(3, at, 31) for at, character in enumerate(body))
    return body + _CREDIT[-total % 31]


def sound(
    kind: MessageType,
    rng: random.Random,
    *,
    moment: datetime = MOMENT,
    items: int = 0,
    full: bool = False,
) -> DeclaredFields:
    """Invent one sound declaration. `items`: how many; 0: any number. `full`: with every field that may be there."""
    body, head, item = _parts(kind)
    values = _Values(kind, rng, moment, full=full)
    lines = values.items(items or rng.randrange(1, _ITEMS + 1)) if item is not None else []
    texts = values.head(lines)
    own = head if head is not None else body
    return DeclaredFields(
        head=_chosen(own, texts, values),
        items=[_chosen(item, line, values) for line in lines] if item is not None else [],
    )


def document(kind: MessageType, declared: Sequence[DeclaredFields]) -> bytes:
    """Write declarations as an unsigned message in plain form."""
    body, head, item = _parts(kind)
    written = []
    for one in declared:
        own = _leaves(head if head is not None else body, one.head)
        inner = f"<ceb:{head.name}>{own}</ceb:{head.name}>" if head is not None else own
        if item is not None:
            inner += "".join(
                f"<ceb:{item.name}>{_leaves(item, line)}</ceb:{item.name}>" for line in one.items
            )
        written.append(f"<ceb:{body.name}>{inner}</ceb:{body.name}>")
    transfer = (
        f"<ceb:BaseTransfer><ceb:copCode>{COP_CODE}</ceb:copCode><ceb:copName>样例传输企业</ceb:copName>"
        f"<ceb:dxpMode>DXP</ceb:dxpMode><ceb:dxpId>{DXP_ID}</ceb:dxpId></ceb:BaseTransfer>"
    )
    guid = declared[0].head["guid"]
    start = f'<ceb:{kind.name} xmlns:ceb="http://www.chinaport.gov.cn/ceb" guid="{guid}" version="1.0">'
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n{start}{"".join(written)}{transfer}</ceb:{kind.name}>'
    return text.encode()


@cache
def _parts(kind: MessageType) -> tuple[Element, Element | None, Element | None]:
    """Return the elements of a declaration: its body, its head, its item."""
    folder: Path = RULES / "xsd" / "202205"
    body = structure(folder, kind.name).child(kind.body)
    holders = [one for one in body.children if one.children]
    head = next((one for one in holders if one.name == kind.head), None)
    return body, head, next((one for one in holders if one is not head), None)


def _leaves(holder: Element, texts: Mapping[str, str]) -> str:
    return "".join(
        f"<ceb:{one.name}>{escape(texts[one.name])}</ceb:{one.name}>"
        for one in holder.leaves()
        if one.name in texts
    )


def _chosen(holder: Element, texts: Mapping[str, str], values: "_Values") -> dict[str, str]:
    """Return the texts of the fields that are there: required ones, and some of the others."""
    return {
        one.name: texts[one.name]
        for one in holder.leaves()
        if one.required or one.name in values.wanted or values.full or values.rng.random() < 1 / 2
    }


class _Values:
    """The values of one declaration by name; what has to agree does."""

    def __init__(self, kind: MessageType, rng: random.Random, moment: datetime, *, full: bool) -> None:
        self.kind = kind
        self.rng = rng
        self.moment = moment
        self.full = full
        self.export = kind.family is Family.EXPORT
        self.bonded = not full and rng.random() < 1 / 2
        self.wanted = frozenset(
            ("emsNo", "areaCode", "areaName", "iacCode", "iacName", "itemRecordNo")
            if self.bonded
            else ("trafNo", "trafName", "voyageNo", "billNo")
        ) | {
            "billNo",
            "trafName",
            "voyageNo",
            "startTime",
            "endTime",
            "freight",
            "insuredFee",
            "copNo",
            "payCode",
            "unit2",
            "qty2",
        }
        self.districts = sorted(shipped().tables["customs_district"].rows.keys() - _NO_PLACES)
        self.year = f"{moment:%Y}"

    def items(self, count: int) -> list[dict[str, str]]:
        """Invent the items, worth less than a purchase may be."""
        return [self._item(gnum) for gnum in range(1, count + 1)]

    def _item(self, gnum: int) -> dict[str, str]:
        rng = self.rng
        name, model, code, unit = rng.choice(_GOODS)
        count, fen = rng.randrange(1, 4), rng.randrange(100, 9000)
        return {
            "gnum": str(gnum), "itemNo": f"SKU{rng.randrange(10**8):08d}", "itemName": f"样例牌{name}",
            "itemRecordNo": f"{rng.randrange(10**6):06d}", "gcode": code, "gname": name, "gmodel": model,
            "itemDescribe": "无添加", "barCode": rng.choice(("无", f"69{rng.randrange(10**11):011d}")),
            "unit": unit, "unit1": "035", "unit2": unit, "qty": str(count), "qty1": f"{count * 0.5:.2f}",
            "qty2": str(count), "price": _yuan(fen), "totalPrice": _yuan(fen * count),
            "currency": "142", "country": rng.choice(_AWAY), "tradeCountry": rng.choice(_AWAY), "note": "无",
            "logisticsNo": f"YT{rng.randrange(10**14):014d}", "totalPackageNo": f"ZB{rng.randrange(10**6):06d}",
            "invtNo": self._invt_no(),
        }  # fmt: skip

    def head(self, items: Sequence[Mapping[str, str]]) -> dict[str, str]:
        """Invent the head of the declaration of these items."""
        return self._common() | self._person() | self._firms() | self._numbers() | self._amounts(items)

    def _common(self) -> dict[str, str]:
        rng, returns = self.rng, self.kind.name in {"CEB213Message", "CEB215Message"}
        earlier = self.moment - timedelta(hours=rng.randrange(1, 48))
        day = f"{self.moment:%Y%m%d}"
        mode = "9661" if returns else "1210" if self.bonded else "9610"
        return {
            "guid": f"{rng.getrandbits(128):032X}-SND",
            "appType": "1", "appTime": second(self.moment), "appStatus": "2",
            "orderType": rng.choice("EBW") if self.export else "I", "ieFlag": "E" if self.export and not returns else "I",
            "payTime": second(earlier), "logisticsTime": second(earlier), "accountingDate": second(earlier),
            "leaveTime": second(self.moment + timedelta(hours=rng.randrange(48))), "declTime": day, "ieDate": day,
            "startTime": second(earlier - timedelta(days=7)), "endTime": second(earlier),
            "customsCode": rng.choice(self.districts), "portCode": rng.choice(self.districts), "loctNo": "L001",
            "tradeMode": mode, "trafMode": rng.choice("2459"), "trafNo": "CA001", "trafName": "CA001",
            "voyageNo": "V0601", "domesticTrafNo": "沪A00001", "billNo": f"{rng.randrange(10**11):011d}",
            "country": "142" if self.bonded and not self.export else rng.choice(_AWAY), "POD": "502",
            "currency": "142", "fCurrency": "142", "iCurrency": "142", "fFlag": "3", "iFlag": "3", "wrapType": rng.choice("1234567"),
            "buyerIdType": "1", "payerIdType": "1", "packNo": "1", "logisticsStatus": "S",
            "statisticsFlag": rng.choice("AB"), "summaryFlag": "1", "itemNameFlag": "1", "msgCount": "1", "msgSeqNo": "1",
            "reason": "订购人取消订单", "goodsInfo": "日用品一批", "location": "一号库", "unloadLocation": "一号库",
            "batchNumbers": "B01", "note": "无", "licenseNo": "L2026001",
        }  # fmt: skip

    def _person(self) -> dict[str, str]:
        rng = self.rng
        name, number = rng.choice(_SURNAMES) + rng.choice(_GIVEN), identity_number(rng)
        telephone = f"130{rng.randrange(10**8):08d}"
        return {
            "buyerName": name, "buyerIdNumber": number, "buyerTelephone": telephone, "payerName": name,
            "buyerRegNo": f"user{rng.randrange(10**6)}", "payerIdNumber": number, "telephone": telephone,
            "consignee": name, "consigneeTelephone": telephone, "ebcTelephone": telephone,
            "consigneeAddress": f"样例省演示市测试区假设路{rng.randrange(1, 999)}号", "consigneeDistrict": "310115",
        }  # fmt: skip

    def _firms(self) -> dict[str, str]:
        rng = self.rng
        roles = ("ebp", "ebc", "pay", "logistics", "agent", "operator", "owner", "iac", "area", "declAgent")
        made = {f"{role}Name": f"演示{role}有限公司" for role in roles}
        for role in roles:
            made[f"{role}Code"] = (
                credit_code(rng) if self.export and rng.random() < 1 / 3 else customs_code(rng)
            )
        if self.export and not self.full and rng.random() < 1 / 4:
            made |= {"ebpCode": "无", "ownerCode": "NO"}
        return made | {"assureCode": made[rng.choice(("ebpCode", "ebcCode", "logisticsCode"))]}

    def _numbers(self) -> dict[str, str]:
        rng, draw = self.rng, self.rng.randrange
        letter = {"CEB623Message": "C", "CEB605Message": "C", "CEB625Message": "T"}.get(self.kind.name, "B")
        return {
            "orderNo": f"{rng.choice('ABC')}{draw(10**14):014d}", "logisticsNo": f"YT{draw(10**14):014d}",
            "copNo": f"C{draw(10**14):014d}", "coElNo": f"T{draw(10**14):014d}", "payNo": f"P{draw(10**14):014d}",
            "payTransactionId": f"P{draw(10**14):014d}", "emsNo": f"T{draw(10**11):011d}", "sumNo": f"S{draw(10**14):014d}",
            "rkdNo": f"R{draw(10**14):014d}", "totalPackageNo": f"ZB{draw(10**6):06d}", "invtNo": self._invt_no(),
            "preNo": f"{letter}{self.moment:%Y%m%d}{draw(10**9):09d}",
        }  # fmt: skip

    def _amounts(self, items: Sequence[Mapping[str, str]]) -> dict[str, str]:
        rng = self.rng
        goods = sum(_fen(one["totalPrice"]) for one in items) or rng.randrange(100, 90000)
        freight, tax, discount = rng.randrange(3000), goods * 91 // 1000, rng.randrange(goods)
        net = 0.5 * sum(int(one["qty"]) for one in items) or 0.5
        return {
            "goodsValue": _yuan(goods), "freight": _yuan(freight), "taxTotal": _yuan(tax), "discount": _yuan(discount),
            "acturalPaid": _yuan(goods + freight + tax - discount), "amountPaid": _yuan(goods), "charge": _yuan(goods),
            "insuredFee": _yuan(rng.randrange(500)), "netWeight": f"{net:.2f}", "grossWeight": f"{net + 0.2:.2f}",
            "weight": f"{net + 0.2:.2f}",
        }  # fmt: skip

    def _invt_no(self) -> str:
        serial = self.rng.randrange(9, 12) if self.export else 9
        mark = "E" if self.export else "I"
        return (
            f"{self.rng.choice(self.districts)}{self.year}{mark}{self.rng.randrange(10**serial):0{serial}d}"
        )


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"


def _fen(yuan: str) -> int:
    return int(yuan.replace(".", ""))
