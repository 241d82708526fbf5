"""The refusals of customs: business error codes by declaration type, and reasons.

Codes and texts: docs/spec/codes.md, Business error codes, returnInfo. Export types have no codes of
their own in the specification; they get those of the import type that means the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedRefusal:
    """A negative returnStatus with its text."""

    code: str
    info: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """The negative answers a declaration of one type may get."""

    older: SimulatedRefusal
    """It is older than the version on file: dropped."""
    duplicate: SimulatedRefusal
    """A new declaration under a business key that is on file."""
    fault: SimulatedRefusal
    """It has another fault."""
    digest: SimulatedRefusal = SimulatedRefusal(code="-301020", info="加签数据比对失败")
    """The signed bytes were changed."""
    signature: SimulatedRefusal = SimulatedRefusal(code="-301020", info="验签失败")
    """The signature does not hold; -301020 is observed in the field, but in no table."""


_OLD: Final = "报文处理失败，接收报文为旧报文数据，不做处理"
_ORDER: Final = Refusals(
    older=SimulatedRefusal(code="-301014", info=f"订单{_OLD}"),
    duplicate=SimulatedRefusal(code="-301010", info="已存在相同编号的订单"),
    fault=SimulatedRefusal(code="-301002", info="订单商品信息内有重复商品序号"),
)
_PAYMENT: Final = Refusals(
    older=SimulatedRefusal(code="-401012", info=f"支付单{_OLD}"),
    duplicate=SimulatedRefusal(code="-401007", info="已存在相同编号的支付单"),
    fault=SimulatedRefusal(code="-401009", info="参数校验不通过"),
)
_WAYBILL: Final = Refusals(
    older=SimulatedRefusal(code="-504016", info="该运单已向海关申报运单，状态不符"),
    duplicate=SimulatedRefusal(code="-504015", info="已存在相同编号的运单"),
    fault=SimulatedRefusal(code="-504011", info="参数校验不通过"),
)
_STATUS: Final = Refusals(
    older=SimulatedRefusal(code="-505016", info=f"物流{_OLD}"),
    duplicate=SimulatedRefusal(code="-505012", info="物流运单状态已存在"),
    fault=SimulatedRefusal(code="-505011", info="参数校验不通过"),
)
_INVENTORY: Final = Refusals(
    older=SimulatedRefusal(code="-621012", info="清单的申报状态不符合改单申报的条件"),
    duplicate=SimulatedRefusal(code="-621004", info="清单已经申报过，请勿重复申报"),
    fault=SimulatedRefusal(code="-621027", info="请确认表体gnum 无重复！"),
    digest=SimulatedRefusal(code="-621028", info="加签数据比对失败！"),
    signature=SimulatedRefusal(code="-621029", info="验签失败！"),
)
_CANCEL: Final = Refusals(
    older=SimulatedRefusal(code="-623005", info="清单的状态不符合撤单申报要求！"),
    duplicate=SimulatedRefusal(code="-623009", info="撤单清单已经申报过"),
    fault=SimulatedRefusal(code="-623003", info="系统中不存在该清单编号的清单！"),
    digest=SimulatedRefusal(code="-623029", info="验签失败！"),
    signature=SimulatedRefusal(code="-623029", info="验签失败！"),
)
_REFUND: Final = Refusals(
    older=SimulatedRefusal(code="-625022", info="退货申请单的申报状态不符合改单申报的条件"),
    duplicate=SimulatedRefusal(code="-625033", info="退货申请单已经申报过，请勿重复申报"),
    fault=SimulatedRefusal(code="-625014", info="退货申请单金额超过单笔限额"),
    digest=SimulatedRefusal(code="-625208", info="验签失败！"),
    signature=SimulatedRefusal(code="-625005", info="退货申请单验签失败！"),
)
_DELIVERY: Final = Refusals(
    older=SimulatedRefusal(code="-800005", info=f"入库明细单{_OLD}"),
    duplicate=SimulatedRefusal(code="-800003", info="入库明细单报已存在"),
    fault=SimulatedRefusal(code="-800001", info="校验不通过"),
)

_BY_TYPE: Final[Mapping[str, Refusals]] = {
    "CEB311Message": _ORDER, "CEB303Message": _ORDER,
    "CEB411Message": _PAYMENT, "CEB403Message": _PAYMENT,
    "CEB511Message": _WAYBILL, "CEB505Message": _WAYBILL,
    "CEB621Message": _INVENTORY, "CEB603Message": _INVENTORY,
    "CEB623Message": _CANCEL, "CEB605Message": _CANCEL,
    "CEB625Message": _REFUND, "CEB213Message": _REFUND,
    "CEB711Message": _DELIVERY,
}  # fmt: skip

REASONS: Final = (
    "[Code:1313;Desc:订购人购买超过年度限额,超过个人年度购买额度;totalPrice：26,114.44 > limitPrice: 26,000;]",
    "[Code:1322;Desc:订单清单表体商品项不一致]",
    "[Code:13035;Desc:支付企业不一致]",
    "收件地址不详",
)
"""Why customs returns a declaration, status 100 (docs/spec/codes.md, returnInfo)."""

PASSING: Final = (
    SimulatedRefusal(code="3001", info="database or middleware error"),
    SimulatedRefusal(code="3002", info="remote connection error"),
    SimulatedRefusal(code="3003", info="remote connection timeout"),
)
"""Answers of the exchange platform when something fails on its side (docs/spec/codes.md, DXP platform errors)."""
PLATFORM: Final = (
    SimulatedRefusal(code="2001", info="the named receiver does not exist"),
    SimulatedRefusal(code="2002", info="address mismatch"),
    *PASSING,
)
"""Answers of the exchange platform when it cannot pass a message on (docs/spec/codes.md, DXP platform errors)."""

SECURITY: Final = SimulatedRefusal(code="1001", info="invalid signature")
"""Answer of the exchange platform when it does not trust a message (docs/spec/codes.md, DXP platform errors)."""

FORMAT_ERROR: Final = "-999999"
"""returnStatus of a CEB900; the real values are not documented (docs/spec/codes.md, 900)."""


def refusals(message_type: str) -> Refusals:
    """Return the negative answers for a declaration type; types without own codes get those of waybill status."""
    return _BY_TYPE.get(message_type, _STATUS)
