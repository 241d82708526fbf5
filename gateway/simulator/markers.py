"""The sandbox: numbers that end in a marker get the outcome of that marker (docs/sandbox.md).

The number is the last free text of a declaration's business key: orderNo, payTransactionId, logisticsNo, copNo,
coElNo. So one purchase can have an order that is accepted and an inventory that is returned. If a marker concerns
the whole message, the first marked declaration in it decides.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.simulator.plan import PlannedFate, PlannedOutcome
from gateway.simulator.refusals import PASSING, PLATFORM, SECURITY, SimulatedRefusal

INVENTORIES: Final = ("CEB621Message", "CEB603Message", "CEB213Message")
"""Message types that customs can hold and release (docs/spec/codes.md, returnStatus)."""
CLOSABLE: Final = ("CEB621Message", "CEB603Message")
CONCLUDED: Final = (
    "CEB505Message", "CEB507Message", "CEB509Message", "CEB603Message", "CEB605Message", "CEB701Message",
    "CEB621Message", "CEB623Message", "CEB625Message", "CEB711Message", "CEB213Message", "CEB215Message",
)  # fmt: skip
ENTERED: Final = (
    "CEB311Message", "CEB411Message", "CEB511Message", "CEB513Message", "CEB303Message", "CEB403Message",
    "CEB607Message", "CEB603Message", "CEB621Message", "CEB623Message", "CEB625Message", "CEB711Message",
    "CEB213Message",
)  # fmt: skip
_NO_NAMES: Final = frozenset({"msgSeqNo", "logisticsStatus"})
"""Parts of a key that are not free text."""


class MarkerTiming(StrEnum):
    """When and how often the answers are sent."""

    USUAL = "usual"
    LATE = "late"
    TWICE = "twice"
    REVERSED = "reversed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Magic:
    """One marker and the outcome that it requests."""

    marker: str
    says: str
    says_zh: str
    gets: str
    """The answers that the platform gets, in the order of customs' own time."""
    types: tuple[str, ...] = ()
    """Message types to which it applies; empty: all. Other types ignore it."""
    fate: PlannedFate = PlannedFate.ANSWERED
    outcome: PlannedOutcome = PlannedOutcome.ACCEPTED
    until: tuple[str, ...] = ()
    """Statuses after 2 and 3; empty: the usual ones of the type."""
    platform: SimulatedRefusal | None = None
    passing: SimulatedRefusal | None = None
    """What the exchange answers to the first attempt, before it accepts the second."""
    timing: MarkerTiming = MarkerTiming.USUAL


_DATABASE, *_ = PASSING
_NO_RECEIVER, _MISMATCH, *_ = PLATFORM
MAGIC: Final[tuple[Magic, ...]] = (
    Magic(marker="-TOK", says="accepted", says_zh="正常通过",
          gets="2, 3, 120 or 399; inventories 2, 3, 120, 800, then the tax bill"),
    Magic(marker="-T120", says="entered in customs' database, nothing after it", says_zh="海关入库，之后无回执",
          gets="2, 3, 120", types=ENTERED, until=("120",)),
    Magic(marker="-T399", says="examination concluded", says_zh="海关审结", gets="2, 3, 399", types=CONCLUDED,
          until=("399",)),
    Magic(marker="-T300", says="held for manual review", says_zh="人工审核", gets="2, 3, 120, 300",
          types=INVENTORIES, until=("120", "300")),
    Magic(marker="-T500", says="held for inspection", says_zh="查验", gets="2, 3, 120, 500", types=INVENTORIES,
          until=("120", "500")),
    Magic(marker="-T599", says="detained", says_zh="其它扣留", gets="2, 3, 120, 599", types=("CEB621Message",),
          until=("120", "599")),
    Magic(marker="-T700", says="goods returned abroad", says_zh="退运", gets="2, 3, 120, 700",
          types=("CEB621Message",), until=("120", "700")),
    Magic(marker="-T800", says="released; import: then the tax bill", says_zh="放行，进口随后生成电子税单",
          gets="2, 3, 120, 800; CEB621: CEB816 1", types=INVENTORIES, until=("120", "800")),
    Magic(marker="-T899", says="released and closed; import: tax bill, then its status",
          says_zh="放行并结关，进口随后有税单及税单状态", gets="2, 3, 120, 800, 899; CEB621: CEB816 1, CEB818 2",
          types=CLOSABLE, until=("120", "800", "899")),
    Magic(marker="-T100", says="returned by customs", says_zh="海关退单", gets="2, 3, 100",
          outcome=PlannedOutcome.REFUSED),
    Magic(marker="-TNEG", says="a business error, a status below zero", says_zh="业务处理错误（负数代码）",
          gets="a negative code of the type", outcome=PlannedOutcome.NEGATIVE),
    Magic(marker="-T900", says="refused by the format check", says_zh="报文格式校验不通过",
          gets="CEB900 -999999", fate=PlannedFate.FORMAT),
    Magic(marker="-T1001", says="refused by the exchange: signature", says_zh="交换平台拒绝：签名无效",
          gets="DxpRep 1001", fate=PlannedFate.PLATFORM, platform=SECURITY),
    Magic(marker="-T2001", says="refused by the exchange: no such receiver", says_zh="交换平台拒绝：接收方不存在",
          gets="DxpRep 2001", fate=PlannedFate.PLATFORM, platform=_NO_RECEIVER),
    Magic(marker="-T2002", says="refused by the exchange: address mismatch", says_zh="交换平台拒绝：地址不符",
          gets="DxpRep 2002", fate=PlannedFate.PLATFORM, platform=_MISMATCH),
    Magic(marker="-T3001",
          says="the exchange fails once; the gateway sends again by itself, then accepted",
          says_zh="交换平台系统错误一次，网关自动重发后正常通过",
          gets="DxpRep 3001, then as `-TOK`", passing=_DATABASE),
    Magic(marker="-TLATE", says="accepted, every answer late (`script.late_s`, 5 s)", says_zh="正常通过，回执延迟",
          gets="as `-TOK`", timing=MarkerTiming.LATE),
    Magic(marker="-TTWICE", says="accepted, customs says everything twice", says_zh="正常通过，海关重复发送每个回执，网关去重",
          gets="as `-TOK`, each answer once: the gateway knows the second", timing=MarkerTiming.TWICE),
    Magic(marker="-TMIX", says="accepted, the answers in reversed order", says_zh="正常通过，回执逆序到达",
          gets="as `-TOK`, the last first", timing=MarkerTiming.REVERSED),
    Magic(marker="-TNONE", says="never answered", says_zh="永无回执", gets="nothing", fate=PlannedFate.SILENT),
)  # fmt: skip
_BY_MARKER: Final = {magic.marker: magic for magic in MAGIC}
_MARKER: Final = re.compile(r"-T[0-9A-Z]+\Z")
_PASSING: Final = tuple(magic.marker.encode() for magic in MAGIC if magic.passing)


def magic_of(message_type: str, key: Mapping[str, str]) -> Magic | None:
    """Return the marker in the number of a declaration; None when there is none that applies to its type."""
    names = own_numbers(key)
    marked = _MARKER.search(key[names[-1]]) if names else None
    found = _BY_MARKER.get(marked[0]) if marked else None
    return found if found and (not found.types or message_type in found.types) else None


def own_numbers(key: Mapping[str, str]) -> list[str]:
    """Return the fields of a business key that are free text, chosen by the declaration's owner."""
    return [name for name in key if not name.endswith("Code") and name not in _NO_NAMES]


def maybe_passing(business: bytes) -> bool:
    """Return whether a message may have a marker that asks for another attempt; only searches its bytes."""
    return any(marker in business for marker in _PASSING)


def table() -> str:
    """Return the markers as a table in Markdown, for docs/sandbox.md."""
    rows = [
        f"| `{magic.marker}` | {magic.says} | {magic.says_zh} | {magic.gets} | {_types(magic)} |\n"
        for magic in MAGIC
    ]
    return (
        "| the number ends in | outcome | 结果 | answers | message types |\n|---|---|---|---|---|\n"
        + "".join(rows)
    )


def _types(magic: Magic) -> str:
    return (
        ", ".join(sorted(name.removeprefix("CEB").removesuffix("Message") for name in magic.types)) or "all"
    )
