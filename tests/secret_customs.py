"""A customs with secret rules, each a code and the field it is about, and platforms that correct what they are told."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.documents import element, guid, message

HEAD: Final = (
    "guid", "appType", "appTime", "appStatus", "orderNo", "ebpCode", "ebpName", "ebcCode", "ebcName", "logisticsNo",
    "logisticsCode", "logisticsName", "copNo", "assureCode", "emsNo", "ieFlag", "declTime", "customsCode", "portCode",
    "ieDate", "buyerIdType", "buyerIdNumber", "buyerName", "buyerTelephone", "consigneeAddress", "agentCode",
    "agentName", "areaCode", "areaName", "tradeMode", "trafMode", "trafNo", "voyageNo", "billNo", "loctNo",
    "licenseNo", "country", "freight", "insuredFee", "currency", "wrapType", "packNo", "grossWeight", "netWeight",
    "note",
)  # fmt: skip
ITEM: Final = (
    "gnum", "itemRecordNo", "itemNo", "itemName", "gcode", "gname", "gmodel", "barCode", "country", "tradeCountry",
    "currency", "qty", "unit", "qty1", "unit1", "qty2", "unit2", "price", "totalPrice", "note",
)  # fmt: skip
FIXED: Final = {
    "appStatus": "2", "ebpCode": "4400000002", "ebcCode": "4400000003", "ieFlag": "I", "customsCode": "5100",
    "buyerIdType": "1", "agentCode": "4400000004", "tradeMode": "9610", "trafMode": "5", "currency": "142", "gnum": "1",
}  # fmt: skip
VARIABLE: Final = tuple(
    f"{holder}/{name}"
    for holder, names in (("InventoryHead", HEAD), ("InventoryList", ITEM))
    for name in names
    if name not in FIXED and name not in {"guid", "appType", "appTime", "copNo"}
)
LENGTHS: Final = {
    "declTime": 8, "ieDate": 8, "portCode": 4, "country": 3, "tradeCountry": 3, "unit": 3, "unit1": 3, "unit2": 3,
    "gcode": 10, "wrapType": 1,
}  # fmt: skip
NUMBERS: Final = {
    "freight",
    "insuredFee",
    "packNo",
    "grossWeight",
    "netWeight",
    "qty",
    "qty1",
    "qty2",
    "price",
    "totalPrice",
}
TEXTS: Final = (
    "订购人{name}的身份证号码{number}有误", "收货地址[{name}]不存在", "商品编码{number}不正确", "运单{number}查询不存在",
    "电子口岸验签失败（{name}）",
)  # fmt: skip
PEOPLE: Final = ("欧阳娜", "司马光辉", "李小梅", "王建国", "诸葛三")


@dataclass
class Declared:
    """One declaration of a platform: its fields, and which of them are wrong."""

    cop_no: str
    values: dict[str, str]
    wrong: set[str]
    version: int = 0
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    """Code, status and text of what customs said last."""


class SecretCustoms:
    """Rules by code; which field each is about, only the test knows."""

    def __init__(self, rng: random.Random, *, rules: int) -> None:
        self.rng = rng
        self.fields = rng.sample(VARIABLE, rules)
        self.sound = {name: self.value(name) for name in VARIABLE}
        self.codes: dict[str, str] = {}
        """Field → code as the gateway will name it, without the shape of a text."""
        self.answers: dict[str, tuple[str, str]] = {}
        """Field → status and text."""
        for number, name in enumerate(self.fields):
            if number < len(TEXTS):
                self.codes[name], self.answers[name] = f"text {number}", ("100", TEXTS[number])
            elif number < 2 * len(TEXTS):
                code = f"-77{number:04}"
                self.codes[name], self.answers[name] = code, (code, "处理失败")
            else:
                code = f"4{number:04}"
                self.codes[name], self.answers[name] = code, ("100", f"[Code:{code};Desc:{{name}}不符]")

    def declare(self, cop_no: str, *, mistakes: int) -> Declared:
        wrong = self.rng.sample(self.fields, mistakes)
        values = {**self.sound, **{name: self.value(name) for name in wrong}}
        return Declared(cop_no=cop_no, values=values, wrong=set(wrong))

    def value(self, name: str) -> str:
        """Make up another value of a field."""
        plain = name.partition("/")[2]
        if plain in NUMBERS:
            return str(self.rng.randrange(1, 99_999))
        if plain == "buyerName":
            return self.rng.choice(PEOPLE)
        return "".join(self.rng.choices("123456789", k=LENGTHS.get(plain, 9)))

    def answer(self, one: Declared) -> dict[str, str]:
        """Judge a version: one mistake is told of, sometimes two; none: it is released."""
        told = self.rng.sample(sorted(one.wrong), min(len(one.wrong), self.rng.choice((1, 1, 2))))
        bracketed = [name for name in told if self.codes[name].startswith("4")]
        if told:
            status, text = self.answers[told[0]]
            text = (
                "".join(self.answers[name][1] for name in bracketed)
                if bracketed and status == "100"
                else text
            )
            said = {"name": self.rng.choice(PEOPLE), "number": str(self.rng.randrange(10**9))}
            answer = {"returnStatus": status, "returnInfo": text.format(**said)}
        else:
            answer = {"returnStatus": "800", "returnInfo": "[Code:2600;Desc:放行]"}
        return {
            "copNo": one.cop_no,
            "preNo": f"B{one.version:02}{one.cop_no:>15}".replace(" ", "0")[:18],
            **answer,
        }

    def correct(self, one: Declared, *, noise: int) -> None:
        """Correct what is wrong, mostly all of it at once, and change some other fields for no reason."""
        repaired = list(one.wrong) if self.rng.random() < 0.8 else self.rng.sample(sorted(one.wrong), 1)
        for name in repaired + self.rng.sample(VARIABLE, self.rng.randrange(noise + 1)):
            one.values[name] = self.value(name)
        one.wrong -= set(repaired)
        one.version += 1


def inventories(declared: Sequence[Declared], *, at: int) -> bytes:
    """Write one inventory message of these declarations; `at`: seconds within the day."""
    time = f"20250102{at // 3600:02}{at // 60 % 60:02}{at % 60:02}"
    return message("CEB621Message", [_body(one, number, time) for number, one in enumerate(declared, 1)])


def batches(declared: Sequence[Declared], size: int = 100) -> Iterator[Sequence[Declared]]:
    yield from (declared[start : start + size] for start in range(0, len(declared), size))


def _body(one: Declared, number: int, time: str) -> str:
    own = {"guid": guid(number), "appType": "2" if one.version else "1", "appTime": time, "copNo": one.cop_no}
    return element(
        "Inventory",
        _holder("InventoryHead", HEAD, {**FIXED, **own}, one.values),
        _holder("InventoryList", ITEM, FIXED, one.values),
    )


def _holder(name: str, names: Sequence[str], fixed: Mapping[str, str], values: Mapping[str, str]) -> str:
    return element(name, **{one: fixed.get(one) or values[f"{name}/{one}"] for one in names})
