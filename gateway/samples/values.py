"""Invented data for sample declarations: people, goods, enterprises and numbers that do not exist.

Identity numbers end in a wrong check digit, telephone numbers come from an unused block, enterprise codes
and customs districts are made up.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.samples.structure import Element

"""Times in CEB messages are Beijing time (docs/spec/codes.md, returnTime)."""

SURNAMES: Final = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦许何吕张孔曹严华金魏陶姜"
GIVEN: Final = (
    "样例",
    "试之",
    "子虚",
    "乌有",
    "无名",
    "假设",
    "演示",
    "某某",
    "未名",
    "晓测",
    "小样",
    "文例",
)
STREETS: Final = ("样例路", "演示大道", "测试街", "无名巷", "虚构东路", "未名湖路", "假日大街", "练习二路")
TOWNS: Final = ("示例省样板市演示区", "虚构省未名市测试区", "样例省假设市练习县", "无名省试验市演练区")


@dataclass(frozen=True, slots=True, kw_only=True)
class Goods:
    """One kind of goods; the code is ten digits of the right form, chosen to look realistic."""

    name: str
    model: str
    code: str
    unit: str
    """Three digits (docs/spec/codes.md, Currency)."""
    price_fen: int
    country: str


GOODS: Final = (
    Goods(name="样例牌婴儿配方奶粉", model="800g/罐|3段|样例牌", code="1901101000", unit="122",
          price_fen=19800, country="601"),
    Goods(name="演示牌蜂蜜", model="500g/瓶|原味|演示牌", code="0409000000", unit="142",
          price_fen=8850, country="609"),
    Goods(name="测试牌保湿面霜", model="50ml/瓶|保湿|测试牌", code="3304990029", unit="142",
          price_fen=26000, country="305"),
    Goods(name="无名牌维生素C片", model="60片/瓶|片剂|无名牌", code="2106909090", unit="142",
          price_fen=12900, country="502"),
    Goods(name="虚构牌纸尿裤", model="L码|54片/包|虚构牌", code="9619001100", unit="125",
          price_fen=9900, country="116"),
    Goods(name="示例牌保温杯", model="500ml|不锈钢|示例牌", code="9617001900", unit="007",
          price_fen=15600, country="116"),
    Goods(name="假想牌巧克力", model="200g/盒|黑巧克力|假想牌", code="1806900000", unit="140",
          price_fen=5600, country="301"),
    Goods(name="某某牌电动牙刷", model="成人款|充电式|某某牌", code="8509809000", unit="001",
          price_fen=29900, country="304"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """A line of a purchase."""

    goods: Goods
    count: int

    @property
    def weight_10g(self) -> int:
        """Net weight in hundredths of a kilogram: half a kilogram a piece."""
        return 50 * self.count


CUSTOMS_CODE: Final = "9901"
CHECK_DIGITS: Final = "10X98765432"
"""The correct check digit of an identity number, by its weighted sum modulo 11 (GB 11643)."""

COMMON: Final[Mapping[str, str]] = {
    "version": "1.0", "dxpMode": "DXP", "appType": "1", "appStatus": "2", "currency": "142",
    "fCurrency": "142", "iCurrency": "142", "fFlag": "3", "iFlag": "3",
    "ebpCode": "9901960E01", "ebpName": "样例电商平台有限公司",
    "ebcCode": "9901960E02", "ebcName": "演示跨境电商有限公司", "ebcTelephone": "13000000001",
    "payCode": "9901960P01", "payName": "虚构支付服务有限公司",
    "logisticsCode": "9901960L01", "logisticsName": "无名速递有限公司",
    "agentCode": "9901960A01", "agentName": "未名报关代理有限公司",
    "declAgentCode": "9901960A02", "declAgentName": "样板报关行有限公司",
    "operatorCode": "9901960S01", "operatorName": "演示监管场所经营有限公司",
    "ownerCode": "9901960E03", "ownerName": "试验生产销售有限公司",
    "assureCode": "9901960E02", "copName": "样例申报企业有限公司",
    "customsCode": CUSTOMS_CODE, "portCode": CUSTOMS_CODE, "loctNo": "990101",
    "tradeMode": "9610", "trafMode": "5", "trafName": "样例航空", "trafNo": "样例001",
    "domesticTrafNo": "示A00001", "unloadLocation": "示例一号库", "location": "示例一号库三排",
    "buyerIdType": "1", "payerIdType": "1", "packNo": "1", "wrapType": "2", "totalPackageNo": "ZB0001",
    "freight": "0", "insuredFee": "0", "discount": "0", "consigneeDistrict": "990102",
    "logisticsStatus": "S", "statisticsFlag": "A", "summaryFlag": "1", "itemNameFlag": "1",
    "msgCount": "1", "msgSeqNo": "1", "POD": "502", "country": "502", "tradeCountry": "502",
    "reason": "订购人取消订单", "barCode": "无", "batchNumbers": "2024-B01", "status": "ALL",
    "itemDescribe": "样例商品", "goodsInfo": "样例商品一批", "note": "样例",
}  # fmt: skip
"""Values of elements that may be the same in every sample, by name."""

OF_FAMILY: Final[Mapping[str, Mapping[str, str]]] = {
    "import": {"ieFlag": "I", "orderType": "I"},
    "export": {"ieFlag": "E", "orderType": "E"},
}
RETURNS: Final[Mapping[str, str]] = {"ieFlag": "I", "tradeMode": "9661"}
"""Values of export returns, which count as imports (docs/spec/codes.md, ieFlag, tradeMode)."""


def guid(rng: random.Random) -> str:
    """Return an upper-case UUID, 36 characters."""
    digits = f"{rng.getrandbits(128):032X}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-A{digits[17:20]}-{digits[20:]}"


def money(fen: int) -> str:
    """Format hundredths of a yuan as yuan."""
    return f"{fen // 100}.{fen % 100:02d}"


def invt_no(rng: random.Random, year: str, mark: str) -> str:
    """Return an inventory number of customs: district, year, I or E, nine digits (docs/spec/messages.md, Correlating 4)."""
    return f"{CUSTOMS_CODE}{year}{mark}{rng.randrange(10**9):09d}"


def person(rng: random.Random) -> dict[str, str]:
    """Invent a buyer; the same person for every element that names one."""
    name = rng.choice(SURNAMES) + rng.choice(GIVEN)
    identity = _identity(rng)
    telephone = f"130000000{rng.randrange(100):02d}"
    return {
        "buyerName": name, "buyerIdNumber": identity, "buyerTelephone": telephone,
        "buyerRegNo": f"user{rng.randrange(10**8):08d}",
        "payerName": name, "payerIdNumber": identity, "telephone": telephone,
        "consignee": name, "consigneeTelephone": telephone,
        "consigneeAddress": f"{rng.choice(TOWNS)}{rng.choice(STREETS)}{rng.randrange(1, 999)}号",
    }  # fmt: skip


def _identity(rng: random.Random) -> str:
    """Return an 18-digit identity number of the usual form, with wrong district and check digit."""
    digits = f"990101{rng.randrange(1960, 2004)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}"
    digits += f"{rng.randrange(1000):03d}"
    right = CHECK_DIGITS[sum(int(digit) * (2 ** (17 - at) % 11) for at, digit in enumerate(digits)) % 11]
    return digits + ("7" if right == "X" else str((int(right) + 5) % 10))


def basket(lines: int, rng: random.Random) -> tuple[Bought, ...]:
    """Choose the goods of a purchase."""
    return tuple(Bought(goods=rng.choice(GOODS), count=rng.randrange(1, 4)) for _ in range(lines))


def numbers(rng: random.Random, day: str, mark: str) -> dict[str, str]:
    """Invent the numbers of one consignment; 16 random digits keep millions of them distinct."""
    draw = rng.randrange
    return {
        "orderNo": f"{day}{draw(10**16):016d}", "copNo": f"C{draw(10**16):016d}",
        "coElNo": f"T{draw(10**16):016d}", "logisticsNo": f"YT{draw(10**16):016d}",
        "payTransactionId": f"{day}{draw(10**16):016d}", "payNo": f"{day}{draw(10**16):016d}",
        "billNo": f"999-{draw(10**8):08d}", "voyageNo": f"YL{draw(1000, 9999)}",
        "invtNo": invt_no(rng, day[:4], mark),
    }  # fmt: skip


def fallback(element: Element) -> str:
    """Return a value for an element in no table: its fixed one, or a shortest one."""
    if element.fixed:
        return element.fixed
    if element.kind != "text":
        return "1"
    return "1" * (element.length or max(element.min_length, 1))
