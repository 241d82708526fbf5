"""Small inputs that failed once, one kind each: invented here, and under the same names beside a checkout, if they are.

Payments are of the demo enterprise; receipts are about the first of them.
"""

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from gateway.config.site import DEMO
from gateway.model import Envelope
from gateway.samples.compose import Style, compose
from gateway.xml.envelope import wrap
from tests.documents import DXP_ID, dxp_rep, receipt
from tests.spec import CASES
from tests.unit.mapping_examples import example

TRANSACTION: Final = "SMALL-1"
KEY: Final = {"payCode": DEMO.cop_codes[0], "payTransactionId": TRANSACTION}
FIRST, SECOND = "COPMSGID-OF-FIRST", "COPMSGID-OF-SECOND"
"""Stand in a DxpRep where the ids of two messages have to be put."""
_ENVELOPE: Final = Envelope(
    cop_msg_id="X", sender_id="DXPEDCCEB0000002", receiver_ids=(DXP_ID,), creat_time="2026-11-11T14:36:33"
)
_AMONG_GBK: Final = "赵喆"
"""The second is in GBK, and not in GB2312."""


def _composed(kind: str, style: Style | None = None, bodies: int = 1) -> bytes:
    return compose(
        kind,
        cop_code=DEMO.cop_codes[0],
        dxp_id=DEMO.dxp_ids[0],
        rng=random.Random(7),
        overrides={"payTransactionId": TRANSACTION} if kind == "CEB411Message" else {},
        style=style or Style(),
        bodies=bodies,
    ).body


def _answer(
    status: str = "120", time: str = "20261111100000000", info: str = "逻辑校验通过", label: str = "UTF-8",
    encoding: str = "utf-8",
) -> bytes:  # fmt: skip
    told = receipt(
        "CEB412Message", {**KEY, "returnStatus": status, "returnTime": time, "returnInfo": info}
    ).decode()
    assert told.count('encoding="UTF-8"') == 1
    return wrap(told.replace('encoding="UTF-8"', f'encoding="{label}"').encode(encoding), _ENVELOPE)


def _raw_ampersand() -> bytes:
    told = receipt("CEB412Message", {**KEY, "returnStatus": "120", "returnInfo": "A&B"})
    return wrap(told.replace(b"A&amp;B", b"A&B"), _ENVELOPE)


def _relative_namespace() -> bytes:
    return _composed("CEB411Message").replace(b" xmlns:ceb=", b' xmlns:x="a/b" xmlns:ceb=', 1)


def _empty_extension() -> bytes:
    composed = _composed("CEB505Message", Style(extend=True)).decode()
    before, opening, rest = composed.partition("<ceb:Message>")
    assert opening
    return (before + opening + "</ceb:Message>" + rest.partition("</ceb:Message>")[2]).encode()


def _exponent_cell() -> bytes:
    return example("inventories").replace(b"990101197001010001", b"9.90101E+17")


def _exponent_number() -> bytes:
    return example("payments").replace(b'"O-0001"', b"2.0261111000000001e+20")


OURS: Final[Mapping[str, Callable[[], bytes]]] = {
    "01-payment.xml": partial(_composed, "CEB411Message"),
    "01-receipt-120.xml": _answer,
    "01-receipt-duplicate-later.xml": partial(
        _answer, "-401007", "20261111100500000", "已存在相同编号的支付单"
    ),
    "01-receipt-older-later.xml": partial(
        _answer, "-401012", "20261111100600000", "接收报文为旧报文数据，不做处理"
    ),
    "03-receipt-declared-UTF8.xml": partial(_answer, label="UTF8"),
    "03-receipt-declared-utf-16.xml": partial(_answer, label="utf-16"),
    "03-receipt-gb2312-with-gbk-character.xml": partial(
        _answer, info=_AMONG_GBK, label="gb2312", encoding="gbk"
    ),
    "03-receipt-raw-ampersand.xml": _raw_ampersand,
    "09-relative-namespace.xml": _relative_namespace,
    "10-two-versions-in-one-message.xml": partial(_composed, "CEB411Message", bodies=2),
    "11-inventory-id-in-exponent-form.csv": _exponent_cell,
    "11-payment-orderno-exponent.json": _exponent_number,
    "12-extend-505.xml": _empty_extension,
    "13-dxprep-two-owners.xml": lambda: dxp_rep(
        (FIRST, DEMO.dxp_ids[0], "3002"), (SECOND, "DXPENT0000000002", "0002")
    ),
}


def ours(name: str) -> bytes:
    """The input as it is invented here."""
    return OURS[name]()


def beside(name: str) -> bytes:
    """The input that lies beside the checkout."""
    return (CASES / name).read_bytes()
